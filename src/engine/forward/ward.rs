//! What breaks a call off that is under way when its session ends, or when what is configured no longer allows it.
//!
//! A call is a use of the session when it is made. What goes on afterwards is none: a transfer keeps no session alive, and
//! ends with it. Both bodies are dropped at once, whether or not anybody reads them; nothing of them is held here.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::ids::SessionId;
use crate::domain::names::{ApplicationName, TargetName};
use crate::domain::session::{Session, SessionEndReason, SessionState};
use crate::engine::Engine;
use crate::engine::exchange::ExchangeError;
use crate::engine::hub::Subscription;
use crate::engine::ports::{Changed, StoreError, TargetBody};
use crate::engine::session::SessionError;
use crate::telemetry::error_chain::ErrorChain;

use super::ForwardRefusal;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// How often it is looked again: word of an end may be lost, and of a target that is switched off there is none.
const LOOK: Duration = Duration::from_secs(5);

/// For how long a call goes on while nobody can say whether its session lives.
const BLIND: Duration = Duration::from_secs(30);

/// Whose call of what.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) target: TargetName,
    /// The back end that acts with the session; `None`: whoever holds its handle.
    pub(super) back_end: Option<ApplicationName>,
}

/// Watches over one call for as long as it, or a body that it holds, is there.
#[derive(Clone)]
pub(super) struct Ward {
    held: Arc<Held>,
    _watch: Arc<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Held {
    over: CancellationToken,
    bodies: Mutex<Vec<Weak<Slot>>>,
}

/// Where a body is while it may go on.
struct Slot(Mutex<Content>);

struct Content {
    body: Option<TargetBody>,
    /// Who waits for its next piece.
    waker: Option<Waker>,
}

impl Engine {
    /// Begins to watch over a call of `session`, which has just been read as active.
    pub(super) fn ward(self: &Arc<Self>, session: &Session, claim: Claim) -> Ward {
        let ear = self.hub.subscribe(Changed::Session(session.session_id));
        // Should it have changed since it was read, the hub says so within a second.
        ear.seen(session.version);
        let held = Arc::<Held>::default();
        let watch = tokio::spawn(self.clone().watch(session.session_id, claim, ear, held.clone()));
        Ward { held, _watch: Arc::new(AbortOnDropHandle::new(watch)) }
    }

    async fn watch(
        self: Arc<Self>,
        session_id: SessionId,
        claim: Claim,
        mut ear: Subscription,
        held: Arc<Held>,
    ) {
        let mut known_at = self.clock.monotonic();
        loop {
            tokio::select! {
                () = ear.changed() => {}
                () = self.clock.sleep(LOOK) => {}
            }
            match self.store.session(session_id).await {
                Ok(session) => {
                    let Some(session) = session else { break };
                    ear.seen(session.version);
                    if !self.is_still_open(&session, &claim) {
                        break;
                    }
                    known_at = self.clock.monotonic();
                }
                Err(error) => {
                    log_unread(&error);
                    if self.clock.monotonic().since(known_at) >= BLIND {
                        break;
                    }
                }
            }
        }
        tracing::info!(session.id = %session_id, target.name = %claim.target, "a call of a target is broken off");
        held.break_off();
    }

    /// Whether the call would be allowed now, had it not begun.
    fn is_still_open(&self, session: &Session, claim: &Claim) -> bool {
        let directory = self.directory.load();
        let caller = match &claim.back_end {
            None => Some(&session.application),
            Some(name) => directory
                .application(name)
                .filter(|back_end| back_end.enabled && back_end.may_act_with(session))
                .map(|back_end| &back_end.name),
        };
        let target = directory.target(&claim.target);
        self.end_of(session).is_none()
            && caller
                .zip(target)
                .is_some_and(|(caller, target)| target.is_open_to(caller, &session.registration))
    }

    /// Why a session is over, be it that nobody has written it down yet.
    fn end_of(&self, session: &Session) -> Option<SessionEndReason> {
        match session.state {
            SessionState::Ended { reason, .. } => Some(reason),
            SessionState::Active if !self.directory.load().allows(session) => Some(SessionEndReason::Revoked),
            SessionState::Active => session.overdue(self.clock.now()),
        }
    }

    /// Decides once more, for a call that has not been made: time has passed since it was allowed.
    pub(super) async fn look_again(
        &self,
        session_id: SessionId,
        claim: &Claim,
    ) -> Result<(), ForwardRefusal> {
        let session = self.session_of_call(session_id).await?;
        if self.is_still_open(&session, claim) { Ok(()) } else { Err(self.why_closed(session)) }
    }

    /// Why a call has been broken off.
    pub(super) async fn why_broken_off(&self, session_id: SessionId) -> ForwardRefusal {
        match self.session_of_call(session_id).await {
            Ok(session) => self.why_closed(session),
            Err(refusal) => refusal,
        }
    }

    async fn session_of_call(&self, session_id: SessionId) -> Result<Session, ForwardRefusal> {
        let session = self.store.session(session_id).await;
        session
            .map_err(|error| ExchangeError::Store(Arc::new(error)))
            .and_then(|session| session.ok_or(ExchangeError::Session(SessionError::HandleInvalid)))
            .map_err(ForwardRefusal::Exchange)
    }

    fn why_closed(&self, session: Session) -> ForwardRefusal {
        match self.end_of(&session) {
            Some(reason) => {
                let ended = SessionError::Ended { support_code: session.support_code, reason };
                ForwardRefusal::Exchange(ExchangeError::Session(ended))
            }
            // The session lives: it is the target that is no longer open to it.
            None => ForwardRefusal::Closed,
        }
    }
}

fn log_unread(error: &StoreError) {
    tracing::debug!(error = %ErrorChain(error), "the session of a call could not be looked at");
}

impl Ward {
    /// The body, which fails once the call is broken off.
    pub(super) fn hold(&self, body: TargetBody) -> TargetBody {
        let slot = Arc::new(Slot(Mutex::new(Content { body: Some(body), waker: None })));
        self.held.lock().push(Arc::downgrade(&slot));
        if self.held.over.is_cancelled() {
            slot.empty();
        }
        Warded { slot, _ward: self.clone() }.boxed_unsync()
    }

    /// Completes when the call is broken off.
    pub(super) async fn over(&self) {
        self.held.over.cancelled().await;
    }
}

impl Held {
    /// Whoever waits for the end hears of it before a body fails: it is the reason, not the failure.
    fn break_off(&self) {
        self.over.cancel();
        let bodies: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        for slot in bodies {
            slot.empty();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Slot>>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Drops the body, which ends what brings it, and wakes who waits for it.
    fn empty(&self) {
        let mut content = self.lock();
        let (body, waker) = (content.body.take(), content.waker.take());
        drop(content);
        drop(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Warded {
    slot: Arc<Slot>,
    _ward: Ward,
}

impl Body for Warded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut content = self.slot.lock();
        let Some(body) = &mut content.body else {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        if polled.is_pending() {
            match &mut content.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.slot.lock().body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.slot.lock().body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
