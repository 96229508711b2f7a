//! The least pace of a caller's body. Each of its silences has a limit at the listener; together they have one here, so
//! that a body that drips, a byte within each limit, holds its place for no longer than its length is worth.
//!
//! Only the time counts in which the target has room and the caller brings nothing: how fast a target takes is its own
//! affair.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::ward::BoxError;
use crate::domain::clock::{Clock, Monotonic};
use crate::engine::ports::TargetBody;

/// How long a caller may be waited for in all, before anything has come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What must come for each further second.
const BYTES_PER_SECOND: u32 = 1024;

/// A caller's body that fails when it is too slow.
pub(super) struct Paced {
    body: TargetBody,
    clock: Arc<dyn Clock>,
    /// Bytes that have come.
    came: u64,
    /// How long they were waited for.
    waited: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Monotonic,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Paced {
    pub(super) fn new(body: TargetBody, clock: Arc<dyn Clock>) -> Self {
        Self { body, clock, came: 0, waited: Duration::ZERO, waiting: None }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(waiting) = this.waiting.take() {
                this.waited += this.clock.monotonic().since(waiting.since);
            }
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                this.came = this.came.saturating_add(data.len() as u64);
            }
            return Poll::Ready(frame);
        }
        let waiting = this.waiting.get_or_insert_with(|| {
            let since = this.clock.monotonic();
            let left = (PATIENCE + worth(this.came)).saturating_sub(this.waited);
            Waiting { since, over: this.clock.sleep_until(since + left) }
        });
        waiting.over.as_mut().poll(cx).map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How much longer may be waited for so many bytes.
fn worth(bytes: u64) -> Duration {
    Duration::from_secs(bytes) / BYTES_PER_SECOND
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Mutex;
    use std::task::Waker;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::domain::time::Timestamp;

    /// Driven by hand; nobody is woken.
    #[derive(Clone, Default)]
    struct HandClock(Arc<Mutex<Duration>>);

    impl HandClock {
        fn advance(&self, length: Duration) {
            *self.0.lock().expect("time") += length;
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(0)
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic(*self.0.lock().expect("time"))
        }

        fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let clock = self.clone();
            Box::pin(poll_fn(move |_| if clock.monotonic() >= at { Poll::Ready(()) } else { Poll::Pending }))
        }
    }

    /// A caller, and whoever reads its body.
    struct Play {
        clock: HandClock,
        caller: mpsc::UnboundedSender<usize>,
        paced: Paced,
    }

    impl Play {
        fn new() -> Self {
            let (caller, bytes) = mpsc::unbounded_channel::<usize>();
            let pieces = stream::unfold(bytes, |mut bytes| async {
                let piece = bytes.recv().await?;
                Some((Ok::<_, BoxError>(Frame::data(Bytes::from(vec![0; piece]))), bytes))
            });
            let clock = HandClock::default();
            let body = StreamBody::new(pieces).boxed_unsync();
            Self { caller, paced: Paced::new(body, Arc::new(clock.clone())), clock }
        }

        fn brings(&self, bytes: usize) {
            self.caller.send(bytes).expect("somebody reads");
        }

        /// Whether something has come; `Err`: the caller is too slow.
        fn read(&mut self) -> Result<bool, ()> {
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.paced).poll_frame(&mut cx) {
                Poll::Pending => Ok(false),
                Poll::Ready(Some(Ok(_))) => Ok(true),
                Poll::Ready(_) => Err(()),
            }
        }

        fn passes(&self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn silences_add_up() {
        let mut play = Play::new();
        for _ in 0..3 {
            assert_eq!(play.read(), Ok(false));
            play.passes(10);
            play.brings(1);
            assert_eq!(play.read(), Ok(true));
        }
        assert_eq!(play.read(), Ok(false), "three bytes are worth three thousandths");
        play.passes(1);
        assert_eq!(play.read(), Err(()));
    }

    #[test]
    fn a_kibibyte_a_second_is_enough_for_ever() {
        let mut play = Play::new();
        for _ in 0..10_000 {
            assert_eq!(play.read(), Ok(false));
            play.passes(1);
            play.brings(1024);
            assert_eq!(play.read(), Ok(true));
        }
        // A little less is not.
        let is_given_up = (0..10_000).any(|_| {
            let is_slow = play.read().is_err();
            play.passes(1);
            play.brings(1000);
            is_slow || play.read().is_err()
        });
        assert!(is_given_up);
    }

    #[test]
    fn what_the_target_takes_its_time_for_does_not_count() {
        let mut play = Play::new();
        for _ in 0..10 {
            play.brings(1);
            // It has come, and nobody asks for it.
            play.passes(3600);
            assert_eq!(play.read(), Ok(true));
        }
        assert_eq!(play.read(), Ok(false));
        play.passes(29);
        assert_eq!(play.read(), Ok(false));
    }
}
