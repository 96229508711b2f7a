//! Form bodies (`application/x-www-form-urlencoded`), read strictly.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

/// A form in which no parameter occurs twice. Parameters without a value are as good as absent (RFC 6749 §3.2).
pub(in super::super) struct Form(BTreeMap<String, String>);

/// A parameter occurs twice.
pub(in super::super) struct Duplicated;

impl Form {
    /// Reads a body.
    pub(in super::super) fn parse(body: &[u8]) -> Result<Self, Duplicated> {
        let mut members = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if members.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Duplicated);
            }
        }
        Ok(Self(members))
    }

    /// These parameters.
    pub(in super::super) fn of(members: BTreeMap<String, String>) -> Self {
        Self(members)
    }

    /// The names of all parameters.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A parameter that has a value.
    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// A parameter as it was sent, also an empty one.
    pub(in super::super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The first value of a parameter, whatever else the body holds.
pub(in super::super) fn first(body: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether the body is declared to be a form.
pub(in super::super) fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}
