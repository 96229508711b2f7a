//! How a test moves a login along while time stands still: to the next poll, to an outcome, past an end.
//!
//! A poll goes out at an exact moment of the manual clock, so time is moved to that moment and then held until the
//! poll has arrived. What the simulated provider counts as early or overlapping is then Relais's doing alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::stack::{Builder, Stack};

/// The provider's interval in these tests.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Interval and margin of the profile `psc`: from one poll to the next.
pub const PACE: Duration = Duration::from_millis(5250);

/// How far time may be moved on while something is awaited that is due already: a lease that lapsed because this
/// machine was slow has to be renewed first.
const NUDGES: u32 = 40;
const NUDGE: Duration = Duration::from_millis(250);

/// Looks before the first of them, some four seconds: a busy machine alone must not make time pass.
const PATIENCE: u32 = 400;

/// What a login that ended is read as.
#[track_caller]
pub fn assert_ended(login: &Answer, status: &str, reason: &str, case: &str) {
    let (is, why) = (login.text("/status"), login.json()["reason"].clone());
    assert_eq!((is.as_str(), why), (status, json!(reason)), "{case}: {}", login.body);
    assert!(!login.text("/user_message").is_empty(), "{case}");
    assert_eq!(login.at("/poll_after_ms"), json!(0), "{case}");
}

impl Builder {
    /// Time stands still; the provider's interval is [`INTERVAL`].
    pub fn paced(self) -> Self {
        self.manual_clock().interval(INTERVAL.as_secs())
    }
}

impl Stack {
    /// The provider's issuer.
    pub fn issuer(&self) -> String {
        let line = self.config.lines().find_map(|line| line.strip_prefix("issuer = \"")).expect("an issuer");
        line.trim_end_matches('"').to_owned()
    }

    /// Polls of the newest request.
    pub async fn polls(&self) -> u64 {
        self.requests().await.last().expect("a request")["polls"].as_u64().expect("a number")
    }

    /// How often an endpoint has been called, whatever it answered.
    pub async fn calls(&self, endpoint: &str) -> u64 {
        let stats = self.stats().await;
        let results = stats["calls"][endpoint].as_object().cloned().unwrap_or_default();
        results.values().filter_map(Value::as_u64).sum()
    }

    /// The provider's sessions, oldest first.
    pub async fn sessions(&self) -> Vec<Value> {
        self.phone.get("/_sim/sessions").await.expect(200).json().as_array().expect("a list").clone()
    }

    /// How often a phone has rung.
    pub async fn rings(&self, hint: &str) -> u64 {
        self.stats().await["rings"][hint].as_u64().unwrap_or(0)
    }

    /// Lets time pass, slowly enough for the lease to be renewed on the way.
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn pass(&self, length: Duration) {
        let mut left = length;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(750));
            self.clock.advance(step);
            left -= step;
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    }

    /// Waits until `done`; time moves only where that takes unusually long.
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn happens<F: Future<Output = bool>>(&self, what: &str, mut done: impl FnMut() -> F) {
        let mut nudges = 0;
        let mut looks = 0;
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
            looks += 1;
            if looks >= PATIENCE && looks % 80 == 0 {
                assert!(nudges < NUDGES, "never happened: {what}");
                nudges += 1;
                self.clock.advance(NUDGE);
            }
        }
    }

    /// Waits in real time while the clock stands still: for a time-out of I/O.
    #[expect(clippy::disallowed_methods, reason = "time-outs of I/O run in real time")]
    pub async fn in_real_time<F: Future<Output = bool>>(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut() -> F,
    ) {
        let mut waited = Duration::ZERO;
        while !done().await {
            assert!(waited < limit, "not within {limit:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            waited += Duration::from_millis(50);
        }
    }

    /// Lets the next poll of the newest request go out, which is due `wait` from now and no sooner.
    pub async fn next_poll(&self, wait: Duration) {
        let before = self.polls().await;
        let instant = Duration::from_millis(1);
        self.pass(wait.saturating_sub(instant)).await;
        assert_eq!(self.polls().await, before, "a poll came before it was due");
        self.clock.advance(instant);
        self.happens("the next poll", async || self.polls().await > before).await;
    }

    /// Starts a login whose provider takes longer to answer than the call waits.
    pub async fn slow_start(&self, hint: &str) -> Answer {
        let before = self.calls("backchannel").await;
        let (desk, body) = (self.desk(), json!({ "login_hint": hint }));
        let call = tokio::spawn(async move { desk.post("/v1/logins", body).await });
        self.happens("the provider is asked", async || self.calls("backchannel").await > before).await;
        self.pass(Duration::from_secs(10)).await;
        call.await.expect("no panic").expect(201)
    }

    /// The login of a start, as its holder reads it.
    pub async fn read(&self, started: &Answer) -> Answer {
        let (holder, path) = self.holder(started);
        holder.get(&path).await.expect(200)
    }

    /// The login as soon as it is neither `starting` nor `pending`; it has to be there already, but for real time.
    pub async fn outcome(&self, started: &Answer) -> Answer {
        self.happens("an outcome", async || {
            !["starting", "pending"].contains(&self.read(started).await.text("/status").as_str())
        })
        .await;
        self.read(started).await
    }

    /// From now on the provider answers every poll that nobody has decided, also after its request has expired.
    pub async fn never_decided(&self) {
        let body = json!({"error": "authorization_pending"});
        self.fault(json!({"endpoint": "token", "count": 1000, "status": 400, "body": body})).await;
    }

    /// Lets what has arrived be dealt with.
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(150)).await;
    }

    /// The provider closes its ports, for good.
    pub async fn provider_goes_away(&self) {
        self.stop_provider();
        self.happens("the provider is gone", async || {
            self.phone.try_send(reqwest::Method::GET, "/_sim/stats", None).await.is_err()
        })
        .await;
    }

    /// Starts a login that the person approves and Relais has the tokens of.
    pub async fn approved(&self, hint: &str) -> Answer {
        let started = self.start(hint).await.expect(201);
        self.decide("approve", Value::Null).await;
        self.next_poll(PACE).await;
        assert_eq!(self.outcome(&started).await.text("/status"), "approved");
        started
    }

    /// Picks an approved login up.
    pub async fn pick_up(&self, started: &Answer, body: Value) -> Answer {
        let (holder, path) = self.holder(started);
        holder.post(&format!("{path}/session"), body).await
    }

    /// Approves, polls, picks up.
    pub async fn session(&self, hint: &str) -> Answer {
        let started = self.approved(hint).await;
        self.pick_up(&started, Value::Null).await.expect(201)
    }

    /// Nothing more goes to the provider about any login, and no poll ever came too early or beside another one.
    pub async fn stays_silent(&self) {
        let before = self.sent().await;
        self.pass(Duration::from_secs(60)).await;
        assert_eq!(self.sent().await, before, "something was sent after the end");
        self.was_polite().await;
    }

    /// No poll came too early or beside another one.
    pub async fn was_polite(&self) {
        let stats = self.stats().await;
        assert_eq!((&stats["early_polls"], &stats["overlapping_polls"]), (&json!(0), &json!(0)), "{stats}");
    }

    async fn sent(&self) -> [u64; 3] {
        [self.calls("backchannel").await, self.calls("token").await, self.calls("userinfo").await]
    }
}
