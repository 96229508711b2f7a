//! `kill -9` at random moments while clients sign people in without a pause. Whatever the moment: what was
//! acknowledged stays true, no phone rings twice for one start, no polls overlap or come early, no login is stuck.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use relais::app::clock::SystemClock;
use relais::crypto::random::SystemRandom;
use relais::domain::clock::Clock as _;
use relais::domain::random::uuid_v4;
use reqwest::Method;
use serde_json::{Value, json};

use super::running::pause;
use super::site::{Node, Site, person};
use crate::support::http::{Answer, Caller};
use crate::support::stack::Backend;

const LIFETIME: u64 = 60;
/// How long after its deadline a login may at most look as if it were under way.
const GRACE: u64 = 60;
const CLIENTS: usize = 4;

/// What was promised to clients.
#[derive(Default)]
struct Ledger {
    sessions: Mutex<Vec<String>>,
    ended_sessions: Mutex<Vec<String>>,
    /// How logins ended that brought no session.
    failures: Mutex<Vec<String>>,
    next_person: AtomicU32,
    stop: AtomicBool,
}

/// How a client reaches the nodes: whichever answers.
#[derive(Clone)]
struct Ways {
    /// With the application's secret.
    desks: Vec<Caller>,
    /// Without.
    plain: Vec<Caller>,
}

impl Ways {
    fn new(nodes: &[Node]) -> Self {
        Self {
            desks: nodes.iter().map(Node::desk).collect(),
            plain: nodes.iter().map(Node::relais).collect(),
        }
    }

    /// Repeats a call, at one node after the other, until it is answered with something else than 503.
    async fn ask(callers: &[Caller], method: Method, path: &str, body: &Value) -> Answer {
        let begun = SystemClock::start();
        for caller in callers.iter().cycle() {
            match caller.try_send(method.clone(), path, Some(body.clone())).await {
                Ok(answer) if answer.status != 503 => return answer,
                _ => pause(Duration::from_millis(50)).await,
            }
            assert!(begun.monotonic().0 < Duration::from_secs(60), "nobody answers {method} {path}");
        }
        unreachable!("the nodes are asked in a circle")
    }

    fn holding(&self, token: &str) -> Vec<Caller> {
        self.plain.iter().map(|caller| caller.bearer(token)).collect()
    }
}

/// A client that signs one person in after the other.
async fn client(ways: Ways, ledger: Arc<Ledger>) {
    while !ledger.stop.load(Ordering::Relaxed) {
        let hint = person(1000 + ledger.next_person.fetch_add(1, Ordering::Relaxed));
        let key = uuid_v4(&SystemRandom).to_string();
        let desks: Vec<_> = ways.desks.iter().map(|desk| desk.header("idempotency-key", &key)).collect();
        let started = Ways::ask(&desks, Method::POST, "/v1/logins", &json!({ "login_hint": hint })).await;
        assert!(started.status.is_success(), "{hint}: {}", started.body);
        if let Some(handle) = session(&ways, &ledger, &started).await {
            use_it(&ways, &ledger, &handle).await;
        }
    }
}

/// Waits for the session of a started login; the end of the login is noted where there is none.
async fn session(ways: &Ways, ledger: &Ledger, started: &Answer) -> Option<String> {
    let holders: Vec<_> = ways.holding(&started.text("/login_token"));
    let waiting: Vec<_> = holders.iter().map(|holder| holder.header("prefer", "wait=5")).collect();
    let path = format!("/v1/logins/{}", started.text("/login_id"));
    let begun = SystemClock::start();
    loop {
        let answer = Ways::ask(&waiting, Method::POST, &format!("{path}/session"), &Value::Null).await;
        match answer.status.as_u16() {
            201 => return Some(answer.text("/session_handle")),
            409 => {
                assert_eq!(answer.text("/code"), "not_approved", "{}", answer.body);
                let login = Ways::ask(&holders, Method::GET, &path, &Value::Null).await;
                ledger.failures.lock().expect("unharmed").push(login.text("/reason"));
                return None;
            }
            status => assert_eq!(status, 202, "{}", answer.body),
        }
        let waited = begun.monotonic().0.as_secs();
        assert!(waited < LIFETIME + GRACE, "stuck for {waited} s: {}", answer.body);
    }
}

/// Reads the session; every third is ended.
async fn use_it(ways: &Ways, ledger: &Ledger, handle: &str) {
    let holders = ways.holding(handle);
    let read = Ways::ask(&holders, Method::GET, "/v1/session", &Value::Null).await.expect(200);
    assert_eq!(read.text("/status"), "active");
    let count = ledger.sessions.lock().expect("unharmed").len();
    if count % 3 == 2 && ledger.ended_sessions.lock().expect("unharmed").len() <= count / 2 {
        let ended = Ways::ask(&holders, Method::DELETE, "/v1/session", &Value::Null).await;
        // The answer to an earlier attempt may have been lost.
        assert!(ended.status == 204 || ended.text("/code") == "session_ended", "{}", ended.body);
        ledger.ended_sessions.lock().expect("unharmed").push(handle.to_owned());
    } else {
        ledger.sessions.lock().expect("unharmed").push(handle.to_owned());
    }
}

/// Up to `most`, drawn.
fn drawn(most: Duration) -> Duration {
    let random = uuid_v4(&SystemRandom).as_u128() % 1_000_000;
    most * u32::try_from(random).expect("below a million") / 1_000_000
}

async fn survive(backend: Backend, nodes: usize, kills: usize) {
    let site = Site::on(backend).await;
    site.settings(json!({ "expires_in": LIFETIME, "auto": { "decision": "approve", "after_ms": 300 } }))
        .await;
    let mut running = Vec::new();
    for _ in 0..nodes {
        running.push(site.serve().await);
    }
    let (ways, ledger) = (Ways::new(&running), Arc::new(Ledger::default()));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(ways.clone(), ledger.clone()))).collect();
    for kill in 0..kills {
        pause(drawn(Duration::from_millis(2500))).await;
        let node = &mut running[kill % nodes];
        node.process.kill().await;
        node.restart().await;
    }
    ledger.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no promise was broken");
    }
    check(&site, &ways, &ledger, kills).await;
}

async fn check(site: &Site, ways: &Ways, ledger: &Ledger, kills: usize) {
    let sessions = ledger.sessions.lock().expect("unharmed").clone();
    let ended = ledger.ended_sessions.lock().expect("unharmed").clone();
    let failures = ledger.failures.lock().expect("unharmed").clone();
    assert!(!sessions.is_empty(), "nobody was signed in between {kills} kills: {failures:?}");
    for handle in &sessions {
        for caller in ways.holding(handle) {
            caller.get("/v1/session").await.expect(200);
        }
    }
    for handle in &ended {
        for caller in ways.holding(handle) {
            caller.get("/v1/session").await.expect_problem(401, "session_ended");
        }
    }
    // A kill costs a login only at the two places where nobody can know what the provider did.
    let explained = |reason: &String| matches!(reason.as_str(), "outcome_unknown" | "answer_lost");
    assert!(failures.iter().all(explained), "{failures:?}");
    let stats = site.stats().await;
    let rings = stats["rings"].as_object().expect("an object");
    assert!(rings.values().all(|rings| *rings == 1), "{rings:?}");
    assert!(rings.len() <= ledger.next_person.load(Ordering::Relaxed) as usize);
    site.assert_polite().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_survives_kills_at_random_moments() {
    survive(Backend::Sqlite, 1, 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_postgres_survive_kills_at_random_moments() {
    survive(Backend::Postgres, 2, 15).await;
}
