//! A QR code as inline SVG, for a telephone that reads a device code's address off the screen.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// Longest text made into a picture, in bytes: of more the squares get too small for a camera.
const TEXT_LEN_MAX: usize = 512;

/// Light modules around the code (ISO/IEC 18004 section 5.3.8 wants four).
const QUIET: usize = 4;

/// The picture of `text`: digits and fixed words alone, whatever the text holds. None if it is too
/// long.
pub(super) fn svg(text: &str) -> Option<String> {
    if text.len() > TEXT_LEN_MAX {
        return None;
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (row, modules) in code.to_colors().chunks(width).enumerate() {
        for (column, _) in modules.iter().enumerate().filter(|(_, it)| **it == Color::Dark) {
            let (x, y) = (column + QUIET, row + QUIET);
            let _ = write!(path, "M{x} {y}h1v1h-1z"); // a String takes everything
        }
    }
    let side = width + 2 * QUIET;
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"the same address as a QR code\" \
         viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qr_code_has_a_finder_in_its_corner_and_a_quiet_zone() {
        let svg = svg("https://id.example/device?user_code=WDJB-MJHT").unwrap();
        // The top row of a finder pattern is seven dark modules, then a light one.
        for x in 4..11 {
            assert!(svg.contains(&format!("M{x} 4h1")), "{x}");
        }
        assert!(!svg.contains("M11 4h1") && !svg.contains("M3 "));
    }

    #[test]
    fn qr_code_holds_nothing_of_its_text_and_ends_at_its_limit() {
        let svg_of = |len| svg(&"<".repeat(len));
        assert!(!svg_of(TEXT_LEN_MAX).unwrap().replace("<svg", "").contains("<<"));
        assert!(svg_of(TEXT_LEN_MAX + 1).is_none());
    }
}
