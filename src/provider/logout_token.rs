//! Logout tokens (OpenID Connect Back-Channel Logout §2.4, §2.6): whether one proves that the provider has logged somebody
//! out, for us, just now.
//!
//! It comes from whoever found the address: what it says against itself is looked at before a key is tried, and a name of a
//! key that nobody knows never keeps a login from fetching newer keys. Each refusal names a rule and no value.

use std::time::Duration;

use serde_json::Value;

use crate::domain::profile::Profile;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::ports::{LogoutToken, LogoutVerdict};

use super::call::Channel;
use super::jwt::{self, JwtError, LEEWAY, LOGOUT, Unverified, numeric_date};
use super::settings::IdTokenAlg;
use super::strict_json::{self, Object};

/// The member of `events` that makes it a logout token.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The longest life that its maker may give it.
const LONGEST: Duration = Duration::from_hours(1);

/// The life that is recommended (§2.4): that of a token without one.
const RECOMMENDED: Duration = Duration::from_mins(2);

/// The longest `jti`, `sid` and `sub`, in bytes.
const NAME_MAX: usize = 512;

/// What a token must agree with.
pub struct Terms<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The pinned algorithms: those of ID tokens (§2.6).
    pub algs: &'a [IdTokenAlg],
    /// Whether a token may lack `exp`.
    pub profile: &'a Profile,
    /// Now.
    pub now: Timestamp,
}

/// Judges a token.
pub async fn judge(channel: &Channel<'_>, terms: &Terms<'_>, text: &Secret) -> LogoutVerdict {
    let (token, said) = match read(text.expose(), terms) {
        Ok(read) => read,
        Err(rule) => return refused(channel, rule),
    };
    // A node that has just started may not know yet where the keys are.
    let _ = channel.upstream.ensure_metadata(channel).await;
    let Some(keys) = channel.upstream.keys(channel).await else { return LogoutVerdict::NotNow };
    let verdict = match token.verify(&keys) {
        Err(JwtError::NoKey) => match channel.upstream.newer_keys_for_a_stranger(channel, &keys).await {
            Some(newer) => token.verify(&newer).map(|_| ()),
            // Its key may be one that the provider has since yesterday: it is to be sent again.
            None => return LogoutVerdict::NotNow,
        },
        verdict => verdict.map(|_| ()),
    };
    match verdict {
        Ok(()) => LogoutVerdict::Valid(said),
        Err(error) => refused(channel, jwt::rule(error)),
    }
}

fn refused(channel: &Channel<'_>, rule: &'static str) -> LogoutVerdict {
    tracing::warn!(
        provider = %channel.upstream.name(),
        registration = %channel.registration,
        rule,
        "a logout token is refused"
    );
    LogoutVerdict::Refused
}

/// Header and claims.
fn read<'a>(text: &'a str, terms: &Terms<'_>) -> Result<(Unverified<'a>, LogoutToken), &'static str> {
    let token = Unverified::read(text, &LOGOUT, terms.algs).map_err(jwt::rule)?;
    let said = claims(&token.payload, terms)?;
    Ok((token, said))
}

fn claims(claims: &Object, terms: &Terms<'_>) -> Result<LogoutToken, &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(terms.issuer) {
        return Err("iss");
    }
    let audience = match claims.get("aud") {
        Some(Value::Array(all)) if all.len() == 1 => all.first(),
        other => other,
    };
    if audience.and_then(Value::as_str) != Some(terms.client_id) {
        return Err("aud");
    }
    if !is_logout(claims) {
        return Err("events");
    }
    // What has a nonce was made for somebody's login (§2.4).
    if claims.contains_key("nonce") {
        return Err("nonce");
    }
    let date =
        |name: &'static str| claims.get(name).and_then(numeric_date).map(Timestamp::from_secs).ok_or(name);
    let iat = date("iat")?;
    let exp = match claims.get("exp") {
        None if terms.profile.logout_tokens_may_lack_exp => iat + RECOMMENDED,
        _ => date("exp")?,
    };
    jwt::check_times(claims, terms.now)?;
    if exp <= terms.now - LEEWAY || exp > iat + LONGEST {
        return Err("exp");
    }
    let name = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= NAME_MAX => Ok(Some(text.clone())),
        Some(_) => Err(name),
    };
    let (jti, sid, sub) = (name("jti")?.ok_or("jti")?, name("sid")?, name("sub")?);
    if sid.is_none() && sub.is_none() {
        return Err("sub");
    }
    Ok(LogoutToken { jti, until: exp + LEEWAY, sid, sub })
}

/// Whether claims are those of a logout: the event is there, and an object (§2.4).
pub fn is_logout(claims: &Object) -> bool {
    claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object)
}

/// Whether somebody's claims say at all that they are about a logout: an ID token's never do.
pub fn mentions_logout(claims: &Object) -> bool {
    claims.get("events").is_some_and(|events| match events {
        Value::Object(events) => events.contains_key(EVENT),
        _ => false,
    }) || strict_json::text(claims, "typ").is_some_and(|typ| typ.eq_ignore_ascii_case("logout"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::profile::ProfileName;

    const NOW: i64 = 1_800_000_000;

    fn told() -> Value {
        json!({
            "iss": "https://op.example", "aud": "relais", "iat": NOW, "exp": NOW + 120, "jti": "one", "sid": "s", "sub": "p",
            "events": {EVENT: {}},
        })
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
        judged_as(ProfileName::Generic, change).map(|_| ())
    }

    fn judged_as(profile: ProfileName, change: impl FnOnce(&mut Value)) -> Result<LogoutToken, &'static str> {
        let mut told = told();
        change(&mut told);
        let terms = Terms {
            issuer: "https://op.example",
            client_id: "relais",
            algs: &[],
            profile: profile.profile(),
            now: Timestamp::from_secs(NOW),
        };
        claims(told.as_object().expect("an object"), &terms)
    }

    #[test]
    fn rp_107_without_an_end_a_token_of_some_providers_lives_two_minutes() {
        let made = |at: i64| {
            move |told: &mut Value| {
                told["iat"] = json!(at);
                drop(told.as_object_mut().expect("an object").remove("exp"));
            }
        };
        for profile in [ProfileName::Psc, ProfileName::Keycloak] {
            for (at, until) in [(NOW, NOW + 150), (NOW - 149, NOW + 1)] {
                let token = judged_as(profile, made(at)).unwrap_or_else(|rule| panic!("{rule}"));
                assert_eq!(token.until.as_secs(), until, "{profile:?}");
            }
            assert_eq!(judged_as(profile, made(NOW - 150)).err(), Some("exp"), "{profile:?}");
            let null = |told: &mut Value| told["exp"] = json!(null);
            assert_eq!(judged_as(profile, null).err(), Some("exp"), "what is there must be a date");
        }
        assert_eq!(judged_as(ProfileName::Generic, made(NOW)).err(), Some("exp"));
    }

    #[test]
    fn rp_107_each_claim_is_held_to_its_rule() {
        assert_eq!(judged(|_| {}), Ok(()));
        for (claim, good) in [
            ("aud", json!(["relais"])),
            ("iat", json!(NOW - 100)),
            ("iat", json!(NOW + 60)),
            ("exp", json!(NOW - 29)),
            ("exp", json!(NOW + 3600)),
            ("events", json!({EVENT: {"more": 1}, "another": {}})),
            ("more", json!([1])),
        ] {
            assert_eq!(judged(|told| told[claim] = good.clone()), Ok(()), "{claim} {good}");
        }
        for (claim, bad) in [
            ("iss", json!("https://op.example/")),
            ("iss", json!(null)),
            ("aud", json!("relais1")),
            ("aud", json!(["relais", "other"])),
            ("aud", json!([])),
            ("events", json!({})),
            ("events", json!({EVENT: null})),
            ("events", json!({EVENT: "x"})),
            ("events", json!({"http://schemas.openid.net/event/other": {}})),
            ("events", json!([EVENT])),
            ("nonce", json!("n")),
            ("nonce", json!(null)),
            ("iat", json!(NOW + 61)),
            ("iat", json!(NOW.to_string())),
            ("exp", json!(NOW - 30)),
            ("exp", json!(NOW + 3601)),
            ("exp", json!((NOW + 60).to_string())),
            ("nbf", json!(NOW + 31)),
            ("jti", json!("")),
            ("jti", json!(7)),
            ("jti", json!("x".repeat(513))),
            ("sid", json!(7)),
            ("sid", json!("")),
            ("sub", json!(["p"])),
            ("sub", json!("x".repeat(513))),
        ] {
            assert_eq!(judged(|told| told[claim] = bad.clone()), Err(claim), "{bad}");
        }
        for claim in ["iss", "aud", "events", "iat", "exp", "jti"] {
            let without = |told: &mut Value| drop(told.as_object_mut().expect("an object").remove(claim));
            assert_eq!(judged(without), Err(claim));
        }
        let remove = |names: &'static [&'static str]| {
            judged(|told| {
                for name in names {
                    told.as_object_mut().expect("an object").remove(*name);
                }
            })
        };
        assert_eq!(remove(&["sid"]), Ok(()));
        assert_eq!(remove(&["sub"]), Ok(()));
        assert_eq!(remove(&["sid", "sub"]), Err("sub"));
    }
}
