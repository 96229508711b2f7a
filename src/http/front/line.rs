//! One log line and one sample a request. Never the URL, a token or a hint: the route, and identifiers that are not
//! secret.

use std::time::Duration;

use http::{Method, StatusCode};

use super::RequestContext;
use crate::telemetry::metrics;

/// What stands for the route of a request that no route matched.
const UNMATCHED: &str = "unmatched";

pub(super) fn write(
    context: &RequestContext,
    method: &Method,
    route: Option<&str>,
    status: StatusCode,
    length: Duration,
) {
    let route = route.unwrap_or(UNMATCHED);
    metrics::http_request(route, status.as_u16(), length);
    let notes = &context.notes;
    tracing::info!(
        target: "relais::request",
        request_id = &*context.request_id,
        method = known(method),
        route,
        status = status.as_u16(),
        duration_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        peer = context.peer.as_ref().map(|peer| display(peer.address)),
        traceparent = context.traceparent.as_ref().and_then(|value| value.to_str().ok()),
        application = notes.application.get().map(display),
        login.id = notes.login_id.get().map(display),
        session.id = notes.session_id.get().map(display),
        target.name = notes.target.get().map(display),
        support_code = notes.support_code.get().map(display),
        code = notes.code.get().copied(),
        "request"
    );
}

/// A method is the caller's word: only registered ones are repeated.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
