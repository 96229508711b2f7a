//! The provider over HTTPS with a client certificate: who is refused, and that the log says why.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use relais::crypto::pki::{DevCa, Issued};
use relais::domain::clock::Clock as _;
use relais::domain::login::LoginReason;
use relais::domain::time::Timestamp;
use relais::engine::ports::Providers;
use relais::provider::{CertificateFiles, Credential, ProviderSettings, RegistrationSettings};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::clock::ManualClock;
use crate::support::log;

use super::op::{Op, Reply};
use super::setup::{APPROVED, CLIENT_ID, Setup, token_answer};

/// An authority, and a folder for the client's files.
pub struct Pki {
    pub authority: DevCa,
    pub folder: TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let authority = authority();
        Self { authority, folder: tempfile::tempdir().expect("a folder") }
    }

    /// A client certificate for this many days from now.
    pub fn client(&self, days: u64) -> Issued {
        let now = ManualClock::at_present().now();
        let until = now + Duration::from_hours(24 * days);
        self.authority.issue_client(CLIENT_ID, now - Duration::from_hours(1), until).expect("a certificate")
    }

    /// Writes a pair, and names its files.
    pub fn write(&self, name: &str, pair: &Issued) -> CertificateFiles {
        let path = |extension: &str| self.folder.path().join(format!("{name}.{extension}"));
        let files = CertificateFiles { cert: path("pem"), key: path("key") };
        std::fs::write(&files.cert, &pair.certificate).expect("written");
        write_private(&files.key, pair.key.expose());
        files
    }

    pub fn roots(&self) -> Vec<u8> {
        self.authority.certificate().into_bytes()
    }
}

pub fn authority() -> DevCa {
    let now = ManualClock::at_present().now();
    DevCa::generate("Test CA", now - Duration::from_hours(1), now + Duration::from_hours(24 * 365))
        .expect("an authority")
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("private");
}

/// A provider on HTTPS that asks for a certificate of `pki`; its own is for `name`.
pub async fn listen(pki: &Pki, name: &str) -> Op {
    let now = ManualClock::at_present().now();
    listen_between(pki, name, now - Duration::from_hours(1), now + Duration::from_hours(24)).await
}

/// The same, with a server certificate between these dates.
pub async fn listen_between(pki: &Pki, name: &str, from: Timestamp, to: Timestamp) -> Op {
    relais::net::install_provider();
    let server = pki.authority.issue_server(&[name], from, to).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    let authority = pki.authority.certificate();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("a root");
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(server.key.expose().as_bytes()).expect("PEM"),
        )
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let op = Op::unbound(format!("https://localhost:{port}"));
    let (acceptor, router) = (TlsAcceptor::from(Arc::new(config)), op.router());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(socket).await else { return };
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(tls), TowerToHyperService::new(router)).await;
            });
        }
    });
    op
}

/// The usual registration, by certificate.
pub fn by_certificate<'a>(
    pki: &'a Pki,
    files: &'a [CertificateFiles],
) -> impl FnOnce(&mut ProviderSettings, &mut RegistrationSettings) + 'a {
    move |provider, registration| {
        provider.roots_pem = Some(pki.roots());
        provider.https_only = true;
        registration.credential = Credential::TlsClientAuth;
        registration.certificates = files.to_vec();
    }
}

#[tokio::test]
async fn rp_024_a_login_over_mutual_tls() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    assert!(setup.start().await.is_ok());
    assert_eq!(setup.outcome().await, APPROVED);
    for endpoint in ["backchannel", "token"] {
        let seen = setup.op.seen(endpoint).remove(0);
        assert_eq!(seen.form("client_id"), [CLIENT_ID]);
        assert_eq!(seen.header("authorization"), None);
        assert!(seen.form("client_secret").is_empty() && seen.form("client_assertion").is_empty());
    }
}

#[tokio::test]
async fn rp_006_aliases_are_used_where_a_certificate_is_in_use() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let mut document = op.metadata();
    document["mtls_endpoint_aliases"] = json!({
        "backchannel_authentication_endpoint": op.url("mtls-backchannel"),
        "token_endpoint": op.url("mtls-token"),
        "userinfo_endpoint": op.url("mtls-userinfo"),
    });
    op.stand("metadata", Reply::json(200, &document));
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let _ = setup.start().await;
    let _ = setup.outcome().await;
    setup
        .op
        .stand("mtls-token", Reply::json(200, &token_answer(&super::signing::rsa_1().sign(&setup.claims()))));
    let approved = setup.approved().await;
    let x5t = setup.clients.certificate_in_use(&setup.registration);
    let token = &approved.tokens.access_token;
    let _ = setup.clients.userinfo(&setup.registration, x5t.as_deref(), token, &approved.claims).await;
    for endpoint in ["backchannel", "token", "userinfo"] {
        assert_eq!(setup.op.count(endpoint), 0, "{endpoint}");
        assert!(setup.op.count(&format!("mtls-{endpoint}")) >= 1, "{endpoint}");
    }
    let plain = Setup::new().await;
    plain.op.stand(
        "metadata",
        Reply::json(200, &{
            let mut document = plain.op.metadata();
            document["mtls_endpoint_aliases"] = json!({"token_endpoint": plain.op.url("mtls-token")});
            document
        }),
    );
    assert_eq!(plain.outcome().await, APPROVED, "without a certificate the plain URL counts");
}

async fn refused(setup: &Setup) -> String {
    let log = log::capture();
    assert_eq!(setup.start_failure().await, (LoginReason::ProviderUnavailable, false));
    assert_eq!(setup.op.count("metadata") + setup.op.count("backchannel"), 0);
    log.text()
}

#[tokio::test]
async fn rp_110_an_untrusted_provider_is_refused_and_the_log_says_so() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, |provider, registration| {
        by_certificate(&pki, &files)(provider, registration);
        provider.roots_pem = Some(authority().certificate().into_bytes());
    });
    let text = refused(&setup).await;
    assert!(text.contains("tls_untrusted_ca"), "{text}");
}

#[tokio::test]
async fn rp_110_a_provider_under_another_name_is_refused_and_the_log_says_so() {
    let pki = Pki::new();
    let op = listen(&pki, "op.example").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let text = refused(&setup).await;
    assert!(text.contains("tls_wrong_host_name"), "{text}");
}

#[tokio::test]
async fn rp_110_a_provider_whose_certificate_has_expired_is_refused_and_the_log_says_so() {
    let pki = Pki::new();
    let end = ManualClock::at_present().now() - Duration::from_mins(1);
    let op = listen_between(&pki, "localhost", end - Duration::from_hours(48), end).await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let text = refused(&setup).await;
    assert!(text.contains("tls_expired"), "{text}");
}

/// A hello of a server that chooses this version, in a record of its own.
fn server_hello(version: [u8; 2]) -> Vec<u8> {
    let body = [&version[..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let length = u8::try_from(body.len()).expect("short");
    [&[22, version[0], version[1], 0, length + 4, 2, 0, 0, length][..], &body].concat()
}

#[tokio::test]
async fn rp_110_a_provider_that_speaks_nothing_newer_than_tls_1_1_is_refused() {
    for version in [[3, 1], [3, 2]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let old = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 5];
            socket.read_exact(&mut head).await.expect("a hello");
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            socket.read_exact(&mut hello).await.expect("a hello");
            socket.write_all(&server_hello(version)).await.expect("written");
            let mut alert = [0; 7];
            socket.read_exact(&mut alert).await.expect("an alert");
            alert
        });
        let pki = Pki::new();
        let op = Op::unbound(format!("https://localhost:{port}"));
        let files = [pki.write("client", &pki.client(30))];
        let setup = Setup::at(op, by_certificate(&pki, &files));
        assert_eq!(setup.start_failure().await, (LoginReason::ProviderUnavailable, false));
        let alert = old.await.expect("no panic");
        assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]), "fatal protocol_version");
    }
}

#[tokio::test]
async fn without_a_certificate_the_provider_refuses_and_the_log_says_so() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let setup = Setup::at(op, |provider, registration| {
        by_certificate(&pki, &[])(provider, registration);
        registration.credential = super::setup::registration_settings().credential;
    });
    let text = refused(&setup).await;
    assert!(text.contains("tls_client_certificate_required"), "{text}");
}

#[tokio::test]
async fn with_a_wrong_certificate_the_provider_refuses_and_the_log_says_so() {
    let pki = Pki::new();
    let stranger = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [stranger.write("client", &stranger.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let text = refused(&setup).await;
    assert!(text.contains("tls_client_certificate_refused"), "{text}");
}
