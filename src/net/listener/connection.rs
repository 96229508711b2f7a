//! One accepted connection, from the TLS handshake to its end.
//!
//! The HTTP library has a timer for heads, but none for the first byte, none that tells an idle connection from a
//! slow head, and none for HTTP/2. So [`Activity`] watches: how many requests are in progress, and since when
//! bytes have come that are no request yet.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::peer::{Peer, PeerCertificate};
use super::{Limits, Shared};
use crate::net::tls::{Judgement, Refused, ServerTls};

/// How long and how much is read after a refused handshake. Closing with unread data in the buffer would send a
/// reset that overtakes the alert, and the client would never learn why.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);
const LINGER_BYTES: u64 = 256 * 1024;

pub(super) async fn run(stream: TcpStream, address: SocketAddr, shared: &Shared) {
    let Some(tls) = &shared.tls else {
        return http(stream, Peer { address, certificate: None }, shared).await;
    };
    let accepted = tokio::select! {
        accepted = handshake(stream, tls, &shared.limits) => accepted,
        () = shared.drain.cancelled() => return,
    };
    match accepted {
        Ok((stream, certificate)) => http(stream, Peer { address, certificate }, shared).await,
        Err(Failed { refused, stream }) => {
            if let Some(refused) = refused {
                let Refused { cause, detail } = &refused;
                tracing::warn!(peer = %address, cause, detail, "TLS handshake refused");
                tls.refused(&refused);
            } else {
                tracing::debug!(peer = %address, "connection closed during the TLS handshake");
            }
            if let Some(stream) = stream {
                linger(stream).await;
            }
        }
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// A handshake that did not succeed, and the stream if the client may still be reading.
struct Failed {
    refused: Option<Refused>,
    stream: Option<TcpStream>,
}

async fn handshake(
    stream: TcpStream,
    tls: &ServerTls,
    limits: &Limits,
) -> Result<(TlsStream, Option<Arc<PeerCertificate>>), Failed> {
    let accept = tokio_rustls::TlsAcceptor::from(tls.config()).accept(stream).into_fallible();
    let stream = match tokio::time::timeout(limits.handshake_timeout, accept).await {
        Err(_elapsed) => return Err(Failed { refused: Some(Refused::timeout()), stream: None }),
        Ok(Err((error, stream))) => {
            return Err(Failed { refused: Refused::from_io(&error), stream: Some(stream) });
        }
        Ok(Ok(stream)) => stream,
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let judgement = tls.judge(chain);
    if judgement == Judgement::Refused {
        return Err(Failed { refused: Some(Refused::no_longer_trusted()), stream: None });
    }
    let chained = judgement == Judgement::Chained;
    let certificate = chain.first().map(|leaf| Arc::new(PeerCertificate::new(leaf, chained)));
    Ok((stream, certificate))
}

async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

async fn http<S>(stream: S, peer: Peer, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let limits = &shared.limits;
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let service = {
        let (activity, router, max_headers) =
            (Arc::clone(&activity), shared.service.clone(), limits.max_headers);
        let peer = peer.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            answer(request, peer.clone(), router.clone(), max_headers, activity.begin())
        })
    };
    let builder = builder(limits);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut draining = false;
    let mut expired = std::pin::pin!(activity.expired(limits));
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(peer = %peer.address, %error, "connection ended");
                }
                return;
            }
            () = shared.kill.cancelled() => return,
            () = shared.drain.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            what = expired.as_mut() => {
                tracing::debug!(peer = %peer.address, what, "connection closed");
                return;
            }
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A second line behind `Activity`, for this timer runs through the idle time as well.
        .header_read_timeout(limits.idle_timeout + limits.header_timeout)
        .max_headers(limits.max_headers)
        // The library's least value is 8 KiB.
        .max_buf_size(limits.max_header_bytes.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams.min(100))
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(limits.tcp_timeout / 2)
        .keep_alive_timeout(limits.tcp_timeout / 2);
    builder
}

async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    router: Router,
    max_headers: usize,
    progress: InProgress,
) -> Result<Response<Guarded>, Infallible> {
    progress.activity.seen(request.version());
    let response = if request.headers().len() > max_headers {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response
    } else {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.oneshot(request).await?
    };
    Ok(response.map(|body| Guarded { body, _progress: progress }))
}

/// What happens on a connection, as far as its time limits need to know.
#[derive(Default)]
struct Activity {
    in_progress: AtomicUsize,
    /// Bytes came since the last request ended.
    bytes: AtomicBool,
    protocol: AtomicU8,
    changed: Notify,
}

const NO_REQUEST_YET: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

impl Activity {
    fn begin(self: &Arc<Self>) -> InProgress {
        self.in_progress.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
        InProgress { activity: Arc::clone(self) }
    }

    fn seen(&self, version: Version) {
        let protocol = if version == Version::HTTP_2 { HTTP_2 } else { HTTP_1 };
        self.protocol.store(protocol, Ordering::SeqCst);
    }

    fn bytes_read(&self) {
        if self.in_progress.load(Ordering::SeqCst) == 0 && !self.bytes.swap(true, Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Completes, with the reason, when the connection has been without a request for too long.
    async fn expired(&self, limits: &Limits) -> &'static str {
        loop {
            let limit = self.limit(limits);
            let changed = self.changed.notified();
            match limit {
                None => changed.await,
                Some((length, what)) => {
                    if tokio::time::timeout(length, changed).await.is_err() {
                        return what;
                    }
                }
            }
        }
    }

    fn limit(&self, limits: &Limits) -> Option<(std::time::Duration, &'static str)> {
        if self.in_progress.load(Ordering::SeqCst) > 0 {
            return None;
        }
        match (self.protocol.load(Ordering::SeqCst), self.bytes.load(Ordering::SeqCst)) {
            (NO_REQUEST_YET, _) => Some((limits.header_timeout, "no request in time")),
            (HTTP_1, true) => Some((limits.header_timeout, "slow request head")),
            // Between HTTP/2 requests there are frames that begin none.
            _ => Some((limits.idle_timeout, "idle")),
        }
    }
}

/// One request, until the last byte of its answer is handed over.
struct InProgress {
    activity: Arc<Activity>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.bytes.store(false, Ordering::SeqCst);
        self.activity.in_progress.fetch_sub(1, Ordering::SeqCst);
        self.activity.changed.notify_one();
    }
}

/// An answer's body that keeps its request counted.
struct Guarded {
    body: Body,
    _progress: InProgress,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reports that bytes arrive.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_read();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
