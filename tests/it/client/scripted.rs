//! A server that answers from a script and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use relais::client::{Client, ClientSettings, Credential};
use relais::domain::clock::{Clock, Monotonic};
use relais::domain::random::Random;
use relais::domain::secret::Secret;
use relais::domain::texts::Language;
use relais::domain::time::Timestamp;
use serde_json::{Value, json};

pub const LOGIN_ID: &str = "01935000-0000-7000-8000-000000000001";
pub const SESSION_ID: &str = "01935000-0000-7000-8000-000000000002";

/// What the script says to one request.
#[derive(Clone)]
pub enum Say {
    /// This.
    Json(u16, Value),
    /// A problem with this status and code, and more members.
    Problem(u16, &'static str, Value),
    /// Nothing with this status.
    Empty(u16),
    /// The request arrives and its answer is cut.
    Lost,
    /// An event stream in these chunks.
    Events(Vec<&'static str>),
    /// Nothing, for ever.
    Silence,
}

/// What the server was asked.
#[derive(Clone)]
pub struct Asked {
    pub call: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    says: HashMap<String, VecDeque<Say>>,
    asked: Vec<Asked>,
}

/// The server; it stops with the test's runtime.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Mutex<Script>>,
    pub url: url::Url,
}

impl Scripted {
    /// A server on loopback. A call that the script does not foresee is a 404 without a problem.
    pub async fn serve() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/relais/", listener.local_addr().unwrap()).parse().unwrap();
        let app = axum::Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { script, url }
    }

    /// What `call` ("GET /v1/session") is answered, in turn; the last one again and again.
    pub fn on(&self, call: &str, says: impl IntoIterator<Item = Say>) -> &Self {
        self.script.lock().unwrap().says.insert(call.to_owned(), says.into_iter().collect());
        self
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    /// The calls in the order of their arrival.
    pub fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.call).collect()
    }

    /// A client of application `demo`.
    pub fn client(&self) -> Client {
        let settings = ClientSettings {
            server: self.url.clone(),
            application: "demo".into(),
            credential: Credential::Secret(Secret::new("demo")),
            ca_pem: None,
            language: Language::English,
        };
        Client::new(settings, Arc::new(FastClock::new())).unwrap()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().strip_prefix("/relais").unwrap_or("outside the prefix");
    let call = format!("{method} {path}");
    let say = {
        let mut script = script.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let query = uri.query().map(str::to_owned);
        script.asked.push(Asked { call: call.clone(), query, headers, body });
        let says = script.says.entry(call).or_default();
        if says.len() > 1 { says.pop_front() } else { says.front().cloned() }
    };
    let (status, kind, body) = match say.unwrap_or(Say::Empty(404)) {
        Say::Json(status, value) => (status, "application/json", Body::from(value.to_string())),
        Say::Problem(status, code, more) => {
            let mut problem = json!({
                "type": format!("urn:relais:problem:{code}"), "title": code, "status": status, "code": code,
                "request_id": "0123456789", "support_code": "K7QM-2P4X", "user_message": "A sentence.",
            });
            problem.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            (status, "application/problem+json", Body::from(problem.to_string()))
        }
        Say::Empty(status) => (status, "text/plain", Body::empty()),
        Say::Lost => {
            let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
            (200, "application/json", Body::from_stream(cut))
        }
        Say::Events(chunks) => {
            let chunks = chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
            (200, "text/event-stream", Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Say::Silence => std::future::pending().await,
    };
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", kind)
        .header("retry-after", "7")
        .body(body)
        .unwrap()
}

/// A login object.
pub fn login(status: &str, version: u64, more: Value) -> Value {
    let mut login = json!({
        "login_id": LOGIN_ID, "status": status, "version": version, "hint": "a_word",
        "user_message": format!("Sentence {version}."), "support_code": "K7QM-2P4X", "binding_message": "42",
        "channel": "MOBILE", "login_hint": "899700000001", "registration": "psc-demo", "environment": "test",
        "expires_at": "2026-11-22T02:00:00.000Z", "expires_in": 90, "poll_after_ms": 1000,
        "grown_since": { "unknown": true },
    });
    if let (Value::Object(login), Value::Object(more)) = (&mut login, more) {
        login.extend(more);
    }
    login
}

/// The answer to a start.
pub fn started(status: &str) -> Say {
    Say::Json(201, login(status, 1, json!({ "login_token": "rlt_secret" })))
}

/// A session object.
pub fn session() -> Value {
    json!({
        "session_id": SESSION_ID, "status": "active", "application": "demo", "registration": "psc-demo",
        "environment": "test",
        "subject": {
            "iss": "https://idp.example", "sub": "f:1:899700000001", "national_id": "899700000001",
            "national_id_kind": "grown_since", "name": "Kit Doc\u{1b}[2J",
            "exercices": [{ "id": "x1", "profession": { "code": "10", "label": "Médecin" },
                            "site": { "name": "Cabinet" }, "grown_since": 1 }],
            "groups": [], "complete": true,
        },
        "exercice": null, "acr": "eidas1", "amr": [], "created_at": "2026-11-22T02:00:00.000Z",
        "expires_at": "2026-11-22T06:00:00.000Z", "expires_in": 14400,
        "idle_expires_at": "2026-11-22T02:30:00.000Z", "idle_expires_in": 1800, "support_code": "K7QM-2P4X",
    })
}

/// The answer to a pick-up.
pub fn picked_up() -> Say {
    let mut session = session();
    session["session_handle"] = "rsh_secret".into();
    Say::Json(201, session)
}

/// `POST /v1/logins/{login_id}/session`.
pub fn pick_up_call() -> String {
    format!("POST /v1/logins/{LOGIN_ID}/session")
}

/// `{method} /v1/logins/{login_id}`.
pub fn login_call(method: &str) -> String {
    format!("{method} /v1/logins/{LOGIN_ID}")
}

/// Real time, fifty times faster: what a client waits for is proven, not waited for.
pub struct FastClock(std::time::Instant);

const SPEED: u32 = 50;

impl FastClock {
    #[expect(clippy::disallowed_methods, reason = "a clock")]
    pub fn new() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_795_312_800) + self.monotonic().0
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.0.elapsed() * SPEED)
    }

    #[expect(clippy::disallowed_methods, reason = "a clock")]
    fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let length: Duration = at.since(self.monotonic()) / SPEED;
        Box::pin(tokio::time::sleep(length))
    }
}

/// Always the same bytes: the key of a start is recognised by them.
pub struct FixedRandom;

impl Random for FixedRandom {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}
