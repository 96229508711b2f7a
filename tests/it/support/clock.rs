//! A clock that is driven by hand.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relais::domain::clock::{Clock, Monotonic};
use relais::domain::time::Timestamp;
use tokio::sync::watch;

/// Stands still until it is advanced; wall and monotonic time move together, unless [`ManualClock::jump_wall`].
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<(Timestamp, Monotonic)>>,
    sleepers: Arc<Mutex<BTreeMap<Monotonic, usize>>>,
}

/// Somebody who sleeps; no longer once this is dropped.
struct Sleeper {
    until: Monotonic,
    among: Arc<Mutex<BTreeMap<Monotonic, usize>>>,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(count) = self.among.lock().expect("lock").get_mut(&self.until) {
            *count -= 1;
        }
    }
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
        let now = Arc::new(watch::Sender::new((wall, Monotonic::default())));
        Self { now, sleepers: Arc::default() }
    }

    /// Moves time on at once.
    pub fn advance(&self, length: Duration) {
        self.now.send_modify(|(wall, monotonic)| {
            *wall = *wall + length;
            *monotonic = *monotonic + length;
        });
    }

    /// Moves time on by `length` once somebody sleeps for just so long, and not before: who was still at work would
    /// begin to sleep afterwards, and wake too late.
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn wake_after(&self, length: Duration) {
        let until = self.monotonic() + length;
        let sleeps = || self.sleepers.lock().expect("lock").get(&until).is_some_and(|count| *count > 0);
        for _ in 0..2000 {
            if sleeps() {
                return self.advance(length);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nobody sleeps for {length:?}");
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
        *self.sleepers.lock().expect("lock").entry(at).or_default() += 1;
        let sleeper = Sleeper { until: at, among: Arc::clone(&self.sleepers) };
        Box::pin(async move {
            let _sleeper = sleeper;
            // The sender lives as long as any clone of the clock; without one nobody can wait any more.
            let _ = now.wait_for(|(_, monotonic)| *monotonic >= at).await;
        })
    }
}
