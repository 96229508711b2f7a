//! A downstream API (*API Pro Santé Connectée*), beside the provider: takes the tokens that [`super::token_exchange`] gives
//! out, over a connection with the certificate that they are bound to, and says what it was asked.
//!
//! It stands at `/target`, outside the issuer's path, for a target is no part of a provider. Whatever is below answers any
//! method alike: the call as it came in, what its token says, and length and SHA-256 of its body, which is read as it comes
//! and kept nowhere. `/target/_bytes/N` answers N bytes instead.

use std::convert::Infallible;
use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

use super::super::Simulator;
use super::super::exchange::Reply;
use super::super::faults::{Endpoint, ill_treat};
use super::super::jose::base64url;
use super::super::tokens;
use crate::net::listener::{BodyPace, Peer, PeerCertificate};

/// Below this.
pub(super) const PATH: &str = "/target";

const BYTES: &str = "/target/_bytes/";
const CHUNK: usize = 64 * 1024;
static LETTERS: [u8; CHUNK] = [b'x'; CHUNK];

/// `ANY /target/…`. A fault that spares the processing answers without reading the body, as a server may.
pub(super) async fn answer(State(simulator): State<Simulator>, request: Request) -> Response {
    let fault = simulator.state().faults.hit(Endpoint::Target);
    let Some(fault) = fault else {
        let answer = processed(&simulator, request).await;
        simulator.state().stats.call(Endpoint::Target, result(&answer));
        return answer;
    };
    let answer = if fault.processed {
        let answer = processed(&simulator, request).await;
        let (parts, body) = answer.into_parts();
        // What a fault alters is held: it is short, or nobody alters it.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let mut reply = Reply::new(parts.status, "ok", body);
        reply.headers = parts.headers;
        Some(reply)
    } else {
        None
    };
    simulator.state().stats.call(Endpoint::Target, "fault");
    let reply = fault.falsify(answer);
    if let Some(delay) = fault.delay {
        simulator.inner.clock.sleep(delay).await;
    }
    if let Some(action) = fault.action {
        return ill_treat(action, reply).await;
    }
    let body = Body::from(reply.body.clone());
    reply.with_body(body)
}

fn result(answer: &Response) -> &'static str {
    match answer.status() {
        StatusCode::OK => "ok",
        StatusCode::UNAUTHORIZED => "invalid_token",
        _ => "http_400",
    }
}

async fn processed(simulator: &Simulator, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(pace) = parts.extensions.get::<BodyPace>() {
        pace.count_silence();
    }
    let certificate = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.as_deref());
    let claims = match token(simulator, &parts.headers, certificate) {
        Ok(claims) => claims,
        Err(why) => return challenge(why),
    };
    if let Some(length) = parts.uri.path().strip_prefix(BYTES) {
        return length.parse().map_or_else(|_| empty(StatusCode::BAD_REQUEST), bytes);
    }
    let Ok((length, sha256)) = measured(body).await else { return empty(StatusCode::BAD_REQUEST) };
    let told = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers(&parts.headers),
        "body": { "bytes": length, "sha256": sha256 },
        "token": claims,
    });
    let mut answer = Response::new(Body::from(told.to_string()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The claims of a token that counts here.
fn token(
    simulator: &Simulator,
    headers: &HeaderMap,
    certificate: Option<&PeerCertificate>,
) -> Result<Map<String, Value>, &'static str> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or("no token")?;
    let (scheme, token) = text.split_once(' ').ok_or("no token")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("no bearer token");
    }
    let claims =
        tokens::verified_exchanged_token(simulator, token.trim()).ok_or("the token does not count")?;
    if let Some(bound) = claims.get("cnf").and_then(|cnf| cnf.get("x5t#S256")).and_then(Value::as_str) {
        let own = certificate.ok_or("the token is bound to a certificate, and there is none")?.thumbprint;
        if ![base64url(&own), STANDARD.encode(hex(&own))].iter().any(|known| known == bound) {
            return Err("the token is bound to another certificate");
        }
    }
    Ok(claims)
}

/// 401 (RFC 6750 §3).
fn challenge(why: &str) -> Response {
    let mut answer = empty(StatusCode::UNAUTHORIZED);
    let text = format!("Bearer realm=\"target\", error=\"invalid_token\", error_description=\"{why}\"");
    if let Ok(value) = HeaderValue::from_str(&text) {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    answer
}

fn empty(status: StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// By name, in the order in which they came.
fn headers(headers: &HeaderMap) -> Value {
    let mut told = Map::new();
    for name in headers.keys() {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        // The bearer is a secret, and the claims say what it is.
        let values: Vec<String> = match name {
            &header::AUTHORIZATION => vec!["Bearer …".to_owned()],
            name => headers.get_all(name).iter().map(text).collect(),
        };
        told.insert(name.as_str().to_owned(), json!(values));
    }
    told.into()
}

/// Length and SHA-256 of a body, read as it comes.
async fn measured(mut body: Body) -> Result<(u64, String), axum::Error> {
    let (mut length, mut hash) = (0, Context::new(&SHA256));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len() as u64;
        hash.update(&data);
    }
    Ok((length, hex(hash.finish().as_ref())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// So many bytes, made as they are taken. Their length is announced.
fn bytes(length: u64) -> Response {
    let chunks = stream::unfold(length, |left| async move {
        let next = left.min(CHUNK as u64);
        let chunk = Bytes::from_static(&LETTERS).slice(..usize::try_from(next).unwrap_or(CHUNK));
        (left > 0).then(|| (Ok::<_, Infallible>(chunk), left - next))
    });
    let mut answer = Response::new(Body::from_stream(chunks));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer
}
