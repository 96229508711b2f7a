//! What the phone shows at one moment: requests that wait, oldest first, and what became of others, newest first.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::domain::clock::Monotonic;
use crate::domain::time::Timestamp;
use crate::simulator::Simulator;
use crate::simulator::requests::{Outcome, Request};

/// The most entries of the history. What ended more than ten minutes ago has been forgotten anyway.
const LONGEST_HISTORY: usize = 20;

/// By which means somebody is asked to sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Channel {
    Card,
    Mobile,
}

/// A request that waits.
pub(super) struct Waiting {
    pub number: u64,
    pub auth_req_id: String,
    pub login_hint: String,
    pub name: String,
    pub digits: Option<String>,
    pub channel: Channel,
    /// Seconds that it will still wait, and those that it had at its start.
    pub left: u64,
    pub life: u64,
    pub created_at: Timestamp,
}

impl Waiting {
    /// Whether the code of both screens is too long to be shown at the size of two digits.
    pub(super) fn is_long(&self) -> bool {
        self.digits.as_ref().is_some_and(|digits| digits.len() > 4)
    }

    pub(super) fn is_card(&self) -> bool {
        self.channel == Channel::Card
    }

    /// The time that it will still wait, as people write it.
    pub(super) fn time_left(&self) -> String {
        match (self.left / 60, self.left % 60) {
            (0, seconds) => format!("{seconds} s"),
            (minutes, seconds) => format!("{minutes} min {seconds} s"),
        }
    }
}

/// A request that does not wait any more.
pub(super) struct Over {
    pub number: u64,
    pub login_hint: String,
    pub name: String,
    pub digits: Option<String>,
    pub outcome: Outcome,
    pub at: Timestamp,
}

impl Over {
    /// A word for the style sheet.
    pub(super) fn class(&self) -> &'static str {
        match self.outcome {
            Outcome::Pending => "pending",
            Outcome::Approved => "approved",
            Outcome::Denied => "denied",
            Outcome::Expired => "expired",
        }
    }

    /// Hours and minutes, for who has no script to show local time.
    pub(super) fn utc(&self) -> String {
        let text = self.at.to_string();
        format!("{} UTC", text.get(11..16).unwrap_or_default())
    }
}

/// What the phone shows.
pub(super) struct View {
    pub waiting: Vec<Waiting>,
    pub over: Vec<Over>,
    /// Another one means that the page shows something else, the countdowns left aside.
    pub revision: String,
    /// When that happens without anybody touching the phone.
    pub next_change: Option<Monotonic>,
}

impl View {
    pub(super) fn of(simulator: &Simulator) -> Self {
        let now = simulator.inner.clock.monotonic();
        let mut state = simulator.state();
        let mut hasher = DefaultHasher::new();
        let (mut waiting, mut over) = (Vec::new(), Vec::new());
        for request in state.requests.list(now) {
            match request.outcome(now) {
                Outcome::Pending => waiting.push(simulator.waiting(request, now)),
                outcome => over.push(Over {
                    number: request.number,
                    login_hint: request.asked.login_hint.clone(),
                    name: request.asked.person.full_name(),
                    digits: request.asked.binding_message.clone(),
                    outcome,
                    at: request.over_at(),
                }),
            }
        }
        let next_change = state.requests.next_change(now);
        drop(state);
        over.sort_by_key(|request| (std::cmp::Reverse(request.at), std::cmp::Reverse(request.number)));
        over.truncate(LONGEST_HISTORY);
        for request in &waiting {
            request.number.hash(&mut hasher);
        }
        for request in &over {
            (request.number, request.outcome).hash(&mut hasher);
        }
        Self { waiting, over, revision: format!("{:016x}", hasher.finish()), next_change }
    }

    /// How a request ended, where that is the last thing that happened.
    pub(super) fn just_over(&self) -> Option<Outcome> {
        let last = self.over.first()?;
        self.waiting.iter().all(|waiting| waiting.created_at < last.at).then_some(last.outcome)
    }
}

impl Simulator {
    fn waiting(&self, request: &Request, now: Monotonic) -> Waiting {
        let asked = &request.asked;
        let channel = self.inner.traits.channels.get(asked.channel).map(|channel| channel.name);
        let left = request.left(now).as_millis().div_ceil(1000);
        Waiting {
            number: request.number,
            auth_req_id: request.auth_req_id.clone(),
            login_hint: asked.login_hint.clone(),
            name: asked.person.full_name(),
            digits: asked.binding_message.clone(),
            channel: if channel == Some("CARD") { Channel::Card } else { Channel::Mobile },
            left: u64::try_from(left).unwrap_or(u64::MAX),
            life: asked.life.as_secs(),
            created_at: request.created_at,
        }
    }
}
