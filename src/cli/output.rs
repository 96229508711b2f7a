//! Where verbs write: data to stdout, words to stderr.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};

use super::End;
use crate::config::{Problem, Problems, keys};
use crate::domain::texts::Language;
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

/// The language of whoever reads: that of the environment's locale.
pub fn language() -> Language {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    Language::from_locale(locale.as_deref())
}

/// Logs to stderr, filtered as the environment says.
pub fn set_up_logs(format: log::Format) -> Result<(), log::LogError> {
    log::init(&log::Options { format, filter: std::env::var(log::VARIABLE).ok() })
}

/// The environment as text. Our own variables must be UTF-8, lest one be passed over; others are none of ours.
pub fn environment() -> Result<impl Iterator<Item = (String, String)>, Problems> {
    texts(std::env::vars_os()).map(Vec::into_iter)
}

fn texts(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Problems> {
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let ours = name.as_encoded_bytes().starts_with(keys::ENVIRONMENT_PREFIX.as_bytes());
        let shown = name.to_string_lossy().into_owned();
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => texts.push((name, value)),
            _ if ours => problems.push(Problem {
                path: shown,
                origin: None,
                what: "is not UTF-8".to_owned(),
                fix: "write name and value of the variable in UTF-8".to_owned(),
            }),
            _ => {}
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(Problems(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printable_drives_or_deceives_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}31mb\r\u{7}\u{202e}c\u{2066}\u{200b}\u{feff}\n\té\u{7f}";
        assert_eq!(printable(hostile), "a[2J31mbc\n\té");
    }

    #[test]
    fn a_variable_of_ours_that_is_no_text_is_a_problem_that_hides_its_value() {
        use std::os::unix::ffi::OsStringExt as _;

        let variable = |name: &[u8], value: &[u8]| {
            (OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec()))
        };
        let good = [variable(b"RELAIS__MODE", b"development"), variable(b"OTHER", b"\xff")];
        let read = texts(good.into_iter()).expect("text");
        assert_eq!(read, [("RELAIS__MODE".to_owned(), "development".to_owned())]);

        let bad = [variable(b"RELAIS__STORE__URL", b"s3cret\xff"), variable(b"RELAIS__\xff", b"x")];
        let told = texts(bad.into_iter()).expect_err("two problems").to_string();
        assert_eq!(told.lines().count(), 2);
        assert!(told.starts_with("RELAIS__STORE__URL: is not UTF-8") && !told.contains("s3cret"), "{told}");
    }
}
