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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::profile::ProfileName;
    use crate::domain::secret::Secret;
    use crate::engine::ports::Expectation;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// The rule that these claims break, where they come in this way and the authentication is this old at most.
    fn broken(
        came: Came,
        max_age: Option<Duration>,
        change: impl FnOnce(&mut Value),
    ) -> Option<&'static str> {
        let mut claims = json!({
            "iss": "https://op.example", "sub": "f:op:1", "aud": "us", "exp": NOW + 120, "iat": NOW,
        });
        change(&mut claims);
        let expectation = Expectation {
            login_hint: Secret::new("899700000001"),
            scope: Vec::new(),
            acr_values: Vec::new(),
            started_at: Timestamp::from_secs(NOW - 10),
            lifetime: Duration::from_mins(2),
        };
        let terms = Terms {
            issuer: "https://op.example",
            client_id: "us",
            algs: &[],
            profile: ProfileName::Generic.profile(),
            expectation: &expectation,
            auth_req_id: &Secret::new("request"),
            came,
            max_age,
            now: Timestamp::from_secs(NOW),
        };
        let claims = claims.as_object().expect("an object");
        let judged = check_form(claims).and_then(|()| check(claims, &terms));
        judged.err().map(|refusal| refusal.rule)
    }

    fn asked(name: &str, value: Value) -> Option<&'static str> {
        broken(Came::Asked, None, |claims| claims[name] = value)
    }

    #[test]
    fn r_c_02_each_claim_that_counts_is_there_and_of_its_type() {
        assert_eq!(broken(Came::Asked, None, |_| {}), None);
        for name in ["iss", "sub", "aud", "exp", "iat"] {
            let without = |claims: &mut Value| drop(claims.as_object_mut().expect("an object").remove(name));
            assert_eq!(broken(Came::Asked, None, without), Some(name));
            for odd in [json!(null), json!({}), json!("")] {
                assert_eq!(asked(name, odd.clone()), Some(name), "{odd}");
            }
        }
        for name in ["nbf", "auth_time"] {
            assert_eq!(asked(name, json!(NOW)), None);
            assert_eq!(asked(name, json!(NOW.to_string())), Some(name));
        }
    }

    #[test]
    fn rp_072_a_subject_is_at_most_255_printable_ascii_characters() {
        for (sub, good) in [
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            ("f:op:1 ~".to_owned(), true),
            ("é".to_owned(), false),
            ("a\nb".to_owned(), false),
            ("a\u{7f}".to_owned(), false),
        ] {
            assert_eq!(asked("sub", json!(sub)).is_none(), good, "{sub:?}");
        }
    }

    #[test]
    fn rp_064_065_066_it_is_of_this_provider_for_us_alone() {
        for (name, value, good) in [
            ("iss", json!("https://op.example/"), false),
            ("aud", json!(["us"]), true),
            ("aud", json!(["us", "us"]), false),
            ("aud", json!(["them", "us"]), false),
            ("aud", json!("them"), false),
            ("azp", json!("us"), true),
            ("azp", json!("them"), false),
            ("azp", json!(null), false),
        ] {
            assert_eq!(asked(name, value.clone()), (!good).then_some(name), "{value}");
        }
    }

    #[test]
    fn rp_077_a_pushed_one_names_the_request_and_one_that_was_asked_for_names_no_other() {
        for (value, when_asked, when_pushed) in
            [(None, true, false), (Some("request"), true, true), (Some("other"), false, false)]
        {
            for (came, good) in [(Came::Asked, when_asked), (Came::Pushed, when_pushed)] {
                let name = |claims: &mut Value| {
                    if let Some(value) = value {
                        claims[AUTH_REQ_ID] = json!(value);
                    }
                };
                assert_eq!(broken(came, None, name).is_none(), good, "{came:?} {value:?}");
            }
        }
    }

    #[test]
    fn rp_070_075_its_age_counts_to_the_second() {
        // Five minutes older than the login may become.
        assert_eq!(asked("iat", json!(NOW - 420)), None);
        assert_eq!(asked("iat", json!(NOW - 421)), Some("iat"));
        assert_eq!(asked("auth_time", json!(NOW + 60)), None);
        assert_eq!(asked("auth_time", json!(NOW + 61)), Some("auth_time"));
        assert_eq!(asked("auth_time", json!(0)), None, "however old, where nobody says how old it may be");
        let aged = |auth_time: Option<i64>| {
            broken(Came::Asked, Some(Duration::from_hours(1)), |claims| {
                if let Some(auth_time) = auth_time {
                    claims["auth_time"] = json!(auth_time);
                }
            })
        };
        assert_eq!(aged(Some(NOW - 3630)), None);
        assert_eq!(aged(Some(NOW - 3631)), Some("auth_time"));
        assert_eq!(aged(Some(NOW + 60)), None);
        assert_eq!(aged(Some(NOW + 61)), Some("auth_time"));
        assert_eq!(aged(None), Some("auth_time"));
    }
}
