//! A token answer (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3), read strictly where it proves something and
//! leniently where it only informs.

use std::time::Duration;

use serde_json::Value;

use crate::domain::grant::Tokens;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::provider::jwt;
use crate::provider::strict_json::{self, Object, SecretObject};

/// The largest answer, in bytes (R-C-08).
pub const MAX_SIZE: usize = 256 * 1024;
/// A token that claims to live longer is taken to live this long: ten years.
const MAX_LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// What a token answer holds.
pub struct TokenAnswer {
    /// `access_token`.
    pub access_token: Secret,
    /// `id_token`, not validated.
    pub id_token: Secret,
    /// `refresh_token`.
    pub refresh_token: Option<Secret>,
    /// `expires_in`, where it can be read.
    pub expires_in: Option<Duration>,
    /// `refresh_expires_in` (Keycloak, PSC), where it can be read; 0 means that it does not expire.
    pub refresh_expires_in: Option<Duration>,
    /// `scope`; `None`: as requested (RFC 6749 §5.1).
    pub scope: Option<Vec<String>>,
}

/// What a refresh answers (OpenID Connect Core §12.2): no more than an access token is required.
pub struct RefreshedAnswer {
    /// `access_token`.
    pub access_token: Secret,
    /// `id_token`, not validated.
    pub id_token: Option<Secret>,
    /// `refresh_token`.
    pub refresh_token: Option<Secret>,
    /// `expires_in`, where it can be read.
    pub expires_in: Option<Duration>,
    /// `refresh_expires_in`, likewise.
    pub refresh_expires_in: Option<Duration>,
}

impl TokenAnswer {
    /// Reads the body; the error is the name of the broken rule.
    pub fn read(body: &[u8]) -> Result<Self, &'static str> {
        let members = bearer(body)?;
        let answer = RefreshedAnswer::of(&members)?;
        Ok(Self {
            access_token: answer.access_token,
            id_token: answer.id_token.ok_or("id_token")?,
            refresh_token: answer.refresh_token,
            expires_in: answer.expires_in,
            refresh_expires_in: answer.refresh_expires_in,
            scope: scope(&members),
        })
    }

    /// The tokens of an answer that came at `now`.
    pub fn tokens(self, now: Timestamp) -> Tokens {
        Tokens {
            access_token: self.access_token,
            access_expires_at: self.expires_in.map(|life| now + life),
            refresh_token: self.refresh_token,
            refresh_expires_at: self.refresh_expires_in.map(|life| now + life),
            id_token: self.id_token,
        }
    }
}

impl RefreshedAnswer {
    /// Reads the body; the error is the name of the broken rule.
    pub fn read(body: &[u8]) -> Result<Self, &'static str> {
        Self::of(&bearer(body)?)
    }

    fn of(members: &SecretObject) -> Result<Self, &'static str> {
        let token = |name: &str| {
            strict_json::text(members, name).filter(|token| token.len() <= jwt::MAX_SIZE).map(Secret::new)
        };
        Ok(Self {
            access_token: token("access_token").filter(is_visible_ascii).ok_or("access_token")?,
            id_token: token("id_token"),
            refresh_token: token("refresh_token"),
            expires_in: life(members, "expires_in"),
            refresh_expires_in: life(members, "refresh_expires_in").filter(|life| !life.is_zero()),
        })
    }
}

/// The members of an answer with bearer tokens.
fn bearer(body: &[u8]) -> Result<SecretObject, &'static str> {
    let members = strict_json::secret_object(body).map_err(|_| "no JSON object")?;
    let is_bearer = strict_json::text(&members, "token_type")
        .is_some_and(|token_type| token_type.eq_ignore_ascii_case("bearer"));
    if is_bearer { Ok(members) } else { Err("token_type") }
}

/// It will stand in a header.
fn is_visible_ascii(token: &Secret) -> bool {
    token.expose().bytes().all(|b| b.is_ascii_graphic())
}

/// A number of seconds, or a text that is one: some providers write it so.
fn life(members: &Object, name: &str) -> Option<Duration> {
    let value = members.get(name)?;
    let seconds = match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_f64().filter(|number| *number >= 0.0).map(whole))
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if seconds.is_none() {
        tracing::info!(rule = name, "a member of the token answer cannot be read and is taken as absent");
    }
    seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_LIFE))
}

/// The cast saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and no negative comes here"
)]
fn whole(seconds: f64) -> u64 {
    seconds.round() as u64
}

fn scope(members: &Object) -> Option<Vec<String>> {
    let scope = strict_json::text(members, "scope")?;
    Some(scope.split_ascii_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({"access_token": "at", "id_token": "a.b.c", "token_type": "Bearer", "expires_in": 120,
               "refresh_token": "rt", "refresh_expires_in": 1800, "scope": "openid scope_all", "new": {}})
    }

    fn read(body: &Value) -> Result<TokenAnswer, &'static str> {
        TokenAnswer::read(body.to_string().as_bytes())
    }

    fn valid(answer: Result<TokenAnswer, &'static str>) -> TokenAnswer {
        // No `expect`: a token answer has no `Debug`.
        answer.unwrap_or_else(|rule| panic!("refused by the rule {rule}"))
    }

    fn with(name: &str, value: Value) -> Result<TokenAnswer, &'static str> {
        let mut body = body();
        body[name] = value;
        read(&body)
    }

    #[test]
    fn rp_060_a_whole_answer_is_read() {
        let answer = valid(read(&body()));
        assert_eq!(answer.expires_in, Some(Duration::from_secs(120)));
        assert_eq!(answer.refresh_expires_in, Some(Duration::from_secs(1800)));
        assert_eq!(answer.scope, Some(vec!["openid".to_owned(), "scope_all".to_owned()]));
        assert_eq!(answer.refresh_token.map(|token| token.expose().to_owned()).as_deref(), Some("rt"));
    }

    #[test]
    fn rp_061_missing_or_odd_lives_and_scopes_fail_nothing() {
        let bare = json!({"access_token": "at", "id_token": "a.b.c", "token_type": "bearer"});
        let answer = valid(read(&bare));
        assert!(answer.expires_in.is_none() && answer.scope.is_none() && answer.refresh_expires_in.is_none());
        let life = |value| valid(with("expires_in", value)).expires_in.map(|life| life.as_secs());
        assert_eq!(life(json!("120")), Some(120));
        assert_eq!(life(json!("soon")), None);
        assert_eq!(life(json!(-1)), None);
        assert_eq!(life(json!([])), None);
        for absurd in [json!(u64::MAX), json!(1e300), json!("99999999999999999")] {
            assert_eq!(life(absurd.clone()), Some(MAX_LIFE.as_secs()), "{absurd}");
        }
        let endless = valid(with("refresh_expires_in", json!(0)));
        assert_eq!(endless.refresh_expires_in, None);
    }

    #[test]
    fn rp_062_bearer_in_any_case_and_nothing_else() {
        assert!(with("token_type", json!("bEaReR")).is_ok());
        for bad in [json!("DPoP"), json!("mac"), json!(""), json!(null), json!(1)] {
            assert_eq!(with("token_type", bad).err(), Some("token_type"));
        }
    }

    #[test]
    fn rp_083_a_refreshed_answer_may_keep_what_it_does_not_name() {
        let bare = json!({"access_token": "at", "token_type": "bearer"});
        let answer = RefreshedAnswer::read(bare.to_string().as_bytes());
        let answer = answer.unwrap_or_else(|rule| panic!("refused by the rule {rule}"));
        assert!(answer.id_token.is_none() && answer.refresh_token.is_none() && answer.expires_in.is_none());
        for (name, bad) in [("token_type", json!("mac")), ("access_token", json!(""))] {
            let mut body = body();
            body[name] = bad;
            assert_eq!(RefreshedAnswer::read(body.to_string().as_bytes()).err(), Some(name));
        }
    }

    #[test]
    fn rp_063_both_tokens_are_required() {
        for name in ["access_token", "id_token"] {
            for bad in [json!(null), json!(""), json!(1), json!("x".repeat(jwt::MAX_SIZE + 1))] {
                assert_eq!(with(name, bad).err(), Some(name));
            }
        }
        assert_eq!(with("access_token", json!("a b\r\n")).err(), Some("access_token"));
    }
}
