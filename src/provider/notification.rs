//! What a provider sends by itself (CIBA §10.2, §10.3, §12): which request it is about, and a pushed outcome's verdict.
//!
//! A message is read as strictly as an answer. Tokens that came by themselves are judged like those that were asked for,
//! and must be covered by the signature of an ID token that names the request.

use crate::crypto::jws::Compact;
use crate::domain::login::{EndStatus, LoginReason};
use crate::domain::registration::Registration;
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::time::Timestamp;
use crate::engine::ports::{Announcement, PushVerdict, PushedOutcome, Unreadable};

use super::call::Channel;
use super::id_token::{Came, Terms};
use super::jwt;
use super::oauth_error::OAuthError;
use super::settings::IdTokenAlg;
use super::strict_json;
use super::token;
use super::token::answer::TokenAnswer;

/// Members that only a pushed outcome has.
const OUTCOME: [&str; 3] = ["access_token", "id_token", "error"];
/// Members that only an approval has.
const TOKENS: [&str; 2] = ["access_token", "id_token"];

/// Which request a message is about, and what it holds; it came at `now`. Other members are ignored.
pub fn announcement(message: &SecretBytes, now: Timestamp) -> Result<Announcement, Unreadable> {
    let members =
        strict_json::secret_object(message.expose()).map_err(|_| Unreadable { rule: "no JSON object" })?;
    let auth_req_id = strict_json::text(&members, "auth_req_id").ok_or(Unreadable { rule: "auth_req_id" })?;
    let has_any = |names: &[&str]| names.iter().any(|name| members.contains_key(*name));
    Ok(Announcement {
        auth_req_id: Secret::new(auth_req_id),
        has_outcome: has_any(&OUTCOME),
        has_tokens: has_any(&TOKENS),
        tokens: TokenAnswer::read(message.expose()).ok().map(|answer| answer.tokens(now)),
        sid: strict_json::text(&members, "id_token").and_then(sid),
    })
}

/// What an ID token says of itself.
fn sid(id_token: &str) -> Option<String> {
    let token = Compact::read(id_token, jwt::MAX_SIZE).ok()?;
    strict_json::text(&token.payload, "sid").map(str::to_owned)
}

/// Judges a pushed outcome.
pub async fn judge(
    channel: &Channel<'_>,
    registration: &Registration,
    algs: &[IdTokenAlg],
    pushed: &PushedOutcome,
) -> PushVerdict {
    if let Some(error) = OAuthError::read(pushed.message.expose()) {
        let (status, reason) = ended(&error.code);
        channel.log_error_answer("push", http::StatusCode::OK, Some(&error), status != EndStatus::Failed);
        return PushVerdict::Ended { status, reason };
    }
    let answer = match TokenAnswer::read(pushed.message.expose()) {
        Ok(answer) => answer,
        Err(rule) => {
            channel.log_invalid_answer("push", rule);
            return PushVerdict::Refused { reason: LoginReason::TokenInvalid };
        }
    };
    if channel.upstream.keys(channel).await.is_none() {
        return PushVerdict::NotNow;
    }
    let terms = Terms {
        issuer: channel.upstream.issuer(),
        client_id: &registration.client_id,
        algs,
        profile: channel.upstream.profile(),
        expectation: &pushed.expectation,
        auth_req_id: &pushed.auth_req_id,
        came: Came::Pushed,
        max_age: registration.max_age,
        now: channel.upstream.clock().now(),
    };
    match token::approved(channel, &terms, answer).await {
        Ok(approved) => PushVerdict::Approved(Box::new(approved)),
        Err(refusal) => PushVerdict::Refused { reason: refusal.reason },
    }
}

/// The end that a pushed error means (CIBA §12).
fn ended(code: &str) -> (EndStatus, LoginReason) {
    match code {
        "access_denied" => (EndStatus::Denied, LoginReason::UserDenied),
        "expired_token" => (EndStatus::Expired, LoginReason::Expired),
        // `transaction_failed`, and whatever else a provider may say: it is over, and nobody has approved.
        _ => (EndStatus::Failed, LoginReason::ProviderRefused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Result<(String, bool), &'static str> {
        announcement(&SecretBytes::new(message.as_bytes().to_vec()), Timestamp::from_secs(0))
            .map(|read| (read.auth_req_id.expose().to_owned(), read.has_outcome))
            .map_err(|error| error.rule)
    }

    #[test]
    fn rp_095_a_message_names_its_request_and_may_say_more() {
        assert_eq!(read(r#"{"auth_req_id":"a"}"#), Ok(("a".to_owned(), false)));
        assert_eq!(read(r#"{"new":[{}],"auth_req_id":"a","urgent":true}"#), Ok(("a".to_owned(), false)));
        for outcome in OUTCOME {
            assert_eq!(
                read(&format!(r#"{{"auth_req_id":"a","{outcome}":"x"}}"#)),
                Ok(("a".to_owned(), true))
            );
        }
        for bad in [
            "",
            "x",
            "[]",
            "{}",
            r#"{"auth_req_id":""}"#,
            r#"{"auth_req_id":1}"#,
            r#"{"auth_req_id":null}"#,
            r#"{"auth_req_id":"a","auth_req_id":"a"}"#,
            r#"{"auth_req_id":"a"}x"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rp_095_tokens_are_noticed_in_whatever_form_they_come() {
        let announced = |message: &str| {
            announcement(&SecretBytes::new(message.as_bytes().to_vec()), Timestamp::from_secs(0))
                .unwrap_or_else(|error| panic!("{message}: {error}"))
        };
        // {"alg":"RS256"} and {"sid":"one"}.
        let id_token = "eyJhbGciOiJSUzI1NiJ9.eyJzaWQiOiJvbmUifQ.AA";
        let whole = announced(&format!(
            r#"{{"auth_req_id":"a","token_type":"Bearer","access_token":"t","id_token":"{id_token}"}}"#
        ));
        assert!(whole.has_tokens && whole.tokens.is_some());
        assert_eq!(whole.sid.as_deref(), Some("one"));
        for (message, has_tokens) in [
            (r#"{"auth_req_id":"a","access_token":"t"}"#, true),
            (r#"{"auth_req_id":"a","id_token":7}"#, true),
            (r#"{"auth_req_id":"a","error":"access_denied"}"#, false),
        ] {
            let read = announced(message);
            assert_eq!(
                (read.has_tokens, read.tokens.is_some(), read.sid),
                (has_tokens, false, None),
                "{message}"
            );
        }
    }

    #[test]
    fn rp_101_a_pushed_error_is_an_end() {
        assert_eq!(ended("access_denied"), (EndStatus::Denied, LoginReason::UserDenied));
        assert_eq!(ended("expired_token"), (EndStatus::Expired, LoginReason::Expired));
        for code in ["transaction_failed", "authorization_pending", "slow_down", "a_new_one"] {
            assert_eq!(ended(code), (EndStatus::Failed, LoginReason::ProviderRefused), "{code}");
        }
    }
}
