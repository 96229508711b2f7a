//! `ANY /v1/targets/{target}/{path}`: a downstream API, called with a token for the session. A use.
//!
//! What stands behind the target's name goes on byte for byte, so it is taken from the request line and never from
//! decoded parameters. Every answer says whose it is: `Relais-Answer: target` here, `relais` on every problem (the front
//! adds it).

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, LINK, LOCATION, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{ClientsState, errors};
use crate::domain::names::TargetName;
use crate::domain::random::{Random, uuid_v4};
use crate::domain::target::TargetPath;
use crate::engine::forward::{Forward, ForwardError, is_kept};
use crate::engine::ports::{Leads, TargetHead};
use crate::http::extract::SessionCaller;
use crate::http::front::{RELAIS_ANSWER, RequestContext, TARGETS};
use crate::http::problem::{Code, Problem};
use crate::net::listener::BodyPace;

/// The routes: the base of a target, and everything below it.
pub(super) fn router() -> Router<ClientsState> {
    Router::new()
        .route("/v1/targets/{target}", any(handle))
        .route("/v1/targets/{target}/", any(handle))
        .route("/v1/targets/{target}/{*path}", any(handle))
}

async fn handle(State(state): State<ClientsState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let Ok(context) = RequestContext::from_request_parts(&mut parts, &state).await;
    let SessionCaller(call) = SessionCaller::from_request_parts(&mut parts, &state).await?;
    if parts.uri.authority().is_some() && parts.version < Version::HTTP_2 {
        // A client that takes this for a forward proxy (RFC 9112 §3.2.2): the host that it names is not called.
        let detail = "The request line names a host: send the path alone.";
        return Err(Problem::new(Code::TargetNotAllowed).detail(detail));
    }
    if let Some(pace) = parts.extensions.get::<BodyPace>()
        && !is_kept(&parts.method, body.size_hint().exact())
    {
        pace.count_silence();
    }
    let (name, rest) = split(parts.uri.path());
    let target =
        name.parse::<TargetName>().ok().filter(|name| state.engine.directory().target(name).is_some());
    if let Some(target) = &target {
        context.note_target(target);
    }
    let head = TargetPath::parse(rest).map(|path| head(path, &parts, &context, state.engine.random()));
    let forward = Forward { target: target.clone(), head, body: body.map_err(Into::into).boxed_unsync() };
    let forwarded = state.engine.forward(&call, forward).await.map_err(|error| {
        if let ForwardError::Refused { session, .. } = &error {
            context.note_session(session);
        }
        errors::forward(&error)
    })?;
    context.note_session(&forwarded.session);
    let answer = forwarded.answer;
    let mut response = Response::new(Body::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    let headers = response.headers_mut();
    headers.insert(RELAIS_ANSWER, HeaderValue::from_static("target"));
    // On a shared workstation the next person must not be answered from a cache (R-E-08).
    headers.append(VARY, HeaderValue::from_static("Authorization, Relais-Session"));
    if !is_for_one(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let Leads { location, content_location, links } = answer.leads;
    if let Some(target) = &target {
        let here = format!("{}{TARGETS}{target}", state.public_url.as_str().trim_end_matches('/'));
        let location = location.map(|below| (LOCATION, format!("{here}{below}")));
        let content_location = content_location.map(|below| (CONTENT_LOCATION, format!("{here}{below}")));
        let links =
            links.into_iter().map(|link| (LINK, format!("<{here}{}>{}", link.below, link.parameters)));
        for (name, text) in location.into_iter().chain(content_location).chain(links) {
            // The text of a URL, and what was a header's, are always one of a header.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name, value);
            }
        }
    }
    Ok(response)
}

/// Whether an answer says itself that no cache may give it to anybody else, in words that cannot be read in two ways.
/// `must-understand` lets a cache go past `no-store` (RFC 9111 §5.2.2.3).
fn is_for_one(headers: &HeaderMap) -> bool {
    let mut words = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        match value.to_str() {
            Ok(text) if !text.contains('"') => words.extend(text.split(',').map(str::trim)),
            _ => return false,
        }
    }
    let says = |directive: &str| words.iter().any(|word| word.eq_ignore_ascii_case(directive));
    says("private") || (says("no-store") && !says("must-understand"))
}

/// The name of the target, and what stands behind it.
fn split(path: &str) -> (&str, &str) {
    let below = path.strip_prefix(TARGETS).unwrap_or_default();
    below.split_at(below.find('/').unwrap_or(below.len()))
}

fn head(path: TargetPath, parts: &Parts, context: &RequestContext, random: &dyn Random) -> TargetHead {
    TargetHead {
        method: parts.method.clone(),
        path,
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.clone(),
        request_id: context.request_id_header(),
        traceparent: context.traceparent.clone().unwrap_or_else(|| new_trace(random)),
    }
}

/// A trace that begins here, not sampled (W3C Trace Context §3.2).
fn new_trace(random: &dyn Random) -> HeaderValue {
    let (trace, parent) = (uuid_v4(random).simple().to_string(), uuid_v4(random).simple().to_string());
    HeaderValue::try_from(format!("00-{trace}-{}-00", &parent[..16])).unwrap_or_else(|_| {
        HeaderValue::from_static("00-00000000000000000000000000000001-0000000000000001-00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random::SystemRandom;

    #[test]
    fn what_stands_behind_the_name_is_not_touched() {
        assert_eq!(split("/v1/targets/dmp"), ("dmp", ""));
        assert_eq!(split("/v1/targets/dmp/"), ("dmp", "/"));
        assert_eq!(split("/v1/targets/dmp//a%2fb/../c"), ("dmp", "//a%2fb/../c"));
        assert_eq!(split("/v1/targets//x"), ("", "/x"));
    }

    #[test]
    fn a_new_trace_is_one() {
        let trace = new_trace(&SystemRandom);
        let text = trace.to_str().expect("text");
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert_ne!(new_trace(&SystemRandom), trace);
    }
}
