//! Event streams: of a login, and of a session.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answers::{LoginObject, Received, Word};
use super::error::ClientError;
use super::sse::{SseEvent, SseParser};
use super::transport::ANSWER_MAX;
use crate::domain::ids::SessionId;
use crate::domain::session::SessionEndReason;

/// The server sends at least a comment every 15 s; three missing ones mean that nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// An open event stream.
pub(super) struct EventStream {
    call: String,
    response: reqwest::Response,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
}

impl EventStream {
    pub(super) fn new(call: String, response: reqwest::Response) -> Self {
        Self { call, response, parser: SseParser::default(), ready: VecDeque::new() }
    }

    /// The next event called `name`, read as `T`; `None` once the server has closed the stream.
    async fn next<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<Received<T>>, ClientError> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                if event.event == name {
                    return self.read(&event).map(Some);
                }
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, self.response.chunk())
                .await
                .map_err(|_| ClientError::Transport { call: self.call.clone(), source: None })?
                .map_err(|source| ClientError::Transport {
                    call: self.call.clone(),
                    source: Some(source.without_url()),
                })?;
            let Some(chunk) = chunk else { return Ok(None) };
            self.ready.extend(self.parser.feed(&chunk));
            if self.parser.pending() > ANSWER_MAX {
                return Err(self.invalid("an event without end"));
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, event: &SseEvent) -> Result<Received<T>, ClientError> {
        let json: serde_json::Value =
            serde_json::from_str(&event.data).map_err(|_| self.invalid("an event that is no JSON"))?;
        let view =
            T::deserialize(&json).map_err(|_| self.invalid("an event that is not what it is called"))?;
        Ok(Received { view, json })
    }

    fn invalid(&self, what: &str) -> ClientError {
        let status = self.response.status().as_u16();
        ClientError::InvalidAnswer { call: self.call.clone(), status, what: what.to_owned() }
    }
}

/// The events of a login.
pub struct LoginEvents(EventStream);

impl LoginEvents {
    pub(super) fn new(stream: EventStream) -> Self {
        Self(stream)
    }

    /// The login's next state; `None` once the server has closed the stream, which it does at the login's end
    /// and after five minutes.
    pub async fn next(&mut self) -> Result<Option<Received<LoginObject>>, ClientError> {
        self.0.next("login").await
    }
}

/// What is told about a session.
#[derive(Clone, Deserialize)]
pub struct SessionEvent {
    /// Which.
    pub session_id: SessionId,
    /// `active` or `ended`.
    pub status: String,
    /// Why it ended.
    #[serde(default)]
    pub reason: Option<Word<SessionEndReason>>,
}

/// The events of a session.
pub struct SessionEvents(EventStream);

impl SessionEvents {
    pub(super) fn new(stream: EventStream) -> Self {
        Self(stream)
    }

    /// What happened next; `None` once the server has closed the stream.
    pub async fn next(&mut self) -> Result<Option<Received<SessionEvent>>, ClientError> {
        self.0.next("session").await
    }
}
