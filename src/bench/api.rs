//! The calls of the client API that the load is made of, and as much of their answers as is measured.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH};
use http::{Method, Request, request};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::Credential;
use super::connection::{Answer, CallError, Connection};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The longest that a server waits.
const WAIT: Duration = Duration::from_secs(30);

/// The application whose clients call.
pub(super) struct Api {
    basic: Option<HeaderValue>,
    registration: String,
}

/// A login that has been started.
pub(super) struct Started {
    /// `/v1/logins/{login_id}`.
    path: String,
    bearer: HeaderValue,
    /// As it was then.
    pub login: Login,
}

/// The login object.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(rename = "login_id")]
    id: String,
    pub status: String,
    version: u64,
    /// When the present state ends by itself.
    pub expires_at: Timestamp,
}

impl Login {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "starting" | "pending")
    }
}

#[derive(Deserialize)]
struct Token {
    login_token: String,
}

#[derive(Deserialize)]
struct Handle {
    session_handle: String,
}

impl Api {
    pub(super) fn new(application: &str, credential: &Credential, registration: &str) -> Self {
        let basic = match credential {
            Credential::Secret(secret) => Some(basic(application, secret)),
            Credential::Certificate { .. } => None,
        };
        Self { basic, registration: registration.to_owned() }
    }

    /// Starts a login.
    pub(super) async fn start(
        &self,
        connection: &mut Connection,
        login_hint: &str,
    ) -> Result<Started, CallError> {
        let body = json!({ "login_hint": login_hint, "registration": self.registration });
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/v1/logins")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(basic) = &self.basic {
            request = request.header(AUTHORIZATION, basic.clone());
        }
        let answer = send(connection, request, body.to_string().into(), Duration::ZERO).await?;
        let Token { login_token } = answer.json()?;
        let login: Login = answer.json()?;
        let path = format!("/v1/logins/{}", login.id);
        Ok(Started { path, bearer: bearer(&Secret::new(login_token)), login })
    }
}

impl Started {
    /// Waits until the login is decided, in as many calls as that takes.
    pub(super) async fn decided(&self, connection: &mut Connection) -> Result<Login, CallError> {
        let mut version = self.login.version;
        loop {
            let login = self.changed(connection, version).await?;
            if !login.is_open() {
                return Ok(login);
            }
            version = login.version;
        }
    }

    /// The login at its next change, or after the longest wait.
    async fn changed(&self, connection: &mut Connection, version: u64) -> Result<Login, CallError> {
        let request = self
            .request(Method::GET, "")
            .header("prefer", format!("wait={}", WAIT.as_secs()))
            .header(IF_NONE_MATCH, format!("\"{version}\""));
        send(connection, request, Bytes::new(), WAIT).await?.json()
    }

    /// Exchanges the approved login for a session handle.
    pub(super) async fn pick_up(&self, connection: &mut Connection) -> Result<Session, CallError> {
        let request = self.request(Method::POST, "/session");
        let Handle { session_handle } =
            send(connection, request, Bytes::new(), Duration::ZERO).await?.json()?;
        Ok(Session { bearer: bearer(&Secret::new(session_handle)) })
    }

    /// Cancels the login.
    pub(super) async fn cancel(&self, connection: &mut Connection) -> Result<(), CallError> {
        let request = self.request(Method::DELETE, "");
        send(connection, request, Bytes::new(), Duration::ZERO).await.map(|_| ())
    }

    fn request(&self, method: Method, below: &str) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{below}", self.path))
            .header(AUTHORIZATION, self.bearer.clone())
    }
}

/// A session that has been picked up.
pub(super) struct Session {
    bearer: HeaderValue,
}

impl Session {
    /// Sends a target a body of so many bytes, at its base.
    pub(super) async fn upload(
        &self,
        connection: &mut Connection,
        target: &str,
        length: u64,
    ) -> Result<(), CallError> {
        let request = self.of_target(Method::POST, target, "").header(CONTENT_LENGTH, length);
        let request = request.body(()).map_err(|_| CallError::Unreadable)?;
        connection.stream(request, length).await.map(|_| ())
    }

    /// Has the simulated target send so many bytes.
    pub(super) async fn download(
        &self,
        connection: &mut Connection,
        target: &str,
        length: u64,
    ) -> Result<(), CallError> {
        let request = self.of_target(Method::GET, target, &format!("/_bytes/{length}"));
        let request = request.body(()).map_err(|_| CallError::Unreadable)?;
        let came = connection.stream(request, 0).await?;
        if came == length { Ok(()) } else { Err(CallError::Unreadable) }
    }

    fn of_target(&self, method: Method, target: &str, below: &str) -> request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/v1/targets/{target}{below}"))
            .header(AUTHORIZATION, self.bearer.clone())
    }

    /// Reads it, which is a use.
    pub(super) async fn read(&self, connection: &mut Connection) -> Result<(), CallError> {
        let request = Request::builder().uri("/v1/session").header(AUTHORIZATION, self.bearer.clone());
        send(connection, request, Bytes::new(), Duration::ZERO).await.map(|_| ())
    }
}

async fn send(
    connection: &mut Connection,
    request: request::Builder,
    body: Bytes,
    wait: Duration,
) -> Result<Answer, CallError> {
    let request = request.body(Full::new(body)).map_err(|_| CallError::Unreadable)?;
    connection.call(request, wait).await
}

/// Name and secret are form-encoded first (RFC 6749 §2.3.1).
fn basic(application: &str, secret: &Secret) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(application), encoded(secret.expose()));
    sensitive(&format!("Basic {}", STANDARD.encode(pair)))
}

fn bearer(token: &Secret) -> HeaderValue {
    sensitive(&format!("Bearer {}", token.expose()))
}

/// A token that is no header value reaches the server as an empty one and is refused there.
fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
