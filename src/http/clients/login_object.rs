//! The login object, as the contract shapes it. It shows [`Login::shown`] and nothing of the state behind it, so that
//! a hidden `user_unknown` looks like any pending login, byte for byte.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LANGUAGE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use crate::domain::ids::{LoginId, SessionId};
use crate::domain::login::{Login, LoginReason, LoginState, LoginStatus};
use crate::domain::registration::Environment;
use crate::domain::secret::{LoginToken, Secret};
use crate::domain::support_code::SupportCode;
use crate::domain::texts::{Hint, Language};
use crate::domain::time::Timestamp;

/// How often a client that does not wait may ask, in milliseconds, while a login is open.
const POLL_AFTER_MS: u32 = 2000;

/// One login at one moment, in one language.
#[derive(Serialize)]
pub(super) struct LoginObject<'a> {
    login_id: LoginId,
    status: LoginStatus,
    pub(super) version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<LoginReason>,
    hint: &'static str,
    user_message: String,
    support_code: &'a SupportCode,
    binding_message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_hint: Option<&'a str>,
    registration: &'a str,
    environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    expires_at: Timestamp,
    expires_in: u64,
    poll_after_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeatable_for: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_token: Option<&'a str>,
}

impl<'a> LoginObject<'a> {
    pub(super) fn of(login: &'a Login, now: Timestamp, language: Language) -> Self {
        let shown = login.shown(now);
        let provider_slow = matches!(login.state, LoginState::Pending { provider_slow: true, .. });
        let hint = Hint::of(&shown, login.channel.as_deref(), provider_slow);
        let (session_id, repeatable_for) = match &login.state {
            LoginState::PickedUp { session_id, repeatable_until, .. } => {
                (Some(*session_id), Some(repeatable_until.seconds_from(now)))
            }
            _ => (None, None),
        };
        Self {
            login_id: login.login_id,
            status: shown.status,
            version: shown.version,
            reason: shown.reason,
            hint: hint.as_str(),
            user_message: hint.message(language, &login.binding_message),
            support_code: &login.support_code,
            binding_message: &login.binding_message,
            channel: login.channel.as_deref(),
            login_hint: login.login_hint.as_ref().map(Secret::expose),
            registration: login.registration.as_str(),
            environment: login.environment,
            reference: login.reference.as_deref(),
            expires_at: shown.expires_at,
            expires_in: shown.expires_at.seconds_from(now),
            poll_after_ms: if shown.status.is_open() { POLL_AFTER_MS } else { 0 },
            session_id,
            repeatable_for,
            login_token: None,
        }
    }

    /// The same with the token that opens it: the answer to a start.
    pub(super) fn with_token(self, token: &'a LoginToken) -> Self {
        Self { login_token: Some(token.0.expose()), ..self }
    }

    /// The answer with this object.
    pub(super) fn answer(&self, status: StatusCode, language: Language) -> Response {
        let mut headers = HeaderMap::new();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.version)) {
            headers.insert(ETAG, tag);
        }
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
        (status, headers, Json(self)).into_response()
    }
}
