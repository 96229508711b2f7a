//! Refusals: RFC 9457 problems, as the contract shapes them.
//!
//! A [`Problem`] is what went wrong; it knows neither the request nor the language. The [`super::front`] renders it,
//! adds `request_id` and, where no login or session is known, a support code of its own. Internal causes are logged
//! here with their chain and never shown (R-H-07).

mod code;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

pub(super) use code::Code;

use super::json::FieldError;
use crate::domain::support_code::SupportCode;
use crate::domain::texts::{Language, problem_message};
use crate::engine::ports::StoreError;
use crate::telemetry::error_chain::ErrorChain;

/// What a 401 tells the caller to come with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Challenge {
    /// The application's credential (RFC 7617).
    Basic,
    /// A token, and none came (RFC 6750 §3.1: no error code then).
    Bearer,
    /// A token, and the one that came is not it.
    BearerInvalid,
}

impl Challenge {
    const fn header(self) -> &'static str {
        match self {
            Self::Basic => "Basic realm=\"relais\", charset=\"UTF-8\"",
            Self::Bearer => "Bearer realm=\"relais\"",
            Self::BearerInvalid => "Bearer realm=\"relais\", error=\"invalid_token\"",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Option<&'static str>,
    challenge: Option<Challenge>,
    reason: Option<&'static str>,
    retry_after: Option<u64>,
    support_code: Option<SupportCode>,
    errors: Vec<FieldError>,
    extras: Map<String, Value>,
}

/// Seconds after which a call that failed for the store or a defect of capacity may be repeated.
const RETRY_SOON: u64 = 2;

/// Seconds after which a provider without metadata may be asked for again.
const RETRY_PROVIDER: u64 = 10;

impl Problem {
    /// A problem that its code describes.
    pub(super) fn new(code: Code) -> Self {
        let retry_after = match code {
            Code::ProviderUnavailable => Some(RETRY_PROVIDER),
            _ if matches!(code.status().as_u16(), 429 | 503) => Some(RETRY_SOON),
            _ => None,
        };
        let challenge = match code {
            Code::ApplicationUnauthenticated => Some(Challenge::Basic),
            Code::CredentialMissing => Some(Challenge::Bearer),
            Code::WrongTokenKind | Code::SessionEnded | Code::HandleInvalid => Some(Challenge::BearerInvalid),
            _ => None,
        };
        Self(Box::new(Inner {
            code,
            detail: None,
            challenge,
            reason: None,
            retry_after,
            support_code: None,
            errors: Vec::new(),
            extras: Map::new(),
        }))
    }

    /// A request that is not valid, with everything that is wrong with it.
    pub(super) fn invalid_request(errors: Vec<FieldError>) -> Self {
        Self::new(Code::InvalidRequest).errors(errors)
    }

    /// A defect. Its cause goes to the log, not to the caller.
    pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %ErrorChain(cause), "an internal error");
        Self::new(Code::Internal)
    }

    /// The store could not say.
    pub(super) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => {
                tracing::warn!(error = %ErrorChain(error), "the store is unavailable");
                Self::new(Code::StoreUnavailable)
            }
            StoreError::Inconsistent { .. } | StoreError::Sealed { .. } | StoreError::Refused { .. } => {
                Self::internal(error)
            }
        }
    }

    /// A sentence about this very case, for the developer.
    pub(super) fn detail(mut self, detail: &'static str) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// That the application's own credential is what should come.
    pub(super) fn challenge_application(mut self) -> Self {
        self.0.challenge = Some(Challenge::Basic);
        self
    }

    /// That the token alone was not enough.
    pub(super) fn challenge_token(mut self) -> Self {
        self.0.challenge = Some(Challenge::BearerInvalid);
        self
    }

    /// What is wrong, by place.
    pub(super) fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Why: of a login or of a session's end.
    pub(super) fn reason(mut self, reason: Option<&'static str>) -> Self {
        self.0.reason = reason;
        self
    }

    /// Seconds after which to try again.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The support code of the login or session that it is about.
    pub(super) fn about(mut self, support_code: &SupportCode) -> Self {
        self.0.support_code = Some(support_code.clone());
        self
    }

    /// A further member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extras.insert(name.to_owned(), value.into());
        self
    }

    /// Its code.
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// The support code of what it is about, where that is known.
    pub(super) fn support_code(&self) -> Option<&SupportCode> {
        self.0.support_code.as_ref()
    }

    /// The answer that a caller sees.
    pub(super) fn render(
        &self,
        language: Language,
        request_id: &str,
        support_code: &SupportCode,
    ) -> Response {
        let Inner { code, detail, challenge, reason, retry_after, errors, extras, .. } = &*self.0;
        let mut body = json!({
            "type": format!("urn:relais:problem:{}", code.as_str()),
            "title": code.title(),
            "status": code.status().as_u16(),
            "code": code.as_str(),
            "detail": detail.unwrap_or(code.title()),
            "request_id": request_id,
            "support_code": support_code,
            "user_message": problem_message(code.as_str(), *reason, language),
        });
        if let Value::Object(members) = &mut body {
            if let Some(reason) = reason {
                members.insert("reason".to_owned(), (*reason).into());
            }
            members.extend(extras.clone());
            if !errors.is_empty() {
                members.insert("errors".to_owned(), json!(errors));
            }
        }
        let mut answer = (code.status(), body.to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge.header()));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        answer
    }
}

/// An empty answer that carries the problem to the [`super::front`], which renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut carrier = self.0.code.status().into_response();
        carrier.extensions_mut().insert(self);
        carrier
    }
}

/// The fallback of every router.
pub(super) async fn not_found() -> Problem {
    Problem::new(Code::NotFound)
}

/// The fallback of every route; the router adds `Allow`.
pub(super) async fn method_not_allowed(method: Method) -> Response {
    let mut refusal = Problem::new(Code::MethodNotAllowed).into_response();
    if method == Method::CONNECT {
        // The router never says what a CONNECT could have been instead.
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(""));
    }
    refusal
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn rendered(problem: &Problem, language: Language) -> (http::HeaderMap, Value) {
        let support_code = SupportCode::from_compact("K7QM2P4X".to_owned());
        let answer = problem.render(language, "request-0001", &support_code);
        assert_eq!(answer.status(), problem.code().status());
        let headers = answer.headers().clone();
        let body = answer.into_body().collect().await.expect("body").to_bytes();
        (headers, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn every_problem_has_its_members_in_both_languages() {
        for code in Code::ALL {
            let [(french_headers, french), (english_headers, english)] = [
                rendered(&Problem::new(*code), Language::French).await,
                rendered(&Problem::new(*code), Language::English).await,
            ];
            assert_eq!(french["type"], format!("urn:relais:problem:{}", code.as_str()));
            assert_eq!(french["code"], code.as_str());
            assert_eq!(french["status"], code.status().as_u16());
            assert_eq!(french["title"], code.title());
            assert_eq!(french["request_id"], "request-0001");
            assert_eq!(french["support_code"], "K7QM-2P4X");
            assert_ne!(french["user_message"], english["user_message"], "{code:?}");
            assert_eq!(french_headers[CONTENT_LANGUAGE], "fr");
            assert_eq!(english_headers[CONTENT_LANGUAGE], "en");
            assert_eq!(french_headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(french_headers[VARY], "Accept-Language");
            assert_eq!(french.get("errors"), None);
            let status = code.status().as_u16();
            assert_eq!(french_headers.contains_key(WWW_AUTHENTICATE), status == 401, "{code:?}");
            assert_eq!(french_headers.contains_key(RETRY_AFTER), matches!(status, 429 | 503), "{code:?}");
        }
    }

    #[tokio::test]
    async fn extras_reason_and_errors_are_members() {
        let problem = Problem::new(Code::NotApproved)
            .reason(Some("user_denied"))
            .with("login_status", "denied")
            .errors(vec![FieldError::new("/a", "type", "must be a string")]);
        let (_, body) = rendered(&problem, Language::English).await;
        assert_eq!(body["reason"], "user_denied");
        assert_eq!(body["login_status"], "denied");
        assert_eq!(body["errors"], json!([{"pointer": "/a", "rule": "type", "message": "must be a string"}]));
    }

    #[tokio::test]
    async fn r_h_07_an_internal_cause_is_not_shown() {
        let cause = std::io::Error::other("canary");
        for problem in [
            Problem::internal(&cause),
            Problem::store(&StoreError::Unavailable {
                operation: "login",
                source: std::sync::Arc::new(cause),
            }),
            Problem::store(&StoreError::Inconsistent { table: "canary", column: "canary" }),
        ] {
            let (_, body) = rendered(&problem, Language::French).await;
            assert!(!body.to_string().contains("canary"));
        }
    }
}
