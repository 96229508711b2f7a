//! What handlers take out of a request. Each extractor refuses with the problem that the contract names.

mod acting;
mod application;
mod body;
mod form;
#[cfg(any(fuzzing, test))]
pub(super) mod fuzzing;
mod idempotency;
mod query;
mod token;
mod wait;

pub(super) use acting::SessionCaller;
pub(super) use application::Caller;
pub(super) use body::{Body, receive_form, receive_json};
pub(super) use form::FormCaller;
pub(super) use idempotency::IdempotencyKey;
pub(super) use query::Query;
pub(super) use token::{HandleHolder, TokenHolder};
pub(super) use wait::{Waiting, last_event_id};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::{Code, Problem};

/// An application's own proof (RFC 7523): on calls that an application makes, and on no other.
pub(super) const CLIENT_ASSERTION: HeaderName = HeaderName::from_static("relais-client-assertion");

/// The handle of the session that a back end acts with: on the calls that take it, and on no other.
pub(super) const RELAIS_SESSION: HeaderName = HeaderName::from_static("relais-session");

/// The one `Authorization` header, split into scheme and credentials; `None` where there is none.
fn authorization(headers: &HeaderMap) -> Result<Option<(&str, &str)>, Problem> {
    let refused = |detail| Problem::new(Code::ApplicationUnauthenticated).detail(detail);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("There is more than one Authorization header."));
    }
    let text = first.to_str().map_err(|_| refused("The Authorization header cannot be read."))?;
    Ok(Some(text.split_once(' ').map_or((text, ""), |(scheme, rest)| (scheme, rest.trim()))))
}

/// Where nobody acts with somebody else's session, `Relais-Session` is a credential of a wrong kind: never ignored.
fn refuse_relais_session(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(RELAIS_SESSION) {
        return Ok(());
    }
    let detail = "This call takes no Relais-Session header.";
    Err(Problem::new(Code::ApplicationUnauthenticated).detail(detail))
}

/// The one value of a header that may come at most once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}
