//! The exchanged tokens of this process, and the exchanges under way in it.
//!
//! In memory only, wiped when they are dropped: at their end, at the session's, or when there are too many. Nothing here
//! says that a session is still active: whoever asks has read it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Failure;
use crate::domain::clock::Monotonic;
use crate::domain::ids::SessionId;
use crate::domain::names::TargetName;
use crate::domain::secret::Secret;

/// Sessions whose tokens are held at once. Each has as many as there are targets and *exercices* in use.
const MOST_SESSIONS: usize = 20_000;

/// Where there is no room, all are looked at for what has come to its end, and not again for so long.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// How long a token is held whose life nobody said.
const UNKNOWN_LIFE: Duration = Duration::from_secs(60);
/// However long it lives: so long it is held at most.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// So much before its end a token is not handed out any more, or a quarter of its life where that is less: it has a way
/// to go.
const MARGIN: Duration = Duration::from_secs(10);

/// After a refused token has been replaced, or could not be, the one that stands there is not replaced for this long: a
/// target that refuses every token must not have an exchange made for each call.
const REPLACED_COOL_DOWN: Duration = Duration::from_secs(10);

/// A token for a target.
#[derive(Clone)]
pub struct Exchanged {
    /// The token, to be presented as a bearer token.
    pub access_token: Secret,
    /// The certificate (`x5t#S256`) of the registration that it was got with: calls of the target need the same one.
    pub x5t: Option<String>,
    /// Which exchange brought it.
    number: u64,
    /// Until when it is handed out.
    good_until: Monotonic,
    /// Until when it is not replaced, though the target refuses it: it took the place of one that was refused, or stayed
    /// since there was no other.
    kept_until: Option<Monotonic>,
}

impl Exchanged {
    /// Whether both came from one exchange.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

/// What an exchange came to, for all who wait for it.
pub(super) type Outcome = Result<Exchanged, Failure>;

/// Hears of an outcome.
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

/// Which of a session's tokens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// For which target.
    pub(super) target: TargetName,
    /// For which *situation d'exercice*, where the target is told one.
    pub(super) exercice: Option<String>,
}

/// What stands at a place.
enum Slot {
    UnderWay {
        number: u64,
        waiting: Waiting,
        /// The refused token that is being replaced.
        replaces: Option<Exchanged>,
    },
    Held(Exchanged),
    Failed {
        failure: Failure,
        until: Monotonic,
    },
}

/// What somebody who wants a token finds.
pub(super) enum Entry {
    /// A token.
    Held(Exchanged),
    /// The last exchange failed, too recently for another one.
    Failed {
        /// How.
        failure: Failure,
        /// For how long it is not tried again.
        left: Duration,
    },
    /// Somebody else has begun an exchange.
    Joined {
        /// Hears of its outcome.
        waiting: Waiting,
        /// What will do where it brings nothing soon: the target has refused it, but not to this caller.
        meanwhile: Option<Exchanged>,
    },
    /// The caller makes the exchange.
    Begun(Begun),
}

/// An exchange that the holder of this makes.
pub(super) struct Begun {
    number: u64,
    kept_until: Option<Monotonic>,
    /// The token that the target has refused: for another call it may do still.
    replaces: Option<Exchanged>,
    finished: watch::Sender<Option<Outcome>>,
}

impl Begun {
    pub(super) fn waiting(&self) -> Waiting {
        self.finished.subscribe()
    }

    /// The token that it has brought. It is not held beyond `over_at`, the absolute end of its session.
    pub(super) fn token(
        &self,
        access_token: Secret,
        x5t: Option<String>,
        expires_in: Option<Duration>,
        asked_at: Monotonic,
        over_at: Monotonic,
    ) -> Exchanged {
        let life = expires_in.unwrap_or(UNKNOWN_LIFE).min(LONGEST_LIFE);
        let good_until = (asked_at + life.saturating_sub(MARGIN.min(life / 4))).min(over_at);
        Exchanged { access_token, x5t, number: self.number, good_until, kept_until: self.kept_until }
    }
}

/// All of them.
#[derive(Default)]
pub(in crate::engine) struct Exchanges(Mutex<Sessions>);

#[derive(Default)]
struct Sessions {
    by_id: HashMap<SessionId, HashMap<Place, Slot>>,
    /// In the order in which they came. Those that have gone stay here until the next sweep.
    arrived: VecDeque<SessionId>,
    swept_at: Monotonic,
    last_number: u64,
}

impl Exchanges {
    /// Looks at a place. `past` is a token that the target has refused.
    pub(super) fn enter(
        &self,
        session_id: SessionId,
        place: &Place,
        past: Option<&Exchanged>,
        now: Monotonic,
    ) -> Entry {
        let mut sessions = self.lock();
        match sessions.by_id.get(&session_id).and_then(|places| places.get(place)) {
            Some(Slot::Held(token)) if now < token.good_until && token.still_counts(past, now) => {
                return Entry::Held(token.clone());
            }
            // One whose task has died tells nobody anything any more.
            Some(Slot::UnderWay { waiting, replaces, .. }) if waiting.has_changed().is_ok() => {
                let is_good = |token: &&Exchanged| {
                    now < token.good_until && !past.is_some_and(|past| past.is_same(token))
                };
                let meanwhile = replaces.as_ref().filter(is_good).cloned();
                return Entry::Joined { waiting: waiting.clone(), meanwhile };
            }
            Some(Slot::Failed { failure, until }) if now < *until => {
                return Entry::Failed { failure: failure.clone(), left: until.since(now) };
            }
            _ => {}
        }
        sessions.last_number += 1;
        let number = sessions.last_number;
        let (finished, waiting) = watch::channel(None);
        sessions.make_room(session_id, now);
        let places = sessions.places(session_id);
        let replaces = match places.remove(place) {
            Some(Slot::Held(token)) => Some(token),
            _ => None,
        };
        places.insert(place.clone(), Slot::UnderWay { number, waiting, replaces: replaces.clone() });
        Entry::Begun(Begun { number, kept_until: past.map(|_| now + REPLACED_COOL_DOWN), replaces, finished })
    }

    /// Tells an outcome to all who wait for it. It is kept where nothing has been forgotten meanwhile: a token until its
    /// end, a failure for `cool_down`. Where there is none in the place of a refused one, that one stays: what a target
    /// refuses for one call may do for another.
    pub(super) fn finish(
        &self,
        session_id: SessionId,
        place: &Place,
        begun: &Begun,
        outcome: Outcome,
        cool_down: Duration,
        now: Monotonic,
    ) {
        let mut sessions = self.lock();
        if let Some(places) = sessions.by_id.get_mut(&session_id)
            && let Some(Slot::UnderWay { number, .. }) = places.get(place)
            && *number == begun.number
        {
            let earlier = begun.replaces.clone().filter(|token| now < token.good_until);
            let slot = match (&outcome, earlier) {
                (Ok(token), _) => Slot::Held(token.clone()),
                (Err(Failure::Unavailable { .. } | Failure::Store(_)), Some(earlier)) => {
                    Slot::Held(Exchanged {
                        kept_until: Some(now + cool_down.max(REPLACED_COOL_DOWN)),
                        ..earlier
                    })
                }
                (Err(failure), _) => Slot::Failed { failure: failure.clone(), until: now + cool_down },
            };
            places.insert(place.clone(), slot);
        }
        drop(sessions);
        begun.finished.send_replace(Some(outcome));
    }

    /// Drops what a session has. What is under way for it is told to those who wait, and not kept.
    pub(in crate::engine) fn forget(&self, session_id: SessionId) {
        self.lock().by_id.remove(&session_id);
    }

    /// Whether a session has anything here.
    pub(in crate::engine) fn has(&self, session_id: SessionId) -> bool {
        self.lock().by_id.contains_key(&session_id)
    }

    /// Every session that has anything here.
    pub(in crate::engine) fn sessions(&self) -> Vec<SessionId> {
        self.lock().by_id.keys().copied().collect()
    }

    /// Drops what has come to its end.
    pub(in crate::engine) fn sweep(&self, now: Monotonic) {
        self.lock().sweep(now);
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchanged {
    /// Whether it is handed out to somebody who comes with `past`.
    fn still_counts(&self, past: Option<&Self>, now: Monotonic) -> bool {
        let is_refused = past.is_some_and(|past| past.is_same(self));
        !is_refused || self.kept_until.is_some_and(|until| now < until)
    }
}

impl Sessions {
    fn places(&mut self, session_id: SessionId) -> &mut HashMap<Place, Slot> {
        self.by_id.entry(session_id).or_insert_with(|| {
            self.arrived.push_back(session_id);
            HashMap::new()
        })
    }

    fn sweep(&mut self, now: Monotonic) {
        self.swept_at = now;
        self.by_id.retain(|_, places| {
            places.retain(|_, slot| match slot {
                Slot::UnderWay { waiting, .. } => waiting.has_changed().is_ok(),
                Slot::Held(token) => now < token.good_until,
                Slot::Failed { until, .. } => now < *until,
            });
            !places.is_empty()
        });
        self.arrived.retain(|session_id| self.by_id.contains_key(session_id));
    }

    /// One more session fits afterwards. Where no room can be had otherwise, the one goes that came first: it only costs
    /// another exchange. Everybody waits while all are looked at, so that is done once in a while.
    fn make_room(&mut self, session_id: SessionId, now: Monotonic) {
        if self.by_id.len() < MOST_SESSIONS || self.by_id.contains_key(&session_id) {
            return;
        }
        if now.since(self.swept_at) >= BETWEEN_SWEEPS {
            self.sweep(now);
        }
        while self.by_id.len() >= MOST_SESSIONS
            && let Some(first) = self.arrived.pop_front()
        {
            self.by_id.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests;
