//! Userinfo (OpenID Connect Core §5.3): read with the grant's own token and certificate, kept whole.
//!
//! It belongs to the person of the ID token or it is discarded. Nothing that goes wrong here fails a login.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::domain::grant::GrantClaims;
use crate::domain::profile::Profile;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Userinfo, UserinfoError};

use super::call::{Call, Channel};
use super::jwt::{self, JwtError, Unverified};
use super::metadata::{Endpoint, Metadata};
use super::settings::IdTokenAlg;
use super::strict_json::{self, Object};
use super::subject;

/// The largest answer, in bytes.
const MAX_SIZE: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What userinfo is judged by.
pub struct Reader<'a> {
    /// The way to the provider.
    pub channel: Channel<'a>,
    /// Our `client_id`: the audience of a signed answer.
    pub client_id: &'a str,
    /// The pinned algorithms.
    pub algs: &'a [IdTokenAlg],
}

/// Reads userinfo once.
pub async fn read(
    reader: &Reader<'_>,
    metadata: &Metadata,
    access_token: &Secret,
    claims: &GrantClaims,
) -> Result<Userinfo, UserinfoError> {
    let channel = &reader.channel;
    let url =
        metadata.endpoint(Endpoint::Userinfo, channel.with_certificate).ok_or(UserinfoError::Unavailable)?;
    let call = Call {
        endpoint: "userinfo",
        url: url.clone(),
        headers: headers(access_token).ok_or(UserinfoError::Unavailable)?,
        form: None,
        timeout: TIMEOUT,
        max_body: MAX_SIZE,
    };
    let answer = channel.send(call).await.map_err(|_| UserinfoError::Unavailable)?;
    if answer.status != StatusCode::OK {
        channel.log_error_answer("userinfo", answer.status, None, false);
        let is_refused = answer.status == StatusCode::UNAUTHORIZED;
        return Err(if is_refused { UserinfoError::TokenRefused } else { UserinfoError::Unavailable });
    }
    let document =
        if is_jwt(&answer.headers) { signed(reader, &answer.body).await } else { plain(answer.body) };
    let accepted = document.and_then(|document| accept(document, claims, channel.upstream.profile()));
    accepted.map_err(|rule| {
        channel.log_invalid_answer("userinfo", rule);
        UserinfoError::Unavailable
    })
}

/// The claims, and the JSON that they were read from.
pub struct Document {
    /// The claims.
    pub members: Object,
    /// The JSON.
    pub text: String,
}

fn headers(access_token: &Secret) -> Option<HeaderMap> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose())).ok()?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, application/jwt"));
    Some(headers)
}

/// Whether an answer says that it is signed.
pub fn is_jwt(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/jwt"))
}

/// An answer that is JSON.
pub fn plain(body: Vec<u8>) -> Result<Document, &'static str> {
    let members = strict_json::object(&body).map_err(|_| "no JSON object")?;
    let text = String::from_utf8(body).map_err(|_| "no JSON object")?;
    Ok(Document { members, text })
}

/// Signed like an ID token, by the same keys, for us (OpenID Connect Core §5.3.2).
async fn signed(reader: &Reader<'_>, body: &[u8]) -> Result<Document, &'static str> {
    let channel = &reader.channel;
    let text = std::str::from_utf8(body).map_err(|_| "form")?.trim();
    let token = Unverified::read(text, &jwt::USERINFO, reader.algs).map_err(jwt::rule)?;
    let keys = channel.upstream.keys(channel).await.ok_or("signing_key")?;
    match token.verify(&keys) {
        Err(JwtError::NoKey) => {
            let newer = channel.upstream.newer_keys(channel, &keys).await.ok_or("signing_key")?;
            token.verify(&newer).map(|_| ())
        }
        verdict => verdict.map(|_| ()),
    }
    .map_err(jwt::rule)?;
    told_to(token, channel.upstream.issuer(), reader.client_id, channel.upstream.clock().now())
}

/// What a token says whose signature is valid, where this provider has made it for us.
pub fn told_to(
    token: Unverified<'_>,
    issuer: &str,
    client_id: &str,
    now: Timestamp,
) -> Result<Document, &'static str> {
    jwt::check_times(&token.payload, now)?;
    if strict_json::text(&token.payload, "iss") != Some(issuer) {
        return Err("iss");
    }
    let for_us = match token.payload.get("aud") {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(client_id)),
        other => other.and_then(Value::as_str) == Some(client_id),
    };
    if !for_us {
        return Err("aud");
    }
    let text = std::str::from_utf8(token.payload_bytes()).map_err(|_| "form")?.to_owned();
    Ok(Document { members: token.payload, text })
}

/// What userinfo adds to the claims of the ID token, where it has the same `sub` (R-C-07) and, where both name one, the
/// same national identifier.
pub fn accept(document: Document, claims: &GrantClaims, profile: &Profile) -> Result<Userinfo, &'static str> {
    let Document { members, text } = document;
    if strict_json::text(&members, "sub") != Some(claims.subject.sub.as_str()) {
        return Err("sub");
    }
    let told = subject::national_id(&members, profile);
    match (told, claims.subject.national_id.as_deref()) {
        (Some(told), Some(known)) if told != known => Err("national_id"),
        _ => Ok(Userinfo {
            claims: subject::with_userinfo(claims, &members, profile),
            document: Secret::new(text),
        }),
    }
}
