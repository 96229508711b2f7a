//! What changes while the simulated provider runs, behind one lock.

use super::delivery::Outbox;
use super::faults::Faults;
use super::requests::Requests;
use super::settings::Lengths;
use super::stats::Stats;

/// Everything that changes.
pub(super) struct State {
    pub settings: Lengths,
    pub requests: Requests,
    pub faults: Faults,
    pub stats: Stats,
    pub outbox: Outbox,
}

impl State {
    pub(super) fn new(settings: Lengths) -> Self {
        Self {
            settings,
            requests: Requests::default(),
            faults: Faults::default(),
            stats: Stats::default(),
            outbox: Outbox::default(),
        }
    }
}
