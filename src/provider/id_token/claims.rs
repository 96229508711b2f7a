//! The claims that count: each is of its type and says the right thing. All others only inform, and may be anything.

use std::time::Duration;

use serde_json::Value;

use crate::domain::time::Timestamp;
use crate::provider::jwt::{self, AHEAD, numeric_date};
use crate::provider::logout_token;
use crate::provider::strict_json::{self, Object};

use super::{Came, Refusal, Terms};

/// Added to the login's lifetime: how old an ID token may be.
pub(super) const AGE_MARGIN: Duration = Duration::from_mins(5);

/// CIBA §10.3.1; a provider may set it in poll and ping mode too.
const AUTH_REQ_ID: &str = "urn:openid:params:jwt:claim:auth_req_id";

/// Presence and type of the registered claims. Before the signature: a token without them cannot become valid.
pub(super) fn check_form(claims: &Object) -> Result<(), Refusal> {
    let date = |name, required| match claims.get(name) {
        None if required => Err(Refusal::invalid(name)),
        None => Ok(()),
        Some(value) => numeric_date(value).map(|_| ()).ok_or(Refusal::invalid(name)),
    };
    // It says that somebody has left, not that he is here (Back-Channel Logout §4.1).
    if logout_token::mentions_logout(claims) {
        return Err(Refusal::invalid("events"));
    }
    date("exp", true)?;
    date("iat", true)?;
    date("nbf", false)?;
    date("auth_time", false)?;
    if strict_json::text(claims, "iss").is_none() {
        return Err(Refusal::invalid("iss"));
    }
    // OpenID Connect Core §2: at most 255 ASCII characters. Nobody's name has control characters.
    let is_plain = |sub: &str| sub.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
    match strict_json::text(claims, "sub") {
        Some(sub) if sub.len() <= 255 && is_plain(sub) => Ok(()),
        _ => Err(Refusal::invalid("sub")),
    }
}

/// Whether it is a token of this provider, for us, for this request, made just now.
pub(super) fn check(claims: &Object, terms: &Terms<'_>) -> Result<(), Refusal> {
    check_parties(claims, terms.issuer, terms.client_id)?;
    check_times(claims, terms)?;
    let same_request = match claims.get(AUTH_REQ_ID) {
        None => terms.came == Came::Asked,
        Some(claim) => claim.as_str() == Some(terms.auth_req_id.expose()),
    };
    if same_request { Ok(()) } else { Err(Refusal::invalid("auth_req_id")) }
}

/// Whether it is a token of this provider, for us. Issuer and audience are compared byte for byte.
pub(super) fn check_parties(claims: &Object, issuer: &str, client_id: &str) -> Result<(), Refusal> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(Refusal::invalid("iss"));
    }
    let audience = match claims.get("aud") {
        Some(Value::Array(all)) if all.len() == 1 => all.first(),
        other => other,
    };
    if audience.and_then(Value::as_str) != Some(client_id) {
        return Err(Refusal::invalid("aud"));
    }
    if claims.get("azp").is_some_and(|azp| azp.as_str() != Some(client_id)) {
        return Err(Refusal::invalid("azp"));
    }
    Ok(())
}

fn check_times(claims: &Object, terms: &Terms<'_>) -> Result<(), Refusal> {
    jwt::check_times(claims, terms.now).map_err(Refusal::invalid)?;
    let at = |name: &str| claims.get(name).and_then(numeric_date).map(Timestamp::from_secs);
    let oldest = terms.now - (terms.expectation.lifetime + AGE_MARGIN);
    if at("iat").is_none_or(|iat| iat < oldest) {
        return Err(Refusal::invalid("iat"));
    }
    // Single sign-on makes it older than the login: how much is the registration's business, since CIBA has no
    // `max_age`. Where it is bounded it must be there (OpenID Connect Core §3.1.3.7).
    let auth_time = at("auth_time");
    let oldest = terms.max_age.map(|max_age| terms.now - (max_age + jwt::LEEWAY));
    if auth_time.is_some_and(|auth_time| auth_time > terms.now + AHEAD)
        || oldest.is_some_and(|oldest| auth_time.is_none_or(|auth_time| auth_time < oldest))
    {
        return Err(Refusal::invalid("auth_time"));
    }
    Ok(())
}
