//! Bodies in both directions, as they come: never whole in memory, no faster than the other side takes them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{API, at, calls, like_api, open, problem, raw, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::stack::{BACKENDS, Backend};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_reaches_the_target_before_it_has_ended() {
    for framing in ["content-length: 10\r\n", "transfer-encoding: chunked\r\n"] {
        let (told, mut heard) = mpsc::unbounded_channel();
        let told = Arc::new(told);
        let downstream = Downstream::new(move |mut connection: Connection| {
            let told = told.clone();
            async move {
                let first = connection.read_until("first").await;
                told.send(first).expect("a listener");
                let whole = connection.read_until("last").await;
                told.send(whole).expect("a listener");
                connection.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
            }
        })
        .await;
        let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let is_chunked = framing.contains("chunked");
        let part = |text: &str| if is_chunked { format!("5\r\n{text}\r\n") } else { text.to_owned() };
        let mut socket = open(&stack, &session, "POST /v1/targets/raw/x", framing, &part("first")).await;
        assert!(heard.recv().await.expect("the first part").contains("first"));
        let end = if is_chunked { "4\r\nlast\r\n0\r\n\r\n".to_owned() } else { "_last".to_owned() };
        socket.write_all(end.as_bytes()).await.expect("sent");
        assert!(heard.recv().await.expect("the rest").contains("last"));
        let mut answer = [0; 15];
        socket.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let sent = downstream.heads().remove(0);
        assert_eq!(sent.contains("transfer-encoding: chunked"), is_chunked, "{sent}");
        assert_eq!(sent.contains("content-length: 10"), !is_chunked, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_reaches_the_caller_before_it_has_ended() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let downstream = Downstream::new(move |mut connection: Connection| {
        let mut wait = wait.clone();
        async move {
            connection.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
            let _ = wait.wait_for(|go| *go).await;
            connection.say("4\r\nlast\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let patient = at("raw", &downstream).replace("400ms", "10m");
    let (_stack, session) = signed_in(Backend::Sqlite, &patient).await;
    let mut response = session.open("/v1/targets/raw/x").await;
    assert_eq!(response.chunk().await.expect("a part").expect("a part"), "first");
    go.send_replace(true);
    assert_eq!(response.chunk().await.expect("a part").expect("a part"), "last");
    assert_eq!(response.chunk().await.expect("the end"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_taken_from_a_caller_than_the_target_takes() {
    let downstream = Downstream::new(|connection| async move {
        std::future::pending::<()>().await;
        drop(connection);
    })
    .await;
    let patient =
        at("raw", &downstream).replace("timeout = \"400ms\"", "timeout = \"10m\"\nrequest_max = \"1GiB\"");
    let (stack, session) = signed_in(Backend::Sqlite, &patient).await;
    let mut socket =
        open(&stack, &session, "POST /v1/targets/raw/x", "content-length: 1000000000\r\n", "").await;
    let chunk = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    // Until nothing is taken any more. What is under way lies in the buffers of four sockets and two connections.
    while let Ok(sent) = tokio::time::timeout(Duration::from_secs(2), socket.write_all(&chunk)).await {
        sent.expect("nobody hangs up");
        taken += chunk.len();
        assert!(taken < 128 << 20, "the whole body is taken in");
    }
    drop(socket);
    session.get("/v1/session").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_taken_from_a_target_than_the_caller_takes() {
    const ENOUGH: usize = 128 << 20;
    let (told, mut heard) = mpsc::unbounded_channel();
    let downstream = Downstream::new(move |mut connection: Connection| {
        let told = told.clone();
        async move {
            connection.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let chunk = vec![b'x'; 64 * 1024];
            let mut taken = 0;
            // Until nothing is taken any more, or far too much has been.
            while taken < ENOUGH
                && let Ok(sent) =
                    tokio::time::timeout(Duration::from_secs(2), connection.stream.write_all(&chunk)).await
            {
                sent.expect("nobody hangs up");
                taken += chunk.len();
            }
            told.send(taken).expect("a listener");
            while connection.read_some().await {}
        }
    })
    .await;
    let patient = at("raw", &downstream).replace("400ms", "10m");
    let (stack, session) = signed_in(Backend::Sqlite, &patient).await;
    let mut socket = open(&stack, &session, "GET /v1/targets/raw/x", "", "").await;
    let mut some = vec![0; 1024];
    socket.read_exact(&mut some).await.expect("the answer has begun");
    let taken = heard.recv().await.expect("the target has done what it can");
    assert!(taken < ENOUGH, "the whole body is taken in");
    // What was held back comes when the caller takes it again.
    let mut more = vec![0; taken];
    socket.read_exact(&mut more).await.expect("the answer goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_caller_is_not_the_target_s_silence() {
    let downstream = Downstream::new(|mut connection: Connection| async move {
        connection.read_until("last").await;
        connection.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    })
    .await;
    // 400 ms of the target's silence are enough; the caller takes three times as long.
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let mut socket = open(&stack, &session, "POST /v1/targets/raw/x", "content-length: 9\r\n", "first").await;
    let _ = tokio::time::timeout(Duration::from_millis(1300), std::future::pending::<()>()).await;
    socket.write_all(b"last").await.expect("sent");
    let mut answer = [0; 15];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_arrive_whole_in_both_directions() {
    let large = like_api("large", &[("environment", "request_max = \"1GiB\"\nenvironment")]);
    let length = 48 << 20;
    let body = "0123456789abcdef".repeat(length / 16);
    for backend in BACKENDS {
        let (_stack, session) = signed_in(backend, &large).await;
        let path = "/v1/targets/large/x";
        let told =
            session.send_text(reqwest::Method::POST, path, "text/plain", &body).await.expect(200).json();
        assert_eq!(told["body"]["bytes"], length);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let hex = digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(told["body"]["sha256"], json!(hex));
        let mut response = session.open(&format!("/v1/targets/large/_bytes/{length}")).await;
        let mut came = 0;
        while let Some(chunk) = response.chunk().await.expect("it goes on") {
            came += chunk.len();
        }
        assert_eq!(came, length);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_at_once_or_when_it_shows() {
    let small = like_api("small", &[("environment", "request_max = \"1KiB\"\nenvironment")]);
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &small).await;
        let line = "POST /v1/targets/small/x";
        let announced =
            raw(&stack, &session, line, "content-length: 1025\r\nexpect: 100-continue\r\n", "").await;
        assert_eq!(problem(&announced), (413, "request_too_large".to_owned(), "relais".to_owned()));
        assert!(!announced.contains("100 Continue"), "{announced}");
        assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (0, 0));
        let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
        let body = format!("{}0\r\n\r\n", chunk.repeat(3));
        let unannounced = raw(&stack, &session, line, "transfer-encoding: chunked\r\n", &body).await;
        assert_eq!(problem(&unannounced), (413, "request_too_large".to_owned(), "relais".to_owned()));
        let body = format!("{}0\r\n\r\n", chunk.repeat(2));
        let fits = raw(&stack, &session, line, "transfer-encoding: chunked\r\n", &body).await;
        assert!(fits.starts_with("HTTP/1.1 200") && fits.contains("\"bytes\":1024"), "{fits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_may_continue_when_everything_is_decided() {
    let (stack, session) = signed_in(Backend::Sqlite, API).await;
    let headers = "content-length: 5\r\nexpect: 100-continue\r\nconnection: close\r\n";
    let mut socket = open(&stack, &session, "POST /v1/targets/api/x", headers, "").await;
    let mut line = vec![0; 25];
    socket.read_exact(&mut line).await.expect("leave to send");
    assert_eq!(line, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"hello").await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"bytes\":5"), "{answer}");
    assert!(!answer.contains("\"expect\""), "the target is not asked: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_its_body_ends_the_call() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let downstream = Downstream::new(move |mut connection: Connection| {
        let told = told.clone();
        async move {
            connection.read_until("first").await;
            told.send("first").expect("a listener");
            while connection.read_some().await {}
            told.send("gone").expect("a listener");
        }
    })
    .await;
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let socket = open(&stack, &session, "POST /v1/targets/raw/x", "content-length: 1000\r\n", "first").await;
    assert_eq!(heard.recv().await, Some("first"));
    drop(socket);
    assert_eq!(heard.recv().await, Some("gone"), "half a body is never taken for a whole one");
}
