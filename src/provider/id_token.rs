//! ID tokens: whether one proves that the asked person authenticated for us, now, at the asked level.
//!
//! `openidconnect`'s keys verify the signature; what the token claims (issuer, audience, times, `azp`, `at_hash`,
//! the person, the level) is checked around it, one concern per file. Only what is checked must be well-typed. The
//! signature is verified although the token came over TLS (R-C-03). Each refusal names a rule and no value.

mod claims;
mod identity;
mod renewed;
mod signature;

use std::time::Duration;

use crate::domain::login::LoginReason;
use crate::domain::profile::Profile;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::ports::Expectation;

use super::jwt::{self, ID_TOKEN, Unverified};
use super::keys::Keys;
use super::settings::IdTokenAlg;
use super::strict_json::Object;

pub use renewed::{Continuity, Renewed};

/// Why an ID token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The rule's name, for the log.
    pub rule: &'static str,
    /// Where the login ends.
    pub reason: LoginReason,
}

impl Refusal {
    const fn invalid(rule: &'static str) -> Self {
        Self { rule, reason: LoginReason::TokenInvalid }
    }
}

/// What an ID token must agree with.
pub struct Terms<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The pinned algorithms.
    pub algs: &'a [IdTokenAlg],
    /// Which claim names the person.
    pub profile: &'a Profile,
    /// What was asked for.
    pub expectation: &'a Expectation,
    /// What was asked with.
    pub auth_req_id: &'a Secret,
    /// How the token came here.
    pub came: Came,
    /// How long ago the person may have authenticated, where that is bounded.
    pub max_age: Option<Duration>,
    /// Now.
    pub now: Timestamp,
}

/// How an ID token came here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// In the answer to a question of ours.
    Asked,
    /// By itself. Nothing but the token ties what came along to the request: it must name the request and cover both
    /// tokens (CIBA §10.3.1).
    Pushed,
}

/// What came along with an ID token.
pub struct Companions<'a> {
    /// The access token: `at_hash` must be its hash.
    pub access_token: &'a Secret,
    /// The refresh token: `rt_hash` must be its hash.
    pub refresh_token: Option<&'a Secret>,
}

/// An ID token that claims the right things; nothing is believed yet.
pub struct Received<'a>(Unverified<'a>);

/// Why a signature could not be accepted.
pub enum NotVerified {
    /// None of the known keys can have made it: newer keys may.
    UnknownKey,
    /// It is not to be accepted.
    Refused(Refusal),
}

impl<'a> Received<'a> {
    /// Takes the token apart; judges its header and every claim about itself. What a token says against itself
    /// needs no signature.
    pub fn read(text: &'a str, terms: &Terms<'_>) -> Result<Self, Refusal> {
        let token = Unverified::read(text, &ID_TOKEN, terms.algs)
            .map_err(|error| Refusal::invalid(jwt::rule(error)))?;
        claims::check_form(&token.payload)?;
        claims::check(&token.payload, terms)?;
        Ok(Self(token))
    }

    /// Verifies the signature with these keys, then what came along, person and level, and gives the claims.
    pub fn verify(
        &self,
        keys: &Keys,
        companions: &Companions<'_>,
        terms: &Terms<'_>,
    ) -> Result<&Object, NotVerified> {
        signature::verify(&self.0, keys, companions, terms.came)?;
        self.judge(terms).map_err(NotVerified::Refused)?;
        Ok(&self.0.payload)
    }

    fn judge(&self, terms: &Terms<'_>) -> Result<(), Refusal> {
        identity::check_person(&self.0.payload, terms.profile, &terms.expectation.login_hint)?;
        identity::check_acr(&self.0.payload, &terms.expectation.acr_values)
    }
}

/// The refusal where no signing key is to be had.
pub const NO_SIGNING_KEY: Refusal = Refusal::invalid("signing_key");
