//! Plays a practice's software in the demo, so that both sides of a login are seen at once: its sign-in box, beside it
//! the phone, and below the calls that it makes.
//!
//! It is a thick client like any other: it speaks to Relais over HTTP by [`crate::client::Client`] only, waits with
//! long waits, and keeps login token and session handle to itself. A browser never sees them: it holds the id of its
//! *desk*, which is what one tab has under way. Desks are few, and are forgotten a while after their last use.
//!
//! It is for test persons: the calls that it shows carry their identifiers. It has no authentication; from where it may
//! be opened is its caller's business.

mod desk;
mod desks;
mod page;
mod protocol;
mod routes;
mod words;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::client::{
    Client, ClientError, ClientSettings, Credential, Outcome, Problem, SettingsError, StartLogin, Started,
    Word,
};
use crate::domain::clock::Clock;
use crate::domain::random::{Random, uuid_v4};
use crate::domain::secret::{Secret, SessionHandle};
use crate::domain::session::SessionEndReason;
use crate::domain::texts::Language;
use desk::{Asked, Desk, Scene};
use desks::Desks;

/// Where its pages begin.
pub const PATH: &str = "/try";

/// Between two attempts to hear about a session again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the software is told at its start.
pub struct PracticeSettings {
    /// Where the client API is.
    pub server: Url,
    /// The application that it is to Relais.
    pub application: String,
    /// That application's secret.
    pub secret: Secret,
    /// Whom the sign-in box offers.
    pub people: Vec<TestPerson>,
    /// Where the phone page is, on the same origin.
    pub phone: &'static str,
}

/// Somebody to sign in as.
pub struct TestPerson {
    /// The identifier.
    pub login_hint: String,
    /// The name.
    pub name: String,
    /// The profession, where there is one.
    pub profession: Option<String>,
}

/// The software. Cheap to clone; clones are the same software.
#[derive(Clone)]
pub struct Practice {
    inner: Arc<Inner>,
}

struct Inner {
    french: Client,
    english: Client,
    people: Vec<TestPerson>,
    phone: &'static str,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    desks: Mutex<Desks>,
}

/// What somebody does at a desk.
enum Act {
    SignIn(Asked),
    Cancel,
    ChooseExercice(String),
    SignOut,
}

impl Practice {
    /// Prepares it; calls nobody.
    ///
    /// # Errors
    /// [`SettingsError`]
    pub fn new(
        settings: PracticeSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingsError> {
        let client = |language| {
            let settings = ClientSettings {
                server: settings.server.clone(),
                application: settings.application.clone(),
                credential: Credential::Secret(settings.secret.clone()),
                ca_pem: None,
                language,
            };
            Client::new(settings, Arc::clone(&clock))
        };
        let inner = Inner {
            french: client(Language::French)?,
            english: client(Language::English)?,
            people: settings.people,
            phone: settings.phone,
            desks: Mutex::new(Desks::default()),
            clock,
            random,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its pages, below [`PATH`].
    pub fn router(&self) -> Router {
        routes::router(self)
    }

    fn open_desk(&self) -> Arc<Desk> {
        let inner = &self.inner;
        let desk = Desk::new(uuid_v4(&*inner.random), inner.clock.clone());
        inner.desks.lock().unwrap_or_else(PoisonError::into_inner).open(desk, inner.clock.monotonic())
    }

    fn desk(&self, id: Uuid) -> Option<Arc<Desk>> {
        let inner = &self.inner;
        inner.desks.lock().unwrap_or_else(PoisonError::into_inner).find(id, inner.clock.monotonic())
    }

    /// The software's way to Relais from this desk.
    fn client(&self, language: Language, desk: &Arc<Desk>) -> Client {
        let client = match language {
            Language::French => &self.inner.french,
            Language::English => &self.inner.english,
        };
        client.clone().observed(desk.clone())
    }

    async fn act(&self, desk: &Arc<Desk>, language: Language, act: Act) {
        match act {
            Act::SignIn(asked) => self.sign_in(desk, language, asked),
            Act::Cancel => self.cancel(desk, language).await,
            Act::ChooseExercice(id) => self.choose_exercice(desk, language, &id).await,
            Act::SignOut => self.sign_out(desk, language).await,
        }
    }

    /// Begins a login where none is under way and nobody is signed in. It goes on by itself.
    fn sign_in(&self, desk: &Arc<Desk>, language: Language, asked: Asked) {
        let mut start = StartLogin::new(Secret::new(&asked.login_hint));
        start.channel = Some(asked.channel.to_owned());
        start.replace_pending = asked.replace;
        let software = json!({ "name": "relais-try", "version": env!("CARGO_PKG_VERSION") });
        start.more.insert("client_context".to_owned(), json!({ "software": software }));
        if !desk.begin(asked, language) {
            return;
        }
        let key = uuid_v4(&*self.inner.random);
        let (practice, at) = (self.clone(), desk.clone());
        let going_on = tokio::spawn(async move {
            let client = practice.client(language, &at);
            match client.start(&start, key).await {
                Ok(started) => practice.follow(&client, &at, language, &started).await,
                Err(error) => at.enter(refused(error)),
            }
        });
        desk.goes_on(&going_on);
    }

    async fn follow(&self, client: &Client, desk: &Desk, language: Language, started: &Started) {
        let outcome = client.follow(started, |login| desk.login_is(started, login.clone(), language)).await;
        match outcome {
            Ok(Outcome::Session(picked_up)) => {
                let handle = picked_up.session_handle.clone();
                desk.signed_in(picked_up.session.view, picked_up.session_handle);
                self.watch_session(client, desk, &handle).await;
            }
            Ok(Outcome::Ended(login)) => desk.login_is(started, *login, language),
            Err(error) => desk.enter(refused(error)),
        }
    }

    /// Hears about the session's end as it comes.
    async fn watch_session(&self, client: &Client, desk: &Desk, handle: &SessionHandle) {
        loop {
            if let Ok(mut events) = client.session_events(handle).await {
                while let Ok(Some(event)) = events.next().await {
                    if event.status == "ended" {
                        return desk.session_ended(event.reason.as_ref().and_then(Word::known));
                    }
                }
            }
            self.inner.clock.sleep(PAUSE).await;
            match client.session(handle, false).await {
                Ok(session) => desk.session_is(session.view),
                Err(ClientError::Problem(problem)) if is_over(&problem) => {
                    return desk.session_ended(reason_of(&problem));
                }
                Err(_) => {}
            }
        }
    }

    /// Gives the login up. What comes of it is seen by who follows it.
    async fn cancel(&self, desk: &Arc<Desk>, language: Language) {
        let Some(started) = desk.cancelling() else { return };
        let client = self.client(language, desk);
        match client.cancel(started.login.login_id, &started.login_token).await {
            Err(error) if error.code() != Some("already_picked_up") => desk.notice(error),
            _ => {}
        }
    }

    async fn choose_exercice(&self, desk: &Arc<Desk>, language: Language, exercice_id: &str) {
        let Some(handle) = desk.handle() else { return };
        match self.client(language, desk).choose_exercice(&handle, exercice_id).await {
            Ok(session) => desk.session_is(session.view),
            Err(ClientError::Problem(problem)) if is_over(&problem) => {
                desk.session_ended(reason_of(&problem));
            }
            Err(error) => desk.notice(error),
        }
    }

    async fn sign_out(&self, desk: &Arc<Desk>, language: Language) {
        let Some(handle) = desk.handle() else { return };
        match self.client(language, desk).end_session(&handle).await {
            Ok(()) => desk.session_ended(Some(SessionEndReason::Logout)),
            Err(error) => desk.notice(error),
        }
    }

    /// Has Relais say in `language` how the login stands, where it has not yet.
    async fn speak(&self, desk: &Arc<Desk>, language: Language) {
        let Some(started) = desk.unspoken(language) else { return };
        let (login_id, token) = (started.login.login_id, &started.login_token);
        if let Ok(login) = self.client(language, desk).login(login_id, token, None).await {
            desk.spoken(language, &login);
        }
    }
}

fn refused(error: ClientError) -> Scene {
    match error {
        ClientError::Problem(problem) => Scene::Refused(problem),
        ClientError::Transport { .. } | ClientError::InvalidAnswer { .. } => Scene::Unreachable,
    }
}

/// Whether there is no session any more.
fn is_over(problem: &Problem) -> bool {
    matches!(problem.code.as_str(), "session_ended" | "handle_invalid")
}

fn reason_of(problem: &Problem) -> Option<SessionEndReason> {
    problem.reason.as_deref().and_then(SessionEndReason::parse)
}
