//! Who calls with a session: whoever holds its handle, or a back end that acts with it by its own credential and
//! `Relais-Session`. One of the two, never both.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

use super::application::Caller;
use super::token::{HandleHolder, handle_of};
use super::{RELAIS_SESSION, single};
use crate::domain::secret::SessionHandle;
use crate::engine::ports::ActorKind;
use crate::engine::session::HandleCall;
use crate::http::clients::ClientsState;
use crate::http::front::RequestContext;
use crate::http::problem::{Code, Problem};

/// A call with a session. Whether it opens to the caller, the engine decides.
pub(in crate::http) struct SessionCaller(pub(in crate::http) HandleCall);

impl FromRequestParts<ClientsState> for SessionCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ClientsState) -> Result<Self, Problem> {
        if !parts.headers.contains_key(RELAIS_SESSION) {
            return HandleHolder::from_request_parts(parts, state).await.map(|HandleHolder(call)| Self(call));
        }
        let Ok(context) = RequestContext::from_request_parts(parts, state).await;
        // First who calls: of a handle nothing is told to somebody who is nobody.
        let caller = Caller::by_head(parts, state).await?;
        let caller = caller.ok_or_else(|| Problem::new(Code::CredentialMissing).challenge_application())?;
        let handle = relais_session(&parts.headers)?;
        let by = context.actor(ActorKind::Application);
        let certificate = context.certificate();
        Ok(Self(HandleCall { handle, certificate, back_end: Some(caller.application), by }))
    }
}

/// The handle that the one `Relais-Session` header carries.
fn relais_session(headers: &HeaderMap) -> Result<SessionHandle, Problem> {
    let value = single(headers, &RELAIS_SESSION).map_err(|()| {
        Problem::new(Code::ApplicationUnauthenticated).detail("There is more than one Relais-Session header.")
    })?;
    handle_of(value.and_then(|value| value.to_str().ok()).unwrap_or_default().trim())
}
