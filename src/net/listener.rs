//! The accept loop: the only way in (R-H-01, R-H-02, R-H-03).
//!
//! Every connection passes the caps, then its TLS handshake, then HTTP/1.1 or HTTP/2, each under a time limit.
//! A handler has none: long polls and event streams stay open as long as it wants, and as their client takes what
//! there is. Every request carries a [`Peer`] in its extensions. Draining lets requests in progress end, for a
//! bounded time.

mod activity;
mod body;
mod connection;
mod gate;
mod peer;
#[cfg(test)]
mod tests;
mod throttle;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use body::BodyPace;
pub use peer::{Peer, PeerCertificate};

use super::tls::ServerTls;
use gate::Gate;
use throttle::Throttle;

/// Limits of one listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the opened connection to the end of the first request's head, and from the first byte of a later
    /// request to the end of its head.
    pub header_timeout: Duration,
    /// From the reading of a request's body to its end, or while nothing of it comes ([`BodyPace`]); then the body fails
    /// with `TimedOut`.
    pub body_timeout: Duration,
    /// How long a connection may stay without a request, and how long its client may leave an answer untaken
    /// (up to twice as long where it has taken a part).
    pub idle_timeout: Duration,
    /// How long written data may stay unacknowledged (`TCP_USER_TIMEOUT`, Linux), and after which silence a dead
    /// peer is looked for.
    pub tcp_timeout: Duration,
    /// How long requests in progress may take to end at shutdown.
    pub drain_timeout: Duration,
    /// Open connections; one more is closed at once.
    pub max_connections: usize,
    /// Open connections from one address; one more is closed at once. A whole hospital may come from one.
    pub max_connections_per_address: usize,
    /// The largest head of a request, in bytes: 431 or a closed connection.
    pub max_header_bytes: usize,
    /// The most header fields of a request: else 431.
    pub max_headers: usize,
    /// HTTP/2: requests at once on one connection, at most 100.
    pub max_concurrent_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            tcp_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            max_connections: 8192,
            max_connections_per_address: 4096,
            max_header_bytes: 16 * 1024,
            max_headers: 64,
            max_concurrent_streams: 100,
        }
    }
}

/// What all connections of a listener share.
struct Shared {
    tls: Option<Arc<ServerTls>>,
    service: Router,
    limits: Limits,
    refusals: Arc<Throttle>,
    /// Asks connections to end after the requests in progress.
    drain: CancellationToken,
    /// Ends them.
    kill: CancellationToken,
}

/// Connections that may wait to be accepted. Where there is no room the client's kernel tries again after 1, 2 and 4 s: a
/// whole hospital that comes back at once would see a server that hangs. Linux cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A socket that listens, and the address that it got.
pub fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait until the last connections of the process before are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves until `shutdown`, then drains: no new connection, idle ones are closed, requests in progress are answered
/// within `drain_timeout`, what is left is cut. Without `tls` it speaks plain HTTP, which is for loopback only.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    service: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let gate = Gate::new(limits.max_connections, limits.max_connections_per_address);
    let drain_timeout = limits.drain_timeout;
    let drain = shutdown.child_token();
    let refusals = Throttle::new("TLS handshakes refused");
    let shared = Arc::new(Shared { tls, service, limits, refusals, drain, kill: CancellationToken::new() });
    // A caller that drops this future wants no connection to survive it.
    let _cut = shared.kill.clone().drop_guard();
    let tracker = TaskTracker::new();
    accept_until_shutdown(&listener, &gate, &shared, &tracker, &shutdown).await;
    drop(listener);
    tracker.close();
    if tokio::time::timeout(drain_timeout, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "drain time is over, cutting what is left");
        shared.kill.cancel();
        tracker.wait().await;
    }
}

async fn accept_until_shutdown(
    listener: &TcpListener,
    gate: &Gate,
    shared: &Arc<Shared>,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let mut backoff = Duration::ZERO;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                backoff = Duration::ZERO;
                // Over a cap the stream is dropped here, which closes it.
                if let Some(pass) = gate.enter(address.ip()) {
                    tune(&stream, address, &shared.limits);
                    let shared = Arc::clone(shared);
                    tracker.spawn(async move {
                        connection::run(stream, address, &shared).await;
                        drop(pass);
                    });
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: without a pause this would spin.
                backoff = (backoff * 2).clamp(Duration::from_millis(50), Duration::from_secs(1));
                tracing::warn!(%error, pause_ms = backoff.as_millis(), "cannot accept connections");
                let _ = tokio::time::timeout(backoff, shutdown.cancelled()).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Best effort: a connection without these options works too.
fn tune(stream: &TcpStream, address: SocketAddr, limits: &Limits) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(limits.tcp_timeout);
    let outcome = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let outcome = outcome.and_then(|()| socket.set_tcp_user_timeout(Some(limits.tcp_timeout)));
    if let Err(error) = outcome {
        tracing::debug!(%address, %error, "socket options not set");
    }
}
