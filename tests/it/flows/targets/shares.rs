//! What one session may have of a target: a share of its places, and an upload no longer than its length is worth.

use std::time::Duration;

use relais::domain::clock::Clock as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{at, calls, like_api, open, problem, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::stack::{BACKENDS, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn one_session_leaves_three_quarters_of_a_target_to_others() {
    let eight = like_api("eight", &[("environment", "max_requests = 8\ntimeout = \"10m\"\nenvironment")]);
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &eight).await;
        let other = stack.relais.bearer(&stack.sign_in("899700000002").await.text("/session_handle"));
        session.get("/v1/targets/eight/x").await.expect(200);
        other.get("/v1/targets/eight/x").await.expect(200);
        stack.fault(json!({ "endpoint": "target", "action": "hang", "count": 2 })).await;
        let line = "GET /v1/targets/eight/x";
        let mut hanging =
            vec![open(&stack, &session, line, "", "").await, open(&stack, &session, line, "", "").await];
        stack.eventually("both hang", async || calls(&stack, "target").await == 4).await;
        for _ in 0..3 {
            let refused = session.get("/v1/targets/eight/x").await.expect_problem(503, "overloaded");
            assert_eq!(refused.header("relais-answer"), Some("relais"));
            assert!(refused.header("retry-after").is_some());
        }
        other.get("/v1/targets/eight/x").await.expect(200);
        // Refusals have taken no place, and one that is given up is free.
        hanging.pop();
        stack
            .eventually("its place is free again", async || {
                session.get("/v1/targets/eight/x").await.status.as_u16() == 200
            })
            .await;
    }
}

/// A server that tells how long each piece is that it gets, and answers once it has seen `last`.
async fn counting() -> (Downstream, mpsc::UnboundedReceiver<Option<usize>>) {
    let (told, heard) = mpsc::unbounded_channel();
    let downstream = Downstream::new(move |mut connection: Connection| {
        let told = told.clone();
        async move {
            loop {
                let _ = told.send(Some(connection.rest.len()));
                if String::from_utf8_lossy(&connection.rest).contains("last") {
                    connection
                        .say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                        .await;
                }
                if !connection.read_some().await {
                    let _ = told.send(None);
                    return;
                }
            }
        }
    })
    .await;
    (downstream, heard)
}

/// Waits until the target has at least so much.
async fn has(heard: &mut mpsc::UnboundedReceiver<Option<usize>>, length: usize) {
    while heard.recv().await.expect("the target lives").expect("nobody has given up") < length {}
}

async fn with_counting(
    backend: crate::support::stack::Backend,
) -> (Stack, crate::support::http::Caller, mpsc::UnboundedReceiver<Option<usize>>) {
    let (downstream, heard) = counting().await;
    let patient = at("raw", &downstream).replace("400ms", "10m");
    let (stack, session) = signed_in(backend, &patient).await;
    (stack, session, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_drips_is_given_up_although_no_silence_is_long() {
    for backend in BACKENDS {
        for framing in ["content-length: 100000\r\n", "transfer-encoding: chunked\r\n"] {
            let (stack, session, mut heard) = with_counting(backend).await;
            let byte = if framing.contains("chunked") { "1\r\nx\r\n" } else { "x" };
            let mut socket = open(&stack, &session, "POST /v1/targets/raw/x", framing, byte).await;
            has(&mut heard, byte.len()).await;
            let started = stack.clock.monotonic();
            let mut sent = 1;
            let gave_up = async { while heard.recv().await.expect("the target lives").is_some() {} };
            let mut gave_up = std::pin::pin!(gave_up);
            loop {
                stack.clock.advance_slowly(Duration::from_secs(4), Duration::from_secs(1)).await;
                tokio::select! {
                    biased;
                    () = &mut gave_up => break,
                    written = socket.write_all(byte.as_bytes()) => if written.is_err() { break },
                }
                sent += 1;
                assert!(sent < 400, "it drips for ever");
            }
            let took = stack.clock.monotonic().since(started);
            assert!(took >= Duration::from_secs(30), "{took:?}: some slowness is nobody's fault");
            session.get("/v1/session").await.expect(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_is_told_that_the_body_did_not_arrive() {
    for backend in BACKENDS {
        let (stack, session, mut heard) = with_counting(backend).await;
        let body = "x".repeat(1024);
        let headers = "content-length: 2000\r\n";
        let mut socket = open(&stack, &session, "POST /v1/targets/raw/x", headers, &body).await;
        has(&mut heard, 1024).await;
        // Half a minute, and a second for the KiB that has come.
        stack.clock.wake_after(Duration::from_secs(31)).await;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        let (status, code, whose) = problem(&answer);
        assert_eq!((status, code.as_str(), whose.as_str()), (400, "invalid_request", "relais"), "{answer}");
        assert!(answer.contains("\"rule\":\"incomplete\""), "{answer}");
        assert_eq!(heard.recv().await, Some(None), "half a body is never taken for a whole one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_is_credit_for_what_is_slow_afterwards() {
    for backend in BACKENDS {
        let (stack, session, mut heard) = with_counting(backend).await;
        let mut socket = open(
            &stack,
            &session,
            "POST /v1/targets/raw/x",
            "content-length: 65544\r\n",
            &"x".repeat(65_536),
        )
        .await;
        has(&mut heard, 65_536).await;
        for sent in 1..=4 {
            // 80 s in all, where 30 + 64 are allowed.
            stack.clock.advance(Duration::from_secs(20));
            socket.write_all(b"y").await.expect("sent");
            has(&mut heard, 65_536 + sent).await;
        }
        socket.write_all(b"last").await.expect("sent");
        let mut answer = [0; 15];
        socket.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_s_body_is_sent_with_its_length_or_refused_and_never_lost() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, super::API).await;
        for method in ["GET", "HEAD"] {
            let line = format!("{method} /v1/targets/api/x");
            let chunked = "transfer-encoding: chunked\r\n";
            let answer = super::raw(&stack, &session, &line, chunked, "4\r\nbody\r\n0\r\n\r\n").await;
            assert!(
                answer.starts_with("HTTP/1.1 400") && answer.contains("relais-answer: relais"),
                "{answer}"
            );
            if method == "GET" {
                assert!(answer.contains("Content-Length"), "it says what to do: {answer}");
            }
        }
        assert_eq!(
            (calls(&stack, "target").await, calls(&stack, "exchange").await),
            (0, 0),
            "nothing is sent"
        );
        let line = "GET /v1/targets/api/x";
        let answer = super::raw(&stack, &session, line, "content-length: 4\r\n", "body").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"bytes\":4"), "{answer}");
        // Longer than what is kept for a repetition: it goes on as it comes.
        let body = "x".repeat(70_000);
        let answer = super::raw(&stack, &session, line, "content-length: 70000\r\n", &body).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"bytes\":70000"), "{answer}");
        for method in ["DELETE", "OPTIONS"] {
            let line = format!("{method} /v1/targets/api/x");
            let chunked = "transfer-encoding: chunked\r\n";
            let answer = super::raw(&stack, &session, &line, chunked, "4\r\nbody\r\n0\r\n\r\n").await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains("\"bytes\":4"),
                "{method}: {answer}"
            );
        }
    }
}
