//! A client that hangs up at any moment changes nothing: what it began is finished or was never begun, and the same
//! call made again gives the outcome.

#![expect(clippy::panic, reason = "a helper of a test fails the test")]

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use relais::crypto::random::SystemRandom;
use relais::domain::random::uuid_v4;
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, SECRET, Stack};

/// Cuts of each kind, on each store.
const CUTS: usize = 60;

/// Longer than any call here takes on an idle machine, in microseconds: a cut falls before, within or after.
const SPAN: u32 = 25_000;

fn person(number: usize) -> String {
    format!("8997{number:08}")
}

/// A number below `bound`.
fn below(bound: u32) -> u32 {
    let (_, low) = uuid_v4(&SystemRandom).as_u64_pair();
    // Two bits say which version of UUID it is.
    u32::try_from((low & 0xFFFF_FFFF) % u64::from(bound)).expect("below a u32")
}

/// Sends a request, or a part of it, and hangs up a random moment later: politely, or with a reset.
async fn hang_up(stack: &Stack, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: relais\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    let mut socket = TcpStream::connect(stack.app().clients()).await.expect("it listens");
    let whole = below(4) != 0;
    let length = u32::try_from(request.len()).expect("short");
    let sent = if whole { length } else { below(length) };
    socket.write_all(&request.as_bytes()[..sent as usize]).await.expect("sent");
    let moment = Duration::from_micros(u64::from(below(SPAN)));
    let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
    if below(2) == 0 {
        SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }
    drop(socket);
}

fn basic() -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("desk:{SECRET}")))
}

async fn everything_works(stack: &Stack) {
    let ready = stack.ops.get("/health/ready").await;
    assert_eq!(ready.status.as_u16(), 200, "{}", ready.body);
    stack.desk().get("/v1/application").await.expect(200);
}

/// A start whose client has gone; then the same start again.
async fn start_cut(stack: &Stack, number: usize) {
    let (hint, key) = (person(number), uuid_v4(&SystemRandom).to_string());
    let body = json!({ "login_hint": hint });
    let authorization = basic();
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key.as_str()),
    ];
    hang_up(stack, "POST", "/v1/logins", &headers, &body.to_string()).await;
    let desk = stack.desk().header("idempotency-key", &key);
    let again = desk.post("/v1/logins", body).await;
    assert!(matches!(again.status.as_u16(), 200 | 201), "{} {}", again.status, again.body);
    assert_eq!(again.text("/status"), "pending");
    let (holder, path) = stack.holder(&again);
    assert_eq!(holder.get(&path).await.expect(200).text("/status"), "pending");
    let rings = stack.stats().await["rings"][&hint].clone();
    assert_eq!(rings, json!(1), "the phone of {hint} rang {rings} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_made_once_or_not_at_all() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let cuts = (0..CUTS).map(|number| start_cut(&stack, number));
        stream::iter(cuts).buffer_unordered(6).collect::<()>().await;
        everything_works(&stack).await;
    }
}

async fn start_cut_without_a_key(stack: &Stack, number: usize) {
    let hint = person(number);
    let body = json!({ "login_hint": hint }).to_string();
    let headers = [("authorization", basic()), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    hang_up(stack, "POST", "/v1/logins", &headers, &body).await;
    // Without a key the client cannot know; the slot keeps a second phone call away until the first is over.
    let again = stack.start(&hint).await;
    match again.status.as_u16() {
        201 => {}
        409 => drop(again.expect_problem(409, "already_pending")),
        _ => panic!("{} {}", again.status, again.body),
    }
    stack.eventually("one ring", || async { stack.stats().await["rings"][&hint] == json!(1) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_key_never_rings_twice() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let cuts = (0..CUTS).map(|number| start_cut_without_a_key(&stack, number));
        stream::iter(cuts).buffer_unordered(6).collect::<()>().await;
        everything_works(&stack).await;
        let stats = stack.stats().await;
        let rings = stats["rings"].as_object().expect("rings");
        assert!(rings.values().all(|rings| *rings == json!(1)), "{rings:?}");
    }
}

/// An approved login.
async fn approved(stack: &Stack, number: usize) -> Answer {
    let started = stack.start(&person(number)).await.expect(201);
    let (holder, path) = stack.holder(&started);
    while holder.get(&format!("{path}?wait=30")).await.expect(200).text("/status") != "approved" {}
    started
}

async fn pick_up_cut(stack: &Stack, number: usize) {
    let started = approved(stack, number).await;
    let (holder, path) = stack.holder(&started);
    let path = format!("{path}/session");
    let bearer = format!("Bearer {}", started.text("/login_token"));
    hang_up(stack, "POST", &path, &[("authorization", &bearer)], "").await;
    let again = holder.post(&path, Value::Null).await.expect(201);
    let session = stack.relais.bearer(&again.text("/session_handle"));
    let read = session.get("/v1/session").await;
    if read.status.as_u16() == 401 {
        // The call that was cut was still on its way and came after its repetition: to the server it is the one
        // that repeats, and its answer the one that is lost. Asking once more is right again.
        drop(read.expect_problem(401, "handle_invalid"));
        let third = holder.post(&path, Value::Null).await.expect(201);
        let session = stack.relais.bearer(&third.text("/session_handle"));
        session.get("/v1/session").await.expect(200);
        assert_eq!(third.text("/session_id"), again.text("/session_id"));
    } else {
        assert_eq!(read.expect(200).text("/session_id"), again.text("/session_id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pick_up_is_never_lost() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        stack.settings(json!({ "auto": { "decision": "approve", "after_ms": 0 } })).await;
        let cuts = (0..CUTS).map(|number| pick_up_cut(&stack, number));
        stream::iter(cuts).buffer_unordered(12).collect::<()>().await;
        everything_works(&stack).await;
    }
}

async fn session_end_cut(stack: &Stack, number: usize) {
    let started = approved(stack, number).await;
    let (holder, path) = stack.holder(&started);
    let picked_up = holder.post(&format!("{path}/session"), Value::Null).await.expect(201);
    let bearer = format!("Bearer {}", picked_up.text("/session_handle"));
    hang_up(stack, "DELETE", "/v1/session", &[("authorization", &bearer)], "").await;
    let session = stack.relais.bearer(&picked_up.text("/session_handle"));
    let again = session.delete("/v1/session").await;
    if again.status.as_u16() != 204 {
        assert_eq!(again.expect_problem(401, "session_ended").text("/reason"), "logout");
    }
    let ended = session.get("/v1/session").await.expect_problem(401, "session_ended");
    assert_eq!(ended.text("/reason"), "logout");
}

async fn cancellation_cut(stack: &Stack, number: usize) {
    let started = stack.start(&person(number)).await.expect(201);
    let (holder, path) = stack.holder(&started);
    let bearer = format!("Bearer {}", started.text("/login_token"));
    hang_up(stack, "DELETE", &path, &[("authorization", &bearer)], "").await;
    let status = holder.get(&path).await.expect(200).text("/status");
    assert!(matches!(status.as_str(), "pending" | "cancelled"), "{status}");
    holder.delete(&path).await.expect(204);
    assert_eq!(holder.get(&path).await.expect(200).text("/status"), "cancelled");
    // The person can be asked again at once.
    stack.start(&person(number)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_made_once_and_can_be_asked_for_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let cuts = (0..CUTS).map(|number| cancellation_cut(&stack, CUTS + number));
        stream::iter(cuts).buffer_unordered(6).collect::<()>().await;
        stack.settings(json!({ "auto": { "decision": "approve", "after_ms": 0 } })).await;
        let cuts = (0..CUTS).map(|number| session_end_cut(&stack, number));
        stream::iter(cuts).buffer_unordered(12).collect::<()>().await;
        everything_works(&stack).await;
    }
}
