//! Choice and replacement of server certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{CertificateFiles, ClientAuth, ServerTls, ServerTlsSettings, TlsError};
use crate::crypto::pki::Issued;
use crate::crypto::x509::CertError;
use crate::domain::secret::Secret;
use crate::net::listener::Limits;
use crate::net::testing::{HOUR, Pki, Refusals, Running, now, pause, tls_with, write};

/// A provider that verifies only some signatures, as an older client does.
fn provider(verifies: fn(SignatureScheme) -> bool) -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let whole = provider.signature_verification_algorithms;
    let mapping: Vec<_> = whole.mapping.iter().filter(|(scheme, _)| verifies(*scheme)).copied().collect();
    let mapping = Box::leak(mapping.into_boxed_slice());
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms { all: whole.all, mapping };
    provider
}

fn is_ecdsa(scheme: SignatureScheme) -> bool {
    format!("{scheme:?}").starts_with("ECDSA")
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    format!("{scheme:?}").starts_with("RSA")
}

/// The certificate that a client is shown.
async fn shown(
    server: &Running,
    roots: &[String],
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<CertificateDer<'static>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM")).expect("root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("version")
        .with_root_certificates(store)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").expect("name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let chain = stream.get_ref().1.peer_certificates().expect("chain");
    Ok(chain[0].clone().into_owned())
}

fn rsa_server() -> Issued {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("certificate").pem();
    Issued { certificate, key: Secret::new(key.serialize_pem()) }
}

fn der(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM")
}

#[tokio::test]
async fn each_client_is_shown_a_certificate_that_it_can_verify() {
    let pki = Pki::new();
    let (rsa, ecdsa) = (rsa_server(), pki.server(&["localhost"]));
    let roots = [rsa.certificate.clone(), pki.ca.certificate()];
    let files = vec![pki.files("rsa", &rsa), pki.files("ecdsa", &ecdsa)];
    let (tls, _) = tls_with(files, ClientAuth::None);
    let server = Running::start(Some(tls), axum::Router::new(), Limits::default()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let shown_to = |verifies| shown(&server, &roots, provider(verifies), version);
        assert_eq!(shown_to(is_ecdsa).await.expect("handshake"), der(&ecdsa), "{version:?}");
        assert_eq!(shown_to(is_rsa).await.expect("handshake"), der(&rsa), "{version:?}");
        assert_eq!(shown_to(|_| true).await.expect("handshake"), der(&rsa), "the first is preferred");
    }
}

struct Reloadable {
    pki: Pki,
    tls: Arc<ServerTls>,
    server: Running,
}

impl Reloadable {
    async fn start() -> Self {
        let pki = Pki::new();
        let (tls, _) = pki.tls(ClientAuth::Optional { ca: Some(pki.ca_file()) });
        let server = Running::start(Some(Arc::clone(&tls)), axum::Router::new(), Limits::default()).await;
        Self { pki, tls, server }
    }

    async fn shown(&self) -> CertificateDer<'static> {
        let roots = [self.pki.ca.certificate()];
        shown(&self.server, &roots, provider(|_| true), &rustls::version::TLS13).await.expect("handshake")
    }

    /// Replaces both files; a moment later, so that their times differ on any file system.
    async fn replace(&self, issued: &Issued) {
        pause(20).await;
        self.pki.files("server", issued);
    }
}

#[tokio::test]
async fn r_g_04_new_files_count_for_new_handshakes() {
    let fixture = Reloadable::start().await;
    let before = fixture.shown().await;
    assert!(fixture.tls.look(now()).is_none(), "nothing has changed");
    assert!(!fixture.tls.reload(now()).expect("readable"), "nothing new");
    let next = fixture.pki.server(&["localhost"]);
    fixture.replace(&next).await;
    assert_eq!(fixture.shown().await, before, "not yet");
    assert!(matches!(fixture.tls.look(now()), Some(Ok(true))));
    assert!(fixture.tls.look(now()).is_none());
    assert_eq!(fixture.shown().await, der(&next));
}

#[tokio::test]
async fn r_g_04_whatever_is_wrong_with_new_files_the_last_good_ones_stay() {
    let fixture = Reloadable::start().await;
    let before = fixture.shown().await;
    let directory = fixture.pki.dir.path();
    let good = fixture.pki.server(&["localhost"]);
    let refuse = async |what: &str| {
        let error = fixture.tls.look(now()).expect(what).expect_err(what);
        assert!(fixture.tls.look(now()).is_none(), "{what}: told once");
        assert_eq!(fixture.shown().await, before, "{what}");
        error
    };

    fixture.replace(&Issued { certificate: good.certificate.clone(), key: rsa_server().key }).await;
    let error = refuse("another's key").await;
    assert!(matches!(error, TlsError::File(CertError::Mismatch { .. })), "{error:?}");

    let expired =
        fixture.pki.ca.issue_server(&["localhost"], now() - HOUR * 2, now() - HOUR).expect("certificate");
    fixture.replace(&expired).await;
    let error = refuse("expired").await;
    assert!(matches!(error, TlsError::File(CertError::Expired { .. })), "{error:?}");

    fixture.replace(&fixture.pki.client("not a server")).await;
    let error = refuse("a client's certificate").await;
    assert!(matches!(error, TlsError::Purpose { .. }), "{error:?}");

    fixture.replace(&good).await;
    write(&directory.join("server.pem"), b"half a fi");
    let error = refuse("no PEM").await;
    assert!(matches!(error, TlsError::File(_)), "{error:?}");

    fixture.replace(&good).await;
    std::fs::remove_file(directory.join("ca.pem")).expect("removed");
    let error = refuse("no client CA").await;
    assert!(matches!(error, TlsError::File(CertError::Unreadable { .. })), "{error:?}");

    write(&directory.join("ca.pem"), fixture.pki.ca.certificate().as_bytes());
    assert!(fixture.tls.reload(now()).expect("all is well again"));
    assert_eq!(fixture.shown().await, der(&good));
}

#[tokio::test]
async fn r_g_04_a_refused_key_is_taken_over_once_its_mode_is_right() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Reloadable::start().await;
    let next = fixture.pki.server(&["localhost"]);
    let files = fixture.pki.files("server", &next);
    let mode = |mode| {
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode(0o644);
    let error = fixture.tls.look(now()).expect("news").expect_err("refused");
    assert!(matches!(error, TlsError::File(CertError::Shared { .. })), "{error:?}");
    mode(0o600);
    assert!(
        matches!(fixture.tls.look(now()), Some(Ok(true))),
        "neither its content nor its time has changed"
    );
    assert_eq!(fixture.shown().await, der(&next));
}

/// A client that has no certificate, and counts how often it is asked for one.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn clients_are_asked_while_somebody_wants_their_certificate_and_a_resumed_session_does_not_hide_it() {
    let pki = Pki::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (tls, _) = pki.tls(ClientAuth::Optional { ca: Some(pki.ca_file()) });
        let server = Running::start(Some(Arc::clone(&tls)), axum::Router::new(), Limits::default()).await;
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pki.ca.certificate().as_bytes()).expect("PEM"))
            .expect("root");
        let asked = Arc::new(Asked::default());
        let config = ClientConfig::builder_with_provider(Arc::new(provider(|_| true)))
            .with_protocol_versions(&[version])
            .expect("version")
            .with_root_certificates(roots)
            .with_client_cert_resolver(asked.clone());
        let connector = TlsConnector::from(Arc::new(config));
        // How often it is asked in one connection, and whether that resumes an earlier session.
        let connect = async || {
            let before = asked.0.load(Ordering::Relaxed);
            let stream = TcpStream::connect(server.address).await.expect("connected");
            let name = ServerName::try_from("localhost").expect("name");
            let mut stream = connector.connect(name, stream).await.expect("handshake");
            // A whole exchange: what a session is resumed with comes after the handshake.
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            // How the connection ends is not the point here.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.starts_with(b"HTTP/1.1 404"), "{version:?}");
            let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            (asked.0.load(Ordering::Relaxed) - before, is_resumed)
        };
        assert_eq!(connect().await, (1, false), "{version:?}: as it comes");
        tls.ask_clients(false);
        assert_eq!(connect().await, (0, false), "{version:?}");
        assert_eq!(connect().await, (0, true), "{version:?}: sessions are resumed");
        tls.ask_clients(true);
        assert_eq!(connect().await, (1, false), "{version:?}: a session from before is none here");
        // New certificates change nothing about it.
        tls.ask_clients(false);
        pki.files("server", &pki.server(&["localhost"]));
        assert!(tls.reload(now()).expect("valid"));
        assert_eq!(connect().await, (0, false), "{version:?}");
    }
}

#[test]
fn the_end_of_the_first_certificate_to_expire_is_told() {
    let pki = Pki::new();
    let early = pki.ca.issue_server(&["localhost"], now() - HOUR, now() + HOUR).expect("certificate");
    let late = pki.ca.issue_server(&["localhost"], now() - HOUR, now() + HOUR * 9).expect("certificate");
    let (tls, _) = tls_with(vec![pki.files("late", &late), pki.files("early", &early)], ClientAuth::None);
    let left = tls.not_after().since(now());
    assert!(left <= HOUR && left + Duration::from_secs(60) > HOUR, "{left:?}");
}

#[test]
fn r_g_04_there_is_no_start_without_a_usable_certificate() {
    let pki = Pki::new();
    let start = |certificates: Vec<CertificateFiles>| {
        let on_refused = Refusals::default().observer();
        let settings = ServerTlsSettings { certificates, client_auth: ClientAuth::None, on_refused };
        ServerTls::new(settings, now()).err()
    };
    assert!(matches!(start(Vec::new()), Some(TlsError::NoCertificate)));
    let missing = CertificateFiles { cert: "nowhere.pem".into(), key: "nowhere.key".into() };
    assert!(matches!(start(vec![missing]), Some(TlsError::File(CertError::Unreadable { .. }))));
    let future = pki.ca.issue_server(&["localhost"], now() + HOUR, now() + HOUR * 2).expect("certificate");
    let early = start(vec![pki.files("future", &future)]);
    assert!(matches!(early, Some(TlsError::File(CertError::NotYetValid { .. }))));
}
