//! What must hold of a client's readers whatever bytes a server sends: see `crypto::fuzzing`.

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answers::{ApplicationInfo, LoginObject, SessionObject};
use super::error::ClientError;
use super::events::SessionEvent;
use super::sse::SseParser;
use super::transport::{Call, refusal};

/// A stream of events: the same events wherever its chunks end, and no more held than came.
pub fn events(input: &[u8]) -> bool {
    let mut whole = SseParser::default();
    let events = whole.feed(input);
    let size = input.first().map_or(1, |byte| usize::from(*byte) + 1);
    for size in [1, size] {
        let mut in_parts = SseParser::default();
        let found: Vec<_> = input.chunks(size).flat_map(|chunk| in_parts.feed(chunk)).collect();
        assert_eq!(found, events, "in chunks of {size}");
        assert_eq!(in_parts.pending(), whole.pending(), "in chunks of {size}");
    }
    // A byte that is no UTF-8 becomes a character of three.
    assert!(whole.pending() <= 3 * input.len(), "more is held than came");
    for event in &events {
        assert!(!event.event.is_empty() && !event.event.contains(['\r', '\n']), "{event:?}");
        assert!(!event.data.contains('\r'), "{event:?}");
        let Ok(json) = serde_json::from_str::<Value>(&event.data) else { continue };
        let _ = (read::<LoginObject>(&json), read::<SessionEvent>(&json));
    }
    !events.is_empty()
}

fn read<T: DeserializeOwned>(json: &Value) -> Option<T> {
    T::deserialize(json).ok()
}

/// An answer: what every call may get, and what a refusal becomes. A waiting client comes to an end.
pub fn answers(input: &[u8]) -> bool {
    let call = Call::new(Method::POST, &["v1", "logins"]);
    let error = refusal(&call, StatusCode::BAD_REQUEST, None, input);
    match &error {
        ClientError::Problem(problem) => {
            assert_eq!(error.code(), Some(problem.code.as_str()));
            assert_eq!(problem.to_string(), format!("{problem:?}"), "a log shows more than the answer");
        }
        ClientError::InvalidAnswer { what, .. } => assert_eq!(what, "no problem of Relais"),
        ClientError::Transport { .. } => unreachable!("something has answered"),
    }
    let Ok(json) = serde_json::from_slice::<Value>(input) else { return false };
    let login = read::<LoginObject>(&json);
    if let Some(login) = &login {
        let waits = |status: &str| ["starting", "pending"].contains(&status);
        assert!(json["status"].as_str().is_none_or(|status| waits(status) == login.is_open()));
    }
    let other = read::<SessionObject>(&json).is_some() || read::<ApplicationInfo>(&json).is_some();
    other || login.is_some() || matches!(error, ClientError::Problem(_))
}
