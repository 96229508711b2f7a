//! Certificates, listeners and clients for the tests of this module, and of those who make clients with it.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::listener::{Limits, serve};
use super::outbound::{AddressPolicy, Identity, Outbound, OutboundRequest, OutboundSettings, TAKES_WITHIN};
use super::tls::{CertificateFiles, ClientAuth, ServerTls, ServerTlsSettings};
use crate::crypto::pki::{DevCa, Issued};
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::time::Timestamp;

pub const HOUR: Duration = Duration::from_secs(3600);

pub fn now() -> Timestamp {
    Timestamp::from_secs(i64::try_from(UnixTime::now().as_secs()).expect("not so late"))
}

/// An authority and a folder for what it signs.
pub struct Pki {
    pub ca: DevCa,
    pub dir: tempfile::TempDir,
}

impl Pki {
    pub fn new() -> Self {
        Self::named("test CA")
    }

    pub fn named(name: &str) -> Self {
        super::install_provider();
        let ca = DevCa::generate(name, now() - HOUR * 48, now() + HOUR * 48).expect("CA");
        let pki = Self { ca, dir: tempfile::tempdir().expect("folder") };
        write(&pki.ca_file(), pki.ca.certificate().as_bytes());
        pki
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn server(&self, names: &[&str]) -> Issued {
        self.ca.issue_server(names, now() - HOUR, now() + HOUR).expect("server certificate")
    }

    pub fn client(&self, name: &str) -> Issued {
        self.ca.issue_client(name, now() - HOUR, now() + HOUR).expect("client certificate")
    }

    /// Writes the pair as `<name>.pem` and `<name>.key`.
    pub fn files(&self, name: &str, issued: &Issued) -> CertificateFiles {
        let cert = self.dir.path().join(format!("{name}.pem"));
        let key = self.dir.path().join(format!("{name}.key"));
        write(&cert, issued.certificate.as_bytes());
        write(&key, issued.key.expose().as_bytes());
        CertificateFiles { cert, key }
    }

    pub fn tls(&self, client_auth: ClientAuth) -> (Arc<ServerTls>, Refusals) {
        let files = self.files("server", &self.server(&["localhost", "127.0.0.1"]));
        tls_with(vec![files], client_auth)
    }

    pub fn outbound(&self, identity: Option<&Issued>) -> Outbound {
        outbound(Some(self.ca.certificate().into_bytes()), identity)
    }
}

pub fn tls_with(certificates: Vec<CertificateFiles>, client_auth: ClientAuth) -> (Arc<ServerTls>, Refusals) {
    let refusals = Refusals::default();
    let settings = ServerTlsSettings { certificates, client_auth, on_refused: refusals.observer() };
    (ServerTls::new(settings, now()).expect("server TLS"), refusals)
}

pub fn outbound(roots: Option<Vec<u8>>, identity: Option<&Issued>) -> Outbound {
    super::install_provider();
    Outbound::new(OutboundSettings {
        roots,
        identity: identity.map(self::identity),
        address_policy: AddressPolicy::AllowPrivate,
        https_only: false,
        takes_within: TAKES_WITHIN,
    })
    .expect("client")
}

/// A pair as a client shows it.
pub fn identity(issued: &Issued) -> Identity {
    let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).expect("key");
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>();
    Identity { chain: chain.expect("certificate"), key: SecretBytes::new(key.secret_der().to_vec()) }
}

/// Readable by the owner only, as keys must be.
pub fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("file");
    file.write_all(bytes).expect("written");
}

/// A client certificate that nobody else signed.
pub fn self_signed(name: &str) -> Issued {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("certificate").pem();
    Issued { certificate, key: Secret::new(key.serialize_pem()) }
}

/// The causes of refused handshakes, in their order.
#[derive(Clone, Default)]
pub struct Refusals(Arc<Mutex<Vec<&'static str>>>);

impl Refusals {
    pub fn observer(&self) -> super::tls::RefusalObserver {
        let causes = Arc::clone(&self.0);
        Arc::new(move |refusal| causes.lock().expect("lock").push(refusal.cause))
    }

    /// The causes so far, waiting until there are as many as this.
    pub async fn wait_for(&self, count: usize) -> Vec<&'static str> {
        let enough = async {
            loop {
                let causes = self.0.lock().expect("lock").clone();
                if causes.len() >= count {
                    return causes;
                }
                pause(10).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), enough).await.expect("as many refusals")
    }
}

/// A listener that is serving.
pub struct Running {
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Running {
    pub async fn start(tls: Option<Arc<ServerTls>>, router: Router, limits: Limits) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, tls, router, limits, shutdown.clone()));
        Self { address, shutdown, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

pub fn get(url: &str) -> OutboundRequest {
    OutboundRequest {
        method: http::Method::GET,
        url: url.parse().expect(url),
        headers: http::HeaderMap::new(),
        body: None,
        timeout: Duration::from_secs(5),
        max_body: 64 * 1024,
    }
}

/// An HTTP/2 connection to a server of this authority.
pub async fn http_2(pki: &Pki, server: &Running) -> SendRequest<Full<Bytes>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in crate::crypto::x509::load_pem_chain(&pki.ca_file()).expect("CA") {
        roots.add(root).expect("root");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(server.address).await.expect("connect");
    let name = ServerName::try_from("localhost").expect("name");
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS");
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// Real time, for what happens on sockets.
pub async fn pause(milliseconds: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(milliseconds), std::future::pending::<()>()).await;
}
