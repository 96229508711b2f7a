//! The HTTP calls of a client as somebody may watch them: a developer who wants to see the protocol at work.
//!
//! Tokens, handles and credentials are masked before anybody sees a call. Who signs in is not: a watcher is for test
//! persons. Watching changes nothing about a call.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use serde_json::Value;

/// Members of answers that are secrets.
const SECRET_MEMBERS: [&str; 2] = ["login_token", "session_handle"];

/// What says nothing about the call.
const UNSEEN_HEADERS: [HeaderName; 2] = [ACCEPT, ACCEPT_LANGUAGE];

/// Sees the calls of a client.
pub trait Observer: Send + Sync {
    /// A request goes out. The number is given back when it ends.
    fn sent(&self, request: SentRequest) -> u64;

    /// How the request of that number ended.
    fn ended(&self, number: u64, end: CallEnd);
}

/// A request, its secrets masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers that matter to the call.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Value>,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallEnd {
    /// With an answer.
    Answered {
        /// Its status.
        status: StatusCode,
        /// Its body, its secrets masked, where it is JSON. Of an event stream nothing.
        body: Option<Value>,
    },
    /// The answer was lost.
    Lost,
    /// The caller did not wait for it.
    GivenUp,
}

impl SentRequest {
    pub(super) fn new(method: Method, path: String, headers: &HeaderMap, body: Option<Value>) -> Self {
        let seen = headers.iter().filter(|(name, _)| !UNSEEN_HEADERS.contains(name));
        let headers = seen
            .map(|(name, value)| {
                let text = value.to_str().unwrap_or_default();
                let text = if name == AUTHORIZATION { masked_credential(text) } else { text.to_owned() };
                (name.as_str().to_owned(), text)
            })
            .collect();
        Self { method, path, headers, body }
    }
}

/// One call under way. Dropped before it ended, it was given up.
pub(super) struct Watched {
    observer: Option<(Arc<dyn Observer>, u64)>,
}

impl Watched {
    pub(super) fn new(observer: Option<&Arc<dyn Observer>>, request: impl FnOnce() -> SentRequest) -> Self {
        Self { observer: observer.map(|observer| (Arc::clone(observer), observer.sent(request()))) }
    }

    pub(super) fn answered(self, status: StatusCode, body: &[u8]) {
        self.end(|| CallEnd::Answered { status, body: serde_json::from_slice(body).ok().map(masked) });
    }

    pub(super) fn lost(self) {
        self.end(|| CallEnd::Lost);
    }

    fn end(mut self, end: impl FnOnce() -> CallEnd) {
        if let Some((observer, number)) = self.observer.take() {
            observer.ended(number, end());
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((observer, number)) = self.observer.take() {
            observer.ended(number, CallEnd::GivenUp);
        }
    }
}

/// `Bearer rlt_…`: the scheme, and what kind of token it is.
fn masked_credential(text: &str) -> String {
    let (scheme, credential) = text.split_once(' ').unwrap_or(("", text));
    format!("{scheme} {}", masked_token(credential))
}

/// The prefix that says what kind of token it is, and nothing else.
fn masked_token(token: &str) -> String {
    let prefix = token.get(..4).filter(|prefix| prefix.ends_with('_')).unwrap_or_default();
    format!("{prefix}••••••")
}

fn masked(mut answer: Value) -> Value {
    if let Value::Object(members) = &mut answer {
        for name in SECRET_MEMBERS {
            if let Some(Value::String(token)) = members.get_mut(name) {
                *token = masked_token(token);
            }
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_is_seen_but_what_kind_it_was() {
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, HeaderValue::from_static("Bearer rlt_abcdef")),
            (ACCEPT_LANGUAGE, HeaderValue::from_static("fr")),
            (HeaderName::from_static("prefer"), HeaderValue::from_static("wait=25")),
        ]);
        let request = SentRequest::new(Method::GET, "/v1".to_owned(), &headers, None);
        let expected = [("authorization", "Bearer rlt_••••••"), ("prefer", "wait=25")];
        assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(masked_credential("Basic ZGVtbzpkZW1v"), "Basic ••••••");
        let answer = json!({ "session_handle": "rsh_abcdef", "status": "active", "login_token": "x" });
        let expected = json!({ "session_handle": "rsh_••••••", "status": "active", "login_token": "••••••" });
        assert_eq!(masked(answer), expected);
    }
}
