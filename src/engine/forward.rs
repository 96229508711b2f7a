//! A call of a target on behalf of a session: who may, with which token, and what a 401 means.
//!
//! It is a use of the session, and whatever the target says ends no session. A target's 401 has the exchanged token
//! replaced once; a call that may be repeated is, once; then the answer is the target's. No lock and no connection to
//! the database is held while a target is waited for, and a target that hangs holds nothing but its own places. No call
//! outlives its session.

mod pace;
mod places;
mod ward;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use thiserror::Error;

use super::Engine;
use super::exchange::{ExchangeError, Exchanged};
use super::ports::{CallPlace, TargetAnswer, TargetBody, TargetCall, TargetError, TargetHead};
use super::session::{HandleCall, SessionError, SessionView};
use crate::domain::names::{ApplicationName, TargetName};
use crate::domain::session::Session;
use crate::domain::target::{PathRefused, Target};
use pace::Paced;
pub(super) use places::Places;
use ward::{Claim, Ward};

/// The longest body that is kept so that it can be sent again. Only of calls that may be repeated, and only where its
/// length is announced.
pub const REPLAYABLE: u64 = 64 * 1024;

/// The methods whose calls may be repeated (RFC 9110 §9.2.2), among those that targets may allow.
const IDEMPOTENT: [Method; 5] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];

/// The methods whose bodies are sent with their length or not at all: servers do not expect one, and a body that they
/// leave on the connection would be their next request (RFC 9110 §9.3.1).
const UNFRAMED: [Method; 2] = [Method::GET, Method::HEAD];

/// A call for a target, as it came.
pub struct Forward {
    /// What stands where the name of a target belongs; `None`: no name.
    pub target: Option<TargetName>,
    /// What is said; `Err`: at a path that no target is called at.
    pub head: Result<TargetHead, PathRefused>,
    /// The body, with its length where that is announced.
    pub body: TargetBody,
}

/// A target's answer, and for whom.
pub struct Forwarded {
    /// The session.
    pub session: Session,
    /// The answer.
    pub answer: TargetAnswer,
}

/// Why a call was not forwarded, or brought no answer.
pub enum ForwardError {
    /// The handle opens nothing.
    Session(SessionError),
    /// The session is well, and something else is not.
    Refused {
        /// Whose call it was.
        session: Box<Session>,
        /// Why.
        why: ForwardRefusal,
    },
}

/// Why, while the session is well.
#[derive(Debug, Error)]
pub enum ForwardRefusal {
    /// There is no target of this name.
    #[error("there is no such target")]
    Unknown,
    /// The target is not open to the application that calls or to the registration of the session, or to nobody now.
    #[error("the target is not open to the session")]
    Closed,
    /// The target does not allow that method at that path.
    #[error("the target does not allow this method and path")]
    NotAllowed,
    /// The path is one that no target is called at.
    #[error("the path is not forwarded")]
    Path(#[source] PathRefused),
    /// A body whose length is not announced, of a method that is sent none of that kind.
    #[error("the body has no length, and the method is sent none without")]
    LengthMissing,
    /// The announced body is longer than the target's limit.
    #[error("the body is too long for the target")]
    TooLarge,
    /// As many calls as it may have are under way, in all or of this session.
    #[error("too many calls of the target are under way")]
    Overloaded,
    /// There is no token for it.
    #[error("there is no token for the target")]
    Exchange(#[source] ExchangeError),
    /// There is no answer.
    #[error("the target gives no answer")]
    Target(#[source] TargetError),
}

/// A body that can be sent once, or again.
enum Sendable {
    Once(TargetBody),
    Again(Bytes),
}

/// What the calls of one caller's call have in common.
struct Way<'a> {
    engine: &'a Engine,
    session: &'a Session,
    target: &'a Target,
    head: &'a TargetHead,
    place: CallPlace,
}

impl Way<'_> {
    async fn send(&self, exchanged: &Exchanged, body: TargetBody) -> Result<TargetAnswer, ForwardRefusal> {
        let call = TargetCall {
            registration: self.session.registration.clone(),
            x5t: exchanged.x5t.clone(),
            access_token: exchanged.access_token.clone(),
            head: self.head.clone(),
            body,
            place: self.place.clone(),
        };
        self.engine.targets.send(self.target, call).await.map_err(ForwardRefusal::Target)
    }
}

impl Engine {
    /// Calls a target with a token for the session behind the handle. A use.
    pub async fn forward(
        self: &Arc<Self>,
        call: &HandleCall,
        forward: Forward,
    ) -> Result<Forwarded, ForwardError> {
        let view = self.use_session(call, true).await.map_err(ForwardError::Session)?;
        // A back end that acts with the session of another application is itself the one who calls.
        let back_end = call.back_end.as_ref().map(|back_end| &back_end.name);
        match self.forward_for(&view, back_end, forward).await {
            Ok(answer) => Ok(Forwarded { session: view.session, answer }),
            Err(ForwardRefusal::Exchange(ExchangeError::Session(error))) => Err(ForwardError::Session(error)),
            Err(why) => Err(ForwardError::Refused { session: Box::new(view.session), why }),
        }
    }

    async fn forward_for(
        self: &Arc<Self>,
        view: &SessionView,
        back_end: Option<&ApplicationName>,
        forward: Forward,
    ) -> Result<TargetAnswer, ForwardRefusal> {
        let Forward { target, head, body } = forward;
        let target = target.and_then(|name| self.directory.load().target(&name).cloned());
        let target = target.ok_or(ForwardRefusal::Unknown)?;
        let session = &view.session;
        if !target.is_open_to(back_end.unwrap_or(&session.application), &session.registration) {
            return Err(ForwardRefusal::Closed);
        }
        let head = head.map_err(ForwardRefusal::Path)?;
        if !target.allows(head.method.as_str(), &head.path) {
            return Err(ForwardRefusal::NotAllowed);
        }
        if body.size_hint().lower() > target.request_max {
            return Err(ForwardRefusal::TooLarge);
        }
        if UNFRAMED.contains(&head.method) && !body.is_end_stream() && body.size_hint().exact().is_none() {
            return Err(ForwardRefusal::LengthMissing);
        }
        let place = self.places.enter(&target, session.session_id).ok_or(ForwardRefusal::Overloaded)?;
        let claim = Claim { target: target.name.clone(), back_end: back_end.cloned() };
        let has_to_come = !body.is_end_stream();
        let broken = |_| ForwardRefusal::Target(TargetError::BodyBroken);
        let body = sendable(&head.method, body).await.map_err(broken)?;
        if has_to_come && matches!(body, Sendable::Again(_)) {
            // It took its time, were it only to say that there is nothing of it.
            self.look_again(session.session_id, &claim).await?;
        }
        let ward = self.ward(session, claim);
        let way = Way { engine: self, session, target: &target, head: &head, place };
        tokio::select! {
            biased;
            () = ward.over() => Err(self.why_broken_off(session.session_id).await),
            answer = self.call(view, &way, body, &ward) => {
                answer.map(|answer| TargetAnswer { body: ward.hold(answer.body), ..answer })
            }
        }
    }

    /// Sends a call, and once more where the target has refused its token and it may be repeated.
    async fn call(
        self: &Arc<Self>,
        view: &SessionView,
        way: &Way<'_>,
        body: Sendable,
        ward: &Ward,
    ) -> Result<TargetAnswer, ForwardRefusal> {
        let (session_id, target) = (way.session.session_id, way.target);
        let (first, again) = match body {
            Sendable::Once(body) => {
                let paced = Paced::new(body, self.clock.clone()).boxed_unsync();
                (ward.hold(paced), None)
            }
            Sendable::Again(bytes) => (whole(bytes.clone()), Some(bytes)),
        };
        let exchanged = self.exchange(view, target, None).await.map_err(ForwardRefusal::Exchange)?;
        let answer = way.send(&exchanged, first).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(bytes) = again else {
            // The caller's next call then has a token that is not known to be refused.
            self.replace_exchanged(view, target, &exchanged);
            return Ok(answer);
        };
        match self.exchange(view, target, Some(&exchanged)).await {
            Ok(renewed) if !renewed.is_same(&exchanged) => {
                // The target took its time, and the token may have been held.
                self.still_active(session_id).await.map_err(ForwardRefusal::Exchange)?;
                // The refusal's connection is free before the repetition needs one.
                drop(answer);
                way.send(&renewed, whole(bytes)).await
            }
            Err(ExchangeError::Session(over)) => Err(ForwardRefusal::Exchange(ExchangeError::Session(over))),
            _ => Ok(answer),
        }
    }
}

/// Whether a body is kept before anything is sent: short, of an announced length, and of a call that may be repeated.
#[must_use]
pub fn is_kept(method: &Method, length: Option<u64>) -> bool {
    IDEMPOTENT.contains(method) && length.is_some_and(|length| length <= REPLAYABLE)
}

fn whole(bytes: Bytes) -> TargetBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Keeps what is short, where the call may be repeated.
async fn sendable(
    method: &Method,
    body: TargetBody,
) -> Result<Sendable, Box<dyn std::error::Error + Send + Sync>> {
    if is_kept(method, body.size_hint().exact()) {
        return Ok(Sendable::Again(body.collect().await?.to_bytes()));
    }
    Ok(Sendable::Once(body))
}
