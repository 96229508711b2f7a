//! What was logged on this thread while a test ran.
//!
//! One subscriber for the whole binary hands every thread its own text: with one subscriber a test, a place that
//! another test reaches first, with none, may stay silent for all. A test that captures must run on one thread
//! (`#[tokio::test]` as it comes).

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static TEXT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log; it ends when this is dropped.
pub struct Log(());

/// Captures everything that our own modules log from here on, at every level.
pub fn capture() -> Log {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("relais=trace")
            .with_ansi(false)
            .with_writer(|| Writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the first subscriber of this binary");
    });
    TEXT.set(Some(Vec::new()));
    Log(())
}

impl Log {
    /// Everything so far.
    #[expect(clippy::unused_self, reason = "the log is only there while it is captured")]
    pub fn text(&self) -> String {
        TEXT.with_borrow(|text| String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        TEXT.set(None);
    }
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| {
            if let Some(text) = text {
                text.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
