//! The client against real sockets: what it refuses, what it reads, and what its errors say.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{get as on_get, post};
use axum::{Router, body::Bytes};
use futures_util::stream;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::dns::{ResolveFailure, checked};
use super::{
    AddressPolicy, Identity, NotSentCause, Outbound, OutboundBuildError, OutboundError, OutboundRequest,
    OutboundSettings, TAKES_WITHIN, TlsFailure, UnknownCause,
};
use crate::crypto::pki::Issued;
use crate::domain::secret::SecretBytes;
use crate::net::listener::Limits;
use crate::net::testing::{HOUR, Pki, Refusals, Running, get, identity, now, outbound, pause, self_signed};
use crate::net::tls::{ClientAuth, ServerTls, ServerTlsSettings};

fn not_sent(cause: NotSentCause) -> OutboundError {
    OutboundError::NotSent { cause }
}

fn unknown(cause: UnknownCause) -> OutboundError {
    OutboundError::OutcomeUnknown { cause }
}

async fn failure(client: &Outbound, request: OutboundRequest) -> OutboundError {
    client.send(request).await.map(|answer| answer.status).expect_err("no answer")
}

fn router() -> Router {
    let chunks = || stream::iter((0..8).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024]))));
    Router::new()
        .route(
            "/echo",
            post(|headers: HeaderMap, body: Bytes| async move { (StatusCode::CREATED, headers, body) }),
        )
        .route("/moved", on_get(|| async { Redirect::temporary("/echo") }))
        .route("/eight", on_get(|| async { vec![b'x'; 8192] }))
        .route("/chunks", on_get(move || async move { Body::from_stream(chunks()) }))
        .route("/hang", on_get(std::future::pending::<()>))
}

async fn started(pki: &Pki) -> Running {
    let (tls, _) = pki.tls(ClientAuth::None);
    Running::start(Some(tls), router(), Limits::default()).await
}

#[tokio::test]
async fn a_request_arrives_as_it_is_and_its_answer_comes_back_whole() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let mut request = get(&server.url("/echo"));
    request.method = http::Method::POST;
    request.headers.insert("x-own", http::HeaderValue::from_static("1"));
    request.body = Some(b"body".to_vec());
    let answer = pki.outbound(None).send(request).await.expect("answer");
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::CREATED, &b"body"[..]));
    assert_eq!(answer.headers["x-own"], "1");
    for header in ["accept-encoding", "user-agent", "referer", "cookie"] {
        assert!(!answer.headers.contains_key(header), "{header} was added");
    }
}

#[tokio::test]
async fn a_connection_carries_one_request_at_a_time_even_where_the_server_has_http_2() {
    let pki = Pki::new();
    let (tls, _) = pki.tls(ClientAuth::None);
    let router = Router::new().route(
        "/version",
        on_get(|request: axum::extract::Request| async move { format!("{:?}", request.version()) }),
    );
    let server = Running::start(Some(tls), router, Limits::default()).await;
    let answer = pki.outbound(None).send(get(&server.url("/version"))).await.expect("answer");
    assert_eq!(answer.body, b"HTTP/1.1");
}

#[tokio::test]
async fn r_g_07_a_redirect_is_an_answer_like_any_other() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let answer = pki.outbound(None).send(get(&server.url("/moved"))).await.expect("answer");
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers["location"], "/echo");
}

#[tokio::test]
async fn r_c_08_a_body_is_read_up_to_its_cap_and_no_further() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let client = pki.outbound(None);
    for path in ["/eight", "/chunks"] {
        let capped = |max_body| OutboundRequest { max_body, ..get(&server.url(path)) };
        assert_eq!(client.send(capped(8192)).await.expect("just fits").body.len(), 8192);
        let too_large = unknown(UnknownCause::TooLarge { status: StatusCode::OK });
        assert_eq!(failure(&client, capped(8191)).await, too_large, "{path}");
    }
}

#[tokio::test]
async fn a_request_is_sent_once_there_is_a_connection_and_not_before() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let server_url: url::Url = server.url("/echo").parse().expect("URL");
    let behind = server_url.port().expect("a port");
    let (connecting, gate) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (knocks, opens) = (Arc::clone(&connecting), Arc::clone(&gate));
    let port = raw(move |mut stream| {
        let (knocks, opens) = (Arc::clone(&knocks), Arc::clone(&opens));
        async move {
            knocks.notify_one();
            opens.notified().await;
            let mut onward = TcpStream::connect(("127.0.0.1", behind)).await.expect("connected");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        }
    })
    .await;
    let mut request = get(&format!("https://localhost:{port}/echo"));
    request.method = http::Method::POST;
    request.body = Some(b"body".to_vec());
    let (sent, mut is_sent) = tokio::sync::oneshot::channel();
    let client = pki.outbound(None);
    let answer =
        tokio::spawn(async move { client.send_telling(request, || sent.send(()).expect("awaited")).await });
    connecting.notified().await;
    is_sent.try_recv().expect_err("nothing is sent without a connection");
    gate.notify_one();
    assert_eq!(answer.await.expect("ran").expect("answer").body, b"body");
    is_sent.try_recv().expect("sent");
}

#[tokio::test]
async fn a_late_answer_leaves_the_outcome_unknown() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let request = OutboundRequest { timeout: Duration::from_millis(300), ..get(&server.url("/hang")) };
    assert_eq!(failure(&pki.outbound(None), request).await, unknown(UnknownCause::Timeout));
}

#[tokio::test]
async fn r_g_02_a_server_that_is_not_the_right_one_is_not_talked_to() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let tls = |failure| not_sent(NotSentCause::Tls(failure));

    let other_name = pki.files("other", &pki.server(&["other.example"]));
    let (other_name, _) = crate::net::testing::tls_with(vec![other_name], ClientAuth::None);
    let other_name = Running::start(Some(other_name), router(), Limits::default()).await;
    let outcome = failure(&pki.outbound(None), get(&other_name.url("/echo"))).await;
    assert_eq!(outcome, tls(TlsFailure::WrongHostName));

    for other_authority in [Pki::named("somebody else"), Pki::new()] {
        let outcome = failure(&other_authority.outbound(None), get(&server.url("/echo"))).await;
        assert_eq!(outcome, tls(TlsFailure::UntrustedCa));
    }

    // Served on, as if its clock had stopped.
    let past = now() - HOUR * 2;
    let expired = pki.ca.issue_server(&["localhost"], past - HOUR, past + HOUR).expect("certificate");
    let settings = ServerTlsSettings {
        certificates: vec![pki.files("expired", &expired)],
        client_auth: ClientAuth::None,
        on_refused: Refusals::default().observer(),
    };
    let expired = ServerTls::new(settings, past).expect("in date then");
    let expired = Running::start(Some(expired), router(), Limits::default()).await;
    let outcome = failure(&pki.outbound(None), get(&expired.url("/echo"))).await;
    assert_eq!(outcome, tls(TlsFailure::Expired));

    let plain = Running::start(None, router(), Limits::default()).await;
    let outcome = failure(&pki.outbound(None), get(&plain.url("/echo"))).await;
    assert!(
        matches!(&outcome, OutboundError::NotSent { cause: NotSentCause::Tls(TlsFailure::Other(_)) }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn r_g_02_without_pinned_roots_the_systems_do_not_know_a_private_authority() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let settings = OutboundSettings {
        roots: None,
        identity: None,
        address_policy: AddressPolicy::AllowPrivate,
        https_only: true,
        takes_within: TAKES_WITHIN,
    };
    match Outbound::new(settings) {
        Ok(client) => {
            let outcome = failure(&client, get(&server.url("/echo"))).await;
            assert_eq!(outcome, not_sent(NotSentCause::Tls(TlsFailure::UntrustedCa)));
        }
        // A machine without any bundle.
        Err(error) => assert!(matches!(error, OutboundBuildError::NoRoots), "{error:?}"),
    }
}

/// A server that speaks one TLS version and HTTP/1.1 only and requires a client certificate; it answers 204.
async fn strict_http_1(pki: &Pki, version: &'static SupportedProtocolVersion) -> u16 {
    let issued = pki.server(&["localhost"]);
    let files = pki.files("strict", &issued);
    let pair = crate::crypto::x509::load_pair(&files.cert, &files.key, now()).expect("pair");
    let mut roots = rustls::RootCertStore::empty();
    for root in crate::crypto::x509::load_pem_chain(&pki.ca_file()).expect("CA") {
        roots.add(root).expect("root");
    }
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("verifier");
    let config = ServerConfig::builder_with_protocol_versions(&[version])
        .with_client_cert_verifier(clients)
        .with_single_cert(pair.chain, pair.key)
        .expect("configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            match acceptor.accept(stream).into_fallible().await {
                Ok(mut stream) => {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
                Err((_, mut stream)) => {
                    let _ = stream.shutdown().await;
                    pause(300).await;
                }
            }
        }
    })
    .await
}

/// A TCP server that does this to every connection.
async fn raw<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_certificate_is_known_not_to_have_been_acted_upon() {
    let pki = Pki::new();
    let foreign = Pki::named("somebody else").client("foreign");
    let namesake = Pki::new().client("of an authority of the same name");
    let expired = pki.ca.issue_client("late", now() - HOUR * 2, now() - HOUR).expect("certificate");
    let refused = |alert| TlsFailure::ClientCertificateRefused { alert };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let port = strict_http_1(&pki, version).await;
        let url = format!("https://localhost:{port}/");
        let accepted = pki.outbound(Some(&pki.client("lps"))).send(get(&url)).await;
        assert_eq!(accepted.expect("answer").status, 204);
        let cases: [(Option<&Issued>, TlsFailure); 4] = [
            (None, TlsFailure::ClientCertificateRequired),
            (Some(&foreign), refused("unknown_ca")),
            (Some(&namesake), refused("decrypt_error")),
            (Some(&expired), refused("certificate_expired")),
        ];
        for (identity, expected) in cases {
            let outcome = failure(&pki.outbound(identity), get(&url)).await;
            assert_eq!(outcome, not_sent(NotSentCause::Tls(expected)), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    drop(listener);
    let client = outbound(Some(Pki::new().ca.certificate().into_bytes()), None);
    let outcome = failure(&client, get(&format!("http://localhost:{port}/"))).await;
    assert_eq!(outcome, not_sent(NotSentCause::Connect));
}

#[tokio::test]
async fn a_server_that_never_finishes_tls_is_certainly_not_sent() {
    let port = raw(|stream| async move {
        pause(20_000).await;
        drop(stream);
    })
    .await;
    let request = OutboundRequest { timeout: HOUR, ..get(&format!("https://localhost:{port}/")) };
    let outcome = failure(&Pki::new().outbound(None), request).await;
    assert_eq!(outcome, not_sent(NotSentCause::ConnectTimeout));
}

#[tokio::test]
async fn a_cut_after_the_request_leaves_the_outcome_unknown() {
    let client = Pki::new().outbound(None);
    for (answer, cause) in [
        (&b""[..], UnknownCause::Cut),
        (b"HTTP/1.1 200 O", UnknownCause::Cut),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", UnknownCause::Cut),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", UnknownCause::Cut),
        (b"this is no HTTP at all\r\n\r\n", UnknownCause::InvalidHttp),
    ] {
        let port = raw(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        })
        .await;
        let outcome = failure(&client, get(&format!("http://localhost:{port}/"))).await;
        assert_eq!(outcome, unknown(cause), "{:?}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_kept_connection_that_is_cut_under_a_request_is_not_called_unsent_and_nothing_is_repeated() {
    let requests = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let port = raw(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            // Answers the first request of a connection, reads the second and hangs up.
            let _ = stream.read(&mut [0; 4096]).await;
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    })
    .await;
    let client = Pki::new().outbound(None);
    let url = format!("http://localhost:{port}/");
    assert_eq!(client.send(get(&url)).await.expect("answer").body, b"ok");
    pause(50).await;
    assert_eq!(failure(&client, get(&url)).await, unknown(UnknownCause::Cut));
    pause(200).await;
    assert_eq!(requests.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let port = raw(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let client = Pki::new().outbound(None);
    for _ in 0..3 {
        let answer = client.send(get(&format!("http://localhost:{port}/"))).await;
        assert_eq!(answer.expect("answer").body, b"ok");
        pause(100).await;
    }
}

#[tokio::test]
async fn r_g_06_address_literals_are_judged_however_they_are_spelled() {
    let client = |address_policy| {
        let roots = Some(Pki::new().ca.certificate().into_bytes());
        Outbound::new(OutboundSettings {
            roots,
            identity: None,
            address_policy,
            https_only: true,
            takes_within: TAKES_WITHIN,
        })
        .expect("client")
    };
    let (public, private) = (client(AddressPolicy::PublicOnly), client(AddressPolicy::AllowPrivate));
    let loopback = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "1\t27.0.0.1",
        "LOCALHOST",
    ];
    for host in loopback {
        let outcome = failure(&public, get(&format!("https://{host}:1/"))).await;
        assert_eq!(outcome, not_sent(NotSentCause::AddressRefused), "{host}");
    }
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "[::ffff:a9fe:a9fe]",
        "0",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "[ff02::1]",
    ] {
        for client in [&public, &private] {
            let outcome = failure(client, get(&format!("https://{host}:1/"))).await;
            assert_eq!(outcome, not_sent(NotSentCause::AddressRefused), "{host}");
        }
    }
    let outcome = failure(&private, get("https://127.0.0.1:1/")).await;
    assert_eq!(outcome, not_sent(NotSentCause::Connect), "allowed, but nobody listens");
    for url in
        ["http://example.com/", "https://user@example.com/", "https://a:b@example.com/", "ftp://example.com/"]
    {
        assert_eq!(failure(&public, get(url)).await, not_sent(NotSentCause::InvalidUrl), "{url}");
    }
}

#[test]
fn r_g_06_of_a_names_addresses_only_the_allowed_ones_are_connected_to() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect::<Vec<_>>();
    let mixed = addresses(&["10.0.0.1:0", "1.1.1.1:0", "[fe80::1]:0"]);
    let kept = |policy| checked(mixed.clone().into_iter(), policy).expect("some");
    assert_eq!(kept(AddressPolicy::PublicOnly), addresses(&["1.1.1.1:0"]));
    assert_eq!(kept(AddressPolicy::AllowPrivate), addresses(&["10.0.0.1:0", "1.1.1.1:0"]));
    let private = addresses(&["10.0.0.1:0", "192.168.0.1:0"]);
    let refused = checked(private.into_iter(), AddressPolicy::PublicOnly);
    assert!(matches!(refused, Err(ResolveFailure::Refused)));
    assert!(matches!(checked(std::iter::empty(), AddressPolicy::PublicOnly), Err(ResolveFailure::Empty)));
}

#[test]
fn a_client_is_not_built_from_unusable_files() {
    let pki = Pki::new();
    let roots = pki.ca.certificate().into_bytes();
    let (own, other) = (pki.client("own"), self_signed("other"));
    let build = |roots: &[u8], chain: &[CertificateDer<'static>], key: &[u8]| {
        let identity = Identity { chain: chain.to_vec(), key: SecretBytes::new(key.to_vec()) };
        let settings = OutboundSettings {
            roots: Some(roots.to_vec()),
            identity: Some(identity),
            address_policy: AddressPolicy::PublicOnly,
            https_only: true,
            takes_within: TAKES_WITHIN,
        };
        Outbound::new(settings).err()
    };
    let (own, other) = (identity(&own), identity(&other));
    let (certificate, key) = (own.chain.as_slice(), own.key.expose());
    assert!(build(&roots, certificate, key).is_none());
    assert!(matches!(build(b"", certificate, key), Some(OutboundBuildError::NoRoots)));
    let garbled = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(build(garbled, certificate, key), Some(OutboundBuildError::Roots(_))));
    assert!(matches!(build(&roots, &[], key), Some(OutboundBuildError::Certificate(_))));
    assert!(matches!(build(&roots, certificate, b""), Some(OutboundBuildError::Key(_))));
    let garbled = [CertificateDer::from(b"garbled".to_vec())];
    assert!(matches!(build(&roots, &garbled, key), Some(OutboundBuildError::Certificate(_))));
    let mismatch = build(&roots, certificate, other.key.expose());
    assert!(matches!(mismatch, Some(OutboundBuildError::KeyMismatch)));
}

#[tokio::test]
async fn errors_are_sentences_for_operators_without_the_url() {
    let pki = Pki::new();
    let server = started(&pki).await;
    let outcome = failure(&Pki::new().outbound(None), get(&server.url("/echo?secret=value"))).await;
    assert_eq!(
        outcome.to_string(),
        "the request was not sent: TLS failed: the server's certificate is not from a trusted authority"
    );
    let refused = TlsFailure::ClientCertificateRefused { alert: "unknown_ca" };
    assert_eq!(refused.to_string(), "the server refused our client certificate (alert unknown_ca)");
}
