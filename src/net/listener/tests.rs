//! The accept loop on real sockets.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::extract::rejection::BytesRejection;
use axum::routing::{get as on_get, post as on_post};
use axum::{Json, Router};
use futures_util::stream;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Limits, Peer};
use crate::crypto::pki::Issued;
use crate::net::outbound::{NotSentCause, OutboundError, TlsFailure};
use crate::net::testing::{HOUR, Pki, Running, get, http_2, now, pause, self_signed};
use crate::net::tls::ClientAuth;

const SHORT: Duration = Duration::from_millis(300);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn limits() -> Limits {
    Limits {
        handshake_timeout: SHORT,
        header_timeout: SHORT,
        body_timeout: SHORT,
        idle_timeout: SHORT * 3,
        ..Limits::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", on_get(|| async { "hello" }))
        .route("/slow", on_get(|| async { pause(1500).await }))
        .route(
            "/read",
            on_post(|body: Result<Bytes, BytesRejection>| async move { body.is_err().to_string() }),
        )
        .route("/never", on_get(std::future::pending::<()>))
        .route(
            "/stream",
            on_get(|| async {
                Body::from_stream(stream::unfold(0, |count| async move {
                    pause(400).await;
                    (count < 4).then(|| (Ok::<_, std::io::Error>(format!("{count}\n")), count + 1))
                }))
            }),
        )
        .route(
            "/flood",
            on_get(|| async {
                Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 16 * 1024])))
            }),
        )
        .route("/peer", on_get(peer))
}

async fn peer(Extension(peer): Extension<Peer>) -> Json<Value> {
    Json(json!({
        "loopback": peer.address.ip().is_loopback(),
        "certificate": peer.certificate.map(|certificate| json!({
            "chained": certificate.chained,
            "subject": certificate.subject_dn,
            "thumbprint": certificate.thumbprint,
            "der": certificate.der,
        })),
    }))
}

/// Everything until the server closes, or `None` when it has not within a second and a half.
async fn rest(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    tokio::time::timeout(SHORT * 5, stream.read_to_end(&mut text)).await.ok()?.ok();
    Some(String::from_utf8_lossy(&text).into_owned())
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read =
        tokio::time::timeout(SHORT * 10, stream.read(&mut buffer)).await.expect("in time").expect("read");
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn r_h_01_a_handshake_that_does_not_come_is_cut_and_counted() {
    let pki = Pki::new();
    let (tls, refusals) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), limits()).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connect");
    let mut half = TcpStream::connect(server.address).await.expect("connect");
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("half a hello");
    assert_eq!(rest(&mut silent).await.as_deref(), Some(""));
    assert_eq!(rest(&mut half).await.as_deref(), Some(""));
    assert_eq!(refusals.wait_for(2).await, ["timeout", "timeout"]);
}

#[tokio::test]
async fn r_g_01_plain_http_on_a_tls_port_is_refused_and_a_probe_is_not_a_refusal() {
    let pki = Pki::new();
    let (tls, refusals) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), limits()).await;
    drop(TcpStream::connect(server.address).await.expect("probe"));
    let mut plain = TcpStream::connect(server.address).await.expect("connect");
    plain.write_all(REQUEST).await.expect("write");
    let answer = rest(&mut plain).await.expect("closed");
    assert!(!answer.contains("HTTP"), "{answer:?}");
    assert_eq!(refusals.wait_for(1).await, ["not_tls"]);
}

/// A hello that offers `version` and nothing newer.
fn old_hello(version: [u8; 2]) -> Vec<u8> {
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    let suites = [0, 2, 0xc0, 0x2f, 1, 0];
    let body = [&version[..], &[7; 32], &[0], &suites, &[0, 16], &extensions].concat();
    let length = u8::try_from(body.len()).expect("short");
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn r_g_01_tls_1_1_and_older_are_refused() {
    let pki = Pki::new();
    let (tls, refusals) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    for (position, minor) in [1, 2].into_iter().enumerate() {
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(&old_hello([3, minor])).await.expect("write");
        let mut alert = [0; 7];
        stream.read_exact(&mut alert).await.expect("alert");
        assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]), "fatal protocol_version");
        assert_eq!(refusals.wait_for(position + 1).await.last(), Some(&"tls_version"));
    }
}

#[tokio::test]
async fn r_h_01_slow_heads_are_cut() {
    let server = Running::start(None, router(), limits()).await;
    for sent in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(sent).await.expect("write");
        let answer = rest(&mut stream).await;
        assert!(answer.is_some_and(|answer| !answer.contains("hello")), "{sent:?}");
    }
}

#[tokio::test]
async fn r_h_01_a_trickle_of_bytes_does_not_prolong_the_time_for_a_head() {
    let server = Running::start(None, router(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        for byte in REQUEST.iter().cycle() {
            if writer.write_all(&[*byte | 0x20]).await.is_err() {
                return;
            }
            pause(50).await;
        }
    };
    let mut text = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reader.read_to_end(&mut text) => {}
        () = pause(1500) => panic!("still open"),
    }
}

#[tokio::test]
async fn r_h_01_a_kept_connection_may_idle_but_its_next_head_may_not_dawdle() {
    let server = Running::start(None, router(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream.write_all(REQUEST).await.expect("write");
    assert!(read_some(&mut stream).await.ends_with("hello"));
    // Longer than a head may take, shorter than the idle time.
    pause(600).await;
    stream.write_all(REQUEST).await.expect("write");
    assert!(read_some(&mut stream).await.ends_with("hello"));

    stream.write_all(b"GET / HT").await.expect("write");
    let dawdling = tokio::time::timeout(SHORT * 2, stream.read(&mut [0; 64])).await;
    assert!(matches!(dawdling, Ok(Ok(0) | Err(_))), "the head's limit, not the idle one: {dawdling:?}");

    let mut idle = TcpStream::connect(server.address).await.expect("connect");
    idle.write_all(REQUEST).await.expect("write");
    assert!(rest(&mut idle).await.expect("closed when idle").ends_with("hello"));
}

#[tokio::test]
async fn r_h_01_a_body_that_trickles_in_fails() {
    let server = Running::start(None, router(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    let head = b"POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head).await.expect("write");
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        while writer.write_all(b"x").await.is_ok() {
            pause(50).await;
        }
    };
    let mut buffer = [0; 4096];
    let answer = tokio::select! {
        () = trickle => panic!("closed without an answer"),
        read = reader.read(&mut buffer) => String::from_utf8_lossy(&buffer[..read.expect("read")]).into_owned(),
        () = pause(1500) => panic!("still waiting"),
    };
    assert!(answer.ends_with("true"), "{answer}");
}

#[tokio::test]
async fn long_polls_and_streams_are_not_cut_by_any_time_limit() {
    let pki = Pki::new();
    let (tls, _) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), limits()).await;
    let client = pki.outbound(None);
    let (slow, streamed) =
        tokio::join!(client.send(get(&server.url("/slow"))), client.send(get(&server.url("/stream"))));
    assert_eq!(slow.expect("answer").status, 200);
    assert_eq!(streamed.expect("answer").body, b"0\n1\n2\n3\n");
}

/// The connection preface, `SETTINGS_INITIAL_WINDOW_SIZE` 0, and `GET /`.
fn http_2_without_window() -> Vec<u8> {
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let head = [0, 0, 14, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 9];
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &head, b"localhost"].concat()
}

#[tokio::test]
async fn r_h_01_an_answer_that_http_2_flow_control_holds_back_does_not_hold_the_connection() {
    let server = Running::start(None, router(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream.write_all(&http_2_without_window()).await.expect("write");
    let (mut reader, mut writer) = stream.split();
    // Pings are answered, and prolong nothing.
    let pinging = async {
        while writer.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {
            pause(100).await;
        }
        std::future::pending::<()>().await;
    };
    let mut seen = Vec::new();
    tokio::select! {
        _ = reader.read_to_end(&mut seen) => {}
        () = pinging => {}
        () = pause(4000) => panic!("still open"),
    }
    assert!(seen.windows(5).any(|frame| frame[..1] == [1] && frame[1..] == [4, 0, 0, 0]), "no head came");
    assert!(!String::from_utf8_lossy(&seen).contains("hello"));
}

#[tokio::test]
async fn r_h_01_an_answer_that_nobody_reads_does_not_hold_the_connection() {
    let server = Running::start(None, router(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream.write_all(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("write");
    pause(3000).await;
    // An answer without end: it ends only where the connection was closed.
    assert!(rest(&mut stream).await.is_some(), "still open");
}

#[tokio::test]
async fn r_h_01_over_the_cap_a_connection_is_closed_at_once_and_places_come_back() {
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let server = Running::start(None, router(), limits).await;
    let mut first = TcpStream::connect(server.address).await.expect("connect");
    let mut second = TcpStream::connect(server.address).await.expect("connect");
    for stream in [&mut first, &mut second] {
        stream.write_all(REQUEST).await.expect("write");
        assert!(read_some(stream).await.ends_with("hello"));
    }
    let mut third = TcpStream::connect(server.address).await.expect("connect");
    assert_eq!(rest(&mut third).await.as_deref(), Some(""));
    drop(first);
    pause(200).await;
    let mut fourth = TcpStream::connect(server.address).await.expect("connect");
    fourth.write_all(REQUEST).await.expect("write");
    assert!(read_some(&mut fourth).await.ends_with("hello"));
}

#[tokio::test]
async fn r_h_02_too_many_or_too_large_headers_are_refused() {
    let server = Running::start(None, router(), Limits::default()).await;
    let many = (0..80).fold(String::new(), |text, n| format!("{text}x-{n}: 1\r\n"));
    let large = format!("x: {}\r\n", "a".repeat(20 * 1024));
    for headers in [many, large] {
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let answer = read_some(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    // Over HTTP/2 the library counts bytes only.
    let pki = Pki::new();
    let (tls, _) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    let request = (0..80)
        .fold(Request::get(server.url("/")), |request, number| request.header(format!("x-{number}"), "1"));
    let request = request.body(Full::default()).expect("request");
    assert_eq!(http_2(&pki, &server).await.send_request(request).await.expect("answer").status(), 431);
}

#[tokio::test]
async fn a_drain_answers_what_is_in_progress_closes_what_is_idle_and_accepts_nothing_more() {
    let limits = Limits { drain_timeout: Duration::from_secs(10), ..Limits::default() };
    let server = Running::start(None, router(), limits).await;
    let mut busy = TcpStream::connect(server.address).await.expect("connect");
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("write");
    let mut idle = TcpStream::connect(server.address).await.expect("connect");
    idle.write_all(REQUEST).await.expect("write");
    assert!(read_some(&mut idle).await.ends_with("hello"));
    pause(100).await;
    server.shutdown.cancel();
    assert_eq!(rest(&mut idle).await.as_deref(), Some(""));
    assert!(TcpStream::connect(server.address).await.is_err());
    let mut text = String::new();
    busy.read_to_string(&mut text).await.expect("answer");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    tokio::time::timeout(SHORT, server.task).await.expect("ends with its last request").expect("no panic");
}

#[tokio::test]
async fn a_drain_answers_what_is_in_progress_over_http_2_too() {
    let pki = Pki::new();
    let (tls, _) = pki.tls(ClientAuth::None);
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    let mut client = http_2(&pki, &server).await;
    let request = Request::get(server.url("/slow")).body(Full::default()).expect("request");
    let request = tokio::spawn(client.send_request(request));
    pause(500).await;
    server.shutdown.cancel();
    assert_eq!(request.await.expect("no panic").expect("answer").status(), 200);
    tokio::time::timeout(SHORT, server.task).await.expect("ends with its last request").expect("no panic");
}

#[tokio::test]
async fn a_drain_is_bounded() {
    let limits = Limits { drain_timeout: SHORT, ..Limits::default() };
    let server = Running::start(None, router(), limits).await;
    let mut hanging = TcpStream::connect(server.address).await.expect("connect");
    hanging.write_all(b"GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("write");
    pause(100).await;
    server.shutdown.cancel();
    tokio::time::timeout(SHORT * 3, server.task).await.expect("cut").expect("no panic");
    assert_eq!(rest(&mut hanging).await.as_deref(), Some(""));
}

async fn certificate_seen(server: &Running, pki: &Pki, identity: Option<&Issued>) -> Value {
    let answer = pki.outbound(identity).send(get(&server.url("/peer"))).await.expect("answer");
    let seen: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(seen["loopback"], true);
    seen["certificate"].clone()
}

#[tokio::test]
async fn optional_certificates_are_seen_and_told_apart() {
    let pki = Pki::new();
    let (tls, refusals) = pki.tls(ClientAuth::Optional { ca: Some(pki.ca_file()) });
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    assert_eq!(certificate_seen(&server, &pki, None).await, Value::Null);

    let own = self_signed("workstation");
    let seen = certificate_seen(&server, &pki, Some(&own)).await;
    assert_eq!(seen["chained"], false);
    assert!(seen["subject"].as_str().expect("text").contains("CN=workstation"), "{seen}");
    let der: Vec<u8> = serde_json::from_value(seen["der"].clone()).expect("bytes");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    assert_eq!(seen["thumbprint"], json!(hash.as_ref()));

    let signed = pki.client("back end");
    let seen = certificate_seen(&server, &pki, Some(&signed)).await;
    assert_eq!((&seen["chained"], &seen["subject"]), (&json!(true), &json!("CN=back end")));

    let expired = pki.ca.issue_client("late", now() - HOUR * 2, now() - HOUR).expect("certificate");
    assert_eq!(certificate_seen(&server, &pki, Some(&expired)).await["chained"], false);
    let foreign = Pki::new().client("foreign");
    assert_eq!(certificate_seen(&server, &pki, Some(&foreign)).await["chained"], false);
    // The authority signed it, but not for clients.
    let server_certificate = pki.server(&["localhost"]);
    assert_eq!(certificate_seen(&server, &pki, Some(&server_certificate)).await["chained"], false);
    assert!(refusals.wait_for(0).await.is_empty());
}

#[tokio::test]
async fn optional_without_a_client_ca_chains_nobody() {
    let pki = Pki::new();
    let (tls, _) = pki.tls(ClientAuth::Optional { ca: None });
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    let signed = pki.client("back end");
    assert_eq!(certificate_seen(&server, &pki, Some(&signed)).await["chained"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_certificates_are_judged_in_the_handshake_and_each_side_says_why() {
    let pki = Pki::new();
    let (tls, refusals) = pki.tls(ClientAuth::Required { ca: pki.ca_file() });
    let server = Running::start(Some(tls), router(), Limits::default()).await;
    assert_eq!(certificate_seen(&server, &pki, Some(&pki.client("lps"))).await["chained"], true);

    let expired = pki.ca.issue_client("late", now() - HOUR * 2, now() - HOUR).expect("certificate");
    let foreign = Pki::named("somebody else").client("foreign");
    let namesake = Pki::new().client("of an authority of the same name");
    let wrong_use = pki.server(&["localhost"]);
    let refused = |alert| TlsFailure::ClientCertificateRefused { alert };
    let cases = [
        (None, "certificate_missing", TlsFailure::ClientCertificateRequired),
        (Some(&foreign), "certificate_untrusted", refused("unknown_ca")),
        (Some(&namesake), "certificate_untrusted", refused("unknown_ca")),
        (Some(&expired), "certificate_expired", refused("certificate_expired")),
        (Some(&wrong_use), "certificate_invalid", refused("unsupported_certificate")),
    ];
    for (position, (identity, cause, failure)) in cases.into_iter().enumerate() {
        let outcome = pki.outbound(identity).send(get(&server.url("/peer"))).await;
        assert_eq!(outcome.unwrap_err(), OutboundError::NotSent { cause: NotSentCause::Tls(failure) });
        assert_eq!(refusals.wait_for(position + 1).await.last(), Some(&cause));
    }
}

/// Nobody accepts here. Connections for which there is no room would never be made.
#[tokio::test]
async fn many_connections_at_once_find_room_before_they_are_accepted() {
    let (listener, address) = super::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let connecting = futures_util::future::join_all((0..400).map(|_| TcpStream::connect(address)));
    let connected = tokio::time::timeout(Duration::from_secs(60), connecting).await.expect("there is room");
    assert!(connected.into_iter().all(|connection| connection.is_ok()));
    drop(listener);
}
