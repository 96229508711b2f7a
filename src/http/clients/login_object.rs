//! The login object, as the contract shapes it. It shows [`Login::shown`] and nothing of the state behind it, so that
//! a hidden `user_unknown` looks like any pending login, byte for byte.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LANGUAGE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

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
#[derive(Serialize, ToSchema)]
#[schema(as = Login)]
pub(super) struct LoginObject<'a> {
    /// Not secret.
    login_id: LoginId,
    /// Where it stands. `starting` and `pending` are open, `approved` waits to be picked up, the others are ends.
    status: LoginStatus,
    /// Rises with every change that can be seen; also the `ETag`.
    pub(super) version: u32,
    /// Why it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<LoginReason>,
    /// A machine word for what the person should do now. Expect words that you do not know.
    #[schema(example = "confirm_on_phone")]
    hint: &'static str,
    /// One or two sentences to show to the person, with the digits in them.
    #[schema(example = "Open the e-CPS app on your phone and check that it shows 42 before you approve.")]
    user_message: String,
    /// What the person reads out to the help desk.
    support_code: &'a SupportCode,
    /// The digits that both screens show. Final from the start.
    #[schema(example = "42")]
    binding_message: &'a str,
    /// How the person is asked, where the registration has channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "MOBILE")]
    channel: Option<&'a str>,
    /// Who is asked, as the provider is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "899700000001")]
    login_hint: Option<&'a str>,
    /// The registration it runs over.
    registration: &'a str,
    /// Whether a real person stands behind it.
    environment: Environment,
    /// The application's own reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<&'a str>,
    /// When the present state ends by itself.
    expires_at: Timestamp,
    /// The same in seconds from the answer.
    expires_in: u64,
    /// When to read again, for a client that does not wait; 0 where nothing will change.
    poll_after_ms: u32,
    /// The session, once picked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<SessionId>,
    /// For how many seconds the pick-up may still be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    repeatable_for: Option<u64>,
    /// Opens this login. Secret; only in the answer to a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rlt_…")]
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
