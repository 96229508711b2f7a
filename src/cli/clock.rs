//! Wall time for verbs that end at once.

use std::time::SystemTime;

use crate::domain::time::Timestamp;

/// The present time.
#[expect(clippy::disallowed_methods, reason = "the composition root of verbs that run no engine")]
pub fn wall_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(0) + since_epoch
}
