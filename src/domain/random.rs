//! Randomness as a parameter, and the values that are drawn from it.

use uuid::Uuid;

use super::time::Timestamp;

/// A source of random bytes. In production the operating system's (see `crypto::random`); in tests a seeded one.
pub trait Random: Send + Sync + 'static {
    /// Fills the whole of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// A random UUID (version 4).
#[must_use]
pub fn uuid_v4(random: &dyn Random) -> Uuid {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A UUID (version 7) that carries `at` in milliseconds and 74 random bits.
#[must_use]
pub fn uuid_v7(random: &dyn Random, at: Timestamp) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(at.as_micros() / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// An evenly distributed number below `bound` (1–256), by rejection: no value is likelier than another.
#[must_use]
pub fn below(random: &dyn Random, bound: u16) -> u8 {
    let bound = bound.clamp(1, 256);
    let limit = 256 / bound * bound;
    loop {
        let mut byte = [0];
        random.fill(&mut byte);
        if u16::from(byte[0]) < limit {
            return u8::try_from(u16::from(byte[0]) % bound).unwrap_or(u8::MAX);
        }
    }
}
