//! The two text formats: OpenMetrics 1.0, and the one of Prometheus before it (0.0.4), which every
//! tool reads.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The media type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text";

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus.
    Prometheus,
}

impl Format {
    /// The one that a request with these headers is answered in: OpenMetrics where it is named.
    pub(in crate::web) fn asked_for(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(','));
        let is_openmetrics = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().is_some_and(|it| it.eq_ignore_ascii_case(OPENMETRICS))
                && !parts.any(is_never)
        };
        if types.any(is_openmetrics) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of `Content-Type`.
    pub(in crate::web) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// `text`, which is OpenMetrics, in this format.
    pub(super) fn of_openmetrics(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => prometheus(&text),
        }
    }
}

/// Whether `parameter` of a media range is a weight of 0, which is "not acceptable" by RFC 9110
/// section 12.4.2.
fn is_never(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, weight)| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

/// The same as Prometheus' own text. It knows neither units nor an end mark, and the name of a
/// counter has its `_total` in HELP and TYPE, too. No line of a sample begins with `#`: a line end
/// within a label is escaped.
fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(named) = line.strip_prefix("# HELP ") {
            help = named;
        } else if let Some(named) = line.strip_prefix("# TYPE ") {
            let (name, kind) = named.split_once(' ').unwrap_or((named, ""));
            let (_, said) = help.split_once(' ').unwrap_or_default();
            let total = if kind == "counter" { "_total" } else { "" };
            text += &format!("# HELP {name}{total} {said}\n# TYPE {name}{total} {kind}\n");
        } else if !line.starts_with('#') {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn prometheus_text_has_totals_in_its_headers_and_neither_units_nor_an_end() {
        let openmetrics = "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                           a_bytes_total{x=\"# TYPE\"} 1\n# HELP b B.\n# TYPE b gauge\nb 2\n# EOF\n";
        let expected = "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\n\
                        a_bytes_total{x=\"# TYPE\"} 1\n# HELP b B.\n# TYPE b gauge\nb 2\n";
        assert_eq!(Format::Prometheus.of_openmetrics(openmetrics.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.of_openmetrics(openmetrics.to_owned()), openmetrics);
    }

    #[test]
    fn openmetrics_is_given_to_those_alone_who_name_it() {
        let asked = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT, HeaderValue::from_static(accept));
            Format::asked_for(&headers)
        };
        // As Prometheus 2 asks.
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        assert_eq!(asked("text/plain, Application/OpenMetrics-Text"), Format::OpenMetrics);
        assert_eq!(asked("application/openmetrics-text;q=0.001"), Format::OpenMetrics);
        let never = ["application/openmetrics-text;q=0", "application/openmetrics-text; Q=0.000"];
        for other in never.into_iter().chain([
            "*/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-textual",
            "",
        ]) {
            assert_eq!(asked(other), Format::Prometheus, "{other}");
        }
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::Prometheus);
    }
}
