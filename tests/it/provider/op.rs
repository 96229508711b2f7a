//! A scripted OpenID Provider: says what it is told to say and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it says to one request.
#[derive(Clone)]
pub enum Reply {
    /// An answer.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Nothing, ever.
    Hang,
    /// The head of an answer, then the connection is cut.
    Cut,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string())
    }

    pub fn raw(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "error": code, "error_description": "about 899700000001" }))
    }

    pub fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.to_owned()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

/// A request as it arrived.
#[derive(Clone)]
pub struct Recorded {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: String,
}

impl Recorded {
    /// The values of a form parameter.
    pub fn form(&self, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Default)]
struct Script {
    standing: HashMap<String, Reply>,
    next: HashMap<String, VecDeque<Reply>>,
    seen: HashMap<String, Vec<Recorded>>,
}

/// The provider.
#[derive(Clone)]
pub struct Op {
    pub base: String,
    script: Arc<Mutex<Script>>,
}

impl Op {
    /// Listens on loopback, in plain HTTP.
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let op = Self::unbound(base);
        let router = op.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        op
    }

    /// One whose router is served by somebody else at `base`.
    pub fn unbound(base: String) -> Self {
        let op = Self { base, script: Arc::default() };
        op.stand("metadata", Reply::json(200, &op.metadata()));
        op
    }

    pub fn router(&self) -> Router {
        Router::new().route("/{endpoint}", any(answer)).with_state(self.clone())
    }

    pub fn url(&self, endpoint: &str) -> String {
        format!("{}/{endpoint}", self.base)
    }

    /// A CIBA-only document: the least that is enough.
    pub fn metadata(&self) -> Value {
        json!({
            "issuer": self.base,
            "jwks_uri": self.url("jwks"),
            "token_endpoint": self.url("token"),
            "backchannel_authentication_endpoint": self.url("backchannel"),
            "userinfo_endpoint": self.url("userinfo"),
            "backchannel_token_delivery_modes_supported": ["poll"],
        })
    }

    /// What `endpoint` says from now on.
    pub fn stand(&self, endpoint: &str, reply: Reply) {
        self.script.lock().expect("a lock").standing.insert(endpoint.to_owned(), reply);
    }

    /// What `endpoint` says to the next request.
    pub fn next(&self, endpoint: &str, reply: Reply) {
        self.script.lock().expect("a lock").next.entry(endpoint.to_owned()).or_default().push_back(reply);
    }

    /// Publishes these keys.
    pub fn publish(&self, keys: &[Value]) {
        self.stand("jwks", Reply::json(200, &json!({ "keys": keys })));
    }

    /// What `endpoint` was asked.
    pub fn seen(&self, endpoint: &str) -> Vec<Recorded> {
        self.script.lock().expect("a lock").seen.get(endpoint).cloned().unwrap_or_default()
    }

    /// How often `endpoint` was asked.
    pub fn count(&self, endpoint: &str) -> usize {
        self.seen(endpoint).len()
    }

    fn take(&self, endpoint: &str, request: Recorded) -> Option<Reply> {
        let mut script = self.script.lock().expect("a lock");
        script.seen.entry(endpoint.to_owned()).or_default().push(request);
        script
            .next
            .get_mut(endpoint)
            .and_then(VecDeque::pop_front)
            .or_else(|| script.standing.get(endpoint).cloned())
    }
}

async fn answer(
    State(op): State<Op>,
    Path(endpoint): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let reply = op.take(&endpoint, Recorded { method, headers, body });
    let response = Response::builder();
    match reply {
        Some(Reply::Answer { status, headers, body }) => headers
            .into_iter()
            .fold(response.status(status), |response, (name, value)| response.header(name, value))
            .body(Body::from(body))
            .expect("a response"),
        Some(Reply::Hang) => std::future::pending().await,
        Some(Reply::Cut) => {
            let half = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{\"auth_req_id\":")),
                Err(std::io::Error::other("cut")),
            ]);
            response.status(200).body(Body::from_stream(half)).expect("a response")
        }
        None => response.status(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response"),
    }
}
