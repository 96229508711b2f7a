//! The end of either side is the end of the other, and a target that hangs costs nobody else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{API, at, like_api, open, raw, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::stack::{BACKENDS, Backend};

/// A server that answers with `begin` and then waits for the other side to go; how many came, how many have gone.
pub async fn waiting(begin: &'static str) -> (Downstream, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (came, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (arrived, left) = (came.clone(), gone.clone());
    let downstream = Downstream::new(move |mut connection: Connection| {
        let (arrived, left) = (arrived.clone(), left.clone());
        async move {
            arrived.fetch_add(1, Ordering::SeqCst);
            connection.say(begin).await;
            while connection.read_some().await {}
            left.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (downstream, came, gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_ends_the_call_of_the_target() {
    for begin in ["", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf"] {
        let (downstream, came, gone) = waiting(begin).await;
        let patient = at("raw", &downstream).replace("400ms", "10m");
        let (stack, session) = signed_in(Backend::Sqlite, &patient).await;
        let mut socket = open(&stack, &session, "GET /v1/targets/raw/x", "", "").await;
        stack.eventually("the target is asked", || async { came.load(Ordering::SeqCst) == 1 }).await;
        if !begin.is_empty() {
            let mut some = [0; 16];
            socket.read_exact(&mut some).await.expect("the answer has begun");
        }
        assert_eq!(gone.load(Ordering::SeqCst), 0);
        drop(socket);
        stack.eventually("the target is let go", || async { gone.load(Ordering::SeqCst) == 1 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_while_a_body_comes_opens_no_call() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, API).await;
        // The token is held, and would do.
        session.get("/v1/targets/api/x").await.expect(200);
        let before = super::calls(&stack, "target").await;
        let headers = "connection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n";
        let mut socket = open(&stack, &session, "PUT /v1/targets/api/x", headers, "").await;
        // The body is asked for: everything before it has been decided.
        let mut go_on = [0; 25];
        socket.read_exact(&mut go_on).await.expect("go on");
        assert_eq!(go_on, *b"HTTP/1.1 100 Continue\r\n\r\n");
        session.delete("/v1/session").await.expect(204);
        socket.write_all(b"half").await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an answer");
        let (status, code, whose) = super::problem(&answer);
        assert_eq!((status, code.as_str(), whose.as_str()), (401, "session_ended", "relais"), "{answer}");
        assert_eq!(super::calls(&stack, "target").await, before, "nothing is sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_costs_nobody_else_anything() {
    let few = like_api("few", &[("environment", "max_requests = 2\ntimeout = \"10m\"\nenvironment")]);
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &format!("{API}{few}")).await;
        session.get("/v1/targets/few/x").await.expect(200);
        // Two people, for each has a share of the places only.
        let other = stack.relais.bearer(&stack.sign_in("899700000002").await.text("/session_handle"));
        let third = stack.relais.bearer(&stack.sign_in("899700000003").await.text("/session_handle"));
        stack.fault(json!({ "endpoint": "target", "action": "hang", "count": 2 })).await;
        let hanging = [
            open(&stack, &session, "GET /v1/targets/few/x", "", "").await,
            open(&stack, &other, "GET /v1/targets/few/x", "", "").await,
        ];
        stack.eventually("both hang", || async { super::calls(&stack, "target").await == 3 }).await;
        let refused = third.get("/v1/targets/few/x").await.expect_problem(503, "overloaded");
        assert_eq!(refused.header("relais-answer"), Some("relais"));
        assert!(refused.header("retry-after").is_some());
        // Everything else goes on: the same sessions, their other target, other logins.
        for _ in 0..20 {
            session.get("/v1/session").await.expect(200);
            session.get("/v1/targets/api/x").await.expect(200);
        }
        stack.sign_in("899700000004").await;
        drop(hanging);
        stack
            .eventually("the places are free again", || async {
                third.get("/v1/targets/few/x").await.status.as_u16() == 200
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_taken_until_the_last_byte() {
    let few = like_api("few", &[("environment", "max_requests = 1\ntimeout = \"10m\"\nenvironment")]);
    let (stack, session) = signed_in(Backend::Sqlite, &few).await;
    let mut socket = open(&stack, &session, "GET /v1/targets/few/_bytes/100000000", "", "").await;
    let mut some = vec![0; 1024];
    socket.read_exact(&mut some).await.expect("the answer has begun");
    session.get("/v1/targets/few/x").await.expect_problem(503, "overloaded");
    drop(socket);
    stack
        .eventually("the place is free again", || async {
            session.get("/v1/targets/few/x").await.status.as_u16() == 200
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_ends_an_upload() {
    // A server that has seen enough after the head.
    let downstream = Downstream::new(|mut connection: Connection| async move {
        connection.say("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno").await;
        while connection.read_some().await {}
    })
    .await;
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let answer =
        raw(&stack, &session, "POST /v1/targets/raw/x", "content-length: 1000000\r\n", "begun").await;
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("relais-answer: target"), "{answer}");
}
