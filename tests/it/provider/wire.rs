//! What a provider can do to a connection: bodies and heads that never end, a byte now and then, storms of interim
//! answers, and what is no HTTP at all. Each is cut at its bound, at each endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::hostile::{ENDPOINTS, Verdict};
use super::op::{Op, Reply};
use super::setup::Setup;

/// What sockets hold on top of what is read.
const BUFFERS: usize = 16 * 1024 * 1024;

/// A server that says the same to everybody: `first`, then `again` for as long as anybody listens.
#[derive(Clone)]
struct Raw {
    base: String,
    written: Arc<AtomicUsize>,
}

impl Raw {
    async fn says(first: Vec<u8>, again: Option<(Vec<u8>, Duration)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let raw = Self { base, written: Arc::default() };
        let written = Arc::clone(&raw.written);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(talk(socket, first.clone(), again.clone(), Arc::clone(&written)));
            }
        });
        raw
    }

    /// What comes of it where this server stands in for `endpoint`.
    async fn verdict(&self, endpoint: &str) -> Verdict {
        let op = Op::listen().await;
        let here = format!("{}/{endpoint}", self.base);
        let mut document = op.metadata();
        let member = match endpoint {
            "jwks" => "jwks_uri",
            "backchannel" => "backchannel_authentication_endpoint",
            "token" => "token_endpoint",
            _ => "userinfo_endpoint",
        };
        document[member] = json!(here);
        op.stand("metadata", Reply::json(200, &document));
        let setup = Setup::at(op, |provider, _| {
            if endpoint == "metadata" {
                provider.provider.metadata_url = here.parse().expect("a URL");
            }
        });
        setup.verdict(endpoint).await
    }
}

#[expect(clippy::disallowed_methods, reason = "a real socket drips in real time")]
async fn talk(
    mut socket: TcpStream,
    first: Vec<u8>,
    again: Option<(Vec<u8>, Duration)>,
    written: Arc<AtomicUsize>,
) {
    // The request fits into one read: it is small, and sent as one.
    let _ = socket.read(&mut [0; 8192]).await;
    if socket.write_all(&first).await.is_err() {
        return;
    }
    written.fetch_add(first.len(), Ordering::SeqCst);
    while let Some((again, pause)) = &again {
        if socket.write_all(again).await.is_err() {
            return;
        }
        written.fetch_add(again.len(), Ordering::SeqCst);
        if !pause.is_zero() {
            tokio::time::sleep(*pause).await;
        }
    }
    let _ = socket.shutdown().await;
}

fn head(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{lines}\r\n").into_bytes()
}

#[tokio::test]
async fn r_c_08_an_endless_body_is_cut_at_its_bound_at_every_endpoint() {
    let spaces = vec![b' '; 0x10000];
    let chunk = [b"10000\r\n", spaces.as_slice(), b"\r\n"].concat();
    for (endpoint, most) in ENDPOINTS {
        let chunked =
            Raw::says(head("transfer-encoding: chunked\r\n"), Some((chunk.clone(), Duration::ZERO))).await;
        assert_eq!(chunked.verdict(endpoint).await, Verdict::Refused, "{endpoint}, in chunks");
        let to_the_end = Raw::says(head(""), Some((spaces.clone(), Duration::ZERO))).await;
        assert_eq!(to_the_end.verdict(endpoint).await, Verdict::Refused, "{endpoint}, to the end");
        let announced = Raw::says(head("content-length: 9223372036854775807\r\n"), None).await;
        assert_eq!(announced.verdict(endpoint).await, Verdict::Refused, "{endpoint}, announced");
        for raw in [chunked, to_the_end] {
            let written = raw.written.load(Ordering::SeqCst);
            assert!(written < most + BUFFERS, "{endpoint} took {written} bytes");
        }
    }
}

#[tokio::test]
async fn r_c_08_a_byte_now_and_then_is_not_waited_for() {
    let drip = Some((b" ".to_vec(), Duration::from_millis(50)));
    for endpoint in ["backchannel", "token", "jwks"] {
        let body = Raw::says(head("content-length: 10000\r\n"), drip.clone()).await;
        assert_eq!(body.verdict(endpoint).await, Verdict::Refused, "{endpoint}: the body");
        let line = Raw::says(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), drip.clone()).await;
        assert_eq!(line.verdict(endpoint).await, Verdict::Refused, "{endpoint}: the head");
    }
}

#[tokio::test]
async fn r_c_08_heads_are_bounded_and_no_storm_of_interim_answers_is_waited_for() {
    let line = format!("x-line: {}\r\n", "x".repeat(4000));
    let storm = |text: &str| Some((text.as_bytes().repeat(100), Duration::ZERO));
    for endpoint in ["backchannel", "token"] {
        for (case, first, again) in [
            ("lines without end", b"HTTP/1.1 200 OK\r\n".to_vec(), storm(&line)),
            ("one line without end", b"HTTP/1.1 200 OK\r\nx: ".to_vec(), storm("x")),
            ("a status line without end", b"HTTP/1.1 200 ".to_vec(), storm("O")),
            ("100 without end", Vec::new(), storm("HTTP/1.1 100 Continue\r\n\r\n")),
            ("103 without end", Vec::new(), storm("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n")),
            (
                "an upgrade",
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec(),
                None,
            ),
        ] {
            let raw = Raw::says(first, again).await;
            assert_eq!(raw.verdict(endpoint).await, Verdict::Refused, "{endpoint}: {case}");
        }
        let many = head(&"x: 1\r\n".repeat(500));
        let raw = Raw::says(many, None).await;
        assert_eq!(raw.verdict(endpoint).await, Verdict::Refused, "{endpoint}: five hundred lines");
    }
}

#[tokio::test]
async fn r_c_08_what_is_no_http_is_no_answer() {
    let setup = Setup::new().await;
    for (endpoint, _) in ENDPOINTS {
        let good = setup.good(endpoint);
        let length = good.len();
        for (case, bytes) in [
            ("nothing", Vec::new()),
            ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            ("a status that is none", format!("HTTP/1.1 2000 OK\r\n\r\n{good}").into_bytes()),
            ("a NUL in a header", [&head("x: a\0b\r\n")[..], good.as_bytes()].concat()),
            ("a folded header", [&head("x: a\r\n b\r\n")[..], good.as_bytes()].concat()),
            ("a header without colon", [&head("nonsense\r\n")[..], good.as_bytes()].concat()),
            ("two lengths", {
                let lines = format!("content-length: {length}\r\ncontent-length: 1\r\n");
                [&head(&lines)[..], good.as_bytes()].concat()
            }),
            ("a length below zero", [&head("content-length: -1\r\n")[..], good.as_bytes()].concat()),
            ("a length beyond all", {
                [&head("content-length: 18446744073709551616\r\n")[..], good.as_bytes()].concat()
            }),
            ("more announced than sent", {
                [&head(&format!("content-length: {}\r\n", length + 1))[..], good.as_bytes()].concat()
            }),
            ("less announced than sent", {
                [&head(&format!("content-length: {}\r\n", length - 1))[..], good.as_bytes()].concat()
            }),
            ("a chunk of a size that is none", {
                [&head("transfer-encoding: chunked\r\n")[..], b"zz\r\n", good.as_bytes()].concat()
            }),
            ("a chunk larger than can be", {
                [&head("transfer-encoding: chunked\r\n")[..], b"ffffffffffffffffff\r\n", good.as_bytes()]
                    .concat()
            }),
            ("no last chunk", {
                let chunk = format!("{length:x}\r\n{good}\r\n");
                [&head("transfer-encoding: chunked\r\n")[..], chunk.as_bytes()].concat()
            }),
        ] {
            let raw = Raw::says(bytes, None).await;
            assert_eq!(raw.verdict(endpoint).await, Verdict::Refused, "{endpoint}: {case}");
        }
    }
}
