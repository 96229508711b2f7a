//! The signature, by `openidconnect`'s keys, and the access token that it covers.
//!
//! The library's `IdToken` reads every standard claim into its type first, and so refuses a valid token whose
//! `amr` is a text or whose `email_verified` is `"true"`. Here such claims only inform, so its keys, algorithms and
//! hashes are used below that type; the claims that count are checked in `claims`.

use openidconnect::core::CoreJsonWebKey;
use openidconnect::{AccessToken, AccessTokenHash};

use crate::domain::secret::Secret;
use crate::provider::jwt::{self, JwtError, Unverified};
use crate::provider::keys::Keys;

use super::{NotVerified, Refusal};

/// Verifies with whichever known key fits.
pub(super) fn verify(token: &Unverified<'_>, keys: &Keys, access_token: &Secret) -> Result<(), NotVerified> {
    let refused = |rule| NotVerified::Refused(Refusal::invalid(rule));
    match token.verify(keys) {
        Ok(key) => check_at_hash(access_token, token, key).map_err(NotVerified::Refused),
        Err(JwtError::NoKey) => Err(NotVerified::UnknownKey),
        // With a name, a key of that name that does not fit is final: anything else would let forged tokens cause
        // fetches. Without one, the key may be newer than our set.
        Err(JwtError::Signature) if token.kid.is_none() => Err(NotVerified::UnknownKey),
        Err(error) => Err(refused(jwt::rule(error))),
    }
}

/// Where the token has an `at_hash`, it is the access token's (OpenID Connect Core §3.1.3.8).
fn check_at_hash(access_token: &Secret, token: &Unverified<'_>, key: &CoreJsonWebKey) -> Result<(), Refusal> {
    let Some(at_hash) = token.payload.get("at_hash").filter(|claim| !claim.is_null()) else { return Ok(()) };
    let told = at_hash.as_str().map(|text| AccessTokenHash::new(text.to_owned()));
    let access_token = AccessToken::new(access_token.expose().to_owned());
    let expected = AccessTokenHash::from_token(&access_token, &token.alg.jws(), key).ok();
    if told.is_some() && told == expected { Ok(()) } else { Err(Refusal::invalid("at_hash")) }
}
