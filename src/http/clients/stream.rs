//! Event streams (`text/event-stream`), as the contract shapes them: `retry` first, a comment while nothing happens,
//! never buffered or compressed on the way.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http::HeaderName;
use http::header::CONTENT_TYPE;

/// How long a client waits before it connects again, in milliseconds.
pub(super) const RETRY: &str = "retry: 2000\n";

/// How often a comment is sent while nothing happens: proxies close what is silent.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// The comment.
pub(super) const COMMENT: &str = ":\n\n";

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One event. `data` is one line of JSON.
pub(super) fn event(name: &str, version: u32, data: &str) -> String {
    format!("event: {name}\nid: {version}\ndata: {data}\n\n")
}

/// The answer that sends `chunks` as they come.
pub(super) fn answer(chunks: impl Stream<Item = String> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let body = Body::from_stream(chunks.map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk))));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (X_ACCEL_BUFFERING, "no")];
    (headers, body).into_response()
}
