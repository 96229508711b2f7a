//! The answer to an exchange (RFC 8693 §2.2.1), read strictly: what it is wrong about would be sent to a target.

use std::time::Duration;

use serde_json::Value;

use crate::domain::secret::Secret;
use crate::provider::jwt;
use crate::provider::strict_json::{self, Object};

/// The largest answer, in bytes (R-C-08).
pub const MAX_SIZE: usize = 64 * 1024;

/// What a token may be called that is presented to a target. Others (an ID token, an assertion) are for somebody else.
const TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];

/// A token for a target.
pub struct ExchangedAnswer {
    /// `access_token`.
    pub access_token: Secret,
    /// `expires_in`; `None`: not said.
    pub expires_in: Option<Duration>,
}

impl ExchangedAnswer {
    /// Reads the body; the error is the name of the broken rule.
    pub fn read(body: &[u8]) -> Result<Self, &'static str> {
        let members = strict_json::object(body).map_err(|_| "no JSON object")?;
        // `N_A` says that it is no access token.
        if !strict_json::text(&members, "token_type").is_some_and(|it| it.eq_ignore_ascii_case("bearer")) {
            return Err("token_type");
        }
        if !strict_json::text(&members, "issued_token_type").is_some_and(|it| TYPES.contains(&it)) {
            return Err("issued_token_type");
        }
        let access_token = strict_json::text(&members, "access_token").filter(|token| is_bearer(token));
        Ok(Self {
            access_token: Secret::new(access_token.ok_or("access_token")?),
            expires_in: life(&members)?,
        })
    }
}

/// It will stand in a header.
fn is_bearer(token: &str) -> bool {
    token.len() <= jwt::MAX_SIZE && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A whole number of seconds, at least one.
fn life(members: &Object) -> Result<Option<Duration>, &'static str> {
    match members.get("expires_in") {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => Err("expires_in"),
        },
        Some(_) => Err("expires_in"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({
            "access_token": "eyJ.a.b", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer", "expires_in": 60, "scope": "dmp", "refresh_token": "ignored",
        })
    }

    fn with(name: &str, value: &Value) -> Result<ExchangedAnswer, &'static str> {
        let mut answer = answer();
        answer[name] = value.clone();
        ExchangedAnswer::read(answer.to_string().as_bytes())
    }

    fn without(name: &str) -> Result<ExchangedAnswer, &'static str> {
        let mut answer = answer();
        answer.as_object_mut().expect("an object").remove(name);
        ExchangedAnswer::read(answer.to_string().as_bytes())
    }

    #[test]
    fn the_guides_sample_is_understood() {
        let read = ExchangedAnswer::read(answer().to_string().as_bytes()).expect("valid");
        assert_eq!(read.access_token.expose(), "eyJ.a.b");
        assert_eq!(read.expires_in, Some(Duration::from_secs(60)));
        assert!(with("token_type", &json!("bearer")).is_ok());
        assert!(with("issued_token_type", &json!("urn:ietf:params:oauth:token-type:jwt")).is_ok());
        assert_eq!(without("expires_in").expect("valid").expires_in, None);
    }

    #[test]
    fn a_token_that_is_no_bearer_or_of_another_type_is_refused() {
        for (name, value) in [
            ("token_type", json!("N_A")),
            ("token_type", json!("DPoP")),
            ("token_type", json!("")),
            ("token_type", json!(["Bearer"])),
            ("issued_token_type", json!("urn:ietf:params:oauth:token-type:id_token")),
            ("issued_token_type", json!("urn:ietf:params:oauth:token-type:refresh_token")),
            ("issued_token_type", json!("access_token")),
            ("access_token", json!("")),
            ("access_token", json!("two words")),
            ("access_token", json!("a\r\nX-Injected: 1")),
            ("access_token", json!("é")),
            ("access_token", json!("a".repeat(jwt::MAX_SIZE + 1))),
            ("access_token", json!(null)),
        ] {
            assert_eq!(with(name, &value).err(), Some(name), "{name} {value}");
        }
        for name in ["token_type", "issued_token_type", "access_token"] {
            assert_eq!(without(name).err(), Some(name));
        }
    }

    #[test]
    fn a_life_is_a_whole_number_of_seconds_and_nothing_else() {
        for value in
            [json!(0), json!(-1), json!(1.5), json!("60"), json!(null), json!([60]), json!(true), json!(1e30)]
        {
            assert_eq!(with("expires_in", &value).err(), Some("expires_in"), "{value}");
        }
        assert!(with("expires_in", &json!(u64::MAX)).is_ok());
    }

    #[test]
    fn r_c_08_what_parsers_read_differently_is_refused() {
        for body in [
            &b""[..],
            b"[]",
            b"null",
            b"<html>",
            br#"{"token_type":"Bearer","token_type":"N_A"}"#,
            br#"{"access_token":"a"} trailing"#,
        ] {
            assert_eq!(ExchangedAnswer::read(body).err(), Some("no JSON object"));
        }
    }
}
