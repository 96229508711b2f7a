//! Outbound HTTPS: the only place that builds an HTTP client (R-G-02, R-G-03, R-G-06, R-G-07).
//!
//! One [`Outbound`] belongs to one peer and one client certificate: its roots, its identity and its connection
//! pool are shared with nobody, so a certificate is shown only to the peer that it is for, and replacing the value
//! recycles the connections. It follows no redirect, repeats no request, reads no proxy from the environment,
//! asks for no compression and takes none, and checks every address at connect time.
//!
//! Its errors answer the question on which the login engine rests: can the peer have processed anything?
//! [`OutboundError::NotSent`] is said only where that is certain.

mod address;
mod connector;
mod dns;
mod failure;
mod roots;
#[cfg(test)]
mod tests;
mod told;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use url::{Host, Position, Url};

pub use address::AddressPolicy;
pub use failure::{NotSentCause, OutboundError, TlsFailure, UnknownCause};

use crate::domain::secret::SecretBytes;
use connector::{Connector, OPENED, Seen};
use told::Told;

/// Shorter than what common front ends keep (60–75 s), so that a connection is seldom closed under a request.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// At two hundred logins a second some twenty calls are under way, in bursts more. A connection that finds no place is closed,
/// and the next call pays for a handshake with two signatures.
const POOL_PER_HOST: usize = 64;
const MAX_HEADERS: usize = 100;

/// How long a peer may take nothing of what is sent to it, where nobody has a reason to wait for longer.
pub const TAKES_WITHIN: Duration = Duration::from_secs(20);

/// A body on its way, in either direction.
pub type StreamedBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

type HttpClient = Client<Connector, StreamedBody>;

/// A client certificate with its key, both DER.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, followed by its intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: SecretBytes,
}

/// Everything that one outbound client is built from.
#[derive(Clone)]
pub struct OutboundSettings {
    /// The trusted roots, PEM, and no others; `None`: the system's.
    pub roots: Option<Vec<u8>>,
    /// What to show where the peer asks for a client certificate.
    pub identity: Option<Identity>,
    /// Which addresses may be connected to.
    pub address_policy: AddressPolicy,
    /// Refuse `http` URLs. False only in development and for loopback.
    pub https_only: bool,
    /// How long the peer may take nothing of what is sent to it, be it gone or busy; then the connection ends.
    pub takes_within: Duration,
}

/// Why no client could be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum OutboundBuildError {
    /// The pinned roots are no PEM, or hold a certificate that cannot be a trust anchor.
    #[error("the trusted roots cannot be read")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The pinned roots hold no certificate, or the system has none.
    #[error("there is no trusted root")]
    NoRoots,
    /// The client certificate is missing or none that TLS can read.
    #[error("the client certificate cannot be read")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client key is none that TLS can read, or of a kind that is not supported.
    #[error("the key of the client certificate cannot be read")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key belongs to another certificate.
    #[error("the key does not belong to the client certificate")]
    KeyMismatch,
    /// The TLS or HTTP library refused the whole.
    #[error("the HTTP client cannot be built")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One request. Nothing is added to its headers but what HTTP itself needs.
pub struct OutboundRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL, without user information.
    pub url: Url,
    /// All headers that the peer shall see.
    pub headers: HeaderMap,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
    /// From the call to the last byte of the answer.
    pub timeout: Duration,
    /// The largest answer body that is accepted, in bytes.
    pub max_body: usize,
}

/// A complete answer, whatever its status: redirects and errors too.
#[derive(Debug)]
pub struct OutboundResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, at most `max_body` bytes.
    pub body: Vec<u8>,
}

/// One request whose body is handed on as it comes.
pub struct StreamedRequest {
    /// The method.
    pub method: Method,
    /// Scheme, host and port are taken from here, and nothing else. Without user information.
    pub origin: Url,
    /// What follows them, byte for byte.
    pub path_and_query: PathAndQuery,
    /// All headers that the peer shall see. What frames the body is added.
    pub headers: HeaderMap,
    /// The body; an empty one is none.
    pub body: StreamedBody,
}

/// An HTTP client for one peer. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Outbound {
    client: HttpClient,
    policy: AddressPolicy,
    https_only: bool,
    has_identity: bool,
}

impl Outbound {
    /// Builds the client; validates roots, certificate and key.
    pub fn new(settings: OutboundSettings) -> Result<Self, OutboundBuildError> {
        let OutboundSettings { roots, identity, address_policy, https_only, takes_within } = settings;
        let has_identity = identity.is_some();
        let tls = tls_config(roots.as_deref(), identity.as_ref())?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_PER_HOST)
            .http1_max_headers(MAX_HEADERS)
            // Not a repetition: an idle connection that the peer had closed is replaced before anything of the
            // request is written.
            .retry_canceled_requests(true)
            .build(Connector::new(address_policy, tls, takes_within));
        Ok(Self { client, policy: address_policy, https_only, has_identity })
    }

    /// Sends one request once and reads the whole answer.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        self.send_telling(request, || ()).await
    }

    /// The same, and calls `on_sent` when the request goes out on a connection: after waiting for one.
    pub async fn send_telling(
        &self,
        request: OutboundRequest,
        on_sent: impl FnOnce() + Send + 'static,
    ) -> Result<OutboundResponse, OutboundError> {
        self.check(&request.url)?;
        let invalid = |_| OutboundError::NotSent { cause: NotSentCause::InvalidUrl };
        let uri = Uri::try_from(request.url.as_str()).map_err(invalid)?;
        let body = Told::new(request.body.unwrap_or_default(), Box::new(on_sent));
        let mut message = Request::new(body.map_err(|never| match never {}).boxed_unsync());
        *message.method_mut() = request.method;
        *message.uri_mut() = uri;
        *message.headers_mut() = request.headers;
        let connection = capture_connection(&mut message);
        let exchange = async {
            let answer = self.exchange(message, &connection).await?;
            read(answer, request.max_body).await
        };
        tokio::time::timeout(request.timeout, exchange).await.unwrap_or_else(|_elapsed| {
            // While no connection has been given the request, it has gone nowhere.
            let waiting = connection.connection_metadata().is_none();
            Err(if waiting {
                OutboundError::NotSent { cause: NotSentCause::ConnectTimeout }
            } else {
                OutboundError::OutcomeUnknown { cause: UnknownCause::Timeout }
            })
        })
    }

    /// Sends one request once and hands the answer's body on as it comes. There is no time limit but that of the
    /// connection's making: dropping the future, or the body, ends the rest.
    pub async fn stream(&self, request: StreamedRequest) -> Result<Response<StreamedBody>, OutboundError> {
        self.check(&request.origin)?;
        let invalid = |_| OutboundError::NotSent { cause: NotSentCause::InvalidUrl };
        let uri = Uri::builder()
            .scheme(request.origin.scheme())
            .authority(&request.origin[Position::BeforeHost..Position::AfterPort])
            .path_and_query(request.path_and_query)
            .build()
            .map_err(invalid)?;
        let mut message = Request::new(request.body);
        *message.method_mut() = request.method;
        *message.uri_mut() = uri;
        *message.headers_mut() = request.headers;
        let connection = capture_connection(&mut message);
        let answer = self.exchange(message, &connection).await?;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    async fn exchange(
        &self,
        message: Request<StreamedBody>,
        connection: &CaptureConnection,
    ) -> Result<Response<Incoming>, OutboundError> {
        let opened = Arc::new(OnceLock::new());
        let outcome = OPENED.scope(Arc::clone(&opened), self.client.request(message)).await;
        outcome.map_err(|error| {
            let used = connection.connection_metadata().as_ref().map(|connected| {
                let mut extensions = http::Extensions::new();
                connected.get_extras(&mut extensions);
                extensions.remove::<Arc<Seen>>()
            });
            let handed_over = used.is_some();
            // A connection that failed before it was given the request is known only by having been opened for it.
            let seen = used.unwrap_or_else(|| opened.get().cloned());
            failure::classify(&error, handed_over, seen.and_then(|seen| seen.refusal()), self.has_identity)
        })
    }

    /// What can be said of a URL before any name is resolved. An address literal never reaches the resolver, so
    /// it is judged here; the URL parser has already undone decimal, octal and hexadecimal spellings.
    fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let not_sent = |cause| Err(OutboundError::NotSent { cause });
        let scheme_allowed = url.scheme() == "https" || (url.scheme() == "http" && !self.https_only);
        if !scheme_allowed || !url.username().is_empty() || url.password().is_some() {
            return not_sent(NotSentCause::InvalidUrl);
        }
        let allowed = match url.host() {
            None => return not_sent(NotSentCause::InvalidUrl),
            Some(Host::Domain(_)) => true,
            Some(Host::Ipv4(address)) => self.policy.allows(address.into()),
            Some(Host::Ipv6(address)) => self.policy.allows(address.into()),
        };
        if allowed { Ok(()) } else { not_sent(NotSentCause::AddressRefused) }
    }
}

/// The whole body, by chunks up to the cap.
async fn read(answer: Response<Incoming>, max_body: usize) -> Result<OutboundResponse, OutboundError> {
    let unknown = |cause| OutboundError::OutcomeUnknown { cause };
    let (head, mut incoming) = answer.into_parts();
    let coding = head.headers.get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unknown(UnknownCause::Encoded { status: head.status }));
    }
    let too_large = UnknownCause::TooLarge { status: head.status };
    if incoming.size_hint().lower() > max_body as u64 {
        return Err(unknown(too_large));
    }
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_broken| unknown(UnknownCause::Cut))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if chunk.len() > max_body - body.len() {
            return Err(unknown(too_large));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(OutboundResponse { status: head.status, headers: head.headers, body })
}

fn tls_config(roots: Option<&[u8]>, identity: Option<&Identity>) -> Result<ClientConfig, OutboundBuildError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = roots.map_or_else(roots::system, roots::pinned)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| OutboundBuildError::Client(error.into()))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = certified_key(identity, &provider)?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
    };
    // No HTTP/2: its one connection, gone silently, would hold up every request to the peer until TCP notices, and
    // after a GOAWAY or a refused stream nobody could say surely whether a request had been processed. Here a
    // connection carries one request at a time.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey, OutboundBuildError> {
    if identity.chain.is_empty() {
        return Err(OutboundBuildError::Certificate("there is none".into()));
    }
    let key = PrivateKeyDer::try_from(identity.key.expose())
        .map_err(|text| OutboundBuildError::Key(text.into()))?;
    CertifiedKey::from_der(identity.chain.clone(), key.clone_key(), provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => OutboundBuildError::KeyMismatch,
        rustls::Error::InvalidCertificate(_) => OutboundBuildError::Certificate(error.into()),
        other => OutboundBuildError::Key(other.into()),
    })
}
