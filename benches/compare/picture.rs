//! The picture of a run: bars for the figures that people ask for, in SVG.
//!
//! Its colours follow the reader's light or dark mode. A bar that would make the others too short to be
//! compared is cut, which a gap in it shows; its number stands beside it.

use std::fmt::Write as _;

use crate::support::figure::{Figure, Figures};
use crate::support::peer::Peer;
use crate::support::table::number;

/// The figures shown, in all of which less is better.
const SHOWN: [Figure; 6] = [
    Figure::DownloadCpu,
    Figure::UploadCpu,
    Figure::SessionCpu,
    Figure::Verdict,
    Figure::IdlePss,
    Figure::RestPss,
];

/// All in pixels.
const WIDTH: usize = 720;
const LABEL_WIDTH: usize = 110;
const BAR_WIDTH: f64 = 480.0;
const BAR_HEIGHT: usize = 14;
const PITCH: usize = 20;

/// How many times mailbearer's or ideal's figure, whichever is more, a bar may show.
const LONGEST: f64 = 4.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}\
    .what{font-weight:600}.number{font-size:12px}\
    rect{fill:#8c959f}.own{fill:#0969da}.gap{fill:#ffffff}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#6e7681}.own{fill:#58a6ff}\
    .gap{fill:#0d1117}}";

/// The whole file.
pub(crate) fn picture(figures: &Figures, peers: &[Peer], title: &str) -> String {
    let mut body = String::new();
    let mut y = 2 * PITCH;
    for figure in SHOWN {
        let bars: Vec<(Peer, f64)> = peers
            .iter()
            .filter_map(|peer| Some((*peer, figures.spread(figure, *peer)?.median)))
            .collect();
        if bars.is_empty() {
            continue;
        }
        y += PITCH / 2;
        let _ = writeln!(body, r#"<text class="what" x="0" y="{y}">{}</text>"#, figure.name());
        y += PITCH / 2;
        let limit = limit(&bars);
        for (peer, value) in bars {
            bar(&mut body, y, peer, value, limit);
            y += PITCH;
        }
        y += PITCH / 2;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" aria-label=\"mailbearer beside others\">\n\
         <style>{STYLE}</style>\n\
         <text x=\"0\" y=\"{PITCH}\">Less is better. {title}</text>\n{body}</svg>\n"
    )
}

/// The value that the longest bar may show.
fn limit(bars: &[(Peer, f64)]) -> f64 {
    let most = |wanted: &dyn Fn(Peer) -> bool| {
        bars.iter().filter(|(peer, _)| wanted(*peer)).map(|(_, value)| *value).fold(0.0, f64::max)
    };
    let longest = most(&|_| true);
    let measure = most(&|peer| matches!(peer, Peer::Ideal | Peer::Mailbearer));
    if measure > 0.0 { longest.min(measure * LONGEST) } else { longest }
}

fn bar(body: &mut String, y: usize, peer: Peer, value: f64, limit: f64) {
    let top = y + (PITCH - BAR_HEIGHT) / 2;
    let baseline = top + BAR_HEIGHT - 3;
    let length = BAR_WIDTH * (value / limit).min(1.0);
    let class = if peer == Peer::Mailbearer { r#" class="own""# } else { "" };
    let _ = writeln!(body, r#"<text x="10" y="{baseline}">{}</text>"#, peer.name());
    let _ = writeln!(
        body,
        r#"<rect{class} x="{LABEL_WIDTH}" y="{top}" width="{length:.1}" height="{BAR_HEIGHT}"/>"#
    );
    let end = f64::from(u32::try_from(LABEL_WIDTH).unwrap()) + length;
    if value > limit {
        let _ = writeln!(
            body,
            r#"<rect class="gap" x="{:.1}" y="{top}" width="4" height="{BAR_HEIGHT}"/>"#,
            end - 16.0
        );
    }
    let _ = writeln!(
        body,
        r#"<text class="number" x="{:.1}" y="{baseline}">{}</text>"#,
        end + 6.0,
        number(value)
    );
}
