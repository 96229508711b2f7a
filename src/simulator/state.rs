//! What changes while the simulated provider runs, behind one lock.

use super::client_auth::Registered;
use super::client_jwt::Taken;
use super::delivery::Outbox;
use super::departures::Departures;
use super::faults::Faults;
use super::requests::Requests;
use super::sessions::Sessions;
use super::settings::Lengths;
use super::stats::Stats;

/// Everything that changes.
pub(super) struct State {
    pub settings: Lengths,
    pub requests: Requests,
    pub departures: Departures,
    pub sessions: Sessions,
    pub faults: Faults,
    pub stats: Stats,
    /// What the client is registered with.
    pub client: Registered,
    /// Names of JWTs of the client's that have been taken.
    pub taken: Taken,
    pub outbox: Outbox,
}

impl State {
    pub(super) fn new(settings: Lengths) -> Self {
        Self {
            settings,
            requests: Requests::default(),
            departures: Departures::default(),
            sessions: Sessions::default(),
            faults: Faults::default(),
            stats: Stats::default(),
            client: Registered::default(),
            taken: Taken::default(),
            outbox: Outbox::default(),
        }
    }
}
