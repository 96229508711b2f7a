//! Request bodies: strict JSON, or a form, of a bounded size, 16 KiB where nothing else is said, within a time (R-H-02).

use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::secret::SecretBytes;
use crate::http::json::{self, FieldError};
use crate::http::problem::{Code, Problem};

/// The largest body, in bytes.
const MAX: usize = 16 * 1024;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body; `None` where there is no byte of one.
pub(in crate::http) struct Body(pub(in crate::http) Option<Value>);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = receive_json(&parts.headers, body, MAX).await?;
        if bytes.expose().is_empty() {
            return Ok(Self(None));
        }
        json::read(bytes.expose()).map(|value| Self(Some(value))).map_err(Problem::invalid_request)
    }
}

/// The bytes of a body of at most `max` that says to be JSON, unless there is none.
pub(in crate::http) async fn receive_json(
    headers: &HeaderMap,
    body: axum::body::Body,
    max: usize,
) -> Result<SecretBytes, Problem> {
    let bytes = receive(headers, body, max).await?;
    if bytes.expose().is_empty() || is_json(headers) {
        Ok(bytes)
    } else {
        Err(Problem::new(Code::UnsupportedMediaType))
    }
}

/// The bytes of a body of at most `max` that says to be a form.
pub(in crate::http) async fn receive_form(
    headers: &HeaderMap,
    body: axum::body::Body,
    max: usize,
) -> Result<SecretBytes, Problem> {
    let bytes = receive(headers, body, max).await?;
    if is_form(headers) { Ok(bytes) } else { Err(Problem::new(Code::UnsupportedMediaType)) }
}

/// A body may hold tokens, a hint, a code: there is one copy of it, of a size that never changes, and it is wiped. What
/// the connection read it into is the connection's.
async fn receive(headers: &HeaderMap, body: axum::body::Body, max: usize) -> Result<SecretBytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Problem::new(Code::RequestTooLarge));
    }
    let incomplete = || {
        Problem::invalid_request(vec![FieldError::new("", "incomplete", "the body did not arrive in whole")])
    };
    let mut body = Limited::new(body, max);
    let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(max).min(max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    let receiving = async {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes.extend_from_slice(&data);
                wipe(data);
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    let received = tokio::time::timeout(PATIENCE, receiving).await;
    match received {
        Ok(Ok(())) => Ok(SecretBytes::new(std::mem::take(&mut *bytes))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(Code::RequestTooLarge)),
        Ok(Err(_)) | Err(_) => Err(incomplete()),
    }
}

/// Wipes what nobody else holds.
fn wipe(data: Bytes) {
    if let Ok(mut alone) = data.try_into_mut() {
        alone.as_mut().zeroize();
    }
}

/// `application/json`, in UTF-8 (RFC 8259 knows no other), not compressed.
fn is_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text(CONTENT_TYPE).split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    let encoding = text(CONTENT_ENCODING);
    json && utf8 && (encoding.is_empty() || encoding.eq_ignore_ascii_case("identity"))
}

fn is_form(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(
        headers: &[(&str, &str)],
        body: impl Into<axum::body::Body>,
    ) -> Result<Option<Value>, Code> {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("request");
        Body::from_request(request, &()).await.map(|body| body.0).map_err(|problem| problem.code())
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=\"UTF-8\"");

    #[tokio::test]
    async fn json_is_read_and_an_empty_body_is_none() {
        assert_eq!(read(&[JSON], "{\"a\":1}").await, Ok(Some(json!({"a": 1}))));
        assert_eq!(read(&[], "").await, Ok(None));
        assert_eq!(read(&[JSON], "{\"a\":1,\"a\":2}").await, Err(Code::InvalidRequest));
    }

    #[tokio::test]
    async fn anything_but_plain_json_in_utf_8_is_415() {
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json-patch+json")],
            &[("content-type", "application/json;charset=latin1")],
            &[JSON, ("content-encoding", "gzip")],
        ] {
            assert_eq!(read(headers, "{}").await, Err(Code::UnsupportedMediaType), "{headers:?}");
        }
    }

    #[tokio::test]
    async fn r_h_02_a_body_has_at_most_16_kib_announced_or_not() {
        let of = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(read(&[JSON], of(MAX)).await.is_ok());
        assert_eq!(read(&[JSON], of(MAX + 1)).await, Err(Code::RequestTooLarge));
        assert_eq!(read(&[JSON, ("content-length", "16385")], "").await, Err(Code::RequestTooLarge));
        let chunks = (0..17).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1024])));
        let stream = axum::body::Body::from_stream(futures_util::stream::iter(chunks));
        assert_eq!(read(&[JSON], stream).await, Err(Code::RequestTooLarge));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
        let stream = axum::body::Body::from_stream(futures_util::stream::iter(broken));
        assert_eq!(read(&[JSON], stream).await, Err(Code::InvalidRequest));
    }
}
