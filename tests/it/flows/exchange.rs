//! A session's token is exchanged for one that a target takes: lazily, once for all who need it, and whatever goes wrong
//! there ends no session.

mod acting;
mod ends;
mod faults;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use relais::domain::names::TargetName;
use relais::domain::secret::{Secret, SessionHandle};
use relais::domain::target::Target;
use relais::engine::Engine;
use relais::engine::exchange::{ExchangeError, Exchanged};
use relais::engine::ports::{Actor, ActorKind};
use relais::engine::session::{HandleCall, SessionView};
use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::jwt::hex;
use crate::support::stack::{BACKENDS, Backend, Builder, DOCTOR, Stack};

/// A target, and what its `[targets.NAME.exchange]` says besides.
fn target(name: &str, exchange: &str) -> String {
    format!(
        r#"
[targets.{name}]
url = "https://api.example/{name}/"
environment = "test"
registrations = ["psc"]
applications = ["desk"]
methods = ["GET"]
paths = ["/**"]
[targets.{name}.exchange]
ca = "certs/ca.pem"
token_endpoint = "{{issuer}}/as/token"
{exchange}
"#
    )
}

/// The two targets of most tests.
fn in_real_time(backend: Backend) -> Builder {
    let dmp = target("dmp", "audience = \"dmp\"\nscope = \"dmp.read dmp.write\"\ncnf = \"rfc8705\"\n");
    let mss = target("mss", "audience = \"mss\"\ncnf = \"cisis_hex\"\n");
    Stack::on(backend).sections(&dmp).sections(&mss)
}

/// Time stands still.
fn with_targets(backend: Backend) -> Builder {
    in_real_time(backend).paced()
}

/// Whoever calls targets with one session.
#[derive(Clone)]
struct User {
    engine: std::sync::Arc<Engine>,
    session: Caller,
}

impl User {
    /// At another node.
    fn at(&self, engine: &std::sync::Arc<Engine>) -> Self {
        Self { engine: engine.clone(), session: self.session.clone() }
    }

    fn target(&self, name: &str) -> Target {
        let name: TargetName = name.parse().expect("a name");
        let directory = self.engine.directory();
        Target::clone(directory.target(&name).expect("configured"))
    }

    /// What a use of the session gives.
    async fn used(&self) -> SessionView {
        let by = Actor { kind: ActorKind::Holder, request_id: None, address: None, certificate_dn: None };
        let handle = SessionHandle(Secret::new(self.session.token()));
        let call = HandleCall { handle, certificate: None, back_end: None, by };
        self.engine.use_session(&call, true).await.expect("an active session")
    }

    async fn token(&self, target: &str) -> Result<Exchanged, ExchangeError> {
        let view = self.used().await;
        self.engine.exchange(&view, &self.target(target), None).await
    }

    /// After the target has refused `past`.
    async fn another(&self, target: &str, past: &Exchanged) -> Result<Exchanged, ExchangeError> {
        let view = self.used().await;
        self.engine.exchange(&view, &self.target(target), Some(past)).await
    }
}

impl Stack {
    /// Somebody signs in, to use targets.
    async fn user(&self, hint: &str) -> User {
        self.user_of(&self.session(hint).await)
    }

    /// Whoever has picked this session up.
    fn user_of(&self, picked_up: &Answer) -> User {
        let session = self.relais.bearer(&picked_up.text("/session_handle"));
        User { engine: self.app().engine().clone(), session }
    }

    /// Exchanges that were answered with a token.
    async fn exchanged(&self) -> u64 {
        self.stats().await["calls"]["exchange"]["ok"].as_u64().unwrap_or(0)
    }

    /// The refreshes so far, by their result.
    async fn refreshed(&self) -> Value {
        self.stats().await["refreshes"].clone()
    }
}

/// What a token says.
fn claims(token: &Exchanged) -> Value {
    let part = token.access_token.expose().split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// The error in one word.
fn word(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::ExerciceRequired(_) => "exercice_required",
        ExchangeError::Refused(_) => "refused",
        ExchangeError::Unavailable { .. } => "unavailable",
        ExchangeError::Session(_) => "session",
        ExchangeError::Store(_) => "store",
    }
}

#[track_caller]
fn fails(outcome: Result<Exchanged, ExchangeError>, expected: &str) -> ExchangeError {
    let error = outcome.err().expect("no token");
    assert_eq!(word(&error), expected, "{error:?}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_for_the_target_and_bound_to_the_sessions_certificate() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        assert_eq!(stack.calls("exchange").await, 0, "not before it is needed");
        let token = user.token("dmp").await.expect("a token");
        let x5t = token.x5t.clone().expect("a certificate");
        let said = claims(&token);
        assert_eq!((&said["aud"], &said["scope"]), (&json!("dmp"), &json!("dmp.read dmp.write")));
        assert_eq!(said["cnf"], json!({ "x5t#S256": x5t }));
        assert_eq!(said["preferred_username"], json!(DOCTOR));
        let other = user.token("mss").await.expect("a token");
        let digest = URL_SAFE_NO_PAD.decode(&x5t).expect("base64url");
        assert_eq!(claims(&other)["cnf"], json!({ "x5t#S256": STANDARD.encode(hex(&digest)) }));
        assert!(claims(&other).get("scope").is_none());
        assert_eq!(stack.exchanged().await, 2, "{backend:?}");
        // It is written nowhere.
        let database = Database::of(&stack.config).await.dump().await;
        let metrics = stack.ops.get("/metrics").await.body.into_bytes();
        for secret in [&token, &other].map(|token| token.access_token.expose().to_owned()) {
            let (head, tail) = secret.rsplit_once('.').expect("a JWT");
            for part in [tail, head.split_once('.').expect("a JWT").1] {
                for (place, bytes) in [("database", &database), ("metrics", &metrics)] {
                    assert!(
                        !bytes.windows(part.len()).any(|it| it == part.as_bytes()),
                        "{backend:?} {place}"
                    );
                }
            }
        }
        let metrics = String::from_utf8(metrics).expect("text");
        assert!(metrics.contains(r#"endpoint="exchange""#), "calls are measured");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_personality_has_its_tokens_exchanged() {
    for personality in [Personality::Keycloak, Personality::Generic] {
        let stack = in_real_time(Backend::Sqlite).personality(personality).start().await;
        let user = stack.user_of(&stack.sign_in(DOCTOR).await);
        let token = user.token("dmp").await.expect("a token");
        assert_eq!(claims(&token)["aud"], json!("dmp"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_used_until_shortly_before_its_end_and_the_access_token_is_refreshed_for_the_next() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        let first = user.token("dmp").await.expect("a token");
        stack.clock.advance(Duration::from_secs(280));
        assert!(user.token("dmp").await.expect("a token").is_same(&first), "{backend:?}");
        assert_eq!(stack.refreshed().await, json!({}), "nothing had to be exchanged");
        stack.clock.advance(Duration::from_secs(15));
        let second = user.token("dmp").await.expect("a token");
        assert!(!second.is_same(&first));
        assert_eq!(stack.exchanged().await, 2);
        // The access token lives two minutes: it was over.
        assert_eq!(stack.refreshed().await, json!({ "ok": 1 }));
        // Another target finds a fresh one.
        user.token("mss").await.expect("a token");
        assert_eq!(stack.refreshed().await, json!({ "ok": 1 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_with_little_life_left_is_refreshed_before_it_is_exchanged() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        stack.clock.advance(Duration::from_secs(100));
        user.token("dmp").await.expect("a token");
        assert_eq!(stack.refreshed().await, json!({}), "{backend:?}: 20 seconds do");
        stack.clock.advance(Duration::from_secs(10));
        user.token("mss").await.expect("a token");
        assert_eq!(stack.refreshed().await, json!({ "ok": 1 }), "{backend:?}: 10 seconds do not");
        assert_eq!(stack.exchanged().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_calls_causes_one_refresh_and_one_exchange_per_target() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        stack.clock.advance(Duration::from_secs(130));
        let calls = (0..60).map(|number| user.token(if number % 2 == 0 { "dmp" } else { "mss" }));
        let tokens: Vec<_> = join_all(calls).await.into_iter().map(|token| token.expect("a token")).collect();
        for pair in tokens.chunks(2) {
            assert!(pair[0].is_same(&tokens[0]) && pair[1].is_same(&tokens[1]));
        }
        assert_eq!(
            (stack.calls("exchange").await, stack.refreshed().await),
            (2, json!({ "ok": 1 })),
            "{backend:?}"
        );
        // Another session has a token of its own.
        let other = stack.user("899700000003").await;
        let of_other = other.token("dmp").await.expect("a token");
        assert_eq!(claims(&of_other)["preferred_username"], json!("899700000003"));
        assert_eq!(claims(&user.token("dmp").await.expect("a token"))["preferred_username"], json!(DOCTOR));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_slow_keeps_no_other_waiting() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        stack.fault(json!({ "endpoint": "exchange", "delay_ms": 3000 })).await;
        let slow = user.clone();
        let slow = tokio::spawn(async move { slow.token("dmp").await });
        stack.happens("the slow one is asked", async || stack.calls("exchange").await == 1).await;
        user.token("mss").await.expect("a token");
        user.session.get("/v1/session").await.expect(200);
        assert!(!slow.is_finished(), "{backend:?}");
        stack.clock.advance(Duration::from_secs(3));
        assert_eq!(claims(&slow.await.expect("no panic").expect("a token"))["aud"], json!("dmp"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_target_refuses_is_replaced_once_for_all_who_come_with_it() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        let refused = user.token("dmp").await.expect("a token");
        let others = (0..20).map(|_| user.another("dmp", &refused));
        let newer: Vec<_> = join_all(others).await.into_iter().map(|token| token.expect("a token")).collect();
        assert!(
            newer.iter().all(|token| token.is_same(&newer[0]) && !token.is_same(&refused)),
            "{backend:?}"
        );
        assert_eq!(stack.calls("exchange").await, 2);
        assert!(user.token("dmp").await.expect("a token").is_same(&newer[0]));
        // A target that refuses everything does not have an exchange made for each call.
        assert!(user.another("dmp", &newer[0]).await.expect("a token").is_same(&newer[0]));
        assert_eq!(stack.calls("exchange").await, 2);
        stack.clock.advance(Duration::from_secs(10));
        assert!(!user.another("dmp", &newer[0]).await.expect("a token").is_same(&newer[0]));
        assert_eq!(stack.calls("exchange").await, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_costs_no_exchange() {
    let stack = with_targets(Backend::Sqlite).start().await;
    let user = stack.user(DOCTOR).await;
    stack.fault(json!({ "endpoint": "exchange", "delay_ms": 1000 })).await;
    let gone = user.clone();
    let gone = tokio::spawn(async move { gone.token("dmp").await.is_ok() });
    stack.happens("it is asked", async || stack.calls("exchange").await == 1).await;
    gone.abort();
    assert!(gone.await.is_err());
    stack.clock.advance(Duration::from_secs(1));
    user.token("dmp").await.expect("a token");
    assert_eq!(stack.calls("exchange").await, 1);
}
