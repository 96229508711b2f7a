//! What the claims of a client assertion must say (contract: "Who is calling"; RFC 7523 §3, RFC 10070). `iat` and `nbf`
//! need not be there; where they are, they are held to their rule.
//!
//! Only claims whose signature has been verified come here. The audience is a text and never a list: an assertion that
//! was made for somebody else as well could be presented here by that somebody.

use std::time::Duration;

use crate::crypto::jws::numeric_date;
use crate::crypto::strict_json::{Object, text};
use crate::domain::time::Timestamp;

/// The longest life that is left to an assertion.
const LONGEST: Duration = Duration::from_mins(1);
/// The longest life that its maker gave it, a few seconds more: one that was made to live longer does not become valid
/// in its last minute.
const MADE_FOR: Duration = Duration::from_secs(65);
/// How far `nbf` and `iat` may lie ahead: clocks differ. `exp` has no such tolerance, it would make the life longer.
const AHEAD: Duration = Duration::from_mins(1);
/// The longest `jti`, in bytes.
const JTI_MAX: usize = 256;

/// What counts of it.
pub(super) struct Told {
    /// Its name.
    pub jti: String,
    /// When it ends.
    pub exp: Timestamp,
}

/// Judges the claims of the application `name`; the error is the name of the broken rule.
pub(super) fn judge(
    claims: &Object,
    name: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Told, &'static str> {
    for claim in ["iss", "sub"] {
        if text(claims, claim) != Some(name) {
            return Err(claim);
        }
    }
    if text(claims, "aud") != Some(audience) {
        return Err("aud");
    }
    let at = |claim: &'static str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => numeric_date(value).map(|secs| Some(Timestamp::from_secs(secs))).ok_or(claim),
    };
    let exp = at("exp")?.filter(|exp| now < *exp && *exp <= now + LONGEST).ok_or("exp")?;
    if at("iat")?.is_some_and(|iat| iat > now + AHEAD || exp > iat + MADE_FOR) {
        return Err("iat");
    }
    if at("nbf")?.is_some_and(|nbf| nbf > now + AHEAD) {
        return Err("nbf");
    }
    let jti = text(claims, "jti").filter(|jti| jti.len() <= JTI_MAX).ok_or("jti")?.to_owned();
    Ok(Told { jti, exp })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AUDIENCE: &str = "https://relais.example.fr:8443";

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
        let secs = now().as_secs();
        let mut claims = json!({"iss": "desk", "sub": "desk", "aud": AUDIENCE, "jti": "1",
            "iat": secs, "nbf": secs, "exp": secs + 60});
        change(&mut claims);
        judge(claims.as_object().expect("an object"), "desk", AUDIENCE, now()).map(|_| ())
    }

    fn without(claim: &str) -> Result<(), &'static str> {
        judged(|claims| drop(claims.as_object_mut().expect("an object").remove(claim)))
    }

    #[test]
    fn r_f_01_each_claim_is_held_to_its_rule() {
        let secs = now().as_secs();
        assert_eq!(judged(|_| {}), Ok(()));
        assert_eq!(judged(|claims| claims["exp"] = json!(secs + 1)), Ok(()));
        let made_at = |iat: i64, exp: i64| {
            judged(|claims| {
                claims["iat"] = json!(iat);
                claims["exp"] = json!(exp);
            })
        };
        assert_eq!(made_at(secs - 35, secs + 30), Ok(()));
        assert_eq!(made_at(secs - 36, secs + 30), Err("iat"), "made to live longer than it may");
        assert_eq!(made_at(secs - 3600, secs + 30), Err("iat"));
        for (claim, bad) in [
            ("iss", json!("other")),
            ("sub", json!("other")),
            ("sub", json!(["desk"])),
            ("aud", json!([AUDIENCE])),
            ("aud", json!(format!("{AUDIENCE}/"))),
            ("aud", json!("https://relais.example.fr:8443/v1/logins")),
            ("exp", json!(secs)),
            ("exp", json!(secs + 61)),
            ("exp", json!((secs + 30).to_string())),
            ("exp", json!(null)),
            ("nbf", json!(secs + 61)),
            ("nbf", json!("x")),
            ("iat", json!(secs + 61)),
            ("iat", json!(null)),
            ("iat", json!(secs.to_string())),
            ("jti", json!("")),
            ("jti", json!(7)),
            ("jti", json!("x".repeat(257))),
        ] {
            assert_eq!(judged(|claims| claims[claim] = bad.clone()), Err(claim), "{bad}");
        }
        for claim in ["iss", "sub", "aud", "exp", "jti"] {
            assert_eq!(without(claim), Err(claim));
        }
        for claim in ["iat", "nbf"] {
            assert_eq!(without(claim), Ok(()), "{claim}");
        }
    }
}
