//! What a provider tells of a login by itself, as the store takes and gives it.

use super::Actor;
use crate::crypto::ring::KeyedHash;
use crate::domain::grant::Tokens;
use crate::domain::ids::{Attempt, LoginId, OutboxId};
use crate::domain::login::Login;
use crate::domain::time::Timestamp;

/// The login that a provider's notification is about, as far as its token says.
pub struct Notifiable {
    /// As it is now, whatever its state.
    pub login: Login,
    /// The scopes that were requested.
    pub scope: Vec<String>,
    /// The `acr_values` that were requested.
    pub acr_values: Vec<String>,
    /// Keyed hash of the provider's name of the request; `None` where it was never acknowledged.
    pub request: Option<KeyedHash>,
    /// Whether the outcome has been announced before.
    pub is_announced: bool,
}

/// Tokens that came for a login that had ended: nobody will use them, and the provider is to be told.
#[derive(Clone)]
pub struct DropTokens {
    /// That they came.
    pub note: Note,
    /// Drawn by the caller: under which name they enter the outbox.
    pub outbox_id: OutboxId,
    /// To be sealed; `None` where they came in a form that nothing can be told by.
    pub tokens: Option<Tokens>,
    /// What their ID token calls the provider's session.
    pub sid: Option<String>,
}

/// That something has been heard of a login which does not change its state, for the audit record.
#[derive(Clone)]
pub struct Note {
    /// Which login.
    pub login_id: LoginId,
    /// The caller's attempt.
    pub attempt: Attempt,
    /// Now.
    pub now: Timestamp,
    /// Who told.
    pub by: Actor,
}
