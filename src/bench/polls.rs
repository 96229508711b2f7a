//! How the provider was polled, as the provider saw it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::control::Stats;
use crate::domain::profile::ProfileName;

/// How the provider was polled.
#[derive(Serialize)]
pub(super) struct Polls {
    pub count: u64,
    /// Sooner than the interval after the one before.
    pub early: u64,
    /// While another one for the same login was under way.
    pub overlapping: u64,
    /// How much later than Relais means them to come: one interval after the one before, and the margin of the
    /// simulated provider's profile. The way to the provider is in it.
    pub lateness: Option<Lateness>,
}

/// In whole milliseconds, as the provider counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Lateness {
    pub count: u64,
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

impl Polls {
    pub(super) fn of(stats: &Stats) -> Self {
        Self {
            count: stats.polls(),
            early: stats.early_polls,
            overlapping: stats.overlapping_polls,
            lateness: lateness(&stats.poll_delays, margin()),
        }
    }
}

/// What Relais adds to the interval.
pub(super) fn margin() -> Duration {
    ProfileName::Psc.profile().poll_margin
}

fn lateness(delays: &BTreeMap<u64, u64>, margin: Duration) -> Option<Lateness> {
    let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
    let count: u64 = delays.values().sum();
    let late = |delay: u64| delay.saturating_sub(margin);
    let at = |percent: u64| {
        let mut left = (count * percent).div_ceil(100);
        delays.iter().find_map(|(delay, polls)| {
            left = left.saturating_sub(*polls);
            (left == 0).then_some(late(*delay))
        })
    };
    Some(Lateness { count, p50_ms: at(50)?, p99_ms: at(99)?, max_ms: late(*delays.keys().next_back()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_counts_from_the_margin_by_nearest_rank() {
        let delays = BTreeMap::from([(240, 10), (250, 60), (253, 28), (300, 1), (900, 1)]);
        let expected = Lateness { count: 100, p50_ms: 0, p99_ms: 50, max_ms: 650 };
        assert_eq!(lateness(&delays, Duration::from_millis(250)), Some(expected));
        assert_eq!(lateness(&BTreeMap::new(), Duration::ZERO), None);
    }
}
