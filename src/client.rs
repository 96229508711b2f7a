//! A typed thick client of the client API: what the vendor of a practice's software would write.
//!
//! It knows the contract and nothing of the server's inside. Whatever may be lost on the way is asked for again,
//! a bounded number of times and only where the contract makes that safe: a start carries its `Idempotency-Key`,
//! a pick-up may be repeated, reads and ends are idempotent. A problem is an answer and is never asked for again.
//! Answers may grow: unknown members are kept in [`Received::json`] and unknown words are [`Word::Other`].

mod answers;
mod error;
mod events;
mod exchange;
mod follow;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod sse;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

pub use answers::{
    ApplicationInfo, LoginObject, OfferedRegistration, PersonView, Received, SessionObject, Word,
};
pub use error::{ClientError, Problem, ProblemDetail, SettingsError};
pub use events::{LoginEvents, SessionEvent, SessionEvents};
pub use exchange::{CallEnd, Observer, SentRequest};
pub use follow::Outcome;
pub use sse::{SseEvent, SseParser};

use crate::domain::clock::Clock;
use crate::domain::ids::LoginId;
use crate::domain::secret::{LoginToken, Secret, SessionHandle};
use crate::domain::texts::Language;
use transport::{Call, Transport};

/// How an application proves who it is to Relais.
pub enum Credential {
    /// `client_secret_basic`.
    Secret(Secret),
    /// A client certificate on the connection.
    Certificate {
        /// The certificate and its chain, PEM.
        cert_pem: Vec<u8>,
        /// Its private key, PEM.
        key_pem: Secret,
    },
}

/// What a [`Client`] needs to know.
pub struct ClientSettings {
    /// Where the client API is; `http` only on this machine. A path in it is kept as a prefix.
    pub server: Url,
    /// The application's name.
    pub application: String,
    /// How it proves that.
    pub credential: Credential,
    /// Pinned roots (PEM, one or more); absent: the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The language of `user_message`.
    pub language: Language,
}

/// What to start a login with; only `login_hint` is required.
#[derive(Clone)]
pub struct StartLogin {
    /// Who is to sign in.
    pub login_hint: Secret,
    /// Over which registration, where not the default one.
    pub registration: Option<String>,
    /// `MOBILE` or `CARD`, where not the default one.
    pub channel: Option<String>,
    /// Whether to replace a login of ours that is under way for the same person.
    pub replace_pending: bool,
    /// Our own reference, repeated everywhere.
    pub reference: Option<String>,
    /// Any other member of the start body, as the contract names it (`scope`, `acr_values`, `client_context`…).
    pub more: serde_json::Map<String, Value>,
}

impl StartLogin {
    /// A start by hint alone.
    #[must_use]
    pub fn new(login_hint: Secret) -> Self {
        Self {
            login_hint,
            registration: None,
            channel: None,
            replace_pending: false,
            reference: None,
            more: serde_json::Map::new(),
        }
    }

    fn body(&self) -> Value {
        let mut body = self.more.clone();
        body.insert("login_hint".into(), self.login_hint.expose().into());
        let optional = [
            ("registration", self.registration.as_deref()),
            ("channel", self.channel.as_deref()),
            ("if_pending", self.replace_pending.then_some("replace")),
            ("reference", self.reference.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body.insert(name.into(), value.into());
            }
        }
        Value::Object(body)
    }
}

/// A login that exists.
#[derive(Clone)]
pub struct Started {
    /// As the start answered it.
    pub login: Received<LoginObject>,
    /// Reads, cancels and picks up this login.
    pub login_token: LoginToken,
}

/// What a pick-up brought.
pub struct PickedUp {
    /// The session.
    pub session: Received<SessionObject>,
    /// What opens it.
    pub session_handle: SessionHandle,
}

/// What a pick-up with waiting came to.
pub enum PickUp {
    /// There is a session.
    Done(Box<PickedUp>),
    /// Nobody has decided yet.
    Undecided(Box<Received<LoginObject>>),
}

/// How long to wait for a change of a login.
#[derive(Clone, Copy)]
pub struct Wait {
    /// At most this long; the server takes 1–30 s.
    pub at_most: Duration,
    /// The version that is known already; absent: the one at arrival.
    pub known_version: Option<u64>,
}

/// One application's way to one Relais. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Client {
    /// Prepares a client; connects to nobody. `clock` paces repetitions.
    ///
    /// # Errors
    /// [`SettingsError`]
    pub fn new(settings: ClientSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        Ok(Self { transport: Transport::new(settings, clock)? })
    }

    /// The same client, its calls seen by `observer`.
    #[must_use]
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { transport: self.transport.observed(observer) }
    }

    /// Who we are to Relais, and what we may use. Rings nobody.
    pub async fn application(&self) -> Result<Received<ApplicationInfo>, ClientError> {
        self.transport.json(self.as_application(Method::GET, &["v1", "application"])).await
    }

    /// Starts a login. `idempotency_key` is drawn by the caller for this one start: with the same key a lost
    /// answer is asked for again, and nobody's phone rings twice.
    pub async fn start(&self, start: &StartLogin, idempotency_key: Uuid) -> Result<Started, ClientError> {
        let call = self
            .as_application(Method::POST, &["v1", "logins"])
            .header(IDEMPOTENCY_KEY, ascii(&idempotency_key.to_string()))
            .body(start.body());
        let mut answer = self.transport.value(call).await?;
        let token = answer.take_secret("login_token")?;
        Ok(Started { login: answer.typed()?, login_token: LoginToken(token) })
    }

    /// Reads a login, or waits for its next change.
    pub async fn login(
        &self,
        login_id: LoginId,
        token: &LoginToken,
        wait: Option<Wait>,
    ) -> Result<Received<LoginObject>, ClientError> {
        let mut call = with_login(Method::GET, login_id, None, token);
        if let Some(wait) = wait {
            call = call.waiting(PREFER, wait.at_most);
            if let Some(version) = wait.known_version {
                call = call.header(IF_NONE_MATCH, ascii(&format!("\"{version}\"")));
            }
        }
        self.transport.json(call).await
    }

    /// The events of a login: its newest state at once, then each change. `last_seen` is the version already
    /// known, after a cut.
    pub async fn events(
        &self,
        login_id: LoginId,
        token: &LoginToken,
        last_seen: Option<u64>,
    ) -> Result<LoginEvents, ClientError> {
        let call = with_login(Method::GET, login_id, Some("events"), token);
        Ok(LoginEvents::new(self.transport.stream(call, last_seen).await?))
    }

    /// Picks the session up, waiting for the person's decision at most `wait`.
    ///
    /// `expected_subject` is the national id (or `sub`) of the only person to accept.
    pub async fn pick_up(
        &self,
        login_id: LoginId,
        token: &LoginToken,
        wait: Option<Duration>,
        expected_subject: Option<&Secret>,
    ) -> Result<PickUp, ClientError> {
        let mut call = with_login(Method::POST, login_id, Some("session"), token);
        if let Some(wait) = wait {
            call = call.waiting(PREFER, wait);
        }
        if let Some(subject) = expected_subject {
            call = call.body(json!({ "expected_subject": subject.expose() }));
        }
        let mut answer = self.transport.value(call).await?;
        if answer.status == ::http::StatusCode::ACCEPTED {
            return Ok(PickUp::Undecided(Box::new(answer.typed()?)));
        }
        let handle = answer.take_secret("session_handle")?;
        let session = answer.typed()?;
        Ok(PickUp::Done(Box::new(PickedUp { session, session_handle: SessionHandle(handle) })))
    }

    /// Cancels a login; one that has already ended without a session is no error.
    pub async fn cancel(&self, login_id: LoginId, token: &LoginToken) -> Result<(), ClientError> {
        self.transport.empty(with_login(Method::DELETE, login_id, None, token)).await
    }

    /// Reads a session. With `touch` it counts as a use, which postpones the idle end.
    pub async fn session(
        &self,
        handle: &SessionHandle,
        touch: bool,
    ) -> Result<Received<SessionObject>, ClientError> {
        let mut call = with_handle(Method::GET, &[], handle);
        if !touch {
            call = call.query("touch", "false");
        }
        self.transport.json(call).await
    }

    /// The provider's userinfo, as it is.
    pub async fn userinfo(&self, handle: &SessionHandle) -> Result<Value, ClientError> {
        Ok(self.transport.value(with_handle(Method::GET, &["userinfo"], handle)).await?.json)
    }

    /// The events of a session; they end with it.
    pub async fn session_events(&self, handle: &SessionHandle) -> Result<SessionEvents, ClientError> {
        Ok(SessionEvents::new(
            self.transport.stream(with_handle(Method::GET, &["events"], handle), None).await?,
        ))
    }

    /// Chooses the *situation d'exercice* that the session works in.
    pub async fn choose_exercice(
        &self,
        handle: &SessionHandle,
        exercice_id: &str,
    ) -> Result<Received<SessionObject>, ClientError> {
        let call = with_handle(Method::PUT, &["exercice"], handle).body(json!({ "id": exercice_id }));
        self.transport.json(call).await
    }

    /// Ends a session; one that has already ended is no error (a repetition cannot tell the two apart).
    pub async fn end_session(&self, handle: &SessionHandle) -> Result<(), ClientError> {
        match self.transport.empty(with_handle(Method::DELETE, &[], handle)).await {
            Err(ClientError::Problem(problem)) if problem.code == "session_ended" => Ok(()),
            ended => ended,
        }
    }

    fn as_application(&self, method: Method, path: &[&str]) -> Call {
        let call = Call::new(method, path);
        match self.transport.basic() {
            Some(basic) => call.header(::http::header::AUTHORIZATION, basic.clone()),
            None => call,
        }
    }
}

fn with_login(method: Method, login_id: LoginId, below: Option<&str>, token: &LoginToken) -> Call {
    let login_id = login_id.to_string();
    let mut path = vec!["v1", "logins", &login_id];
    path.extend(below);
    Call::new(method, &path).bearer(&token.0)
}

fn with_handle(method: Method, below: &[&str], handle: &SessionHandle) -> Call {
    let path = [&["v1", "session"], below].concat();
    Call::new(method, &path).bearer(&handle.0)
}

/// Text of ours that is known to be printable ASCII.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
