//! The clock of the operating system: the only one outside tests.

use std::pin::Pin;
use std::time::{Instant, SystemTime};

use crate::domain::clock::{Clock, Monotonic};
use crate::domain::time::Timestamp;

/// Wall and monotonic time of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one implementation of `Clock` outside tests")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one implementation of `Clock` outside tests")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_secs(0) + since_epoch
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one implementation of `Clock` outside tests")]
    fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self.origin.checked_add(at.0) {
            Some(at) => Box::pin(tokio::time::sleep_until(at.into())),
            // Beyond what the system can express: never.
            None => Box::pin(std::future::pending()),
        }
    }
}
