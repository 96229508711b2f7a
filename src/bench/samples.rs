//! Measured times and what is told of them. Every sample is kept: no bucket rounds a percentile.

use std::time::Duration;

use serde::Serialize;

/// Measured times.
#[derive(Default)]
pub(super) struct Samples(Vec<Duration>);

/// What is told of them, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Summary {
    pub count: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Samples {
    pub(super) fn add(&mut self, length: Duration) {
        self.0.push(length);
    }

    /// `None` where nothing was measured.
    pub(super) fn summary(mut self) -> Option<Summary> {
        self.0.sort_unstable();
        let max = *self.0.last()?;
        Some(Summary {
            count: self.0.len(),
            p50_ms: millis(self.at(50)),
            p90_ms: millis(self.at(90)),
            p99_ms: millis(self.at(99)),
            max_ms: millis(max),
        })
    }

    /// The least sample that `percent` of all do not exceed.
    fn at(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(lengths: I) -> Self {
        Self(lengths.into_iter().collect())
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(length: Duration) -> f64 {
    rounded(length.as_secs_f64() * 1000.0)
}

/// To three decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let hundred: Samples = (1..=100).rev().map(Duration::from_millis).collect();
        let expected = Summary { count: 100, p50_ms: 50.0, p90_ms: 90.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(hundred.summary(), Some(expected));
        let one: Samples = [Duration::from_micros(1234)].into_iter().collect();
        let expected = Summary { count: 1, p50_ms: 1.234, p90_ms: 1.234, p99_ms: 1.234, max_ms: 1.234 };
        assert_eq!(one.summary(), Some(expected));
        assert_eq!(Samples::default().summary(), None);
    }
}
