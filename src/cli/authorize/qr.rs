//! A QR picture for the terminal: two modules a character, one above the other.

use std::env;
use std::io::{self, IsTerminal as _};

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use rustix::termios::tcgetwinsize;

/// White on black, whatever colours the terminal has: readers want dark modules on a light ground,
/// and here the ground is what is drawn.
const COLOURS: &str = "\u{1b}[97;40m";

/// The terminal's own colours again.
const NO_COLOURS: &str = "\u{1b}[0m";

/// The picture of `text`, if standard output is a terminal that has room for it.
pub(super) fn for_terminal(text: &str) -> Option<String> {
    let stdout = io::stdout();
    // Without colours it would be drawn inside out on half of the terminals.
    let is_plain = env::var_os("TERM").is_none_or(|term| term == "dumb");
    if is_plain || !stdout.is_terminal() {
        return None;
    }
    picture(text, usize::from(tcgetwinsize(stdout).ok()?.ws_col))
}

/// The picture of `text`, unless it is wider than `columns`.
fn picture(text: &str, columns: usize) -> Option<String> {
    // The lowest level: a screen has no scratches, and the picture has to fit.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let picture =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let fits = picture.lines().all(|line| line.chars().count() <= columns);
    let lines = picture.lines().map(|line| format!("{COLOURS}{line}{NO_COLOURS}"));
    fits.then(|| lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 has 25 modules a side, and the quiet zone 4 on each (ISO/IEC 18004).
    const WIDTH: usize = 25 + 2 * 4;

    #[test]
    fn picture_is_drawn_light_on_dark_with_its_quiet_zone() {
        let picture = picture("https://login.example/device", WIDTH).unwrap();
        let lines: Vec<_> = picture
            .lines()
            .map(|line| line.strip_prefix(COLOURS).unwrap().strip_suffix(NO_COLOURS).unwrap())
            .collect();
        assert_eq!(lines.len(), WIDTH.div_ceil(2));
        assert!(lines.iter().all(|line| line.chars().count() == WIDTH));
        // Two rows of the quiet zone, then the upper edge of two finder patterns: 7 dark modules
        // above a ring.
        assert_eq!(lines[0], "█".repeat(WIDTH));
        assert!(lines[2].starts_with("████ ▄▄▄▄▄ "), "{}", lines[2]);
        assert!(lines[2].ends_with(" ▄▄▄▄▄ ████"), "{}", lines[2]);
    }

    #[test]
    fn picture_is_left_out_when_it_is_wider_than_the_terminal_or_too_long() {
        assert!(picture("https://login.example/device", WIDTH - 1).is_none());
        assert!(picture(&"x".repeat(3_000), usize::MAX).is_none(), "version 40 holds 2,953 bytes");
    }
}
