//! Escapes, in finished log lines, the characters that drive a terminal or reorder what it shows.

use std::fmt::Write as _;
use std::io;

/// A writer that escapes as JSON does (`\u202e`). It sees whole lines, since an event is formatted before it is
/// written; the line break at the end stays. It never fails: an error would be told on the very stderr that is lost,
/// by a panic.
pub(super) struct Escaping<W>(pub(super) W);

impl<W: io::Write> io::Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.chars().any(is_dangerous) {
            let mut escaped = String::with_capacity(line.len() + 16);
            for c in line.chars() {
                if is_dangerous(c) {
                    // Writing to a String does not fail.
                    let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                } else {
                    escaped.push(c);
                }
            }
            escaped.push_str(&text[line.len()..]);
            let _ = self.0.write_all(escaped.as_bytes());
        } else {
            let _ = self.0.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Control characters, and everything of Unicode's general punctuation that hides or
/// reorders.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use io::Write as _;

    use super::*;

    struct Broken;

    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_no_error() {
        for line in ["plain\n", "es\u{1b}caped\n"] {
            assert_eq!(Escaping(Broken).write(line.as_bytes()).expect("swallowed"), line.len());
        }
        Escaping(Broken).flush().expect("swallowed");
    }
}
