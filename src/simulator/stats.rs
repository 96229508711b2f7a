//! What the simulated provider counts. Nothing here is dropped before the process ends, so every map has a
//! bounded set of keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::faults::Endpoint;

/// Beyond so many persons, the others are counted together.
const MOST_PERSONS: usize = 10_000;
const OTHER_PERSONS: &str = "(others)";

/// Beyond so many milliseconds, delays are counted together.
const LONGEST_DELAY: u64 = 10_000;

/// The counters, in the shape of `GET /_sim/stats`.
#[derive(Default, Serialize)]
pub(super) struct Stats {
    /// Answers by endpoint and result: `ok`, the OAuth error code, `fault` where a fault replaced or cut the
    /// answer, `http_<status>` for what has no code.
    calls: BTreeMap<Endpoint, BTreeMap<&'static str, u64>>,
    /// Token requests that came sooner than the interval after the one before them.
    pub early_polls: u64,
    /// Token requests that came while another one for the same `auth_req_id` was not answered yet.
    pub overlapping_polls: u64,
    /// Token requests by the whole milliseconds that they came after their interval had passed, counted from the one
    /// before them or from the acknowledgement. Early ones are not among them.
    poll_delays: BTreeMap<u64, u64>,
    /// Refreshes by result, those that a fault hits before they are processed left out.
    refreshes: BTreeMap<&'static str, u64>,
    rings: BTreeMap<String, u64>,
    handshakes_refused: BTreeMap<&'static str, u64>,
}

impl Stats {
    pub(super) fn call(&mut self, endpoint: Endpoint, result: &'static str) {
        *self.calls.entry(endpoint).or_default().entry(result).or_default() += 1;
    }

    pub(super) fn refreshed(&mut self, result: &'static str) {
        *self.refreshes.entry(result).or_default() += 1;
    }

    pub(super) fn ring(&mut self, login_hint: &str) {
        let known = self.rings.contains_key(login_hint) || self.rings.len() < MOST_PERSONS;
        let person = if known { login_hint } else { OTHER_PERSONS };
        *self.rings.entry(person.to_owned()).or_default() += 1;
    }

    pub(super) fn poll_delayed(&mut self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        *self.poll_delays.entry(millis.min(LONGEST_DELAY)).or_default() += 1;
    }

    pub(super) fn handshake_refused(&mut self, cause: &'static str) {
        *self.handshakes_refused.entry(cause).or_default() += 1;
    }
}
