//! Bodies on their way: counted, and given up when the target has been silent for too long. Time here is real time.
//!
//! Only data goes on: trailers end here, in both directions, for nobody has said which of them may pass.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use crate::engine::ports::{CallPlace, TargetBody};

type BoxError = Box<dyn Error + Send + Sync>;

/// Why a caller's body did not get through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// It did not arrive in whole.
    Broken,
    /// It is longer than the target's limit.
    TooLarge,
}

/// How a caller's body gets on.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The connection has taken something since this was last looked at.
    moved: AtomicBool,
    /// The connection has room, and the caller has sent nothing yet.
    waits_for_caller: AtomicBool,
    fault: OnceLock<Fault>,
}

impl Progress {
    /// Completes when the target has neither taken anything nor answered for `limit` to twice as long. Waiting for the
    /// caller is not the target's silence.
    pub(super) async fn silence(&self, limit: Duration) {
        loop {
            let _ = timeout(limit, std::future::pending::<()>()).await;
            let is_excused = self.0.waits_for_caller.load(Ordering::SeqCst);
            if !is_excused && !self.0.moved.swap(false, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// What went wrong with the body.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.fault.get().copied()
    }
}

/// A caller's body on its way to a target. It holds the call's place, too: a target may answer before it has it all, and
/// take the rest afterwards.
pub(super) struct Upload {
    body: TargetBody,
    /// Bytes that it may still have.
    left: u64,
    progress: Progress,
    _place: CallPlace,
}

impl Upload {
    pub(super) fn new(body: TargetBody, max: u64, place: CallPlace) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { body, left: max, progress: progress.clone(), _place: place }, progress)
    }

    fn fail(&self, fault: Fault) -> BoxError {
        let _ = self.progress.0.fault.set(fault);
        io::Error::from(io::ErrorKind::InvalidData).into()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let state = Arc::clone(&self.progress.0);
        loop {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            state.waits_for_caller.store(polled.is_pending(), Ordering::SeqCst);
            let Poll::Ready(frame) = polled else { return Poll::Pending };
            state.moved.store(true, Ordering::SeqCst);
            let Some(frame) = frame else { return Poll::Ready(None) };
            let Ok(frame) = frame else { return Poll::Ready(Some(Err(self.fail(Fault::Broken)))) };
            let Ok(data) = frame.into_data() else { continue };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(self.fail(Fault::TooLarge))));
            };
            self.left = left;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A target's body on its way to the caller. It fails when the target brings nothing for the limit while the caller has
/// room; the call's place is held until it ends.
pub(super) struct Download {
    body: TargetBody,
    limit: Duration,
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _place: CallPlace,
}

impl Download {
    pub(super) fn new(body: TargetBody, limit: Duration, place: CallPlace) -> Self {
        Self { body, limit, over: None, _place: place }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.over = None;
            match frame.transpose()? {
                None => return Poll::Ready(None),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
        let limit = self.limit;
        let over = self.over.get_or_insert_with(|| {
            Box::pin(async move {
                let _ = timeout(limit, std::future::pending::<()>()).await;
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
