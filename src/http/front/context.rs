//! What is known of a request beside its method, path and body.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::header::ACCEPT_LANGUAGE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tracing::Span;
use tracing::field::Empty;

use super::{TRACEPARENT, X_REQUEST_ID};
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::login::Login;
use crate::domain::names::{ApplicationName, TargetName};
use crate::domain::random::{Random, uuid_v4};
use crate::domain::session::Session;
use crate::domain::support_code::SupportCode;
use crate::domain::texts::Language;
use crate::engine::authenticate::CallerCertificate;
use crate::engine::ports::{Actor, ActorKind};
use crate::net::listener::Peer;

/// Of one request; cheap to clone.
#[derive(Clone)]
pub(in crate::http) struct RequestContext {
    /// The caller's `X-Request-Id`, or one of our own.
    pub(in crate::http) request_id: Arc<str>,
    /// For the sentences.
    pub(in crate::http) language: Language,
    /// The caller's `traceparent`, where it is one (W3C Trace Context §3.2).
    pub(in crate::http) traceparent: Option<HeaderValue>,
    /// The other end of the connection.
    pub(in crate::http) peer: Option<Peer>,
    /// What the log line tells of it.
    pub(in crate::http) notes: Arc<Notes>,
    /// The span that engine work belongs to.
    pub(in crate::http) span: Span,
}

/// What turns out while a request is answered. Nothing secret: names and identifiers only.
#[derive(Default)]
pub(in crate::http) struct Notes {
    /// Who called, or whose token it was.
    pub(super) application: OnceLock<ApplicationName>,
    pub(super) login_id: OnceLock<LoginId>,
    pub(super) session_id: OnceLock<SessionId>,
    /// Which downstream API was asked for.
    pub(super) target: OnceLock<TargetName>,
    pub(super) support_code: OnceLock<SupportCode>,
    /// The problem's code.
    pub(super) code: OnceLock<&'static str>,
}

impl Notes {
    pub(super) fn refused(&self, code: &'static str, support_code: &SupportCode) {
        let _ = self.code.set(code);
        let _ = self.support_code.set(support_code.clone());
    }
}

impl RequestContext {
    pub(in crate::http) fn of(headers: &HeaderMap, peer: Option<Peer>, random: &dyn Random) -> Self {
        let request_id: Arc<str> = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_request_id(id))
            .map_or_else(|| uuid_v4(random).to_string().into(), Into::into);
        let traceparent =
            headers.get(TRACEPARENT).filter(|value| value.to_str().is_ok_and(is_traceparent)).cloned();
        let language = Language::from_accept_language(
            headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()),
        );
        let span = tracing::info_span!(
            "request",
            request_id = &*request_id,
            application = Empty,
            login.id = Empty,
            session.id = Empty
        );
        Self { request_id, language, traceparent, peer, notes: Arc::default(), span }
    }

    /// The request id as a header.
    pub(in crate::http) fn request_id_header(&self) -> HeaderValue {
        // Its characters were checked, or are a UUID's.
        HeaderValue::from_str(&self.request_id).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
    }

    /// Notes who calls.
    pub(in crate::http) fn note_application(&self, application: &ApplicationName) {
        if self.notes.application.set(application.clone()).is_ok() {
            self.span.record("application", application.as_str());
        }
    }

    /// Notes which login a request is about, before it is known whether the caller may know it.
    pub(in crate::http) fn note_login_id(&self, login_id: LoginId) {
        if self.notes.login_id.set(login_id).is_ok() {
            self.span.record("login.id", tracing::field::display(login_id));
        }
    }

    /// Notes which login a request is about.
    pub(in crate::http) fn note_login(&self, login: &Login) {
        self.note_application(&login.application);
        self.note_login_id(login.login_id);
        let _ = self.notes.support_code.set(login.support_code.clone());
    }

    /// Notes which target a request is for. Only of those that are configured: any other name is the caller's word.
    pub(in crate::http) fn note_target(&self, target: &TargetName) {
        let _ = self.notes.target.set(target.clone());
    }

    /// Notes which session a request is about.
    pub(in crate::http) fn note_session(&self, session: &Session) {
        self.note_application(&session.application);
        self.note_login_id(session.login_id);
        let _ = self.notes.support_code.set(session.support_code.clone());
        if self.notes.session_id.set(session.session_id).is_ok() {
            self.span.record("session.id", tracing::field::display(session.session_id));
        }
    }

    /// The caller, for audit records.
    pub(in crate::http) fn actor(&self, kind: ActorKind) -> Actor {
        Actor {
            kind,
            request_id: Some(self.request_id.to_string()),
            address: self.peer.as_ref().map(|peer| peer.address),
            certificate_dn: self.certificate().map(|certificate| certificate.subject_dn),
        }
    }

    /// The connection's client certificate, as the engine judges it.
    pub(in crate::http) fn certificate(&self) -> Option<CallerCertificate> {
        let certificate = self.peer.as_ref()?.certificate.as_ref()?;
        Some(CallerCertificate {
            thumbprint: certificate.thumbprint,
            chained: certificate.chained,
            subject_dn: certificate.subject_dn.clone(),
            san_dns: certificate.san_dns.clone(),
        })
    }
}

/// The context that [`super::front`] made.
impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self {
            // A router without its front: a defect of composition, which must not become a panic.
            request_id: "none".into(),
            language: Language::default(),
            traceparent: None,
            peer: parts.extensions.get::<Peer>().cloned(),
            notes: Arc::default(),
            span: Span::none(),
        }))
    }
}

/// `[A-Za-z0-9-]{8,64}`
fn is_request_id(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Version, trace, parent and flags in lower-case hex; all-zero identifiers are invalid.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && trace.bytes().any(|b| b != b'0')
        && hex(parent, 16)
        && parent.bytes().any(|b| b != b'0')
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_words_of_8_to_64() {
        for good in ["12345678", "a-b-c-d-", &"x".repeat(64)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["1234567", &"x".repeat(65), "12345678\u{e9}", "1234 5678", "12345678_"] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }

    #[test]
    fn traceparents_are_those_of_trace_context() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
