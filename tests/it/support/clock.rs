//! A clock that is driven by hand.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use relais::domain::clock::{Clock, Monotonic};
use relais::domain::time::Timestamp;
use tokio::sync::watch;

/// Stands still until it is advanced; wall and monotonic time move together, unless [`ManualClock::jump_wall`].
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<(Timestamp, Monotonic)>>,
}

impl ManualClock {
    /// Starts at the real present, so that certificates made now are in date.
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates made for a test are judged by the TLS library's own clock"
    )]
    pub fn at_present() -> Self {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        Self::at(Timestamp::from_secs(0) + wall)
    }

    /// Starts at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new((wall, Monotonic::default()))) }
    }

    /// Moves time on at once.
    pub fn advance(&self, length: Duration) {
        self.now.send_modify(|(wall, monotonic)| {
            *wall = *wall + length;
            *monotonic = *monotonic + length;
        });
    }

    /// Moves time on in steps, and lets what falls due happen between them (real time: a few milliseconds a step).
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn advance_slowly(&self, length: Duration, step: Duration) {
        let mut left = length;
        while !left.is_zero() {
            let now = step.min(left);
            self.advance(now);
            left -= now;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// Moves wall time alone: somebody set the clock.
    pub fn jump_wall(&self, to: Timestamp) {
        self.now.send_modify(|(wall, _)| *wall = to);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now.borrow().0
    }

    fn monotonic(&self) -> Monotonic {
        self.now.borrow().1
    }

    fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as any clone of the clock; without one nobody can wait any more.
            let _ = now.wait_for(|(_, monotonic)| *monotonic >= at).await;
        })
    }
}
