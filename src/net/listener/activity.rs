//! What happens on a connection, as far as its time limits need to know (R-H-01).
//!
//! The HTTP library has a timer for heads, but none for the first byte, none that tells an idle connection from a
//! slow head, none for HTTP/2, and none for clients that do not take their answer. So this counts the requests in
//! progress and the answers that wait for their client, and notes whether bytes have come that are no request yet.

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
    /// Answers of which the client has something to take. One whose maker has nothing yet does not count.
    offered: AtomicUsize,
    /// The stream takes no more bytes.
    is_blocked: AtomicBool,
    /// The client has taken something since this was last looked at.
    moved: AtomicBool,
    changed: Notify,
}

const NO_REQUEST_YET: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

const NOT_TAKEN: &str = "answer not taken";

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

    /// An answer has something for the client.
    pub(super) fn offered(&self) {
        if self.offered.fetch_add(1, Ordering::SeqCst) == 0 {
            self.changed.notify_one();
        }
    }

    /// It has nothing (yet, or any more).
    pub(super) fn taken(&self) {
        if self.offered.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.changed.notify_one();
        }
    }

    /// The client has taken something.
    pub(super) fn moved(&self) {
        self.moved.store(true, Ordering::SeqCst);
    }

    fn written(&self, outcome: &Poll<io::Result<usize>>) {
        let is_blocked = outcome.is_pending();
        // HTTP/2 writes pings and settings as well, so there only what is taken of a body counts.
        if !is_blocked && self.protocol.load(Ordering::SeqCst) == HTTP_1 {
            self.moved();
        }
        if self.is_blocked.swap(is_blocked, Ordering::SeqCst) != is_blocked {
            self.changed.notify_one();
        }
    }

    /// Completes, with the reason, when the connection has been without a request for too long, or its client has
    /// not taken anything of an answer: then after one to two times the limit.
    pub(super) async fn expired(&self, limits: &Limits) -> &'static str {
        loop {
            let limit = self.limit(limits);
            let changed = self.changed.notified();
            match limit {
                None => changed.await,
                Some((length, what)) => {
                    let is_over = tokio::time::timeout(length, changed).await.is_err();
                    if is_over && !(what == NOT_TAKEN && self.moved.swap(false, Ordering::SeqCst)) {
                        return what;
                    }
                }
            }
        }
    }

    fn limit(&self, limits: &Limits) -> Option<(Duration, &'static str)> {
        if self.in_progress.load(Ordering::SeqCst) > 0 {
            let waits_for_client =
                self.offered.load(Ordering::SeqCst) > 0 || self.is_blocked.load(Ordering::SeqCst);
            return waits_for_client.then_some((limits.idle_timeout, NOT_TAKEN));
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

/// Reports that bytes arrive, and whether they can leave.
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
        let outcome = Pin::new(&mut self.stream).poll_write(cx, data);
        self.activity.written(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.activity.written(&outcome);
        outcome
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
