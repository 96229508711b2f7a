//! Logs: one JSON object a line on stderr, or plain text for a terminal.
//!
//! The JSON encoding escapes control characters; those that only reorder or hide what a terminal shows are escaped
//! too, so that no value can forge a line or disguise one (R-L-06). Data goes to stdout, logs never do. A stderr that
//! is gone or full loses lines and nothing else: whoever logs never fails for it.

mod escape;

use std::io;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use escape::Escaping;
pub(crate) use escape::is_dangerous;

/// The environment variable that says what is logged, in the words of `tracing-subscriber`'s `EnvFilter`.
pub const VARIABLE: &str = "RELAIS_LOG";

/// What is logged where the variable is not set.
const DEFAULT: &str = "info";

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For machines.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// How logs are set up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// How a line is written.
    pub format: Format,
    /// The filter; `None`: `info`. The caller reads [`VARIABLE`].
    pub filter: Option<String>,
}

/// Why there are no logs.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is none.
    #[error("the log filter cannot be read")]
    Filter(#[source] ParseError),
    /// Somebody was here before.
    #[error("logs have been set up already")]
    Installed(#[source] TryInitError),
}

/// Sets up logs for the process, and makes a panic one line of them (with its place, without its text, which may
/// quote a value). Once per process.
pub fn init(options: &Options) -> Result<(), LogError> {
    let filter =
        EnvFilter::try_new(options.filter.as_deref().unwrap_or(DEFAULT)).map_err(LogError::Filter)?;
    match options.format {
        Format::Json => json(filter, || Escaping(io::stderr())).try_init(),
        Format::Text => text(filter, || Escaping(io::stderr())).try_init(),
    }
    .map_err(LogError::Installed)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
    Ok(())
}

fn json<W>(filter: EnvFilter, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

fn text<W>(filter: EnvFilter, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .compact()
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = {
            let lines = lines.clone();
            move || Escaping(lines.clone())
        };
        let filter = EnvFilter::new("info");
        match format {
            Format::Json => tracing::subscriber::with_default(json(filter, writer), log),
            Format::Text => tracing::subscriber::with_default(text(filter, writer), log),
        }
        let bytes = lines.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    const FORGED: &str = "x\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{9b}\u{202e}\u{2066}\u{7f}é";

    #[test]
    fn r_l_06_one_event_is_one_json_line_whatever_its_values() {
        let text = logged(Format::Json, || tracing::info!(value = FORGED, "said {FORGED}"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.trim_end().chars().all(|c| !c.is_control() && c < '\u{2000}'), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["value"], FORGED);
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn r_l_06_text_lines_cannot_drive_a_terminal() {
        let text = logged(Format::Text, || tracing::info!(value = %FORGED, "said"));
        assert!(
            text.trim_end().chars().all(|c| (!c.is_control() || c == '\n') && c < '\u{2000}'),
            "{text:?}"
        );
        assert!(text.contains('é'));
    }

    #[test]
    fn a_line_carries_the_fields_of_the_request_that_it_belongs_to() {
        let text = logged(Format::Json, || {
            tracing::info_span!("request", request_id = "request-0001")
                .in_scope(|| tracing::warn!("something happened"));
        });
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["span"]["request_id"], "request-0001");
        assert_eq!(line["message"], "something happened");
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let options = Options { format: Format::Json, filter: Some("relais=loud".to_owned()) };
        assert!(matches!(init(&options), Err(LogError::Filter(_))));
    }
}
