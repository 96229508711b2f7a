//! What handlers take out of a request. Each extractor refuses with the problem that the contract names.

mod application;
mod body;
#[cfg(any(fuzzing, test))]
pub(super) mod fuzzing;
mod idempotency;
mod query;
mod token;
mod wait;

pub(super) use application::Caller;
pub(super) use body::{Body, receive_form, receive_json};
pub(super) use idempotency::IdempotencyKey;
pub(super) use query::Query;
pub(super) use token::{HandleHolder, TokenHolder};
pub(super) use wait::{Waiting, last_event_id};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::{Code, Problem};

/// An application's own proof (RFC 7523): on calls that an application makes, and on no other.
pub(super) const CLIENT_ASSERTION: HeaderName = HeaderName::from_static("relais-client-assertion");

/// A credential that exists in the contract and not yet here: never ignored.
pub(super) const RELAIS_SESSION: HeaderName = HeaderName::from_static("relais-session");

/// The one `Authorization` header, split into scheme and credentials; `None` where there is none.
fn authorization(headers: &HeaderMap) -> Result<Option<(&str, &str)>, Problem> {
    let refused = |detail| Problem::new(Code::ApplicationUnauthenticated).detail(detail);
    if headers.contains_key(RELAIS_SESSION) {
        return Err(refused("A header carries a credential of a kind that is not accepted here."));
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("There is more than one Authorization header."));
    }
    let text = first.to_str().map_err(|_| refused("The Authorization header cannot be read."))?;
    Ok(Some(text.split_once(' ').map_or((text, ""), |(scheme, rest)| (scheme, rest.trim()))))
}

/// The one value of a header that may come at most once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}
