//! What happens on a connection, as far as its time limits need to know (R-H-01).
//!
//! The HTTP library has a timer for heads, but none for the first byte, none that tells an idle connection from a
//! slow head, and none for HTTP/2. So this counts the requests in progress, and notes whether bytes have come that
//! are no request yet.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::Limits;

/// Shared by a connection's stream, its requests and its time limit.
#[derive(Default)]
pub(super) struct Activity {
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
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.in_progress.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
        InProgress { activity: Arc::clone(self) }
    }

    pub(super) fn seen(&self, version: Version) {
        let protocol = if version == Version::HTTP_2 { HTTP_2 } else { HTTP_1 };
        self.protocol.store(protocol, Ordering::SeqCst);
    }

    fn bytes_read(&self) {
        if self.in_progress.load(Ordering::SeqCst) == 0 && !self.bytes.swap(true, Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Completes, with the reason, when the connection has been without a request for too long.
    pub(super) async fn expired(&self, limits: &Limits) -> &'static str {
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

    fn limit(&self, limits: &Limits) -> Option<(Duration, &'static str)> {
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
pub(super) struct InProgress {
    pub(super) activity: Arc<Activity>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.bytes.store(false, Ordering::SeqCst);
        self.activity.in_progress.fetch_sub(1, Ordering::SeqCst);
        self.activity.changed.notify_one();
    }
}

/// Reports that bytes arrive.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
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
