//! HTTP/2 up to Relais, and HTTP/1.1 behind it: a target is spoken to with one request at a time on a connection,
//! whatever it offers, so that it is always known whether a call has reached it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use relais::domain::clock::Clock as _;
use relais::net::listener::{Limits, serve};
use relais::net::tls::{CertificateFiles, ClientAuth, ServerTls, ServerTlsSettings};
use reqwest::{Method, Version};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{API, at, calls, like_api, session, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::http::Caller;
use crate::support::stack::{BACKENDS, Backend, Stack};

/// A caller over HTTP/2 with the handle of `session`.
fn over_http_2(stack: &Stack, session: &Caller) -> Caller {
    Caller::with(stack.relais.base(), reqwest::ClientBuilder::http2_prior_knowledge).bearer(&session.token())
}

/// A body whose pieces are handed over one by one; its end is the sender's.
fn pieces() -> (mpsc::UnboundedSender<&'static str>, reqwest::Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
    let body = stream::unfold(receiver, |mut receiver| async {
        receiver
            .recv()
            .await
            .map(|piece| (Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())), receiver))
    });
    (sender, reqwest::Body::wrap_stream(body))
}

/// Nothing comes any more, and that is the end of it: HTTP/2 may say so by an empty piece.
async fn ends(response: &mut reqwest::Response) {
    while let Some(piece) = response.chunk().await.expect("the end") {
        assert!(piece.is_empty(), "{piece:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_http_2_streams_in_both_directions_at_once() {
    for backend in BACKENDS {
        let (told, mut heard) = mpsc::unbounded_channel();
        let downstream = Downstream::new(move |mut connection: Connection| {
            let told = told.clone();
            async move {
                connection.read_until("first").await;
                told.send("first").expect("a listener");
                // The answer begins while the request goes on.
                connection
                    .say(
                        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nset-cookie: a=b\r\nrelais-answer: relais\r\n\
                         connection: x-of-this, keep-alive\r\nx-of-this: 1\r\nkeep-alive: timeout=5\r\nx-end: 1\r\n\r\n\
                         3\r\none\r\n",
                    )
                    .await;
                connection.read_until("0\r\n\r\n").await;
                told.send("all").expect("a listener");
                connection.say("3\r\ntwo\r\n0\r\n\r\n").await;
            }
        })
        .await;
        let patient = at("raw", &downstream).replace("400ms", "10m");
        let (stack, session) = signed_in(backend, &patient).await;
        let caller = over_http_2(&stack, &session)
            .header("cookie", "a=b")
            .also("cookie", "c=d")
            .header("te", "trailers")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-end-to-end", "1");
        let (sender, body) = pieces();
        sender.send("first").expect("a stream");
        let mut response = caller.stream(Method::POST, "/v1/targets/raw/x?q=1", body).await;
        assert_eq!(heard.recv().await, Some("first"));
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "one");
        sender.send("last").expect("a stream");
        drop(sender);
        assert_eq!(heard.recv().await, Some("all"));
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "two");
        let headers = response.headers().clone();
        ends(&mut response).await;
        assert!(headers["relais-answer"] == "target" && headers["x-end"] == "1", "{headers:?}");
        for gone in ["set-cookie", "connection", "keep-alive", "transfer-encoding", "x-of-this"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        let asked = downstream.heads().remove(0);
        assert!(asked.starts_with("post /base/x?q=1 http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {}\r\n", downstream.address)), "{asked}");
        assert!(
            asked.contains("transfer-encoding: chunked\r\n") && asked.contains("x-end-to-end: 1\r\n"),
            "{asked}"
        );
        assert!(!asked.contains("rsh_") && asked.matches("authorization: bearer ").count() == 1, "{asked}");
        for gone in ["cookie", "\r\nte:", "x-forwarded-for", "content-length", ":authority"] {
            assert!(!asked.contains(gone), "{gone}: {asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_http_2_ends_with_its_session_and_the_connection_does_not() {
    let (downstream, _, gone) =
        super::ends::waiting("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let patient = at("raw", &downstream).replace("400ms", "10m");
    let (stack, first) = signed_in(Backend::Sqlite, &patient).await;
    let other = session(&stack).await;
    let caller = over_http_2(&stack, &first);
    let mut response = caller.open("/v1/targets/raw/x").await;
    assert_eq!(response.chunk().await.expect("a part").expect("a part"), "half");
    // On the same connection.
    caller.delete("/v1/session").await.expect(204);
    assert!(response.chunk().await.is_err(), "half an answer is not taken for a whole one");
    stack
        .eventually("the target is let go", async || gone.load(std::sync::atomic::Ordering::SeqCst) == 1)
        .await;
    let connections = || async { caller.bearer(&other.token()).get("/v1/session").await };
    connections().await.expect(200);
}

/// Only the end of the stream says that nothing comes, whatever length was announced.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_made_for_a_session_that_has_ended_while_the_end_of_nothing_was_waited_for() {
    for backend in BACKENDS {
        let one = like_api("api", &[("environment", "max_requests = 1\nenvironment")]);
        let (stack, session) = signed_in(backend, &one).await;
        session.get("/v1/targets/api/x").await.expect(200);
        let caller = over_http_2(&stack, &session).header("content-length", "0");
        let endless = || {
            let ((sender, body), caller) = (pieces(), caller.clone());
            let call = async move { caller.stream(Method::GET, "/v1/targets/api/x", body).await };
            (sender, tokio::spawn(call))
        };
        let (mut sender, mut call) = endless();
        // Until it has the only place. It has none where a look was in its way.
        while session.get("/v1/targets/api/x").await.status.as_u16() != 503 {
            if call.is_finished() {
                (sender, call) = endless();
            }
        }
        let made = calls(&stack, "target").await;
        session.delete("/v1/session").await.expect(204);
        drop(sender);
        let response = call.await.expect("no panic");
        assert_eq!(response.status().as_u16(), 401, "{backend:?}");
        assert!(response.text().await.expect("a problem").contains("session_ended"));
        assert_eq!(calls(&stack, "target").await, made, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_keeps_its_place_beyond_an_answer_that_came_early() {
    let downstream = Downstream::new(|mut connection: Connection| async move {
        connection.say("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno").await;
        while connection.read_some().await {}
    })
    .await;
    let one = at("raw", &downstream).replace("timeout", "max_requests = 1\ntimeout");
    let (stack, session) = signed_in(Backend::Sqlite, &one).await;
    let (sender, body) = pieces();
    sender.send("some").expect("a stream");
    let mut response = over_http_2(&stack, &session).stream(Method::POST, "/v1/targets/raw/x", body).await;
    assert_eq!(response.status().as_u16(), 409);
    assert_eq!(response.chunk().await.expect("a part").expect("a part"), "no");
    ends(&mut response).await;
    session.get("/v1/targets/raw/x").await.expect_problem(503, "overloaded");
    drop(sender);
    // This server answers once on a connection: whoever meets it on the old one is told so, and comes again.
    stack
        .eventually("the place is free again", || async {
            session.get("/v1/targets/raw/x").await.status.as_u16() == 409
        })
        .await;
}

/// A server over TLS that offers both versions, and tells in which it was asked.
fn offering_both(stack: &Stack, listener: tokio::net::TcpListener) -> Arc<Mutex<Vec<String>>> {
    let certs = stack.folder.join("certs");
    let files = CertificateFiles { cert: certs.join("server.pem"), key: certs.join("server.key") };
    let settings = ServerTlsSettings {
        certificates: vec![files],
        client_auth: ClientAuth::Required { ca: certs.join("ca.pem") },
        on_refused: Arc::new(|_| {}),
    };
    let tls = ServerTls::new(settings, stack.clock.now()).expect("certificates");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let known = asked.clone();
    let router = Router::new().fallback(move |request: Request| async move {
        known.lock().expect("asked").push(format!("{:?} {}", request.version(), request.method()));
        // What comes is what goes back, as it comes.
        Response::new(Body::from_stream(request.into_body().into_data_stream()))
    });
    tokio::spawn(serve(listener, Some(tls), router, Limits::default(), CancellationToken::new()));
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_offers_http_2_is_asked_in_http_1_1_and_streams_all_the_same() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("bound").port());
    let both = like_api("both", &[("{issuer}/../../../target/", &url)]);
    let (stack, session) = signed_in(Backend::Sqlite, &format!("{API}{both}")).await;
    let asked = offering_both(&stack, listener);
    // It does offer HTTP/2: whoever wants that gets it.
    let ca = std::fs::read(stack.folder.join("certs/ca.pem")).expect("the CA");
    let pem = ["client.pem", "client.key"]
        .map(|name| std::fs::read(stack.folder.join("certs").join(name)).expect("a file"));
    let direct = Caller::with(url.trim_end_matches('/'), |builder| {
        builder
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).expect("PEM")])
            .identity(reqwest::Identity::from_pem(&pem.concat()).expect("an identity"))
    });
    assert_eq!(direct.open("/x").await.version(), Version::HTTP_2);
    for caller in [session.clone(), over_http_2(&stack, &session)] {
        let (sender, body) = pieces();
        sender.send("first").expect("a stream");
        let mut response = caller.stream(Method::POST, "/v1/targets/both/x", body).await;
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "first");
        sender.send("last").expect("a stream");
        drop(sender);
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "last");
        ends(&mut response).await;
    }
    let told = session.send_text(Method::PUT, "/v1/targets/both/x", "text/plain", "body").await.expect(200);
    assert_eq!(told.body, "body");
    let asked = json!(*asked.lock().expect("asked"));
    assert_eq!(asked, json!(["HTTP/2.0 GET", "HTTP/1.1 POST", "HTTP/1.1 POST", "HTTP/1.1 PUT"]));
}
