//! Opens connections: name, address check, TCP, TLS.
//!
//! It also watches what TLS says on them later. Under TLS 1.3 our side of the handshake ends before the server has
//! judged our certificate (RFC 8446 §4.4.2.4), so its refusal arrives on a connection that the HTTP library takes
//! for open, and gets lost on the library's way to the request. [`Seen`] keeps it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::AddressPolicy;
use super::dns::CheckedResolver;

/// How long TCP and TLS may take together, name resolution included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What TLS has said on one connection so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    answered: AtomicBool,
    refusal: OnceLock<AlertDescription>,
}

impl Seen {
    /// The alert by which the server ended the handshake after our side of it.
    pub(super) fn refusal(&self) -> Option<AlertDescription> {
        self.refusal.get().copied()
    }
}

/// Whether an alert on an open connection may still end the handshake on the server's side. Under TLS 1.2 that
/// ended on both sides before the connection was open; a session ticket or an answer can be sent only after it
/// (RFC 8446 §4.6.1). Any other alert is about what was sent, which the server may have acted upon.
fn may_refuse(version: Option<ProtocolVersion>, tickets: u32, answered: bool) -> bool {
    version == Some(ProtocolVersion::TLSv1_3) && tickets == 0 && !answered
}

tokio::task_local! {
    /// The connection that was opened for the request of this task, if one was.
    pub(super) static OPENED: Arc<OnceLock<Arc<Seen>>>;
}

/// Why there is no connection; found again in the error chain by `failure::classify`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    #[error("the connection was not established in time")]
    TimedOut,
    #[error("the host is no valid server name")]
    ServerName,
    #[error("TCP failed")]
    Tcp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("TLS failed")]
    Tls(#[source] io::Error),
}

#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<CheckedResolver>,
    tls: TlsConnector,
}

impl Connector {
    /// `takes_within` ends a connection whose peer does not acknowledge what was sent, or has no room for it, for so long:
    /// Linux makes no difference between the two (`TCP_USER_TIMEOUT`).
    pub(super) fn new(policy: AddressPolicy, tls: ClientConfig, takes_within: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(CheckedResolver::new(policy));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(takes_within));
        #[cfg(not(target_os = "linux"))]
        let _ = takes_within;
        Self { tcp, tls: TlsConnector::from(Arc::new(tls)) }
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, ConnectFailure> {
        let is_tls = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tcp = self.tcp.call(uri).await.map_err(|error| ConnectFailure::Tcp(error.into()))?.into_inner();
        if !is_tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(host).map_err(|_| ConnectFailure::ServerName)?;
        let tls = self.tls.connect(name, tcp).await.map_err(ConnectFailure::Tls)?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Watched>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        self.tcp.poll_ready(cx).map_err(|error| ConnectFailure::Tcp(error.into()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let seen = Arc::new(Seen::default());
        // Outside a request's task there is nobody to tell.
        let _ = OPENED.try_with(|opened| opened.set(Arc::clone(&seen)));
        let connecting = self.clone().connect(uri);
        Box::pin(async move {
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
                .await
                .map_err(|_elapsed| ConnectFailure::TimedOut)??;
            Ok(TokioIo::new(Watched { stream, seen }))
        })
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that remembers the refusal of its handshake.
pub(super) struct Watched {
    stream: Stream,
    seen: Arc<Seen>,
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.seen))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            self.seen.answered.store(true, Ordering::SeqCst);
        }
        if let (Poll::Ready(Err(error)), Stream::Tls(stream)) = (&outcome, &self.stream) {
            let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let session = stream.get_ref().1;
            let answered = self.seen.answered.load(Ordering::SeqCst);
            let may_refuse =
                may_refuse(session.protocol_version(), session.tls13_tickets_received(), answered);
            if let (Some(rustls::Error::AlertReceived(alert)), true) = (tls, may_refuse) {
                let _ = self.seen.refusal.set(*alert);
            }
        }
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, data),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::net::outbound::tls_config;
    use crate::net::testing::Pki;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_ends_where_its_peer_takes_nothing_for_as_long_as_its_owner_waits() {
        let tls = tls_config(Some(&Pki::new().ca.certificate().into_bytes()), None).expect("TLS");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri: Uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
        for takes_within in [Duration::from_secs(20), Duration::from_mins(10)] {
            let connector = Connector::new(AddressPolicy::AllowPrivate, tls.clone(), takes_within);
            let Ok(Stream::Plain(tcp)) = connector.connect(uri.clone()).await else {
                panic!("no connection")
            };
            let told = socket2::SockRef::from(&tcp).tcp_user_timeout().expect("an option");
            assert_eq!(told, Some(takes_within));
        }
    }

    #[test]
    fn an_alert_refuses_the_handshake_only_while_the_server_may_not_have_ended_it() {
        let (tls12, tls13) = (Some(ProtocolVersion::TLSv1_2), Some(ProtocolVersion::TLSv1_3));
        assert!(may_refuse(tls13, 0, false));
        assert!(!may_refuse(tls13, 1, false), "a ticket follows the end of the handshake");
        assert!(!may_refuse(tls13, 0, true), "so does an answer");
        assert!(!may_refuse(tls12, 0, false), "the handshake was over before the connection was open");
        assert!(!may_refuse(None, 0, false));
    }
}
