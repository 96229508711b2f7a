//! One accepted connection.
//!
//! TLS first, where there is any, then HTTP until the client goes, a limit of `activity` is reached or the listener
//! drains.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::activity::{Activity, InProgress, Watched};
use super::body::{BodyPace, Guarded, Timed};
use super::peer::{Peer, PeerCertificate};
use super::{Limits, Shared};
use crate::net::tls::{Judgement, Refused, ServerTls};

/// How long and how much is read after a refused handshake. Closing with unread data in the buffer would send a
/// reset that overtakes the alert, and the client would never learn why.
const LINGER: Duration = Duration::from_secs(1);
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
                if shared.refusals.may_tell() {
                    tracing::warn!(peer = %address, cause, detail, "TLS handshake refused");
                } else {
                    tracing::debug!(peer = %address, cause, detail, "TLS handshake refused");
                }
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
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = {
        let (activity, router) = (Arc::clone(&activity), shared.service.clone());
        let (max_headers, body_timeout) = (limits.max_headers, limits.body_timeout);
        let peer = peer.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let pace = BodyPace::default();
            let mut request = request.map(|body| Body::new(Timed::new(body, body_timeout, pace.clone())));
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(pace);
            answer(request, router.clone(), max_headers, activity.begin())
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
    request: Request<Body>,
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
        router.oneshot(request).await?
    };
    Ok(response.map(|body| Guarded::new(body, progress)))
}
