//! A token for a target (RFC 8693): got when it is first needed, once for all who need it, and kept until it expires.
//!
//! One exchange at a time per session, target and *exercice*; different targets wait for nobody. The session's access
//! token goes out only while enough of its life is left: else it is refreshed first. What goes wrong here ends no
//! session, fails no login and touches no other target. An exchanged token is in memory only, and whoever is given one
//! has read the session as active in the same call.

mod held;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tracing::Instrument as _;

use super::ports::{Acting, ExchangeAnswer, ExchangeRequest, Software, StoreError};
use super::session::{SessionError, SessionView, ended};
use super::{CutShort, Engine};
use crate::domain::grant::Tokens;
use crate::domain::ids::SessionId;
use crate::domain::secret::Secret;
use crate::domain::session::{Session, SessionState};
use crate::domain::subject::Exercice;
use crate::domain::support_code::SupportCode;
use crate::domain::target::{ActorTokenKind, Target};
use crate::telemetry::error_chain::ErrorChain;

pub use held::Exchanged;
pub(super) use held::Exchanges;
use held::{Begun, Entry, Outcome, Place};

/// What the access token must have left: the authorization server may introspect it at the provider.
const LEAST_LIFE: Duration = Duration::from_secs(15);

/// How long a caller waits for a refresh and an exchange.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long he waits where there is a token that will do.
const SHORT_PATIENCE: Duration = Duration::from_millis(1900);

/// How long a failure is everybody's answer: nobody is asked the same again at once.
const COOL_DOWN: Duration = Duration::from_secs(5);
const COOL_DOWN_MAX: Duration = Duration::from_mins(1);

/// Why there is no token for a target. None of them ends the session.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The target wants to know in which *situation d'exercice* the person acts; there are several, none is chosen.
    #[error("the session has several exercices, and none is chosen")]
    ExerciceRequired(SupportCode),
    /// The target's authorization server says no.
    #[error("the authorization server of the target refuses the exchange")]
    Refused(SupportCode),
    /// It cannot be reached or says nothing that can be used, or the provider does not renew the access token now.
    #[error("no exchange is possible now")]
    Unavailable {
        /// The session's.
        support_code: SupportCode,
        /// Trying again sooner asks nobody.
        retry_after: Duration,
    },
    /// The session has ended meanwhile.
    #[error("the session is over")]
    Session(#[source] SessionError),
    /// The store could not say.
    #[error("the session or its tokens could not be read")]
    Store(#[source] Arc<StoreError>),
}

/// Why an exchange brought nothing, for all who wait for it.
#[derive(Clone)]
pub(super) enum Failure {
    Refused,
    Unavailable { retry_after: Option<Duration> },
    Over,
    Store(Arc<StoreError>),
}

/// One exchange that is to be made.
struct Job {
    session: Session,
    target: Target,
    place: Place,
    exercice: Option<Exercice>,
}

/// A session that is active, and the tokens that it has now.
struct Present {
    session: Session,
    tokens: Tokens,
}

/// What came of it.
struct Got {
    access_token: Secret,
    expires_in: Option<Duration>,
    x5t: Option<String>,
}

/// The part of a login's `client_context` that is read here.
#[derive(Deserialize)]
struct ClientContext {
    #[serde(default)]
    software: Software,
}

impl Engine {
    /// A token that `target` takes, for the session of `view`: the result of a use in the same call. `past` is one that
    /// the target has refused: one exchange is made for all who come with it. Where that brings nothing soon, the refused
    /// one will do for calls that it has not been refused for.
    pub async fn exchange(
        self: &Arc<Self>,
        view: &SessionView,
        target: &Target,
        past: Option<&Exchanged>,
    ) -> Result<Exchanged, ExchangeError> {
        let session = &view.session;
        let job = job(view, target)?;
        let now = self.clock.monotonic();
        let (mut done, meanwhile) = match self.exchanges.enter(session.session_id, &job.place, past, now) {
            Entry::Held(token) => return Ok(token),
            Entry::Failed { failure, left } => return Err(told(&failure, session, left)),
            Entry::Joined { waiting, meanwhile } => (waiting, meanwhile),
            Entry::Begun(begun) => (self.begin_exchange(begun, job), None),
        };
        let patience = if meanwhile.is_some() { SHORT_PATIENCE } else { PATIENCE };
        let outcome = tokio::select! {
            outcome = done.wait_for(Option::is_some) => outcome.map(|outcome| outcome.clone()).ok(),
            () = self.clock.sleep(patience) => Some(Some(Err(Failure::Unavailable { retry_after: None }))),
        };
        // Time has passed: whoever waits for a token of a session that is over by now gets none.
        self.still_active(session.session_id).await?;
        match (outcome.flatten(), meanwhile) {
            (Some(Ok(token)), _) => Ok(token),
            (Some(Err(Failure::Unavailable { .. } | Failure::Store(_))), Some(meanwhile)) => Ok(meanwhile),
            (Some(Err(failure)), _) => Err(told(&failure, session, cool_down(&failure))),
            (None, _) => Err(ExchangeError::Session(SessionError::CutShort(CutShort))),
        }
    }

    /// Has a token that the target has refused replaced. Nobody waits for it.
    pub(super) fn replace_exchanged(self: &Arc<Self>, view: &SessionView, target: &Target, past: &Exchanged) {
        let Ok(job) = job(view, target) else { return };
        let now = self.clock.monotonic();
        let entry = self.exchanges.enter(view.session.session_id, &job.place, Some(past), now);
        if let Entry::Begun(begun) = entry {
            self.begin_exchange(begun, job);
        }
    }

    /// Looks again whether a session may be used: time has passed since it was read.
    pub(super) async fn still_active(&self, session_id: SessionId) -> Result<(), ExchangeError> {
        let session = self.store.session(session_id).await;
        match session.map_err(|error| ExchangeError::Store(Arc::new(error)))? {
            Some(session) if session.state == SessionState::Active => Ok(()),
            Some(session) => Err(ExchangeError::Session(ended(&session))),
            None => Err(ExchangeError::Session(SessionError::HandleInvalid)),
        }
    }

    fn begin_exchange(self: &Arc<Self>, begun: Begun, job: Job) -> held::Waiting {
        let (engine, waiting) = (self.clone(), begun.waiting());
        let span = tracing::info_span!("exchange", session.id = %job.session.session_id, target.name = %job.target.name);
        let work = async move {
            // From before the sending: a token must not be thought to live longer than it does.
            let asked_at = engine.clock.monotonic();
            let over_at = asked_at + job.session.expires_at.since(engine.clock.now());
            let outcome: Outcome = match engine.try_exchange(&job).await {
                Ok(got) => Ok(begun.token(got.access_token, got.x5t, got.expires_in, asked_at, over_at)),
                Err(failure) => Err(failure),
            };
            if let Err(Failure::Store(error)) = &outcome {
                tracing::warn!(error = %ErrorChain(error), "a token could not be exchanged");
            }
            let cool_down = outcome.as_ref().err().map_or(Duration::ZERO, cool_down);
            let now = engine.clock.monotonic();
            engine.exchanges.finish(job.session.session_id, &job.place, &begun, outcome, cool_down, now);
        };
        self.tasks.spawn(work.instrument(span));
        waiting
    }

    async fn try_exchange(self: &Arc<Self>, job: &Job) -> Result<Got, Failure> {
        let session = &job.session;
        let acting = self.acting(job).await?;
        let Present { session: present, tokens } = self.with_living_token(session).await?;
        let answer = self.ask_exchange(job, &tokens, acting.clone()).await;
        let answer = match answer {
            // Nobody said how long the access token lives. It may simply be too old.
            ExchangeAnswer::Refused { of_subject_token: true }
                if tokens.access_expires_at.is_none() && tokens.refresh_token.is_some() =>
            {
                let newer = self.refreshed(&present).await?.tokens;
                if newer.access_token.expose() == tokens.access_token.expose() {
                    return Err(Failure::Refused);
                }
                self.ask_exchange(job, &newer, acting).await
            }
            answer => answer,
        };
        match answer {
            ExchangeAnswer::Exchanged { access_token, expires_in, x5t } => {
                tracing::debug!(support_code = %session.support_code, "a token is exchanged");
                Ok(Got { access_token, expires_in, x5t })
            }
            ExchangeAnswer::Refused { .. } => {
                tracing::warn!(
                    support_code = %session.support_code,
                    registration = %session.registration,
                    "the target's authorization server refuses the exchange; the session goes on"
                );
                Err(Failure::Refused)
            }
            ExchangeAnswer::Unavailable { retry_after } => Err(Failure::Unavailable { retry_after }),
        }
    }

    async fn ask_exchange(&self, job: &Job, tokens: &Tokens, acting: Option<Acting>) -> ExchangeAnswer {
        let request = ExchangeRequest {
            x5t: job.session.x5t.clone(),
            subject_token: tokens.access_token.clone(),
            acting,
        };
        self.providers.exchange(&job.session.registration, &job.target, request).await
    }

    /// What other nodes have done to these sessions: tokens of those that are over leave memory.
    pub(super) fn look_after_exchanges(self: &Arc<Self>, sessions: Vec<SessionId>) {
        let held: Vec<_> = sessions.into_iter().filter(|id| self.exchanges.has(*id)).collect();
        if held.is_empty() {
            return;
        }
        let engine = self.clone();
        self.tasks.spawn(async move {
            for session_id in held {
                match engine.store.session(session_id).await {
                    Ok(Some(session)) if session.state == SessionState::Active => {}
                    Ok(_) => engine.exchanges.forget(session_id),
                    // They are handed out to nobody: whoever asks has read the session.
                    Err(error) => {
                        tracing::debug!(error = %ErrorChain(&error), "a session could not be looked at");
                    }
                }
            }
        });
    }

    /// The session's tokens, with an access token that lives long enough to be exchanged.
    async fn with_living_token(self: &Arc<Self>, session: &Session) -> Result<Present, Failure> {
        let present = self.present_tokens(session).await?;
        let least = self.clock.now() + LEAST_LIFE;
        if present.tokens.access_expires_at.is_none_or(|at| least <= at) {
            return Ok(present);
        }
        let present = self.refreshed(&present.session).await?;
        // What is left of the old one may still do; what a provider gives for less than that does.
        if present.tokens.access_expires_at.is_none_or(|at| self.clock.now() < at) {
            return Ok(present);
        }
        Err(match present.tokens.refresh_token {
            Some(_) => Failure::Unavailable { retry_after: None },
            // It never comes back to life: only another login helps.
            None => Failure::Refused,
        })
    }

    async fn refreshed(self: &Arc<Self>, session: &Session) -> Result<Present, Failure> {
        // An error says that the refresh is over as well.
        let _ = self.start_refresh(session).wait_for(|done| *done).await;
        self.present_tokens(session).await
    }

    /// The session first: where its tokens are replaced in between, a refresh of what was read finds newer ones.
    async fn present_tokens(&self, session: &Session) -> Result<Present, Failure> {
        let session = self.store.session(session.session_id).await.map_err(store)?.ok_or(Failure::Over)?;
        if session.state != SessionState::Active {
            return Err(Failure::Over);
        }
        let grant = self.store.grant(session.grant_id).await.map_err(store)?;
        let tokens = grant.and_then(|grant| grant.tokens).ok_or(Failure::Over)?;
        Ok(Present { session, tokens })
    }

    /// What the actor token says, where the target wants one.
    async fn acting(&self, job: &Job) -> Result<Option<Acting>, Failure> {
        match job.target.exchange.actor_token {
            ActorTokenKind::None => Ok(None),
            ActorTokenKind::Cisis => {
                let login = self.store.login(job.session.login_id).await.map_err(store)?;
                let software = software_of(login.and_then(|login| login.client_context).as_deref());
                Ok(Some(Acting { software, exercice: job.exercice.clone() }))
            }
        }
    }
}

fn job(view: &SessionView, target: &Target) -> Result<Job, ExchangeError> {
    let exercice = exercice_for(view, target)?.cloned();
    let place = Place {
        target: target.name.clone(),
        exercice: exercice.as_ref().map(|exercice| exercice.id.clone()),
    };
    Ok(Job { session: view.session.clone(), target: target.clone(), place, exercice })
}

/// The *situation d'exercice* that the target is told, where it is told one. One that was chosen and is not there is
/// replaced by no other: nobody has chosen that.
fn exercice_for<'a>(view: &'a SessionView, target: &Target) -> Result<Option<&'a Exercice>, ExchangeError> {
    match target.exchange.actor_token {
        ActorTokenKind::None => return Ok(None),
        ActorTokenKind::Cisis => {}
    }
    let support_code = || view.session.support_code.clone();
    let subject = &view.claims.subject;
    let chosen = view.session.exercice.as_ref();
    if let Some(chosen) = chosen.and_then(|id| subject.exercices.iter().find(|known| known.id == *id)) {
        return Ok(Some(chosen));
    }
    match subject.exercices.as_slice() {
        // Nobody knows yet how many there are.
        _ if !subject.complete => {
            Err(ExchangeError::Unavailable { support_code: support_code(), retry_after: COOL_DOWN })
        }
        _ if chosen.is_some() => Err(ExchangeError::ExerciceRequired(support_code())),
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(ExchangeError::ExerciceRequired(support_code())),
    }
}

/// What was said of the software when the login was started; nothing where nothing was.
fn software_of(client_context: Option<&str>) -> Software {
    client_context
        .and_then(|text| serde_json::from_str::<ClientContext>(text).ok())
        .map(|context| context.software)
        .unwrap_or_default()
}

fn store(error: StoreError) -> Failure {
    Failure::Store(Arc::new(error))
}

/// For how long a failure is everybody's answer; the store's and a session's end are nobody else's.
fn cool_down(failure: &Failure) -> Duration {
    match failure {
        Failure::Refused => COOL_DOWN,
        Failure::Unavailable { retry_after } => {
            retry_after.unwrap_or(COOL_DOWN).clamp(COOL_DOWN, COOL_DOWN_MAX)
        }
        Failure::Over | Failure::Store(_) => Duration::ZERO,
    }
}

fn told(failure: &Failure, session: &Session, retry_after: Duration) -> ExchangeError {
    let support_code = session.support_code.clone();
    match failure {
        Failure::Refused => ExchangeError::Refused(support_code),
        Failure::Unavailable { .. } => ExchangeError::Unavailable { support_code, retry_after },
        // A session that is over was told apart before: this one has no tokens.
        Failure::Over => ExchangeError::Session(SessionError::HandleInvalid),
        Failure::Store(error) => ExchangeError::Store(error.clone()),
    }
}

#[cfg(test)]
mod tests;
