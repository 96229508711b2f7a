//! Faults: how a test makes the provider misbehave, once or many times, at one endpoint.
//!
//! The faults of an endpoint are a queue. The first lets `after` calls pass, then hits `count` calls, then gives
//! way to the next.
//!
//! - `status`, `body` replace the answer: the call is **not** processed (nobody's phone rings, nothing is
//!   redeemed). `headers` alone are set on the true answer.
//! - `delay_ms` and `action` come after processing: the phone rang, the tokens are spent, and the client does not
//!   learn it. `action` sends what there is to send: the replaced answer where there is one, else the true one.
//! - `when: "before"` spares the processing, `when: "after"` asks for it, against these defaults.
//! - `token` alters the next ID tokens (`after` and `count` count ID tokens, not calls) and stands alone; see
//!   [`super::id_token`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use super::exchange::Reply;

const MOST_FAULTS: usize = 1000;
const LONGEST_DELAY: u64 = 3_600_000;
/// By how much the promised length of a truncated answer exceeds what is sent.
const PROMISED_BEYOND: usize = 1024;

/// The endpoints that are counted and can misbehave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endpoint {
    Metadata,
    Jwks,
    Backchannel,
    Token,
    Userinfo,
    Introspection,
    /// The token endpoint of a target's authorization server.
    Exchange,
    /// The downstream API.
    Target,
    Revocation,
    Logout,
    /// A logout token: see [`super::backchannel_logout`].
    BackchannelLogout,
    /// A message of the provider's own: see [`super::delivery`].
    Notification,
}

/// How a connection is ill-treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// The connection (HTTP/2: the stream) is torn down without an answer.
    Reset,
    /// Half of the body, below a `Content-Length` that promises more, then the connection is cut.
    Truncate,
    /// No answer, until the client gives up.
    Hang,
    /// The body, then blanks without end.
    Stream,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Before,
    After,
}

/// A fault as it is ordered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    endpoint: Endpoint,
    #[serde(default)]
    after: u32,
    #[serde(default = "once")]
    count: u32,
    status: Option<u16>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<Value>,
    delay_ms: Option<u64>,
    action: Option<Action>,
    token: Option<Map<String, Value>>,
    when: Option<When>,
}

const fn once() -> u32 {
    1
}

/// Why an ordered fault is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum FaultRefused {
    #[error("count must be at least 1")]
    Count,
    #[error("status must be from 200 to 599")]
    Status,
    #[error("headers must be names and values of HTTP")]
    Headers,
    #[error("delay_ms must be at most 3600000")]
    Delay,
    #[error("one of status, headers, body, delay_ms, action, token must say what goes wrong")]
    Nothing,
    #[error("token goes with endpoint token, and without status, headers, body, delay_ms, action, when")]
    Token,
    #[error("too many faults are waiting")]
    TooMany,
}

/// What happens to one call.
#[derive(Clone)]
pub(super) struct Fault {
    /// Whether the call is processed although it is hit.
    pub processed: bool,
    pub delay: Option<Duration>,
    pub action: Option<Action>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    body: Option<Bytes>,
}

enum Effect {
    Call(Fault),
    Token(Map<String, Value>),
}

struct Waiting {
    endpoint: Endpoint,
    after: u32,
    count: u32,
    effect: Effect,
}

/// The faults that wait for their call.
#[derive(Default)]
pub(super) struct Faults {
    waiting: VecDeque<Waiting>,
}

impl Faults {
    /// Adds a fault behind the others.
    pub(super) fn add(&mut self, order: Order) -> Result<(), FaultRefused> {
        if self.waiting.len() >= MOST_FAULTS {
            return Err(FaultRefused::TooMany);
        }
        self.waiting.push_back(order.check()?);
        Ok(())
    }

    /// Forgets every fault.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What happens to the call that has just come in.
    pub(super) fn hit(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let of_call =
            |waiting: &Waiting| waiting.endpoint == endpoint && matches!(waiting.effect, Effect::Call(_));
        match self.next(of_call)? {
            Effect::Call(fault) => Some(fault),
            Effect::Token(_) => None,
        }
    }

    /// What is altered in the ID token that is about to be made.
    pub(super) fn altered_token(&mut self) -> Option<Map<String, Value>> {
        match self.next(|waiting| matches!(waiting.effect, Effect::Token(_)))? {
            Effect::Token(members) => Some(members),
            Effect::Call(_) => None,
        }
    }

    fn next(&mut self, wanted: impl Fn(&Waiting) -> bool) -> Option<Effect> {
        let position = self.waiting.iter().position(wanted)?;
        let first = self.waiting.get_mut(position)?;
        if first.after > 0 {
            first.after -= 1;
            return None;
        }
        first.count -= 1;
        if first.count == 0 {
            return self.waiting.remove(position).map(|done| done.effect);
        }
        Some(match &first.effect {
            Effect::Call(fault) => Effect::Call(fault.clone()),
            Effect::Token(members) => Effect::Token(members.clone()),
        })
    }
}

impl Order {
    fn check(self) -> Result<Waiting, FaultRefused> {
        if self.count == 0 {
            return Err(FaultRefused::Count);
        }
        let (endpoint, after, count) = (self.endpoint, self.after, self.count);
        let effect = self.effect()?;
        Ok(Waiting { endpoint, after, count, effect })
    }

    fn effect(self) -> Result<Effect, FaultRefused> {
        let replaces = self.status.is_some() || self.body.is_some();
        let ill_treats =
            replaces || self.headers.is_some() || self.delay_ms.is_some() || self.action.is_some();
        if let Some(members) = self.token {
            let alone = !ill_treats && self.when.is_none() && self.endpoint == Endpoint::Token;
            return if alone { Ok(Effect::Token(members)) } else { Err(FaultRefused::Token) };
        }
        if !ill_treats {
            return Err(FaultRefused::Nothing);
        }
        if self.delay_ms.is_some_and(|delay| delay > LONGEST_DELAY) {
            return Err(FaultRefused::Delay);
        }
        let status = self.status.map(parse_status).transpose()?;
        let headers = parse_headers(self.headers.unwrap_or_default())?;
        let body = self.body.map(|body| match body {
            Value::String(text) => Bytes::from(text),
            other => Bytes::from(other.to_string()),
        });
        let processed = match self.when {
            Some(When::Before) => false,
            Some(When::After) => true,
            None => self.action.is_some() || !replaces,
        };
        let delay = self.delay_ms.map(Duration::from_millis);
        Ok(Effect::Call(Fault { processed, delay, action: self.action, status, headers, body }))
    }
}

fn parse_status(status: u16) -> Result<StatusCode, FaultRefused> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..=599).contains(&status) => Ok(code),
        _ => Err(FaultRefused::Status),
    }
}

fn parse_headers(pairs: BTreeMap<String, String>) -> Result<HeaderMap, FaultRefused> {
    pairs
        .into_iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).map_err(|_| FaultRefused::Headers)?;
            let value = HeaderValue::try_from(value).map_err(|_| FaultRefused::Headers)?;
            Ok((name, value))
        })
        .collect()
}

impl Fault {
    /// Whether the client gets something else than the true answer (a mere delay changes nothing).
    pub(super) fn falsifies(&self) -> bool {
        self.action.is_some() || self.replaces() || !self.headers.is_empty()
    }

    fn replaces(&self) -> bool {
        self.status.is_some() || self.body.is_some()
    }

    /// The answer as the client is meant to see it. A replaced answer is JSON unless its headers say otherwise.
    pub(super) fn falsify(&self, answer: Option<Reply>) -> Reply {
        let mut reply = match answer {
            Some(answer) if !self.replaces() => answer,
            _ => {
                let body = self.body.clone().unwrap_or_default();
                Reply::new(self.status.unwrap_or(StatusCode::OK), "fault", body)
            }
        };
        for (name, value) in &self.headers {
            reply.headers.insert(name, value.clone());
        }
        reply
    }
}

/// Sends `reply` in the way of `action`.
pub(super) async fn ill_treat(action: Action, reply: Reply) -> Response {
    match action {
        // Unwinding ends the task that serves the connection: the socket is closed with nothing sent. No panic
        // hook runs, nothing is logged.
        Action::Reset => std::panic::resume_unwind(Box::new("the connection is reset on demand")),
        Action::Hang => std::future::pending().await,
        Action::Truncate => truncated(reply),
        Action::Stream => endless(reply),
    }
}

fn truncated(reply: Reply) -> Response {
    let half = reply.body.slice(..reply.body.len().div_ceil(2));
    let promised = reply.body.len() + PROMISED_BEYOND;
    // The error comes one turn of the executor later: what is before it is on the wire by then.
    let cut = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let cut = stream::once(async { Ok(half) }).chain(cut);
    let mut response = reply.with_body(Body::from_stream(cut));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    response
}

fn endless(reply: Reply) -> Response {
    let body = reply.body.clone();
    let blanks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
    reply.with_body(Body::from_stream(stream::once(async { Ok(body) }).chain(blanks)))
}

/// A name for a fault, in the answer to its order.
#[derive(Serialize)]
pub(super) struct Ordered {
    pub fault_id: Uuid,
}
