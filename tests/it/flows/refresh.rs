//! Sessions live as long as they are used, at Relais and at the provider, and no longer.

mod faults;
mod lifetime;
mod nodes;
mod refusals;
mod userinfo;

use std::time::Duration;

use relais::domain::clock::Clock as _;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{DOCTOR, Stack};

const MINUTE: Duration = Duration::from_mins(1);

/// Half of the life of the simulated provider's refresh tokens, and a second more: a use starts a refresh.
const DUE: Duration = Duration::from_secs(901);

impl Stack {
    /// Somebody signs in: the holder of the session's handle.
    async fn signed_in(&self) -> Caller {
        let picked_up = self.session(DOCTOR).await;
        self.relais.bearer(&picked_up.text("/session_handle"))
    }

    /// Refreshes that the provider has answered so.
    async fn refreshes(&self, result: &str) -> u64 {
        self.stats().await["refreshes"][result].as_u64().unwrap_or(0)
    }

    /// Waits while time stands still.
    async fn comes<F: Future<Output = bool>>(&self, what: &str, done: impl FnMut() -> F) {
        self.in_real_time(what, Duration::from_secs(60), done).await;
    }

    /// Waits until the provider has been asked for tokens so often, by polls and refreshes together.
    async fn token_calls(&self, wanted: u64) {
        self.comes("the provider is asked", async || self.calls("token").await >= wanted).await;
        assert_eq!(self.calls("token").await, wanted);
    }

    /// Waits until so many failures in a row have been written down.
    async fn failures(&self, wanted: i64) {
        let failures = "SELECT refresh_failures FROM sessions WHERE status = 'active'";
        self.comes("the failure is known", async || {
            Database::of(&self.config).await.number(failures).await == wanted
        })
        .await;
    }

    /// Waits until the session is shown so. Looking is no use.
    async fn shows(&self, session: &Caller, pointer: &str, wanted: &Value) {
        self.comes(pointer, async || {
            let seen = session.get("/v1/session?touch=false").await.expect(200);
            seen.at(pointer) == *wanted
        })
        .await;
    }

    /// Uses the session, and waits for the refresh that it starts.
    async fn refreshed_by_a_use(&self, session: &Caller) {
        let before = self.refreshes("ok").await;
        session.get("/v1/session").await.expect(200);
        self.comes("a refresh", async || self.refreshes("ok").await > before).await;
        self.has_new_tokens(session).await;
    }

    /// Waits until nothing but its own ends, and the lag of the last use, bounds the session's life.
    async fn has_new_tokens(&self, session: &Caller) {
        self.comes("new tokens", async || {
            let seen = session.get("/v1/session?touch=false").await.expect(200);
            let left = |pointer| seen.at(pointer).as_u64().expect("a number");
            left("/idle_expires_in") >= left("/expires_in").min(1770)
        })
        .await;
    }

    /// Waits until the refresh token is known to live so long, where nothing ends the session sooner.
    async fn grant_ends_in(&self, session: &Caller, seconds: u64) {
        self.shows(session, "/idle_expires_in", &json!(seconds)).await;
    }

    /// Waits until the session has ended, and says why.
    async fn ends(&self, session: &Caller) -> String {
        self.comes("the end", async || session.get("/v1/session?touch=false").await.status.as_u16() == 401)
            .await;
        ended(session.get("/v1/session?touch=false").await)
    }

    /// Time passes in steps of a minute, as long as nobody looks.
    async fn minutes_pass(&self, minutes: u32) {
        for _ in 0..minutes {
            self.clock.advance_slowly(MINUTE, MINUTE).await;
        }
    }

    /// Seconds since the epoch.
    fn seconds(&self) -> i64 {
        self.clock.now().as_secs()
    }
}

/// The reason of a session's end.
#[track_caller]
fn ended(answer: Answer) -> String {
    answer.expect_problem(401, "session_ended").text("/reason")
}
