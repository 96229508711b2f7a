//! One call at a provider endpoint: what came in, what goes out, and the faults in between.
//!
//! A call is processed without waiting, under the lock of the state; whatever waits (a delay, a hanging answer)
//! comes before or behind that. A client that hangs up changes nothing.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::Simulator;
use super::faults::{Endpoint, ill_treat};
use super::personality::Refusal;
use crate::net::listener::{Peer, PeerCertificate};

/// Most bytes of a request body.
const LARGEST_BODY: usize = 64 * 1024;

/// A call as it came in.
pub(super) struct Call {
    pub headers: HeaderMap,
    /// The client's certificate on the connection.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// What stands behind the path.
    pub query: String,
    pub body: Bytes,
}

/// An answer before it is sent.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Under which word it is counted.
    pub result: &'static str,
}

impl Reply {
    /// An answer of JSON text.
    pub(super) fn new(status: StatusCode, result: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers, body, result }
    }

    /// 200 with `value` as JSON.
    pub(super) fn ok(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(StatusCode::OK, "ok", body.into()),
            Err(_) => Self::http_error(StatusCode::INTERNAL_SERVER_ERROR, "http_500"),
        }
    }

    /// An OAuth error.
    pub(super) fn refusal(refusal: &Refusal) -> Self {
        Self::refusal_about(refusal, "")
    }

    /// An OAuth error whose description ends with `about`.
    pub(super) fn refusal_about(refusal: &Refusal, about: &str) -> Self {
        let description = format!("{}{about}", refusal.description);
        let body = json!({ "error": refusal.error, "error_description": description });
        let mut reply = Self::new(refusal.status, refusal.error, body.to_string().into());
        if let Some(challenge) = refusal.challenge {
            reply.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        reply
    }

    /// An error that is HTTP's, not OAuth's, in Keycloak's words.
    pub(super) fn http_error(status: StatusCode, result: &'static str) -> Self {
        let text = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        Self::new(status, result, json!({ "error": text }).to_string().into())
    }

    /// The same answer, never to be stored (RFC 6749 §5.1).
    pub(super) fn unstored(mut self) -> Self {
        self.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        self
    }

    /// Status and headers of this answer over another body.
    pub(super) fn with_body(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn into_response(self) -> Response {
        let body = Body::from(self.body.clone());
        self.with_body(body)
    }
}

/// How an endpoint answers a call that no fault hits.
pub(super) type Process = fn(&Simulator, &Call) -> Reply;

/// Serves one call: notes its arrival, processes it unless a fault replaces that, counts, waits, answers.
pub(super) async fn serve(
    simulator: Simulator,
    endpoint: Endpoint,
    process: Process,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let certificate = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.clone());
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        simulator.state().stats.call(endpoint, "http_413");
        return Reply::http_error(StatusCode::PAYLOAD_TOO_LARGE, "http_413").into_response();
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let call = Call { headers: parts.headers, certificate, query, body };
    let _in_flight = (endpoint == Endpoint::Token).then(|| InFlight::arrive(&simulator, &call)).flatten();

    let Some(fault) = simulator.state().faults.hit(endpoint) else {
        let reply = process(&simulator, &call);
        simulator.state().stats.call(endpoint, reply.result);
        return reply.into_response();
    };
    let answer = fault.processed.then(|| process(&simulator, &call));
    let result = match &answer {
        Some(answer) if !fault.falsifies() => answer.result,
        _ => "fault",
    };
    simulator.state().stats.call(endpoint, result);
    let reply = fault.falsify(answer);
    if let Some(delay) = fault.delay {
        simulator.inner.clock.sleep(delay).await;
    }
    match fault.action {
        Some(action) => ill_treat(action, reply).await,
        None => reply.into_response(),
    }
}

/// A token request between its arrival and the end of its answer, however that ends.
struct InFlight {
    simulator: Simulator,
    number: u64,
}

impl InFlight {
    fn arrive(simulator: &Simulator, call: &Call) -> Option<Self> {
        let id = super::endpoints::form::first(&call.body, "auth_req_id")?;
        let now = simulator.inner.clock.monotonic();
        let mut state = simulator.state();
        let arrival = state.requests.arrive(&id, now)?;
        state.stats.early_polls += u64::from(arrival.early);
        state.stats.overlapping_polls += u64::from(arrival.overlapping);
        if let Some(delay) = arrival.delay {
            state.stats.poll_delayed(delay);
        }
        drop(state);
        Some(Self { simulator: simulator.clone(), number: arrival.number })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.simulator.state().requests.depart(self.number);
    }
}
