//! Bodies as the listener hands them on: requests' with a time limit, answers' with a mark that they are under way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::activity::InProgress;

/// A request's body that must have arrived a given time after its reading began (R-H-01). Fails with an
/// [`io::Error`] of kind `TimedOut`.
pub(super) struct Timed {
    body: Incoming,
    limit: Duration,
    /// Set up by the first poll: a body that nobody reads needs no timer.
    over: Option<BoxFuture<'static, ()>>,
}

impl Timed {
    pub(super) fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, limit, over: None }
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

/// An answer's body that keeps its request counted until its last byte is handed over.
pub(super) struct Guarded {
    pub(super) body: Body,
    pub(super) _progress: InProgress,
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
