//! Where verbs write: data to stdout, words to stderr.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

use super::End;
use crate::telemetry::log;

/// Writes a line of data to stdout. A reader that went away is a failure.
pub fn data(text: impl Display) -> End {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => End::Done,
        Err(_) => End::Failed,
    }
}

/// Writes a line for a human to stderr. Nobody reading is no failure.
pub fn say(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// The text without what drives a terminal, or reorders or hides what it shows: sentences and names come from far
/// away, and a terminal obeys them. Line feeds and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars().filter(|&c| matches!(c, '\n' | '\t') || !log::is_dangerous(c)).collect()
}

/// Tells an error with everything that caused it.
pub fn failed(error: &dyn Error) -> End {
    say(format_args!("relais: {}", with_causes(error)));
    End::Failed
}

/// An error and everything that caused it, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Logs to stderr, filtered as the environment says.
pub fn set_up_logs(format: log::Format) -> Result<(), log::LogError> {
    log::init(&log::Options { format, filter: std::env::var(log::VARIABLE).ok() })
}

/// The environment as text; variables that are no text are none of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printable_drives_or_deceives_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}31mb\r\u{7}\u{202e}c\u{2066}\u{200b}\u{feff}\n\té\u{7f}";
        assert_eq!(printable(hostile), "a[2J31mbc\n\té");
    }
}
