//! Which application calls: exactly one credential a request, of the declared kind (contract: "Who is calling").

use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::request::Parts;
use zeroize::Zeroizing;

use super::{CLIENT_ASSERTION, authorization, single};
use crate::domain::application::Application;
use crate::domain::secret::Secret;
use crate::engine::authenticate::{AuthenticateError, Authenticated, Credential};
use crate::engine::ports::ActorKind;
use crate::http::clients::ClientsState;
use crate::http::front::RequestContext;
use crate::http::problem::{Code, Problem};

/// An application that has proven who it is.
pub(in crate::http) struct Caller {
    /// The application.
    pub(in crate::http) application: Arc<Application>,
    /// Which credential of it: an `Idempotency-Key` is bound to this.
    pub(in crate::http) credential: String,
}

impl FromRequestParts<ClientsState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ClientsState) -> Result<Self, Problem> {
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        let (credential, id) = credential(parts, state, &context)?;
        let by = context.actor(ActorKind::Application);
        let authenticated =
            state.engine.authenticate(&credential, &by).await.map_err(|error| match &error {
                AuthenticateError::Assertion { rule } => {
                    Problem::new(Code::ApplicationUnauthenticated).detail(detail_of(rule))
                }
                AuthenticateError::Unknown => Problem::new(Code::ApplicationUnauthenticated),
                AuthenticateError::Disabled => Problem::new(Code::ApplicationDisabled),
                AuthenticateError::Store(source) => Problem::store(source),
            })?;
        let Authenticated { application, jkt } = authenticated;
        context.note_application(&application.name);
        Ok(Self { application, credential: jkt.map_or(id, |jkt| format!("jkt:{jkt}")) })
    }
}

/// The credential of a request, and a name for it.
fn credential(
    parts: &Parts,
    state: &ClientsState,
    context: &RequestContext,
) -> Result<(Credential, String), Problem> {
    let refused = |detail| Problem::new(Code::ApplicationUnauthenticated).detail(detail);
    match (assertion(&parts.headers)?, authorization(&parts.headers)?, context.certificate()) {
        (None, None, None) => Err(Problem::new(Code::CredentialMissing).challenge_application()),
        (Some(jwt), None, None) => {
            let audience = state.audience.clone();
            Ok((Credential::Assertion { jwt, audience }, "assertion".to_owned()))
        }
        (None, None, Some(certificate)) => {
            let id = format!("x5t:{}", URL_SAFE_NO_PAD.encode(certificate.thumbprint));
            Ok((Credential::Certificate(certificate), id))
        }
        (None, Some((scheme, _)), None) if !scheme.eq_ignore_ascii_case("Basic") => Err(refused(
            "An application authenticates with Basic, with a client assertion or with a client certificate.",
        )),
        (None, Some((_, credentials)), None) => basic(credentials)
            .map(|(name, secret)| (Credential::Basic { name, secret }, "secret".to_owned()))
            .ok_or_else(|| refused("The Basic credentials cannot be read (RFC 6749, section 2.3.1).")),
        _ => Err(refused(
            "The request carries two credentials of an Authorization header, a client assertion and a certificate.",
        )),
    }
}

/// The one `Relais-Client-Assertion` header.
pub(super) fn assertion(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let refused = |detail| Problem::new(Code::ApplicationUnauthenticated).detail(detail);
    let value = single(headers, &CLIENT_ASSERTION)
        .map_err(|()| refused("There is more than one Relais-Client-Assertion header."))?;
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().map_err(|_| refused("The client assertion cannot be read."))?;
    Ok(Some(Secret::new(text.trim())))
}

/// What is wrong with an assertion that a key of the application has signed: only its own developer can learn this.
fn detail_of(rule: &str) -> &'static str {
    match rule {
        "aud" => "The assertion's aud must be this server's public URL: one text, not a list.",
        "exp" => "The assertion's exp must lie ahead, and at most 60 seconds ahead.",
        "iat" => {
            "The assertion's iat lies ahead, or more than 65 seconds before its exp: compare the clocks, and make an assertion for each call."
        }
        "nbf" => "The assertion's nbf lies ahead: compare the clocks.",
        "jti" => "The assertion's jti must be a text of 1 to 256 bytes, new for each assertion.",
        "replayed" => {
            "The assertion's jti has been presented before: make an assertion for each call, also for a repeated one."
        }
        _ => "The assertion's iss and sub must both be the application's name.",
    }
}

/// Name and secret, each form-encoded before they were joined (RFC 6749 §2.3.1).
pub(super) fn basic(credentials: &str) -> Option<(String, Secret)> {
    let joined = Zeroizing::new(STANDARD.decode(credentials).ok()?);
    let joined = std::str::from_utf8(&joined).ok()?;
    let (name, secret) = joined.split_once(':')?;
    Some((form_decoded(name)?, Secret::new(form_decoded(secret)?)))
}

/// Undoes `application/x-www-form-urlencoded`; `None` where a `%` is followed by no two hex digits.
fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next()?)? * 16 + hex_digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(joined: &str) -> Option<(String, String)> {
        basic(&STANDARD.encode(joined)).map(|(name, secret)| (name, secret.expose().to_owned()))
    }

    #[test]
    fn name_and_secret_are_form_encoded_first() {
        let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
        assert_eq!(read("demo:demo"), pair("demo", "demo"));
        assert_eq!(read("a%3Ab:x+y%25%c3%A9:z"), pair("a:b", "x y%é:z"));
        assert_eq!(read("demo:"), pair("demo", ""));
        for unreadable in ["demo", "demo:%", "demo:%4", "demo:%zz", "demo:%ff"] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
        assert!(basic("not base64").is_none());
        assert!(basic(&STANDARD.encode([0xff, b':', 0xfe])).is_none());
    }
}
