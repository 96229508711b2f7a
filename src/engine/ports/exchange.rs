//! Exchanging a session's access token for one that a target takes (RFC 8693): what is said to the target's
//! authorization server, and what comes back.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::secret::Secret;
use crate::domain::subject::Exercice;

/// One exchange, besides what the target's configuration says of it.
#[derive(Clone)]
pub struct ExchangeRequest {
    /// Which certificate to use (`x5t#S256`): the one that the session's tokens are bound to.
    pub x5t: Option<String>,
    /// The session's access token.
    pub subject_token: Secret,
    /// Who acts, where the target wants to know.
    pub acting: Option<Acting>,
}

/// What an `actor_token` says besides who Relais is (CI-SIS, API Pro Santé Connectée).
#[derive(Clone, PartialEq, Eq)]
pub struct Acting {
    /// The software that the person uses.
    pub software: Software,
    /// The *situation d'exercice* that the person has chosen, or the only one that there is.
    pub exercice: Option<Exercice>,
}

/// What an application has said of itself at the start of a login.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Software {
    /// `lps_nom`.
    pub name: Option<String>,
    /// `lps_version`.
    pub version: Option<String>,
    /// `lps_id`.
    pub id: Option<String>,
}

/// What an exchange came back with.
pub enum ExchangeAnswer {
    /// A token for the target.
    Exchanged {
        /// The token.
        access_token: Secret,
        /// How long it lives, where the authorization server said so.
        expires_in: Option<Duration>,
        /// The certificate (`x5t#S256`) that it was got with; calls of the target need the same one.
        x5t: Option<String>,
    },
    /// The authorization server says no.
    Refused {
        /// Whether that may be about the subject token: newer ones might do.
        of_subject_token: bool,
    },
    /// It was not reached, is in trouble, or says what nobody can use.
    Unavailable {
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}
