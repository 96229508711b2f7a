//! The authentication requests, and the order of checks at the token endpoint.
//!
//! A request is `pending` until somebody decides or its life ends; what was decided is decided; an approved one is
//! redeemed once. In what order a poll looks at that, and when it is too early, is the personality's [`Pace`].
//! Keycloak's "too early" is its polling key: it lives for one interval from the last *accepted* poll, is never
//! lengthened, and a poll that came too early does not set it anew.
//!
//! Memory is bounded: what has ended is dropped ten minutes later, sooner where more than [`MOST_REQUESTS`] are
//! kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::delivery::{Mode, Notification};
use super::people::Person;
use super::personality::Pace;
use super::settings::{Auto, Decision};
use crate::domain::clock::Monotonic;
use crate::domain::time::Timestamp;

const KEPT_AFTER_END: Duration = Duration::from_secs(600);
pub(super) const MOST_REQUESTS: usize = 50_000;
/// What `slow_down` adds to the interval (CIBA §11).
const SLOW_DOWN: Duration = Duration::from_secs(5);
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// What a request asks for.
pub(super) struct Asked {
    pub login_hint: String,
    pub person: Person,
    pub scope: String,
    pub binding_message: Option<String>,
    /// Position in the personality's channels.
    pub channel: usize,
    pub interval: Duration,
    pub life: Duration,
    pub auto: Option<Auto>,
    /// What the client is told with, where it does not ask.
    pub notification: Option<Notification>,
}

/// What an approval says about who and how; absent members are those of the request.
#[derive(Default, Clone)]
pub(super) struct Approval {
    pub person: Option<Person>,
    pub acr: Option<String>,
    pub amr: Option<Vec<String>>,
}

enum Fate {
    Pending,
    Approved(Approval),
    Denied,
    Redeemed,
}

/// One authentication request.
pub(super) struct Request {
    /// Drawn in order; no other request ever had it.
    pub number: u64,
    pub auth_req_id: String,
    pub asked: Asked,
    pub created_at: Timestamp,
    pub polls: u64,
    created: Monotonic,
    fate: Fate,
    /// When somebody decided.
    decided: Option<Monotonic>,
    /// When somebody decided, or the tokens were given out.
    settled: Option<Monotonic>,
    last_arrival: Option<Monotonic>,
    in_flight: u32,
    /// Polls before this are too early.
    poll_allowed_from: Option<Monotonic>,
}

/// The states of `GET /_sim/requests`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Pending,
    Approved,
    Denied,
    Expired,
    Redeemed,
}

/// What became of a request on the phone, whatever its client made of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Outcome {
    Pending,
    Approved,
    Denied,
    Expired,
}

/// What a poll meets.
pub(super) enum Poll {
    Unknown,
    Expired,
    TooEarly,
    Denied,
    Pending,
    Redeemed(Box<Redeemed>),
}

/// What an approved request was about.
#[derive(Clone)]
pub(super) struct Redeemed {
    pub person: Person,
    pub scope: String,
    pub channel: usize,
    pub acr: Option<String>,
    pub amr: Option<Vec<String>>,
}

/// A decision that the client is to be told.
pub(super) struct Announced {
    pub notification: Notification,
    pub outcome: Outcome,
    /// With a push of an approval: what the request was about. It is spent.
    pub redeemed: Option<Redeemed>,
}

/// How a poll arrived, beside its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub number: u64,
    pub early: bool,
    pub overlapping: bool,
    /// How long after the interval, where it is not too soon.
    pub delay: Option<Duration>,
}

/// Why a decision was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotDecided {
    Unknown,
    Decided,
}

impl Request {
    fn expires(&self) -> Monotonic {
        self.created + self.asked.life
    }

    pub(super) fn status(&self, now: Monotonic) -> Status {
        match self.fate {
            Fate::Redeemed => Status::Redeemed,
            Fate::Denied => Status::Denied,
            Fate::Pending | Fate::Approved(_) if now >= self.expires() => Status::Expired,
            Fate::Approved(_) => Status::Approved,
            Fate::Pending => Status::Pending,
        }
    }

    /// Whether an expired request is no longer told apart from one that never was.
    fn is_forgotten(&self, now: Monotonic, pace: Pace) -> bool {
        match pace {
            Pace::Keycloak { expired_kept } => {
                now >= self.expires() + self.asked.interval + Duration::from_secs(expired_kept)
            }
            Pace::Ciba => false,
        }
    }

    /// How the phone shows it.
    pub(super) fn outcome(&self, now: Monotonic) -> Outcome {
        match self.fate {
            Fate::Approved(_) | Fate::Redeemed => Outcome::Approved,
            Fate::Denied => Outcome::Denied,
            Fate::Pending if now >= self.expires() => Outcome::Expired,
            Fate::Pending => Outcome::Pending,
        }
    }

    /// How long it will still wait.
    pub(super) fn left(&self, now: Monotonic) -> Duration {
        self.expires().since(now)
    }

    /// When it was decided, or was no longer waiting for that.
    pub(super) fn over_at(&self) -> Timestamp {
        self.created_at + self.decided.unwrap_or_else(|| self.expires()).since(self.created)
    }

    /// When the phone shows something else without anybody touching it.
    fn changes_by_itself(&self, now: Monotonic) -> Option<Monotonic> {
        let decided = self.asked.auto.map(|auto| self.created + Duration::from_millis(auto.after_ms));
        let next = decided.filter(|at| *at > now).unwrap_or(Monotonic(Duration::MAX)).min(self.expires());
        (self.outcome(now) == Outcome::Pending).then_some(next)
    }

    /// Takes the decision that is due by itself, if one is.
    fn decide_by_itself(&mut self, now: Monotonic) {
        let Some(auto) = self.asked.auto else { return };
        let at = self.created + Duration::from_millis(auto.after_ms);
        if matches!(self.fate, Fate::Pending) && now >= at && at < self.expires() {
            self.fate = match auto.decision {
                Decision::Approve => Fate::Approved(Approval::default()),
                Decision::Deny => Fate::Denied,
            };
            self.decided = Some(at);
            self.settled = Some(at);
        }
    }

    /// Spends an approval: what the tokens are about.
    fn redeem(&mut self, now: Monotonic) -> Option<Redeemed> {
        let Fate::Approved(approval) = &mut self.fate else { return None };
        let approval = std::mem::take(approval);
        self.fate = Fate::Redeemed;
        self.settled = Some(now);
        Some(Redeemed {
            person: approval.person.unwrap_or_else(|| self.asked.person.clone()),
            scope: self.asked.scope.clone(),
            channel: self.asked.channel,
            acr: approval.acr,
            amr: approval.amr,
        })
    }

    /// When nothing more can happen to it.
    fn ended(&self, now: Monotonic) -> Option<Monotonic> {
        match self.status(now) {
            Status::Pending | Status::Approved => None,
            Status::Expired => Some(self.expires()),
            Status::Denied | Status::Redeemed => self.settled,
        }
    }
}

/// All requests that are remembered, oldest first.
#[derive(Default)]
pub(super) struct Requests {
    next: u64,
    by_number: BTreeMap<u64, Request>,
    numbers: HashMap<String, u64>,
    swept: Monotonic,
}

impl Requests {
    /// Remembers a new request; `false` where too many are under way.
    pub(super) fn ring(&mut self, id: String, asked: Asked, now: Monotonic, created_at: Timestamp) -> bool {
        self.sweep(now);
        if self.by_number.len() >= MOST_REQUESTS && !self.drop_oldest_ended(now) {
            return false;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(id.clone(), number);
        let request = Request {
            number,
            auth_req_id: id,
            asked,
            created_at,
            polls: 0,
            created: now,
            fate: Fate::Pending,
            decided: None,
            settled: None,
            last_arrival: None,
            in_flight: 0,
            poll_allowed_from: None,
        };
        self.by_number.insert(number, request);
        true
    }

    /// Every remembered request, oldest first.
    pub(super) fn list(&mut self, now: Monotonic) -> impl Iterator<Item = &Request> {
        self.sweep(now);
        for request in self.by_number.values_mut() {
            request.decide_by_itself(now);
        }
        self.by_number.values()
    }

    /// When a request next changes by itself on the phone.
    pub(super) fn next_change(&self, now: Monotonic) -> Option<Monotonic> {
        self.by_number.values().filter_map(|request| request.changes_by_itself(now)).min()
    }

    /// Takes a decision.
    pub(super) fn decide(
        &mut self,
        id: &str,
        decision: Decision,
        approval: Approval,
        now: Monotonic,
    ) -> Result<(), NotDecided> {
        let request = self.find(id, now).ok_or(NotDecided::Unknown)?;
        if request.status(now) != Status::Pending {
            return Err(NotDecided::Decided);
        }
        request.fate = match decision {
            Decision::Approve => Fate::Approved(approval),
            Decision::Deny => Fate::Denied,
        };
        request.decided = Some(now);
        request.settled = Some(now);
        Ok(())
    }

    /// What the client is to be told about a decided request. A ping may be answered by a poll at once (CIBA §10.2): no
    /// interval runs any more. A push gives the tokens out, once.
    pub(super) fn announce(&mut self, id: &str, now: Monotonic) -> Option<Announced> {
        let request = self.find(id, now)?;
        let notification = request.asked.notification.clone()?;
        let outcome = request.outcome(now);
        let redeemed = match notification.delivery.mode {
            Mode::Ping => {
                request.poll_allowed_from = None;
                request.last_arrival = None;
                None
            }
            Mode::Push => request.redeem(now),
        };
        matches!(outcome, Outcome::Approved | Outcome::Denied).then_some(Announced {
            notification,
            outcome,
            redeemed,
        })
    }

    /// Whether the client is told the outcome of a request by itself, and must not ask.
    pub(super) fn is_pushed(&self, id: &str) -> bool {
        let request = self.numbers.get(id).and_then(|number| self.by_number.get(number));
        request
            .and_then(|request| request.asked.notification.as_ref())
            .is_some_and(|notification| notification.delivery.mode == Mode::Push)
    }

    /// Notes that a token request for `id` has come in; `None` where it names no request.
    pub(super) fn arrive(&mut self, id: &str, now: Monotonic) -> Option<Arrival> {
        let number = *self.numbers.get(id)?;
        let request = self.by_number.get_mut(&number)?;
        let waited = now.since(request.last_arrival.unwrap_or(request.created));
        let delay = waited.checked_sub(request.asked.interval);
        let early = request.last_arrival.is_some() && delay.is_none();
        let overlapping = request.in_flight > 0;
        request.last_arrival = Some(now);
        request.in_flight += 1;
        request.polls += 1;
        Some(Arrival { number, early, overlapping, delay })
    }

    /// Notes that the answer to a token request has gone out, or will never go.
    pub(super) fn depart(&mut self, number: u64) {
        if let Some(request) = self.by_number.get_mut(&number) {
            request.in_flight = request.in_flight.saturating_sub(1);
        }
    }

    /// The order of checks at the token endpoint.
    pub(super) fn poll(&mut self, id: &str, now: Monotonic, pace: Pace) -> Poll {
        let Some(request) = self.find(id, now) else { return Poll::Unknown };
        if matches!(request.fate, Fate::Redeemed) || request.is_forgotten(now, pace) {
            return Poll::Unknown;
        }
        if now >= request.expires() {
            return Poll::Expired;
        }
        let too_early = request.poll_allowed_from.is_some_and(|from| now < from);
        match pace {
            Pace::Keycloak { .. } if too_early => return Poll::TooEarly,
            Pace::Keycloak { .. } => {}
            Pace::Ciba => {
                if too_early && matches!(request.fate, Fate::Pending) {
                    request.asked.interval += SLOW_DOWN;
                    request.poll_allowed_from = Some(now + request.asked.interval);
                    return Poll::TooEarly;
                }
            }
        }
        request.poll_allowed_from = Some(now + request.asked.interval);
        match &request.fate {
            Fate::Denied => Poll::Denied,
            Fate::Pending => Poll::Pending,
            Fate::Redeemed => Poll::Unknown,
            Fate::Approved(_) => match request.redeem(now) {
                Some(redeemed) => Poll::Redeemed(Box::new(redeemed)),
                None => Poll::Unknown,
            },
        }
    }

    fn find(&mut self, id: &str, now: Monotonic) -> Option<&mut Request> {
        let number = self.numbers.get(id)?;
        let request = self.by_number.get_mut(number)?;
        request.decide_by_itself(now);
        Some(request)
    }

    /// Drops what ended long ago; walks the whole list at most once a second.
    fn sweep(&mut self, now: Monotonic) {
        if now.since(self.swept) < BETWEEN_SWEEPS {
            return;
        }
        self.swept = now;
        let numbers = &mut self.numbers;
        self.by_number.retain(|_, request| {
            let keep = request.ended(now).is_none_or(|ended| now.since(ended) < KEPT_AFTER_END);
            if !keep {
                numbers.remove(&request.auth_req_id);
            }
            keep
        });
    }

    fn drop_oldest_ended(&mut self, now: Monotonic) -> bool {
        let oldest = self.by_number.iter().find(|(_, request)| request.ended(now).is_some());
        let Some(number) = oldest.map(|(number, _)| *number) else { return false };
        if let Some(request) = self.by_number.remove(&number) {
            self.numbers.remove(&request.auth_req_id);
        }
        true
    }
}
