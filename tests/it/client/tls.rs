//! The connection itself: pinned roots, and the application's certificate in place of a secret.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use relais::client::{Client, ClientError, ClientSettings, Credential, SettingsError};
use relais::domain::secret::Secret;
use relais::domain::texts::Language;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::scripted::FastClock;

const APPLICATION: &str = r#"{"application":"demo","kind":"backend","registrations":[],"version":"0.1.0"}"#;

struct Authority {
    pem: String,
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A server of `authority` that wants a client certificate of it and sends the requests' heads back to the test.
async fn serve(authority: &Authority) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone().into()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let (certificate, key) = authority.leaf(ExtendedKeyUsagePurpose::ServerAuth);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut head = vec![0; 4096];
            let length = connection.read(&mut head).await.unwrap_or(0);
            let _ = heads.send(String::from_utf8_lossy(&head[..length]).into_owned());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{APPLICATION}",
                APPLICATION.len()
            );
            let _ = connection.write_all(answer.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
    });
    (port, received)
}

fn client(port: u16, credential: Credential, roots: &str) -> Result<Client, SettingsError> {
    let settings = ClientSettings {
        server: format!("https://localhost:{port}").parse().unwrap(),
        application: "demo".into(),
        credential,
        ca_pem: Some(roots.as_bytes().to_vec()),
        language: Language::French,
    };
    Client::new(settings, Arc::new(FastClock::new()))
}

fn certificate_of(authority: &Authority) -> Credential {
    let (certificate, key) = authority.leaf(ExtendedKeyUsagePurpose::ClientAuth);
    Credential::Certificate {
        cert_pem: certificate.pem().into_bytes(),
        key_pem: Secret::new(key.serialize_pem()),
    }
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_the_secret() {
    let authority = Authority::new();
    let (port, mut heads) = serve(&authority).await;
    let client = client(port, certificate_of(&authority), &authority.pem).unwrap();
    assert_eq!(client.application().await.ok().unwrap().application, "demo");
    let head = heads.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /v1/application http/1.1\r\n"), "{head}");
    assert!(!head.contains("authorization"), "one credential at a time: {head}");
}

#[tokio::test]
async fn no_request_leaves_without_trust_on_both_sides() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (port, mut heads) = serve(&authority).await;
    for (credential, roots) in [
        (certificate_of(&authority), &stranger.pem),
        (certificate_of(&stranger), &authority.pem),
        (Credential::Secret(Secret::new("demo")), &authority.pem),
    ] {
        let error = client(port, credential, roots).unwrap().application().await.err().unwrap();
        assert!(matches!(error, ClientError::Transport { .. }), "{error:?}");
    }
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn an_unusable_certificate_is_told_before_any_call() {
    let authority = Authority::new();
    let credential = Credential::Certificate {
        cert_pem: authority.pem.clone().into_bytes(),
        key_pem: Secret::new("no key"),
    };
    assert!(matches!(client(1, credential, &authority.pem), Err(SettingsError::Certificate { .. })));
    assert!(matches!(client(1, certificate_of(&authority), "no roots"), Err(SettingsError::NoRoots)));
}
