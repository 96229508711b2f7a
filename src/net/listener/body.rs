//! Bodies as the listener hands them on: requests' with a time limit, answers' with a mark that they are under way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::activity::InProgress;

/// What the time limit of a request's body counts; in every request's extensions. The whole body, until somebody says
/// otherwise.
#[derive(Clone, Default)]
pub struct BodyPace {
    counts_silence: Arc<AtomicBool>,
}

impl BodyPace {
    /// From now on the limit is for each silence of the client: for a body that is handed on as it comes, however long it
    /// is.
    pub fn count_silence(&self) {
        self.counts_silence.store(true, Ordering::SeqCst);
    }
}

/// A request's body that must have arrived a given time after its reading began (R-H-01), or of which something must
/// arrive within that time ([`BodyPace`]). Fails with an [`io::Error`] of kind `TimedOut`.
pub(super) struct Timed {
    body: Incoming,
    limit: Duration,
    pace: BodyPace,
    /// Set up by the first poll: a body that nobody reads needs no timer.
    over: Option<BoxFuture<'static, ()>>,
}

impl Timed {
    pub(super) fn new(body: Incoming, limit: Duration, pace: BodyPace) -> Self {
        Self { body, limit, pace, over: None }
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if self.pace.counts_silence.load(Ordering::SeqCst) {
                self.over = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let over = self.over.get_or_insert_with(|| {
            Box::pin(async move {
                let _ = tokio::time::timeout(limit, std::future::pending::<()>()).await;
            })
        });
        over.as_mut().poll(cx).map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body that keeps its request counted until its last byte is handed over, and tells whether it waits
/// for its maker or for the client.
pub(super) struct Guarded {
    body: Body,
    progress: InProgress,
    /// Something is there to be taken, as far as is known.
    is_offered: bool,
}

impl Guarded {
    pub(super) fn new(body: Body, progress: InProgress) -> Self {
        progress.activity.offered();
        Self { body, progress, is_offered: true }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // The connection asks only when it has room: whatever was there before has been taken.
        self.progress.activity.moved();
        let is_offered = frame.is_ready();
        if is_offered != self.is_offered {
            self.is_offered = is_offered;
            if is_offered { self.progress.activity.offered() } else { self.progress.activity.taken() }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.is_offered {
            self.progress.activity.taken();
        }
    }
}
