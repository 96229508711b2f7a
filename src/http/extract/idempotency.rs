//! `Idempotency-Key`: a UUID, at most once.

use axum::extract::FromRequestParts;
use http::HeaderName;
use http::request::Parts;
use uuid::Uuid;

use super::single;
use crate::http::problem::{Code, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request that may be repeated; `None` where none came.
pub(in crate::http) struct IdempotencyKey(pub(in crate::http) Option<Uuid>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let malformed = || Problem::new(Code::IdempotencyKeyMalformed);
        let value = single(&parts.headers, &IDEMPOTENCY_KEY).map_err(|()| malformed())?;
        let Some(value) = value else { return Ok(Self(None)) };
        // The hyphenated form only: each key has one spelling in the client's logs (draft-ietf-httpapi-idempotency-key
        // quotes it, so quotes are taken off).
        let text = value.to_str().map_err(|_| malformed())?;
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let key = Uuid::try_parse(text).ok().filter(|_| text.len() == 36).ok_or_else(malformed)?;
        Ok(Self(Some(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(values: &[&str]) -> Result<Option<Uuid>, Code> {
        let mut request = http::Request::builder();
        for value in values {
            request = request.header(IDEMPOTENCY_KEY, *value);
        }
        let (mut parts, ()) = request.body(()).expect("request").into_parts();
        IdempotencyKey::from_request_parts(&mut parts, &())
            .await
            .map(|key| key.0)
            .map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn a_key_is_one_uuid() {
        const KEY: &str = "0193a5f0-1111-4222-8333-444455556666";
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&[KEY]).await, Ok(KEY.parse().ok()));
        assert_eq!(read(&["\"0193a5f0-1111-4222-8333-444455556666\""]).await, Ok(KEY.parse().ok()));
        for bad in ["", "1", "0193a5f0111142228333444455556666", "{0193a5f0-1111-4222-8333-444455556666}"] {
            assert_eq!(read(&[bad]).await, Err(Code::IdempotencyKeyMalformed), "{bad}");
        }
        assert_eq!(read(&[KEY, KEY]).await, Err(Code::IdempotencyKeyMalformed));
    }
}
