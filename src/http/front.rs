//! What every request passes: identity of the request, limits before any routing decision counts, one log line, one
//! sample, the rendering of problems, and the headers that every answer has.

mod context;
mod line;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{AUTHORIZATION, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument;

pub(super) use context::RequestContext;

use super::extract::{CLIENT_ASSERTION, RELAIS_SESSION};
use super::json::FieldError;
use super::problem::{Code, Problem};
use crate::domain::support_code::SupportCode;
use crate::engine::Engine;
use crate::net::listener::Peer;

/// The longest request target, in bytes (R-H-02).
const TARGET_MAX: usize = 2048;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Whose an answer is, on calls that may have another's.
pub(super) const RELAIS_ANSWER: HeaderName = HeaderName::from_static("relais-answer");

/// What the paths of such calls begin with, be there a route or not.
pub(super) const TARGETS: &str = "/v1/targets/";

/// What the front of one listener knows.
#[derive(Clone)]
pub(super) struct Front {
    engine: Arc<Engine>,
    /// Places for requests; `None`: as many as come.
    places: Option<Arc<Semaphore>>,
}

impl Front {
    /// Refuses what comes beyond `max_requests` at once (R-H-04): a request that waits for a decision has a place, an
    /// event stream only until it begins to send.
    pub(super) fn shedding(engine: Arc<Engine>, max_requests: usize) -> Self {
        let places = Semaphore::new(max_requests.min(Semaphore::MAX_PERMITS));
        Self { engine, places: Some(Arc::new(places)) }
    }

    /// Refuses nothing: health is asked for when there is too much of everything else.
    pub(super) fn unbounded(engine: Arc<Engine>) -> Self {
        Self { engine, places: None }
    }

    /// A place for one request.
    fn place(&self) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let Some(places) = &self.places else { return Ok(None) };
        places.try_acquire().map(Some).map_err(|_| Problem::new(Code::Overloaded))
    }
}

/// Wraps a router: the outermost layer of every listener.
pub(super) async fn front(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let engine = &front.engine;
    hide_credentials(request.headers_mut());
    let arrived = engine.clock().monotonic();
    let peer = request.extensions().get::<Peer>().cloned();
    let context = RequestContext::of(request.headers(), peer, engine.random());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is_of_targets = request.uri().path().starts_with(TARGETS);
    request.extensions_mut().insert(context.clone());
    let answer = async {
        match gate(&request).and_then(|()| front.place()) {
            Ok(_place) => guarded(request, next).await,
            Err(problem) => problem.into_response(),
        }
    }
    .instrument(context.span.clone())
    .await;
    let mut answer = finish(answer, &context, engine);
    let headers = answer.headers_mut();
    headers.insert(X_REQUEST_ID, context.request_id_header());
    if let Some(traceparent) = context.traceparent.clone() {
        headers.insert(TRACEPARENT, traceparent);
    }
    // What may be kept says so itself.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_of_targets {
        headers.entry(RELAIS_ANSWER).or_insert(HeaderValue::from_static("relais"));
    }
    let length = engine.clock().monotonic().since(arrived);
    line::write(&context, &method, route.as_deref(), answer.status(), length);
    answer
}

/// Whatever prints a request from here on prints none of them.
fn hide_credentials(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if [AUTHORIZATION, CLIENT_ASSERTION, RELAIS_SESSION].contains(name) {
            value.set_sensitive(true);
        }
    }
}

/// What no route may be asked with.
fn gate(request: &Request) -> Result<(), Problem> {
    let target = request.uri();
    let length = target.path().len() + target.query().map_or(0, |query| query.len() + 1);
    if length > TARGET_MAX {
        let error = FieldError::new("", "length", "the URL must have at most 2048 bytes");
        return Err(Problem::invalid_request(vec![error]));
    }
    let dpop_scheme =
        request.headers().get_all(AUTHORIZATION).iter().any(|value| {
            value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"DPoP "))
        });
    if dpop_scheme || request.headers().contains_key(DPOP) {
        return Err(Problem::new(Code::DpopUnsupported));
    }
    Ok(())
}

/// A panic is a defect of one request, not the end of the process (R-H-07). The panic hook has logged its place.
async fn guarded(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Problem::new(Code::Internal).into_response()
    })
}

/// Renders the problem that an answer carries, if it carries one. Headers that the router added stay.
fn finish(mut carrier: Response, context: &RequestContext, engine: &Engine) -> Response {
    let Some(problem) = carrier.extensions_mut().remove::<Problem>() else { return carrier };
    let notes = &context.notes;
    let support_code = problem
        .support_code()
        .or_else(|| notes.support_code.get())
        .cloned()
        .unwrap_or_else(|| SupportCode::draw(engine.random()));
    notes.refused(problem.code().as_str(), &support_code);
    let mut answer = problem.render(context.language, &context.request_id, &support_code);
    for (name, value) in carrier.headers() {
        if !answer.headers().contains_key(name) && *name != http::header::CONTENT_LENGTH {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_l_05_a_request_that_is_printed_shows_no_credential() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "relais-client-assertion", "relais-session"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("secret-1"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("secret-2"));
        }
        headers.insert("accept", HeaderValue::from_static("shown"));
        hide_credentials(&mut headers);
        let printed = format!("{headers:?}");
        assert!(printed.contains("shown") && !printed.contains("secret"), "{printed}");
    }
}
