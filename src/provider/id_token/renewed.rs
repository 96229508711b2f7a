//! The ID token of a refresh: the same person, authenticated as before (OpenID Connect Core §12.2).
//!
//! Nobody has authenticated anew, so nothing of it is taken over: it only must not say anything else than the first. But for
//! the provider's session, by which a logout will name it: that may have changed behind the same authentication.

use crate::domain::grant::GrantClaims;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::provider::jwt::{self, ID_TOKEN, Unverified, numeric_date};
use crate::provider::keys::Keys;
use crate::provider::settings::IdTokenAlg;
use crate::provider::strict_json::{self, Object};
use crate::provider::subject::{self, ClaimMap};

use super::claims::{self, AGE_MARGIN};
use super::signature;
use super::{Came, Companions, NotVerified, Refusal};

/// What the ID token of a refresh must agree with.
pub struct Continuity<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The pinned algorithms.
    pub algs: &'a [IdTokenAlg],
    /// Where the national identifier stands.
    pub map: &'a ClaimMap,
    /// What the first ID token said.
    pub known: &'a GrantClaims,
    /// Now.
    pub now: Timestamp,
}

/// One that claims the right things; nothing is believed yet.
pub struct Renewed<'a>(Unverified<'a>);

impl<'a> Renewed<'a> {
    /// Takes the token apart; judges its header and every claim. What a token says against itself needs no signature.
    pub fn read(text: &'a str, continuity: &Continuity<'_>) -> Result<Self, Refusal> {
        let token = Unverified::read(text, &ID_TOKEN, continuity.algs)
            .map_err(|error| Refusal::invalid(jwt::rule(error)))?;
        claims::check_form(&token.payload)?;
        claims::check_parties(&token.payload, continuity.issuer, continuity.client_id)?;
        check_times(&token.payload, continuity)?;
        check_person(&token.payload, continuity)?;
        Ok(Self(token))
    }

    /// What it calls the provider's session.
    pub fn sid(&self) -> Option<String> {
        strict_json::text(&self.0.payload, "sid").map(str::to_owned)
    }

    /// Verifies the signature with these keys, and that of the access token where the token covers it.
    pub fn verify(&self, keys: &Keys, access_token: &Secret) -> Result<(), NotVerified> {
        let companions = Companions { access_token, refresh_token: None };
        signature::verify(&self.0, keys, &companions, Came::Asked)
    }
}

/// Made just now, of the authentication that the first token was made of.
fn check_times(claims: &Object, continuity: &Continuity<'_>) -> Result<(), Refusal> {
    jwt::check_times(claims, continuity.now).map_err(Refusal::invalid)?;
    let at = |name: &str| claims.get(name).and_then(numeric_date).map(Timestamp::from_secs);
    if at("iat").is_none_or(|iat| iat < continuity.now - AGE_MARGIN) {
        return Err(Refusal::invalid("iat"));
    }
    match (at("auth_time"), continuity.known.auth_time) {
        (Some(told), Some(known)) if told != known => Err(Refusal::invalid("auth_time")),
        _ => Ok(()),
    }
}

fn check_person(claims: &Object, continuity: &Continuity<'_>) -> Result<(), Refusal> {
    let known = &continuity.known.subject;
    if strict_json::text(claims, "sub") != Some(known.sub.as_str()) {
        return Err(Refusal::invalid("sub"));
    }
    match (subject::national_id(claims, continuity.map), known.national_id.as_deref()) {
        (Some(told), Some(known)) if told != known => Err(Refusal::invalid("identity")),
        _ => Ok(()),
    }
}
