//! Login tokens and session handles: `Authorization: Bearer`, never a URL, never a body (R-E-08).

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use uuid::Uuid;

use super::{CLIENT_ASSERTION, authorization, refuse_relais_session};
use crate::crypto::token::{Parsed, TokenKind, parse};
use crate::domain::ids::LoginId;
use crate::domain::secret::SessionHandle;
use crate::engine::ports::ActorKind;
use crate::engine::read_login::TokenCall;
use crate::engine::session::HandleCall;
use crate::http::clients::ClientsState;
use crate::http::front::RequestContext;
use crate::http::problem::{Code, Problem};

/// Somebody with a login token, at the login that the path names.
pub(in crate::http) struct TokenHolder(pub(in crate::http) TokenCall);

impl FromRequestParts<ClientsState> for TokenHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ClientsState) -> Result<Self, Problem> {
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        let token = match of_kind(bearer(parts)?, TokenKind::LoginToken)? {
            Parsed::LoginToken(token) => token,
            // One body for unknown, foreign and malformed: none of them may be told apart (R-E-06).
            Parsed::SessionHandle(_) | Parsed::Malformed => return Err(Problem::new(Code::LoginNotFound)),
        };
        let login_id = Path::<String>::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|Path(text)| Uuid::try_parse(&text).ok().filter(|id| id.to_string() == text))
            .ok_or_else(|| Problem::new(Code::LoginNotFound))?;
        context.note_login_id(LoginId(login_id));
        Ok(Self(TokenCall { token, login_id, certificate: context.certificate() }))
    }
}

/// Somebody with a session handle.
pub(in crate::http) struct HandleHolder(pub(in crate::http) HandleCall);

impl FromRequestParts<ClientsState> for HandleHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ClientsState) -> Result<Self, Problem> {
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        let handle = handle_of(bearer(parts)?)?;
        let (certificate, by) = (context.certificate(), context.actor(ActorKind::Holder));
        Ok(Self(HandleCall { handle, certificate, back_end: None, by }))
    }
}

/// The session handle that a text is.
pub(super) fn handle_of(text: &str) -> Result<SessionHandle, Problem> {
    match of_kind(text, TokenKind::SessionHandle)? {
        Parsed::SessionHandle(handle) => Ok(handle),
        Parsed::LoginToken(_) | Parsed::Malformed => Err(Problem::new(Code::HandleInvalid)),
    }
}

/// The token of the request, and no other credential.
fn bearer(parts: &Parts) -> Result<&str, Problem> {
    refuse_relais_session(&parts.headers)?;
    if parts.headers.contains_key(CLIENT_ASSERTION) {
        let detail =
            "Below a login or a session the token is the credential: a client assertion is a second one.";
        return Err(Problem::new(Code::ApplicationUnauthenticated).detail(detail));
    }
    match authorization(&parts.headers)? {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("Bearer") && !text.is_empty() => Ok(text),
        _ => Err(Problem::new(Code::CredentialMissing)),
    }
}

/// What a text is. One that says by its first characters that it is of another kind is refused as such, whether or not
/// the rest of it is well-formed.
fn of_kind(text: &str, wanted: TokenKind) -> Result<Parsed, Problem> {
    let other = match wanted {
        TokenKind::LoginToken => TokenKind::SessionHandle,
        TokenKind::SessionHandle => TokenKind::LoginToken,
    };
    if text.starts_with(other.prefix()) {
        return Err(Problem::new(Code::WrongTokenKind));
    }
    Ok(parse(text))
}
