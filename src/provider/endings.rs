//! Telling a provider that something is over: revocation (RFC 7009), and the logout of a person without a browser
//! (RP-Initiated Logout §2, with `id_token_hint` alone).
//!
//! Both may be told again: what is over there already is no error. A refusal is one only where the provider has
//! understood what was asked; credentials that it does not take may be mended before it is told again.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::domain::secret::Secret;
use crate::engine::ports::{Heard, Revoked};

use super::backchannel::Sender;
use super::call::{Call, Channel};
use super::client_auth::Form;
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::retry_after;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes: a logout may be answered by a page.
const MAX_SIZE: usize = 256 * 1024;

/// Nothing came back.
pub const UNREACHABLE: Heard = Heard::Unreachable { retry_after: None };

/// Revokes one token.
pub async fn revoke(sender: &Sender<'_>, metadata: &Metadata, kind: Revoked, token: &Secret) -> Heard {
    match revocation(sender, metadata, kind, token) {
        Ok(call) => tell(&sender.channel, call).await,
        Err(heard) => heard,
    }
}

/// Ends the provider's session of an ID token. Nobody stands before a page that it may answer.
pub async fn end_session(channel: &Channel<'_>, metadata: &Metadata, id_token: &Secret) -> Heard {
    match logout(channel, metadata, id_token) {
        Some(call) => tell(channel, call).await,
        None => Heard::NotOffered,
    }
}

fn revocation(
    sender: &Sender<'_>,
    metadata: &Metadata,
    kind: Revoked,
    token: &Secret,
) -> Result<Call, Heard> {
    let channel = &sender.channel;
    let url = metadata.endpoint(Endpoint::Revocation, channel.with_certificate).ok_or(Heard::NotOffered)?;
    let mut form = sender.identity().form(metadata.endpoint(Endpoint::Token, false)).map_err(|_| {
        tracing::error!(registration = %channel.registration, "nothing could be signed");
        UNREACHABLE
    })?;
    form.add("token", token.expose());
    form.add("token_type_hint", hint(kind));
    Ok(call("revocation", url, form))
}

fn logout(channel: &Channel<'_>, metadata: &Metadata, id_token: &Secret) -> Option<Call> {
    let url = metadata.endpoint(Endpoint::EndSession, channel.with_certificate)?;
    let mut form = Form::default();
    form.add("id_token_hint", id_token.expose());
    Some(call("logout", url, form))
}

fn call(endpoint: &'static str, url: &Url, form: Form) -> Call {
    let (headers, body) = form.finish();
    Call { endpoint, url: url.clone(), headers, form: Some(body), timeout: TIMEOUT, max_body: MAX_SIZE }
}

async fn tell(channel: &Channel<'_>, call: Call) -> Heard {
    let endpoint = call.endpoint;
    let Ok(answer) = channel.send(call).await else { return UNREACHABLE };
    let error = OAuthError::read(&answer.body);
    let wait = retry_after::of(&answer.headers, channel.upstream.clock().now());
    let heard = judge(endpoint, answer.status, error.as_ref(), wait);
    if heard != Heard::Accepted {
        channel.log_error_answer(endpoint, answer.status, error.as_ref(), false);
    }
    heard
}

/// RFC 7009 §2.2: 200, also for a token that nobody knows. A logout may also be answered by a redirect.
fn judge(
    endpoint: &str,
    status: StatusCode,
    error: Option<&OAuthError>,
    retry_after: Option<Duration>,
) -> Heard {
    if status.is_success() || (endpoint == "logout" && status.is_redirection()) {
        return Heard::Accepted;
    }
    let is_about_the_client =
        error.is_some_and(|error| matches!(error.code.as_str(), "invalid_client" | "unauthorized_client"));
    // A revocation is refused in OAuth's words (RFC 7009 §2.2.1); without them a 400 is some server's in front, which did
    // not like the certificate. A logout is made for browsers, and refused by a page.
    let is_understood = endpoint == "logout" || error.is_some();
    if status == StatusCode::BAD_REQUEST && is_understood && !is_about_the_client {
        return Heard::Refused;
    }
    Heard::Unreachable { retry_after }
}

const fn hint(kind: Revoked) -> &'static str {
    match kind {
        Revoked::RefreshToken => "refresh_token",
        Revoked::AccessToken => "access_token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rp_087_only_a_provider_that_has_understood_refuses_for_good() {
        let error = |code: &str| OAuthError::read(format!(r#"{{"error":"{code}"}}"#).as_bytes());
        let judged = |endpoint, status: u16, code: Option<&str>| {
            let status = StatusCode::from_u16(status).expect("a status");
            judge(endpoint, status, code.and_then(error).as_ref(), None)
        };
        for endpoint in ["revocation", "logout"] {
            for status in [200, 204] {
                assert_eq!(judged(endpoint, status, None), Heard::Accepted);
            }
            for code in ["unsupported_token_type", "invalid_request"] {
                assert_eq!(judged(endpoint, 400, Some(code)), Heard::Refused, "{code}");
            }
            for (status, code) in [
                (400, Some("invalid_client")),
                (400, Some("unauthorized_client")),
                (401, Some("invalid_client")),
                (401, None),
                (403, None),
                (404, None),
                (408, None),
                (429, None),
                (500, Some("server_error")),
                (502, None),
                (503, None),
            ] {
                assert_eq!(judged(endpoint, status, code), UNREACHABLE, "{status} {code:?}");
            }
        }
        assert_eq!(judged("logout", 400, None), Heard::Refused);
        assert_eq!(judged("revocation", 400, None), UNREACHABLE, "a page: the certificate has expired, say");
        assert_eq!(judged("logout", 302, None), Heard::Accepted);
        assert_eq!(judged("revocation", 302, None), UNREACHABLE);
        let wait = Some(Duration::from_secs(7));
        let busy = judge("logout", StatusCode::SERVICE_UNAVAILABLE, None, wait);
        assert_eq!(busy, Heard::Unreachable { retry_after: wait });
    }
}
