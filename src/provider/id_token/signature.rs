//! The signature, by `openidconnect`'s keys, and the tokens that it covers.
//!
//! The library's `IdToken` reads every standard claim into its type first, and so refuses a valid token whose
//! `amr` is a text or whose `email_verified` is `"true"`. Here such claims only inform, so its keys, algorithms and
//! hashes are used below that type; the claims that count are checked in `claims`.

use openidconnect::core::CoreJsonWebKey;
use openidconnect::{AccessToken, AccessTokenHash};

use crate::domain::secret::Secret;
use crate::provider::jwt::{self, JwtError, Unverified};
use crate::provider::keys::Keys;

use super::{Came, Companions, NotVerified, Refusal};

/// CIBA §10.3.1: the hash of the refresh token that came along.
const RT_HASH: &str = "urn:openid:params:jwt:claim:rt_hash";

/// Verifies with whichever known key fits.
pub(super) fn verify(
    token: &Unverified<'_>,
    keys: &Keys,
    companions: &Companions<'_>,
    came: Came,
) -> Result<(), NotVerified> {
    let refused = |rule| NotVerified::Refused(Refusal::invalid(rule));
    match token.verify(keys) {
        Ok(key) => check_companions(companions, came, token, key).map_err(NotVerified::Refused),
        Err(JwtError::NoKey) => Err(NotVerified::UnknownKey),
        // With a name, a key of that name that does not fit is final: anything else would let forged tokens cause
        // fetches. Without one, the key may be newer than our set.
        Err(JwtError::Signature) if token.kid.is_none() => Err(NotVerified::UnknownKey),
        Err(error) => Err(refused(jwt::rule(error))),
    }
}

/// Where the token has an `at_hash`, it is the access token's (OpenID Connect Core §3.1.3.8); one that came by itself
/// has it, and that of the refresh token if there is one.
fn check_companions(
    companions: &Companions<'_>,
    came: Came,
    token: &Unverified<'_>,
    key: &CoreJsonWebKey,
) -> Result<(), Refusal> {
    let is_pushed = came == Came::Pushed;
    let at_hash = Covered { rule: "at_hash", claim: "at_hash", required: is_pushed };
    check_hash(&at_hash, companions.access_token, token, key)?;
    match companions.refresh_token {
        Some(refresh_token) if is_pushed => {
            let rt_hash = Covered { rule: "rt_hash", claim: RT_HASH, required: true };
            check_hash(&rt_hash, refresh_token, token, key)
        }
        _ => Ok(()),
    }
}

/// A claim that holds the hash of a token.
struct Covered {
    rule: &'static str,
    claim: &'static str,
    required: bool,
}

fn check_hash(
    covered: &Covered,
    text: &Secret,
    token: &Unverified<'_>,
    key: &CoreJsonWebKey,
) -> Result<(), Refusal> {
    let refusal = Err(Refusal::invalid(covered.rule));
    let Some(hash) = token.payload.get(covered.claim).filter(|claim| !claim.is_null()) else {
        return if covered.required { refusal } else { Ok(()) };
    };
    let told = hash.as_str().map(|text| AccessTokenHash::new(text.to_owned()));
    // One method for both (CIBA §10.3.1): the left half of the hash that the signature uses.
    let hashed = AccessToken::new(text.expose().to_owned());
    let expected = AccessTokenHash::from_token(&hashed, &token.alg.jws(), key).ok();
    if told.is_some() && told == expected { Ok(()) } else { refusal }
}
