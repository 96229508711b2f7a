//! Who is signed in: which refresh token counts, for how long, and what becomes of those before it.
//!
//! With `rotate` (Keycloak's "revoke refresh token") a token is good for one use; whoever comes with an earlier one
//! ends the session, because one of the two that hold it has stolen it. With `grace` an earlier one is still taken for
//! [`GRACE`] after its successor was given out: an answer that got lost is given again. With `keep` a token stays good,
//! and its life begins anew with each use.
//!
//! Memory is bounded: a session is dropped ten minutes after its end, sooner where more than [`MOST_SESSIONS`] are kept.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::requests::Redeemed;
use super::settings::Rotation;
use crate::domain::clock::Monotonic;

/// For how long an earlier refresh token is still taken.
pub(super) const GRACE: Duration = Duration::from_secs(60);
const KEPT_AFTER_END: Duration = Duration::from_secs(600);
const MOST_SESSIONS: usize = 50_000;

/// What a session began with; it stays so.
#[derive(Clone)]
pub(super) struct Begun {
    pub redeemed: Redeemed,
    /// Seconds since the epoch.
    pub auth_time: i64,
    /// Of the certificate that the tokens are bound to.
    pub thumbprint: Option<[u8; 32]>,
}

struct Session {
    begun: Begun,
    /// The refresh token that counts, by its `jti`.
    current: Uuid,
    /// Earlier ones, with when they were replaced.
    earlier: VecDeque<(Uuid, Monotonic)>,
    /// When the refresh token dies.
    ends: Monotonic,
    is_over: bool,
}

/// Everybody who is signed in.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: HashMap<Uuid, Session>,
    /// In the order of their beginning.
    order: VecDeque<Uuid>,
}

/// What a refresh token meets.
pub(super) enum Presented {
    /// No such session, or none any more.
    Over,
    /// Too late.
    Expired,
    /// Another certificate on the connection than the one that the tokens are bound to.
    OtherCertificate,
    /// It had been used before: the session is over now.
    Reused,
    /// It counts. What follows is made from this.
    Taken(Box<Begun>),
}

/// A refresh token as it is presented.
pub(super) struct Token {
    pub session: Uuid,
    pub id: Uuid,
    /// What it was granted.
    pub scope: String,
}

/// What becomes of a refresh token that counts.
pub(super) struct Next {
    pub rotation: Rotation,
    /// The one that takes its place, where one does.
    pub successor: Uuid,
    /// How long that lives, or this from now on.
    pub life: Duration,
}

impl Sessions {
    /// Somebody has signed in, with this refresh token. In a session that goes on it is the one that counts from now on, as
    /// in Keycloak.
    pub(super) fn begin(&mut self, session: Uuid, begun: Begun, refresh_token: Uuid, ends: Monotonic) {
        let begins =
            Session { begun, current: refresh_token, earlier: VecDeque::new(), ends, is_over: false };
        if self.by_id.insert(session, begins).is_none() {
            self.order.push_back(session);
        }
    }

    /// Somebody comes with a refresh token. Where it counts, it is spent when this returns: of two who come at once one
    /// finds it used.
    pub(super) fn present(
        &mut self,
        token: &Token,
        thumbprint: Option<[u8; 32]>,
        next: &Next,
        now: Monotonic,
    ) -> Presented {
        self.sweep(now);
        let Some(session) = self.by_id.get_mut(&token.session).filter(|session| !session.is_over) else {
            return Presented::Over;
        };
        if session.ends <= now {
            return Presented::Expired;
        }
        if session.begun.thumbprint.is_some() && session.begun.thumbprint != thumbprint {
            return Presented::OtherCertificate;
        }
        if token.id != session.current {
            let replaced = session.earlier.iter().find(|(id, _)| *id == token.id).map(|(_, at)| *at);
            let in_grace =
                next.rotation == Rotation::Grace && replaced.is_some_and(|at| now.since(at) < GRACE);
            if !in_grace {
                session.is_over = true;
                return Presented::Reused;
            }
        }
        session.ends = now + next.life;
        if next.rotation != Rotation::Keep {
            session.earlier.retain(|(_, at)| now.since(*at) < GRACE);
            session.earlier.push_back((session.current, now));
            session.current = next.successor;
        }
        Presented::Taken(Box::new(session.begun.clone()))
    }

    /// Whether a refresh token would be taken now.
    pub(super) fn counts(&self, token: &Token, now: Monotonic) -> bool {
        self.by_id
            .get(&token.session)
            .is_some_and(|session| !session.is_over && now < session.ends && session.current == token.id)
    }

    /// Whether a session has been ended here.
    pub(super) fn is_over(&self, session: Uuid) -> bool {
        self.by_id.get(&session).is_some_and(|session| session.is_over)
    }

    fn sweep(&mut self, now: Monotonic) {
        while let Some(oldest) = self.order.front().copied() {
            let is_done =
                self.by_id.get(&oldest).is_none_or(|session| now.since(session.ends) >= KEPT_AFTER_END);
            if !is_done && self.order.len() <= MOST_SESSIONS {
                return;
            }
            self.by_id.remove(&oldest);
            self.order.pop_front();
        }
    }
}
