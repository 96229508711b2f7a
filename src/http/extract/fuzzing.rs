//! What must hold of the heads of requests whatever bytes come: see [`crate::crypto::fuzzing`].

use std::time::Duration;

use axum::extract::FromRequestParts as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use url::form_urlencoded::byte_serialize;

use super::application;
use super::{IdempotencyKey, Query, Waiting, authorization, last_event_id};
use crate::crypto::fuzzing::Zeros;
use crate::http::front::RequestContext;

/// A head: the query in the first line, then a header a line. Waits are bounded, and what is echoed is safe to echo.
pub fn heads(input: &[u8]) -> bool {
    let Some(mut parts) = head(input) else { return false };
    let context = RequestContext::of(&parts.headers, None, &Zeros);
    assert!((8..=64).contains(&context.request_id.len()), "a request id of no length");
    assert!(context.request_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    assert!(context.traceparent.is_none_or(|value| value.len() == 55), "no traceparent");
    let mut query = Query::from_request_parts(&mut parts, &()).now_or_never();
    let Some(Ok(query)) = &mut query else { unreachable!("it waits for nothing and refuses nothing") };
    let waiting = Waiting::of(&parts.headers, query);
    let is_bounded = |wait: &Duration| (1..=30).contains(&wait.as_secs());
    assert!(waiting.wait.is_none_or(|wait| is_bounded(&wait)), "{waiting:?}");
    assert!(waiting.applied.is_none_or(|secs| (1..=30).contains(&secs)), "{waiting:?}");
    let _ = query.flag("touch", true);
    let _ = last_event_id(&parts.headers);
    if let Ok(Some((scheme, rest))) = authorization(&parts.headers) {
        assert!(!scheme.contains(' ') && rest == rest.trim(), "no scheme");
    }
    let _ = application::assertion(&parts.headers);
    let key = IdempotencyKey::from_request_parts(&mut parts, &()).now_or_never();
    assert!(key.is_some(), "it waits for nothing");
    true
}

fn head(input: &[u8]) -> Option<Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let query = std::str::from_utf8(lines.next()?).ok()?;
    let mut request = Request::builder().uri(format!("/?{query}"));
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Basic credentials: name and secret come out as they went in, and there is one way to take them apart.
pub fn basic(input: &[u8]) -> bool {
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = application::basic(text);
    }
    let Some((name, secret)) = application::basic(&STANDARD.encode(input)) else { return false };
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let again = STANDARD.encode(format!("{}:{}", encoded(&name), encoded(secret.expose())));
    let read = application::basic(&again).expect("what is encoded is decoded");
    assert!(read.0 == name && read.1.expose() == secret.expose(), "other credentials");
    true
}
