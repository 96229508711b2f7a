//! Time as a parameter.
//!
//! Protocol waits (poll intervals, pick-up windows, idle times) run on a [`Clock`]; I/O time-outs run on real
//! time. Tests drive a manual clock, so nothing in the engine may read time in any other way.

use std::pin::Pin;
use std::time::Duration;

use super::time::Timestamp;

/// A point on the monotonic axis of one [`Clock`]: the length since an origin of its own. Never stored, never
/// compared between processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub Duration);

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

impl Monotonic {
    /// How long it is from `earlier` to here; zero where `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Gives wall time for expiry, monotonic time for intervals, and a way to wait for the latter.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, for what is stored, shown and compared with a provider's times.
    fn now(&self) -> Timestamp;

    /// Monotonic time: a wall-clock jump does not move it.
    fn monotonic(&self) -> Monotonic;

    /// Completes once [`Clock::monotonic`] has reached `at`.
    fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Completes after `length` on the monotonic axis.
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.sleep_until(self.monotonic() + length)
    }
}
