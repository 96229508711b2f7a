//! A QR code in the terminal.
//!
//! Light modules are drawn as blocks, white on black and said so: a terminal's own colours, dark or light, change
//! nothing about it. Where colours are not wanted it is right in a dark terminal.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

const WHITE_ON_BLACK: &str = "\u{1b}[38;5;231;48;5;16m";
const AS_BEFORE: &str = "\u{1b}[0m";

/// `text` as lines for a terminal; none where it is too long for a code.
pub(super) fn drawn(text: &str, coloured: bool) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let blocks = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let (begin, end) = if coloured { (WHITE_ON_BLACK, AS_BEFORE) } else { ("", "") };
    let lines: Vec<_> = blocks.lines().map(|line| format!("{begin}{line}{end}")).collect();
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use qrcode::Color;

    use super::*;

    const URL: &str = "http://192.168.100.200:65535";
    /// Modules of light around a code (ISO/IEC 18004 §6.3.8).
    const QUIET: usize = 4;

    /// Whether each module is light, row by row, read back from the blocks.
    fn light_modules(drawn: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let halves = |block| match block {
                '█' => (true, true),
                '▀' => (true, false),
                '▄' => (false, true),
                ' ' => (false, false),
                other => panic!("{other:?}"),
            };
            let (upper, lower): (Vec<bool>, Vec<bool>) = line.chars().map(halves).unzip();
            rows.extend([upper, lower]);
        }
        rows
    }

    #[test]
    fn its_blocks_are_the_modules_of_the_code_with_light_around_them() {
        let code = QrCode::new(URL).expect("a code");
        let rows = light_modules(&drawn(URL, false).expect("drawn"));
        let width = code.width();
        assert!(rows.iter().all(|row| row.len() == width + 2 * QUIET));
        for (y, row) in rows.iter().take(width + 2 * QUIET).enumerate() {
            for (x, light) in row.iter().enumerate() {
                let inside = (QUIET..QUIET + width).contains(&x) && (QUIET..QUIET + width).contains(&y);
                let expected = !inside || code[(x - QUIET, y - QUIET)] == Color::Light;
                assert_eq!(*light, expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn each_line_says_its_colours_and_takes_them_back() {
        let drawn = drawn(URL, true).expect("drawn");
        assert!(drawn.lines().count() > 10);
        assert!(drawn.lines().all(|line| line.starts_with(WHITE_ON_BLACK) && line.ends_with(AS_BEFORE)));
        assert!(drawn.lines().all(|line| line.chars().count() < 80), "it fits any terminal");
    }

    #[test]
    fn what_no_code_can_hold_is_not_drawn() {
        assert_eq!(drawn(&"x".repeat(5000), false), None);
    }
}
