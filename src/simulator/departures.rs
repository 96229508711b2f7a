//! Who has left, and what was revoked: each approval begins a session, and its tokens live as long as it does.
//!
//! Memory is bounded: the oldest is forgotten where more than [`MOST_SESSIONS`] are kept; its tokens are dead then.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use crate::domain::time::Timestamp;

const MOST_SESSIONS: usize = 50_000;

/// What has ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndedBy {
    /// Its refresh token was revoked.
    Revocation,
    /// Its client has said that the person left.
    Logout,
    /// The person has left at the provider, or an operator wants it so.
    Provider,
}

/// One session, as `GET /_sim/sessions` shows it.
#[derive(Clone, Serialize)]
pub(super) struct Session {
    pub sid: Uuid,
    pub sub: Uuid,
    pub login_hint: String,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// Which kinds of token were revoked, in the order in which that was asked.
    pub revoked: Vec<&'static str>,
    /// Whether the client has said that the person left, also where it was over before.
    pub logged_out: bool,
    #[serde(skip)]
    dead: HashSet<String>,
}

/// All sessions that are remembered, oldest first.
#[derive(Default)]
pub(super) struct Departures {
    next: u64,
    by_number: BTreeMap<u64, Session>,
    numbers: HashMap<Uuid, u64>,
}

impl Departures {
    /// A person has approved. Of a session that there is already nothing changes.
    pub(super) fn begin(&mut self, sid: Uuid, sub: Uuid, login_hint: &str, created_at: Timestamp) {
        if self.numbers.contains_key(&sid) {
            return;
        }
        if self.by_number.len() >= MOST_SESSIONS
            && let Some((_, oldest)) = self.by_number.pop_first()
        {
            self.numbers.remove(&oldest.sid);
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(sid, number);
        let session = Session {
            sid,
            sub,
            login_hint: login_hint.to_owned(),
            created_at,
            ended_by: None,
            revoked: Vec::new(),
            logged_out: false,
            dead: HashSet::new(),
        };
        self.by_number.insert(number, session);
    }

    /// Every one, oldest first.
    pub(super) fn list(&self) -> Vec<Session> {
        self.by_number.values().cloned().collect()
    }

    /// By its name.
    pub(super) fn get(&self, sid: Uuid) -> Option<&Session> {
        self.by_number.get(self.numbers.get(&sid)?)
    }

    /// The newest of a person.
    pub(super) fn newest_of(&self, login_hint: &str) -> Option<&Session> {
        self.by_number.values().rev().find(|session| session.login_hint == login_hint)
    }

    /// The one that a person is still signed in with.
    pub(super) fn living_of(&self, login_hint: &str) -> Option<Uuid> {
        self.newest_of(login_hint).filter(|session| session.ended_by.is_none()).map(|session| session.sid)
    }

    fn get_mut(&mut self, sid: Uuid) -> Option<&mut Session> {
        self.by_number.get_mut(self.numbers.get(&sid)?)
    }

    /// Whether a token of it, by its `jti`, is still worth something.
    pub(super) fn is_alive(&self, sid: Uuid, jti: &str) -> bool {
        self.get(sid).is_some_and(|session| session.ended_by.is_none() && !session.dead.contains(jti))
    }

    /// Revokes one token. With a refresh token the whole session ends, as in Keycloak.
    pub(super) fn revoke(&mut self, sid: Uuid, kind: &'static str, jti: &str) {
        let Some(session) = self.get_mut(sid) else { return };
        session.revoked.push(kind);
        session.dead.insert(jti.to_owned());
        if kind == "refresh_token" {
            session.ended_by.get_or_insert(EndedBy::Revocation);
        }
    }

    /// Its client says that the person has left. `true` where it says so for the first time.
    pub(super) fn log_out(&mut self, sid: Uuid) -> bool {
        let Some(session) = self.get_mut(sid) else { return false };
        session.ended_by.get_or_insert(EndedBy::Logout);
        !std::mem::replace(&mut session.logged_out, true)
    }

    /// Ends one session, or all of a person's.
    pub(super) fn end(&mut self, sid: Option<Uuid>, sub: Uuid) {
        let meant = |session: &&mut Session| match sid {
            Some(sid) => session.sid == sid,
            None => session.sub == sub,
        };
        for session in self.by_number.values_mut().filter(meant) {
            session.ended_by.get_or_insert(EndedBy::Provider);
        }
    }
}
