//! One connection of a thick client: light enough for twenty thousand of them.
//!
//! HTTP/1.1 or HTTP/2, in clear or over TLS with pinned roots. Connections spread over several loopback addresses:
//! a server limits what one address may have, and one address has too few ports.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::Credential;

/// The largest answer: every request that a simulated provider remembers.
const ANSWER_MAX: usize = 128 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Beyond what the caller asked the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// What a streamed body is sent in.
const CHUNK: usize = 64 * 1024;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Connections from one address: fewer than a listener takes from one.
const PER_ADDRESS: usize = 4000;

/// The first source address is 127.0.0.2.
const ADDRESSES: usize = 200;

/// Why an address is not one to load.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not `http` or `https`, or with more than scheme, host and port.
    #[error("it must be http://HOST:PORT or https://HOST:PORT")]
    Url,
    /// Another machine.
    #[error("load goes to this machine only, and {0} is not a loopback address")]
    NotLoopback(String),
    /// No roots to trust.
    #[error("https needs the roots to trust (--ca)")]
    NoRoots,
    /// Certificates that cannot be used.
    #[error("the {0} cannot be used")]
    Certificate(&'static str),
}

/// Why a call brought nothing. No variant carries a secret.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    /// No connection.
    #[error("no connection")]
    Connect,
    /// The connection was lost, or what came was no HTTP.
    #[error("the connection was lost")]
    Lost,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// A refusal: the problem's code, or the status where it has none.
    #[error("refused: {0}")]
    Refused(String),
    /// An answer that is not the contract's.
    #[error("the answer makes no sense")]
    Unreadable,
}

impl CallError {
    /// As it is counted.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Connect => "(no connection)",
            Self::Lost => "(connection lost)",
            Self::TimedOut => "(no answer in time)",
            Self::Refused(code) => code,
            Self::Unreadable => "(unreadable answer)",
        }
    }
}

/// An answer that is no refusal.
pub(super) struct Answer {
    body: Bytes,
}

impl Answer {
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|_| CallError::Unreadable)
    }
}

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    /// One call at a time.
    Http1,
    /// Many at once.
    Http2,
}

/// Where connections go.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    authority: Authority,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Target {
    /// A server on this machine.
    pub(super) fn new(
        url: &Url,
        ca_pem: Option<&[u8]>,
        credential: Option<&Credential>,
    ) -> Result<Self, TargetError> {
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
        let (Some(host), Some(port), true) = (url.host(), url.port_or_known_default(), bare) else {
            return Err(TargetError::Url);
        };
        let address = SocketAddr::new(loopback(&host)?, port);
        let authority = format!("{host}:{port}").parse().map_err(|_| TargetError::Url)?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(Tls::new(&host, ca_pem.ok_or(TargetError::NoRoots)?, credential)?),
            _ => return Err(TargetError::Url),
        };
        Ok(Self { address, authority, tls })
    }

    /// As a report says it.
    pub(super) fn words(&self, protocol: Protocol) -> String {
        let protocol = match protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        format!("{protocol} {}", if self.tls.is_some() { "over TLS" } else { "in clear" })
    }

    /// Opens the connection number `place`.
    pub(super) async fn connect(&self, protocol: Protocol, place: usize) -> Result<Connection, CallError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.open(protocol, place))
            .await
            .map_err(|_| CallError::Connect)?
    }

    async fn open(&self, protocol: Protocol, place: usize) -> Result<Connection, CallError> {
        let stream = self.dial(place).await.map_err(|_| CallError::Connect)?;
        let sender = match &self.tls {
            None => Sender::handshake(stream, protocol).await,
            Some(tls) => {
                let config = match protocol {
                    Protocol::Http1 => &tls.http1,
                    Protocol::Http2 => &tls.http2,
                };
                let connector = TlsConnector::from(Arc::clone(config));
                let stream =
                    connector.connect(tls.name.clone(), stream).await.map_err(|_| CallError::Connect)?;
                Sender::handshake(stream, protocol).await
            }
        }
        .map_err(|_| CallError::Connect)?;
        Ok(Connection { sender, authority: self.authority.clone(), is_tls: self.tls.is_some() })
    }

    async fn dial(&self, place: usize) -> std::io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if self.address.is_ipv4() {
            let last = u8::try_from(2 + place / PER_ADDRESS % ADDRESSES).unwrap_or(2);
            socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A name is not looked up: what it leads to may change between the look and the connection.
fn loopback(host: &Host<&str>) -> Result<IpAddr, TargetError> {
    let address = match host {
        Host::Domain("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Host::Domain(name) => return Err(TargetError::NotLoopback((*name).to_owned())),
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
    };
    if address.is_loopback() { Ok(address) } else { Err(TargetError::NotLoopback(address.to_string())) }
}

impl Tls {
    fn new(host: &Host<&str>, ca_pem: &[u8], credential: Option<&Credential>) -> Result<Self, TargetError> {
        let broken = TargetError::Certificate;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca_pem) {
            let root = root.map_err(|_| broken("trusted root"))?;
            roots.add(root).map_err(|_| broken("trusted root"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| broken("TLS library"))?
            .with_root_certificates(roots);
        let mut http1 = match credential {
            Some(Credential::Certificate { cert_pem, key_pem }) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert_pem).collect();
                let chain = chain.map_err(|_| broken("client certificate"))?;
                let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes())
                    .map_err(|_| broken("key of the client certificate"))?;
                builder.with_client_auth_cert(chain, key).map_err(|_| broken("client certificate"))?
            }
            Some(Credential::Secret(_)) | None => builder.with_no_client_auth(),
        };
        // Each login is a workstation of its own: none has been here before.
        http1.resumption = rustls::client::Resumption::disabled();
        let mut http2 = http1.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let name = match host {
            Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_| TargetError::Url)?,
            Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
        };
        Ok(Self { http1: Arc::new(http1), http2: Arc::new(http2), name })
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    async fn handshake<S>(stream: S, protocol: Protocol) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        })
    }
}

/// An open connection; closed when it is dropped.
pub(super) struct Connection {
    sender: Sender,
    authority: Authority,
    is_tls: bool,
}

impl Connection {
    /// Another user of the same HTTP/2 connection; `None` with HTTP/1.1.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                authority: self.authority.clone(),
                is_tls: self.is_tls,
            }),
        }
    }

    /// Whether the other end has closed it.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Makes one call; the server was asked to wait at most `wait`. Nothing is repeated.
    pub(super) async fn call(
        &mut self,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Answer, CallError> {
        let whole = async { read(self.send(request.map(BodyExt::boxed_unsync)).await?).await };
        tokio::time::timeout(ANSWER_TIMEOUT + wait, whole).await.map_err(|_| CallError::TimedOut)?
    }

    /// Makes one call with a body of so many zeros, made as they are sent, and counts the bytes of the answer. Takes as
    /// long as it takes.
    pub(super) async fn stream(&mut self, request: Request<()>, length: u64) -> Result<u64, CallError> {
        let frames = stream::unfold(length, |left| async move {
            let next = left.min(CHUNK as u64);
            let chunk = Bytes::from_static(&ZEROS).slice(..usize::try_from(next).unwrap_or(CHUNK));
            (left > 0).then(|| (Ok::<_, Infallible>(Frame::data(chunk)), left - next))
        });
        let body =
            if length == 0 { Full::default().boxed_unsync() } else { StreamBody::new(frames).boxed_unsync() };
        let response = self.send(request.map(|()| body)).await?;
        if !response.status().is_success() {
            return Err(read(response).await.err().unwrap_or(CallError::Unreadable));
        }
        let (mut body, mut came) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| CallError::Lost)?;
            came += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(came)
    }

    async fn send(&mut self, mut request: Request<Body>) -> Result<http::Response<Incoming>, CallError> {
        let lost = |_| CallError::Lost;
        match &mut self.sender {
            Sender::Http1(sender) => {
                let host =
                    HeaderValue::from_str(self.authority.as_str()).map_err(|_| CallError::Unreadable)?;
                request.headers_mut().insert(HOST, host);
                sender.ready().await.map_err(lost)?;
                sender.send_request(request).await.map_err(lost)
            }
            Sender::Http2(sender) => {
                let mut parts = std::mem::take(request.uri_mut()).into_parts();
                parts.scheme = Some(if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP });
                parts.authority = Some(self.authority.clone());
                *request.uri_mut() = Uri::from_parts(parts).map_err(|_| CallError::Unreadable)?;
                sender.ready().await.map_err(lost)?;
                sender.send_request(request).await.map_err(lost)
            }
        }
    }
}

async fn read(response: http::Response<Incoming>) -> Result<Answer, CallError> {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    let answer = Answer { body: body.map_err(|_| CallError::Lost)?.to_bytes() };
    if status.is_success() {
        return Ok(answer);
    }
    let code = answer.json::<Problem>().map_or_else(|_| format!("({status})"), |problem| problem.code);
    Err(CallError::Refused(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, TargetError> {
        Target::new(&Url::parse(url).expect("a URL"), None, None)
    }

    #[test]
    fn load_goes_to_this_machine_only() {
        for url in ["http://localhost:8080", "http://127.0.0.1:1/", "http://127.9.9.9", "http://[::1]:8080"] {
            assert!(target(url).is_ok(), "{url}");
        }
        for url in [
            "http://192.0.2.1:8080",
            "http://0.0.0.0:8080",
            "http://[2001:db8::1]",
            "http://[::ffff:127.0.0.1]",
            "http://relais.example.fr",
            "http://localhost.example.fr",
        ] {
            assert!(matches!(target(url), Err(TargetError::NotLoopback(_))), "{url}");
        }
    }

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for url in ["http://localhost/path", "http://u@localhost", "http://localhost/?q", "ftp://localhost"] {
            assert!(matches!(target(url), Err(TargetError::Url)), "{url}");
        }
        assert!(matches!(target("https://localhost"), Err(TargetError::NoRoots)));
    }
}
