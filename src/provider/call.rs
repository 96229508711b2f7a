//! One call to a provider: through which client, how long it took, and what went wrong, for the operator.
//!
//! Here alone calls are measured and their failures logged: with provider, registration, endpoint and cause; never
//! with a token, a hint, an `auth_req_id` or a provider's free text.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::domain::clock::Monotonic;
use crate::domain::names::RegistrationName;
use crate::net::outbound::{
    NotSentCause, Outbound, OutboundError, OutboundRequest, OutboundResponse, TlsFailure, UnknownCause,
};

use crate::telemetry::metrics;

use super::metadata::NotOffered;
use super::oauth_error::OAuthError;
use super::subject::ClaimMap;
use super::upstream::Upstream;

/// What a request to a provider says.
pub struct Call {
    /// `metadata`, `jwks`, `backchannel`, `token`, `refresh`, `userinfo`, `revocation`, `logout` or `exchange`: for logs and
    /// metrics.
    pub endpoint: &'static str,
    /// Where to.
    pub url: Url,
    /// All headers.
    pub headers: HeaderMap,
    /// A form, for `POST`; `None`: `GET`.
    pub form: Option<String>,
    /// From the call to the last byte of the answer.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub max_body: usize,
}

impl Call {
    /// A `GET` that wants JSON.
    pub fn get_json(endpoint: &'static str, url: Url, timeout: Duration, max_body: usize) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Self { endpoint, url, headers, form: None, timeout, max_body }
    }
}

/// The way to a provider as one registration, with one certificate.
#[derive(Clone)]
pub struct Channel<'a> {
    /// The provider.
    pub upstream: &'a Upstream,
    /// The registration.
    pub registration: &'a RegistrationName,
    /// Where the registration's claims hold what a subject is made of.
    pub claims: &'a ClaimMap,
    /// The client: its certificate and connections are this registration's own.
    pub outbound: Outbound,
    /// Whether a client certificate is in use (RFC 8705 §5).
    pub with_certificate: bool,
}

impl Channel<'_> {
    /// Sends once. A failure is logged here; what an answer means is the caller's business.
    pub async fn send(&self, call: Call) -> Result<OutboundResponse, OutboundError> {
        self.send_timed(call).await.1
    }

    /// The same, with when it went out on a connection: the waiting for one may take seconds. `None`: it never did.
    /// A call without a body does not tell.
    pub async fn send_timed(
        &self,
        call: Call,
    ) -> (Option<Monotonic>, Result<OutboundResponse, OutboundError>) {
        let endpoint = call.endpoint;
        let (sent, answer) = self.measured(call).await;
        let is_well = answer.as_ref().is_ok_and(|answer| !answer.status.is_server_error());
        self.upstream.note_call(is_well);
        if let Err(error) = &answer {
            tracing::warn!(
                provider = %self.upstream.name(),
                registration = %self.registration,
                endpoint,
                cause = cause(error),
                error = %error,
                "a call to the provider failed"
            );
        }
        (sent, answer)
    }

    /// Sends once, to a target's authorization server: how it fares says nothing of the provider.
    pub async fn send_elsewhere(&self, call: Call) -> Result<OutboundResponse, OutboundError> {
        let endpoint = call.endpoint;
        let (_, answer) = self.measured(call).await;
        if let Err(error) = &answer {
            tracing::warn!(
                provider = %self.upstream.name(),
                registration = %self.registration,
                endpoint,
                cause = cause(error),
                error = %error,
                "a call to a target's authorization server failed"
            );
        }
        answer
    }

    async fn measured(&self, call: Call) -> (Option<Monotonic>, Result<OutboundResponse, OutboundError>) {
        let Call { endpoint, url, mut headers, form, timeout, max_body } = call;
        let method = if form.is_some() { Method::POST } else { Method::GET };
        if form.is_some() {
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form_type);
        }
        let body = form.map(String::into_bytes);
        let request = OutboundRequest { method, url, headers, body, timeout, max_body };
        let clock = self.upstream.clock();
        let begun = clock.monotonic();
        let sent = Arc::new(OnceLock::new());
        let on_sent = {
            let (sent, clock) = (Arc::clone(&sent), Arc::clone(clock));
            move || {
                // Once: it is called once.
                let _ = sent.set(clock.monotonic());
            }
        };
        let answer = self.outbound.send_telling(request, on_sent).await;
        metrics::provider_request(self.upstream.name(), endpoint, clock.monotonic().since(begun));
        (sent.get().copied(), answer)
    }

    /// Logs an answer that is an error, at a level that fits how expected it is.
    pub fn log_error_answer(
        &self,
        endpoint: &'static str,
        status: StatusCode,
        error: Option<&OAuthError>,
        is_expected: bool,
    ) {
        let code = error.map_or("none", OAuthError::loggable_code);
        let (provider, registration, status) = (self.upstream.name(), self.registration, status.as_u16());
        if is_expected {
            tracing::debug!(%provider, %registration, endpoint, status, oauth_error = code, "provider answer");
        } else {
            tracing::warn!(
                %provider, %registration, endpoint, status, oauth_error = code,
                "the provider answered with an error"
            );
        }
    }

    /// Logs that the registration cannot be used as it is configured.
    pub fn log_not_offered(&self, refusal: NotOffered) {
        tracing::error!(
            provider = %self.upstream.name(),
            registration = %self.registration,
            member = refusal.member,
            wanted = refusal.wanted,
            "the registration cannot be used: the provider's metadata does not name what it is configured for"
        );
    }

    /// Logs an answer that breaks a rule of the protocol, by the rule's name.
    pub fn log_invalid_answer(&self, endpoint: &'static str, rule: &str) {
        tracing::warn!(
            provider = %self.upstream.name(),
            registration = %self.registration,
            endpoint,
            rule,
            "the provider's answer is not valid"
        );
    }
}

/// The cause in one word, for filters and alarms.
pub fn cause(error: &OutboundError) -> &'static str {
    match error {
        OutboundError::NotSent { cause } => match cause {
            NotSentCause::InvalidUrl => "invalid_url",
            NotSentCause::Dns => "dns",
            NotSentCause::AddressRefused => "address_refused",
            NotSentCause::Connect => "connect",
            NotSentCause::ConnectTimeout => "connect_timeout",
            NotSentCause::Tls(failure) => match failure {
                TlsFailure::UntrustedCa => "tls_untrusted_ca",
                TlsFailure::WrongHostName => "tls_wrong_host_name",
                TlsFailure::Expired => "tls_expired",
                TlsFailure::ClientCertificateRefused { .. } => "tls_client_certificate_refused",
                TlsFailure::ClientCertificateRequired => "tls_client_certificate_required",
                TlsFailure::Other(_) => "tls_other",
            },
        },
        OutboundError::OutcomeUnknown { cause } => match cause {
            UnknownCause::Timeout => "timeout",
            UnknownCause::Cut => "cut",
            UnknownCause::TooLarge { .. } => "too_large",
            UnknownCause::Encoded { .. } => "encoded",
            UnknownCause::InvalidHttp => "invalid_http",
        },
    }
}
