//! A desk: what one tab of the software has under way, and what it has to show.
//!
//! Every change raises the revision and wakes the pages that wait for one. What a desk holds of Relais are a login
//! token and a session handle; neither is ever shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use uuid::Uuid;

use super::protocol::Calls;
use crate::client::{
    CallEnd, ClientError, LoginObject, Observer, Problem, Received, SentRequest, SessionObject, Started,
};
use crate::domain::clock::{Clock, Monotonic};
use crate::domain::login::LoginStatus;
use crate::domain::secret::SessionHandle;
use crate::domain::session::SessionEndReason;
use crate::domain::texts::Language;

/// What the sign-in box was told.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub login_hint: String,
    /// Whether the identifier was typed, not chosen.
    pub typed: bool,
    pub channel: &'static str,
    pub replace: bool,
}

/// Where a desk stands.
pub(super) enum Scene {
    /// Nobody is signed in; perhaps somebody was a moment ago.
    SignedOut { just_now: bool },
    /// Relais has been asked to start a login.
    Starting,
    /// A login, under way or ended.
    Login(Box<Login>),
    /// Relais did not start one.
    Refused(Box<Problem>),
    /// Relais did not answer.
    Unreachable,
    /// Somebody is signed in.
    SignedIn(Box<SignedIn>),
    /// Their session ended without their doing.
    SessionOver(Option<SessionEndReason>),
}

/// A login, as far as it is known.
pub(super) struct Login {
    started: Started,
    pub now: LoginObject,
    /// What Relais said about this version, in the languages that it was asked in.
    said: HashMap<Language, String>,
    /// When the state ends by itself.
    pub ends: Monotonic,
    /// Seconds that the state had at its start.
    pub life: u64,
    pub cancelling: bool,
}

impl Login {
    /// What Relais said, with the language that it is in.
    pub(super) fn said(&self, language: Language) -> (&str, Language) {
        let other = Language::ALL.into_iter().find(|other| *other != language).unwrap_or_default();
        let said = |language| self.said.get(&language).map(|text| (text.as_str(), language));
        said(language).or_else(|| said(other)).unwrap_or_default()
    }
}

/// Whether a login has still to come to something: to an end, or to the session that is being opened.
pub(super) fn is_under_way(login: &LoginObject) -> bool {
    login.is_open()
        || [LoginStatus::Approved, LoginStatus::PickedUp].iter().any(|status| login.status.is(status))
}

/// Somebody's session.
pub(super) struct SignedIn {
    pub session: SessionObject,
    handle: SessionHandle,
}

/// What a desk has to show.
pub(super) struct State {
    pub scene: Scene,
    /// When this scene began.
    pub since: Monotonic,
    /// What went wrong beside it.
    pub notice: Option<ClientError>,
    pub asked: Asked,
    /// The language that the software last spoke to Relais in.
    pub language: Language,
    pub calls: Calls,
    goes_on: Option<AbortHandle>,
}

/// One tab's desk.
pub(super) struct Desk {
    pub id: Uuid,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    revision: watch::Sender<u64>,
}

impl Desk {
    pub(super) fn new(id: Uuid, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State {
            scene: Scene::SignedOut { just_now: false },
            since: clock.monotonic(),
            notice: None,
            asked: Asked::default(),
            language: Language::default(),
            calls: Calls::default(),
            goes_on: None,
        };
        Arc::new(Self { id, clock, state: Mutex::new(state), revision: watch::Sender::new(0) })
    }

    /// What there is to show, and its revision.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State, u64) -> T) -> T {
        let state = self.state();
        let revision = *self.revision.borrow();
        look(&state, revision)
    }

    /// Waits for another revision than `seen`; whether there is one within `at_most`.
    pub(super) async fn shows_another_than(&self, seen: &str, at_most: Duration) -> bool {
        let mut revision = self.revision.subscribe();
        tokio::select! {
            changed = revision.wait_for(|revision| revision.to_string() != seen) => changed.is_ok(),
            () = self.clock.sleep(at_most) => false,
        }
    }

    /// Forgets whatever goes on.
    pub(super) fn close(&self) {
        if let Some(goes_on) = self.state().goes_on.take() {
            goes_on.abort();
        }
    }

    /// Takes a new attempt up, unless one is under way or somebody is signed in.
    pub(super) fn begin(&self, asked: Asked, language: Language) -> bool {
        self.change(|state| {
            let is_free = match &state.scene {
                Scene::Starting | Scene::SignedIn(_) => false,
                Scene::Login(login) => !is_under_way(&login.now),
                _ => true,
            };
            if is_free {
                state.asked = asked;
                state.language = language;
                state.scene = Scene::Starting;
            }
            is_free
        })
    }

    /// What is going on at the desk from now on.
    pub(super) fn goes_on(&self, task: &JoinHandle<()>) {
        if let Some(before) = self.state().goes_on.replace(task.abort_handle()) {
            before.abort();
        }
    }

    pub(super) fn enter(&self, scene: Scene) {
        self.change(|state| state.scene = scene);
    }

    pub(super) fn login_is(&self, started: &Started, login: Received<LoginObject>, language: Language) {
        let expires_in = login.view.expires_in;
        let ends = self.clock.monotonic() + Duration::from_secs(expires_in);
        self.change(|state| {
            let mut said = HashMap::from([(language, login.view.user_message.clone())]);
            let (mut life, mut cancelling) = (expires_in, false);
            if let Scene::Login(before) = &mut state.scene {
                cancelling = before.cancelling && is_under_way(&login.view);
                if before.now.version == login.view.version {
                    said.extend(std::mem::take(&mut before.said));
                    life = life.max(before.life);
                }
            }
            let login = Login { started: started.clone(), now: login.view, said, ends, life, cancelling };
            state.scene = Scene::Login(Box::new(login));
        });
    }

    pub(super) fn signed_in(&self, session: SessionObject, handle: SessionHandle) {
        self.enter(Scene::SignedIn(Box::new(SignedIn { session, handle })));
    }

    pub(super) fn session_is(&self, session: SessionObject) {
        self.change(|state| {
            if let Scene::SignedIn(signed_in) = &mut state.scene {
                signed_in.session = session;
            }
        });
    }

    /// The session is over. Whether that is heard of before or after the answer to our own sign-out, it ends as one.
    pub(super) fn session_ended(&self, reason: Option<SessionEndReason>) {
        self.change(|state| {
            if matches!(state.scene, Scene::SignedIn(_)) {
                state.scene = match reason {
                    Some(SessionEndReason::Logout) => Scene::SignedOut { just_now: true },
                    other => Scene::SessionOver(other),
                };
            }
        });
    }

    /// Tells what went wrong and leaves the rest as it was.
    pub(super) fn notice(&self, error: ClientError) {
        self.change(|state| {
            if let Scene::Login(login) = &mut state.scene {
                login.cancelling = false;
            }
            state.notice = Some(error);
        });
    }

    /// The login that is to be given up; none where there is none, or that is being done.
    pub(super) fn cancelling(&self) -> Option<Started> {
        self.change(|state| match &mut state.scene {
            Scene::Login(login) if is_under_way(&login.now) && !login.cancelling => {
                login.cancelling = true;
                Some(login.started.clone())
            }
            _ => None,
        })
    }

    pub(super) fn handle(&self) -> Option<SessionHandle> {
        match &self.state().scene {
            Scene::SignedIn(signed_in) => Some(signed_in.handle.clone()),
            _ => None,
        }
    }

    /// The login about which Relais has not said anything in `language`.
    pub(super) fn unspoken(&self, language: Language) -> Option<Started> {
        match &self.state().scene {
            Scene::Login(login) if !login.said.contains_key(&language) => Some(login.started.clone()),
            _ => None,
        }
    }

    pub(super) fn spoken(&self, language: Language, read: &LoginObject) {
        self.change(|state| {
            if let Scene::Login(login) = &mut state.scene
                && login.now.login_id == read.login_id
                && login.now.version == read.version
            {
                login.said.insert(language, read.user_message.clone());
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        state.notice = None;
        let before = std::mem::discriminant(&state.scene);
        let outcome = change(&mut state);
        if std::mem::discriminant(&state.scene) != before {
            state.since = self.clock.monotonic();
        }
        drop(state);
        self.revision.send_modify(|revision| *revision += 1);
        outcome
    }

    /// Every change of it is made whole under this lock, so a poisoned one is still consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls to Relais, for the panel below the software.
impl Observer for Desk {
    fn sent(&self, request: SentRequest) -> u64 {
        let (at, now) = (self.clock.now(), self.clock.monotonic());
        let number = self.state().calls.sent(request, at, now);
        self.revision.send_modify(|revision| *revision += 1);
        number
    }

    fn ended(&self, number: u64, end: CallEnd) {
        let now = self.clock.monotonic();
        self.state().calls.ended(number, end, now);
        self.revision.send_modify(|revision| *revision += 1);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::pin::Pin;

    use super::*;
    use crate::domain::time::Timestamp;

    /// It is always the same moment.
    pub(in crate::practice) struct StoppedClock;

    impl Clock for StoppedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_795_312_800)
        }

        fn monotonic(&self) -> Monotonic {
            Monotonic::default()
        }

        fn sleep_until(&self, _at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::pending())
        }
    }
}
