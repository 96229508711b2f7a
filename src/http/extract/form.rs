//! A form that an application sends (RFC 6749 style): it may carry its credential, where the head carries none.

use axum::extract::{FromRequest, FromRequestParts, Request};

use super::application::{Caller, signed};
use super::body::{MAX, receive_form};
use super::refuse_relais_session;
use crate::domain::secret::Secret;
use crate::http::clients::ClientsState;
use crate::http::front::RequestContext;
use crate::http::json::Fields;
use crate::http::problem::{Code, Problem};

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application that has proven who it is, and what else its form says.
pub(in crate::http) struct FormCaller {
    /// The application.
    pub(in crate::http) caller: Caller,
    /// The form without the credential.
    pub(in crate::http) form: Fields,
}

impl FromRequest<ClientsState> for FormCaller {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ClientsState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        refuse_relais_session(&parts.headers)?;
        let Ok(context) = RequestContext::from_request_parts(&mut parts, state).await;
        let by_head = Caller::by_head(&mut parts, state).await?;
        let bytes = receive_form(&parts.headers, body, MAX).await?;
        let mut form = Fields::of_form(bytes.expose()).map_err(Problem::invalid_request)?;
        let caller = match (by_head, assertion(&mut form)?) {
            (Some(_), Some(_)) => {
                return Err(refused("The request carries a client assertion and another credential."));
            }
            (Some(caller), None) => caller,
            (None, Some(jwt)) => {
                let (credential, id) = signed(jwt, state);
                Caller::by(&credential, id, state, &context).await?
            }
            (None, None) => return Err(Problem::new(Code::CredentialMissing).challenge_application()),
        };
        // RFC 8705 §2 and RFC 7521 §4.2 have clients name themselves beside their proof.
        match form.text("client_id") {
            Some(named) if named != caller.application.name.as_str() => {
                Err(refused("The client_id is not the application whose credential the request carries."))
            }
            _ => Ok(Self { caller, form }),
        }
    }
}

/// The assertion of a form (RFC 7521 §4.2).
fn assertion(form: &mut Fields) -> Result<Option<Secret>, Problem> {
    match (form.text("client_assertion_type").as_deref(), form.text("client_assertion")) {
        (None, None) => Ok(None),
        (Some(JWT_BEARER), Some(jwt)) => Ok(Some(Secret::new(jwt))),
        _ => Err(refused(
            "client_assertion comes with client_assertion_type, which is \
             urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
        )),
    }
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Code::ApplicationUnauthenticated).detail(detail)
}
