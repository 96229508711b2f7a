//! Choice and replacement of server certificates.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
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
    assert!(!fixture.tls.changed_on_disk());
    assert!(!fixture.tls.reload(now()).expect("readable"), "nothing new");
    let next = fixture.pki.server(&["localhost"]);
    fixture.replace(&next).await;
    assert!(fixture.tls.changed_on_disk());
    assert_eq!(fixture.shown().await, before, "not yet");
    assert!(fixture.tls.reload(now()).expect("valid"));
    assert!(!fixture.tls.changed_on_disk());
    assert_eq!(fixture.shown().await, der(&next));
}

#[tokio::test]
async fn r_g_04_whatever_is_wrong_with_new_files_the_last_good_ones_stay() {
    let fixture = Reloadable::start().await;
    let before = fixture.shown().await;
    let directory = fixture.pki.dir.path();
    let good = fixture.pki.server(&["localhost"]);
    let refuse = async |what: &str| {
        assert!(fixture.tls.changed_on_disk(), "{what}");
        let error = fixture.tls.reload(now()).expect_err(what);
        assert!(!fixture.tls.changed_on_disk(), "{what}: told once");
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
