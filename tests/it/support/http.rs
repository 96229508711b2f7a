//! A caller that sees what goes over the wire: status, headers, body.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::openapi;

/// An answer as it came.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("{} is no JSON: {}", self.status, self.body))
    }

    /// A member of the body, by JSON pointer; absent is an error.
    pub fn at(&self, pointer: &str) -> Value {
        let json = self.json();
        json.pointer(pointer).cloned().unwrap_or_else(|| panic!("no {pointer} in {} {json}", self.status))
    }

    /// A text member of the body.
    pub fn text(&self, pointer: &str) -> String {
        self.at(pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text: {}", self.body)).to_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Fails unless the status is `expected`; gives the answer back.
    #[track_caller]
    pub fn expect(self, expected: u16) -> Self {
        assert_eq!(self.status.as_u16(), expected, "{}", self.body);
        self
    }

    /// Fails unless this is the problem `code` with `status`.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.text("/code"), code, "{}", answer.body);
        answer
    }
}

/// Speaks HTTP to one base URL.
#[derive(Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Caller {
    /// A caller without any credential.
    pub fn new(base: impl Into<String>) -> Self {
        Self::with(base, |builder| builder)
    }

    /// A caller whose client is built further: roots, client certificate.
    #[expect(clippy::disallowed_methods, reason = "a caller from outside, not Relais's own client")]
    pub fn with(
        base: impl Into<String>,
        build: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        relais::net::install_provider();
        let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
        let client = build(builder).build().expect("a client");
        Self { client, base: base.into(), headers: HeaderMap::new() }
    }

    /// Where it calls.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same caller with a header on every call.
    pub fn header(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        let value = HeaderValue::from_str(value).expect("a header value");
        other.headers.insert(HeaderName::from_static(name), value);
        other
    }

    /// The same caller with one more header, beside those of the same name.
    pub fn also(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.clone();
        let value = HeaderValue::from_str(value).expect("a header value");
        other.headers.append(HeaderName::from_static(name), value);
        other
    }

    /// The same caller with an application's name and secret.
    pub fn basic(&self, name: &str, secret: &str) -> Self {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"));
        self.header("authorization", &format!("Basic {text}"))
    }

    /// The same caller with a login token or a handle.
    pub fn bearer(&self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The token that it calls with.
    pub fn token(&self) -> String {
        let header = self.headers.get("authorization").and_then(|value| value.to_str().ok());
        header.and_then(|text| text.strip_prefix("Bearer ")).expect("a token").to_owned()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// One call; a `Null` body is none.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.try_send(method, path, body).await.expect("an answer")
    }

    /// One call that may fail on the wire.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let asked = method.clone();
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).headers(self.headers.clone());
        if let Some(body) = body.filter(|body| !body.is_null()) {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.text().await? };
        openapi::describes(&asked, path, &answer);
        Ok(answer)
    }

    /// One call with a body of any kind.
    pub async fn send_text(&self, method: Method, path: &str, content_type: &str, body: &str) -> Answer {
        let asked = method.clone();
        let request =
            self.client.request(method, format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("content-type", content_type).body(body.to_owned());
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.text().await.expect("a body") };
        openapi::describes(&asked, path, &answer);
        answer
    }

    /// One call with a form.
    pub async fn post_form(&self, path: &str, members: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish();
        self.send_text(Method::POST, path, "application/x-www-form-urlencoded", &form).await
    }

    /// A response whose body is read piece by piece: event streams.
    pub async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        request.send().await.expect("an answer")
    }

    /// A call whose body is handed over piece by piece, and its response, which is read likewise.
    pub async fn stream(&self, method: Method, path: &str, body: reqwest::Body) -> reqwest::Response {
        let request =
            self.client.request(method, format!("{}{path}", self.base)).headers(self.headers.clone());
        request.body(body).send().await.expect("an answer")
    }
}
