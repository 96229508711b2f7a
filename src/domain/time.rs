//! Points in time, as every other module holds, stores and shows them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// 0000-01-01T00:00:00Z.
const YEAR_0: i64 = -62_167_219_200_000_000;
/// The last microsecond of 9999.
const YEAR_9999: i64 = 253_402_300_799_999_999;

/// A point in wall time: microseconds since the Unix epoch, UTC.
///
/// Shown as RFC 3339 with milliseconds; stored as a 64-bit integer of microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-26T09:30:00.000Z")]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since the Unix epoch (JWT `NumericDate`).
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch (JWT `NumericDate`).
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long it is from `earlier` to here; zero where `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds from `now` to here, rounded up, never negative: what the `*_in` members show.
    #[must_use]
    pub fn seconds_from(self, now: Self) -> u64 {
        self.since(now).as_micros().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}

/// What lies outside chrono's years is taken as its first or last moment: never as 1970.
impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        let bound = if at.0 < 0 { Self::MIN_UTC } else { Self::MAX_UTC };
        Self::from_timestamp_micros(at.0).unwrap_or(bound)
    }
}

/// RFC 3339 has years of four digits: what lies outside them is shown as the first or last moment inside.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Self(self.0.clamp(YEAR_0, YEAR_9999));
        f.write_str(&DateTime::<Utc>::from(shown).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_micros(1_795_312_800_123_456).to_string(), "2026-11-22T02:00:00.123Z");
    }

    #[test]
    fn what_no_calendar_holds_is_shown_at_its_end() {
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_micros(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_micros(YEAR_9999 + 1).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_micros(YEAR_9999).to_string(), "9999-12-31T23:59:59.999Z");
        assert!(DateTime::<Utc>::from(Timestamp::from_micros(i64::MAX)) > DateTime::<Utc>::UNIX_EPOCH);
        assert!(DateTime::<Utc>::from(Timestamp::from_micros(i64::MIN)) < DateTime::<Utc>::UNIX_EPOCH);
    }

    #[test]
    fn seconds_are_rounded_up_and_never_negative() {
        let now = Timestamp::from_secs(100);
        assert_eq!((now + Duration::from_millis(1)).seconds_from(now), 1);
        assert_eq!(now.seconds_from(now + Duration::from_secs(5)), 0);
    }
}
