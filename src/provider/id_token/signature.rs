//! Signature, issuer, audience and times, by `openidconnect`'s verifier.
//!
//! The verifier refuses a set with several matching keys, so it is given one candidate at a time: duplicate or
//! missing `kid`s are then no ambiguity but several attempts.

use std::time::Duration;

use chrono::{DateTime, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, JsonWebKeySet, Nonce,
    SignatureVerificationError,
};

use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::provider::jwt::{Unverified, numeric_date};
use crate::provider::keys::Keys;

use super::{NotVerified, Refusal, Terms};

/// Tolerated difference of clocks for `exp` and `nbf`.
pub(super) const LEEWAY: Duration = Duration::from_secs(30);
/// How far `iat` (and `auth_time`) may lie ahead.
pub(super) const AHEAD: Duration = Duration::from_secs(60);
/// Added to the login's lifetime: how old an ID token may be.
const AGE_MARGIN: Duration = Duration::from_mins(5);

/// Verifies with whichever known key fits.
pub(super) fn verify(
    token: &Unverified<'_>,
    keys: &Keys,
    access_token: &Secret,
    terms: &Terms<'_>,
) -> Result<(), NotVerified> {
    let refused = |rule| NotVerified::Refused(Refusal::invalid(rule));
    let parsed: CoreIdToken = token.text.parse().map_err(|_| refused("claims"))?;
    let candidates = keys.candidates(token.kid.as_deref(), &token.alg.jws());
    let is_named = token.kid.is_some() && !candidates.is_empty();
    for key in candidates {
        let verified = verify_with(&parsed, token, key, terms)
            .and_then(|at_hash| check_at_hash(at_hash.as_ref(), access_token, token, key));
        match verified {
            Ok(()) => return Ok(()),
            // Another key may have made it.
            Err(None) => {}
            Err(Some(rule)) => return Err(refused(rule)),
        }
    }
    // With a name, a key of that name that does not fit is final: anything else would let forged tokens cause
    // fetches. Without one, the key may be newer than our set.
    Err(if is_named { refused("signature") } else { NotVerified::UnknownKey })
}

fn verify_with(
    parsed: &CoreIdToken,
    token: &Unverified<'_>,
    key: &CoreJsonWebKey,
    terms: &Terms<'_>,
) -> Result<Option<AccessTokenHash>, Option<&'static str>> {
    let issuer = IssuerUrl::new(terms.issuer.to_owned()).map_err(|_| Some("iss"))?;
    let oldest = terms.now - (terms.expectation.lifetime + AGE_MARGIN);
    let latest = terms.now + AHEAD;
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(terms.client_id.to_owned()),
        issuer,
        JsonWebKeySet::new(vec![key.clone()]),
    )
    .set_allowed_algs([token.alg.jws()])
    // Judged with the header already, by a list that knows what providers write.
    .allow_all_jose_types()
    .set_time_fn(|| DateTime::<Utc>::from(terms.now - LEEWAY))
    .set_issue_time_verifier_fn(move |issued_at| {
        let at = Timestamp::from(issued_at);
        if (oldest..=latest).contains(&at) { Ok(()) } else { Err("outside the window".to_owned()) }
    })
    .set_other_audience_verifier_fn(|_| false);
    // CIBA has no nonce.
    let no_nonce = |_: Option<&Nonce>| Ok(());
    let claims = parsed.claims(&verifier, no_nonce).map_err(|error| rule_of(&error, token, terms.now))?;
    Ok(claims.access_token_hash().cloned())
}

/// Where the token has an `at_hash`, it is the access token's (OpenID Connect Core §3.1.3.8).
fn check_at_hash(
    at_hash: Option<&AccessTokenHash>,
    access_token: &Secret,
    token: &Unverified<'_>,
    key: &CoreJsonWebKey,
) -> Result<(), Option<&'static str>> {
    let Some(at_hash) = at_hash else { return Ok(()) };
    let access_token = AccessToken::new(access_token.expose().to_owned());
    let expected = AccessTokenHash::from_token(&access_token, &token.alg.jws(), key);
    if expected.is_ok_and(|expected| expected == *at_hash) { Ok(()) } else { Err(Some("at_hash")) }
}

/// The rule that the library says is broken; `None` where another key might verify the signature.
fn rule_of(error: &ClaimsVerificationError, token: &Unverified<'_>, now: Timestamp) -> Option<&'static str> {
    Some(match error {
        ClaimsVerificationError::InvalidIssuer(_) => "iss",
        ClaimsVerificationError::InvalidAudience(_) => "aud",
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::CryptoError(_)
            | SignatureVerificationError::InvalidKey(_)
            | SignatureVerificationError::NoMatchingKey,
        ) => return None,
        ClaimsVerificationError::SignatureVerification(_) => "signature",
        // One error for both; the payload says which.
        ClaimsVerificationError::Expired(_) => {
            let exp = token.payload.get("exp").and_then(numeric_date).map(Timestamp::from_secs);
            if exp.is_some_and(|exp| exp > now - LEEWAY) { "iat" } else { "exp" }
        }
        _ => "claims",
    })
}
