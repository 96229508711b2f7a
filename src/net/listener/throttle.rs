//! At most one log line in ten seconds about what strangers can cause as often as they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(10);

/// One kind of event of one listener.
pub(super) struct Throttle {
    what: &'static str,
    window: Duration,
    /// A line has been written less than a window ago.
    is_quiet: AtomicBool,
    held_back: AtomicU64,
}

impl Throttle {
    pub(super) fn new(what: &'static str) -> Arc<Self> {
        Self::with_window(what, WINDOW)
    }

    fn with_window(what: &'static str, window: Duration) -> Arc<Self> {
        Arc::new(Self { what, window, is_quiet: AtomicBool::new(false), held_back: AtomicU64::new(0) })
    }

    /// Whether this event gets a line of its own. Those that get none are counted, and their count is told when
    /// the window ends. Only within a runtime.
    pub(super) fn may_tell(self: &Arc<Self>) -> bool {
        if self.is_quiet.swap(true, Ordering::SeqCst) {
            self.held_back.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        tokio::spawn(Arc::clone(self).end_window());
        true
    }

    async fn end_window(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(self.window, std::future::pending::<()>()).await;
            let count = self.held_back.swap(0, Ordering::SeqCst);
            if count == 0 {
                self.is_quiet.store(false, Ordering::SeqCst);
                return;
            }
            tracing::warn!(count, seconds = self.window.as_secs(), "more of the same: {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::pause;

    #[tokio::test]
    async fn one_event_a_window_is_told_and_the_others_are_counted() {
        let throttle = Throttle::with_window("test", Duration::from_millis(300));
        assert!(throttle.may_tell());
        for _ in 0..1000 {
            assert!(!throttle.may_tell());
        }
        assert_eq!(throttle.held_back.load(Ordering::SeqCst), 1000);
        pause(400).await;
        assert_eq!(throttle.held_back.load(Ordering::SeqCst), 0, "told");
        assert!(!throttle.may_tell(), "the count was a line, too");
        pause(1000).await;
        assert!(throttle.may_tell(), "after a quiet window");
    }
}
