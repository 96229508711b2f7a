//! The simulated provider's control interface: settings, decisions, counters.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{Answer, CallError, Connection, Protocol, Target};
use crate::domain::time::Timestamp;

/// The interface over one connection, opened again where it has been closed: a listener closes idle ones.
pub(super) struct Control {
    target: Target,
    connection: Connection,
}

/// What the provider counts.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Stats {
    #[serde(default)]
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    pub early_polls: u64,
    pub overlapping_polls: u64,
    /// Polls by the milliseconds that they came after their interval.
    pub poll_delays: BTreeMap<u64, u64>,
}

impl Stats {
    /// What has been counted since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let earlier_calls = |endpoint: &str, result: &str| {
            earlier.calls.get(endpoint).and_then(|results| results.get(result)).copied().unwrap_or(0)
        };
        Self {
            calls: self
                .calls
                .iter()
                .map(|(endpoint, results)| {
                    let results = results
                        .iter()
                        .map(|(result, count)| (result.clone(), count - earlier_calls(endpoint, result)))
                        .filter(|(_, count)| *count > 0);
                    (endpoint.clone(), results.collect())
                })
                .collect(),
            early_polls: self.early_polls - earlier.early_polls,
            overlapping_polls: self.overlapping_polls - earlier.overlapping_polls,
            poll_delays: self
                .poll_delays
                .iter()
                .map(|(delay, count)| (*delay, count - earlier.poll_delays.get(delay).copied().unwrap_or(0)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// Token requests, whatever came of them.
    pub(super) fn polls(&self) -> u64 {
        self.calls.get("token").map_or(0, |results| results.values().sum())
    }
}

/// A request that the provider remembers.
#[derive(Deserialize)]
pub(super) struct Rung {
    pub auth_req_id: String,
    pub login_hint: String,
    pub created_at: Timestamp,
}

/// Settings that are put back at the end.
#[derive(Clone, Deserialize)]
pub(super) struct InForce {
    interval: u64,
    expires_in: u64,
    auto: Value,
}

impl Control {
    pub(super) async fn open(target: Target) -> Result<Self, CallError> {
        let connection = target.connect(Protocol::Http1, 0).await?;
        Ok(Self { target, connection })
    }

    /// The settings in force.
    pub(super) async fn settings(&mut self) -> Result<InForce, CallError> {
        self.put_settings(&json!({})).await?.json()
    }

    /// How often a login is polled, how long it lives, and when it approves itself; both in seconds, and `None`
    /// where nobody approves.
    pub(super) async fn prepare(
        &mut self,
        interval: u64,
        expires_in: u64,
        approve_after_ms: Option<u128>,
    ) -> Result<(), CallError> {
        let auto = approve_after_ms.map(|after_ms| json!({ "decision": "approve", "after_ms": after_ms }));
        let change = json!({ "interval": interval, "expires_in": expires_in, "auto": auto });
        self.put_settings(&change).await.map(|_| ())
    }

    /// Puts settings back.
    pub(super) async fn restore(&mut self, before: &InForce) -> Result<(), CallError> {
        let InForce { interval, expires_in, auto } = before;
        let change = json!({ "interval": interval, "expires_in": expires_in, "auto": auto });
        self.put_settings(&change).await.map(|_| ())
    }

    pub(super) async fn stats(&mut self) -> Result<Stats, CallError> {
        self.call(Method::GET, "/_sim/stats", Bytes::new()).await?.json()
    }

    /// Every request that the provider remembers, oldest first.
    pub(super) async fn requests(&mut self) -> Result<Vec<Rung>, CallError> {
        self.call(Method::GET, "/_sim/requests", Bytes::new()).await?.json()
    }

    /// The person approves.
    pub(super) async fn approve(&mut self, auth_req_id: &str) -> Result<(), CallError> {
        let path = format!("/_sim/requests/{auth_req_id}/approve");
        self.call(Method::POST, &path, Bytes::new()).await.map(|_| ())
    }

    async fn put_settings(&mut self, change: &Value) -> Result<Answer, CallError> {
        self.call(Method::PUT, "/_sim/settings", change.to_string().into()).await
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, CallError> {
        let request = Request::builder().method(method).uri(path).body(Full::new(body));
        let request = request.map_err(|_| CallError::Unreadable)?;
        if self.connection.is_closed() {
            self.connection = self.target.connect(Protocol::Http1, 0).await?;
        }
        self.connection.call(request, std::time::Duration::ZERO).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_told_apart_from_what_was_there_before() {
        let stats = |text| serde_json::from_str::<Stats>(text).expect("stats");
        let before = stats(
            r#"{"calls": {"token": {"ok": 3}}, "early_polls": 1, "overlapping_polls": 0,
                "poll_delays": {"250": 3}, "rings": {"x": 1}, "handshakes_refused": {}}"#,
        );
        let after = stats(
            r#"{"calls": {"token": {"ok": 5, "slow_down": 2}, "userinfo": {"ok": 1}}, "early_polls": 2,
                "overlapping_polls": 4, "poll_delays": {"9": 1, "250": 3, "251": 6}}"#,
        );
        let since = after.since(&before);
        assert_eq!((since.early_polls, since.overlapping_polls, since.polls()), (1, 4, 4));
        assert_eq!(since.poll_delays, BTreeMap::from([(9, 1), (251, 6)]));
    }
}
