//! How calls travel: building requests, repeating lost ones, reading answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url, form_urlencoded};

use super::answers::Received;
use super::error::{ClientError, Problem, SettingsError};
use super::events::EventStream;
use super::exchange::{Observer, SentRequest, Watched};
use super::{ClientSettings, Credential};
use crate::domain::clock::Clock;
use crate::domain::secret::Secret;

/// The largest answer that is read: session objects are a few KiB, userinfo some tens.
pub(super) const ANSWER_MAX: usize = 1024 * 1024;

/// The pauses before the repetitions of a call whose answer was lost.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2)];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Beyond what the caller asked to wait for: a start alone may wait 10 s for the provider.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One call, ready to be sent as often as needed.
pub(super) struct Call {
    method: Method,
    path: Vec<String>,
    query: Option<(&'static str, &'static str)>,
    headers: HeaderMap,
    body: Option<Value>,
    wait: Duration,
}

impl Call {
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: None,
            headers: HeaderMap::new(),
            body: None,
            wait: Duration::ZERO,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// A token that is no header value reaches the server as an empty one and is refused there.
    pub(super) fn bearer(self, token: &Secret) -> Self {
        self.header(AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose())))
    }

    pub(super) fn query(mut self, name: &'static str, value: &'static str) -> Self {
        self.query = Some((name, value));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks the server to wait (RFC 7240), and waits that much longer for its answer.
    pub(super) fn waiting(mut self, prefer: HeaderName, wait: Duration) -> Self {
        self.wait = wait;
        let value = HeaderValue::from_str(&format!("wait={}", wait.as_secs()));
        self.header(prefer, value.unwrap_or(HeaderValue::from_static("wait=1")))
    }

    /// Method and route, for errors. Identifiers in a path are not secret, but no use to a reader.
    fn name(&self) -> String {
        let mut path = String::new();
        for segment in &self.path {
            path.push('/');
            path.push_str(if uuid::Uuid::parse_str(segment).is_ok() { "{id}" } else { segment });
        }
        format!("{} {path}", self.method)
    }
}

/// An answer that is no problem.
pub(super) struct Answer {
    call: String,
    pub(super) status: StatusCode,
    pub(super) json: Value,
}

impl Answer {
    /// Takes a secret out, so that the rest can be shown.
    pub(super) fn take_secret(&mut self, member: &str) -> Result<Secret, ClientError> {
        match self.json.as_object_mut().and_then(|object| object.shift_remove(member)) {
            Some(Value::String(text)) if !text.is_empty() => Ok(Secret::new(text)),
            _ => Err(self.invalid(&format!("without `{member}`"))),
        }
    }

    pub(super) fn typed<T: DeserializeOwned>(self) -> Result<Received<T>, ClientError> {
        match T::deserialize(&self.json) {
            Ok(view) => Ok(Received { view, json: self.json }),
            // Serde repeats values of the wrong type: its words may hold personal data.
            Err(_) => Err(self.invalid("a member is missing or of another type")),
        }
    }

    fn invalid(&self, what: &str) -> ClientError {
        ClientError::InvalidAnswer {
            call: self.call.clone(),
            status: self.status.as_u16(),
            what: what.to_owned(),
        }
    }
}

/// The way to one server.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    server: Url,
    basic: Option<HeaderValue>,
    language: HeaderValue,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
}

impl Transport {
    pub(super) fn new(settings: ClientSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let local = is_this_machine(&settings.server);
        match settings.server.scheme() {
            "https" if settings.server.has_host() => {}
            "http" if local => {}
            "http" => return Err(SettingsError::ClearText),
            _ => return Err(SettingsError::Server),
        }
        let basic = match &settings.credential {
            Credential::Secret(secret) => Some(basic(&settings.application, secret)),
            Credential::Certificate { .. } => None,
        };
        let language = HeaderValue::from_static(settings.language.tag());
        let http = http_client(&settings, local)?;
        Ok(Self { http, server: settings.server, basic, language, clock, observer: None })
    }

    /// The same, watched.
    pub(super) fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// `Authorization` of the application, where it has a secret.
    pub(super) fn basic(&self) -> Option<&HeaderValue> {
        self.basic.as_ref()
    }

    /// What paces repetitions.
    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Makes a call whose answer is an object.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<Received<T>, ClientError> {
        self.value(call).await?.typed()
    }

    /// Makes a call whose answer is JSON.
    pub(super) async fn value(&self, call: Call) -> Result<Answer, ClientError> {
        let (status, body) = self.repeated(&call).await?;
        match serde_json::from_slice(&body) {
            Ok(json) => Ok(Answer { call: call.name(), status, json }),
            Err(_) => Err(invalid(&call, status, "no JSON")),
        }
    }

    /// Makes a call whose answer says nothing.
    pub(super) async fn empty(&self, call: Call) -> Result<(), ClientError> {
        self.repeated(&call).await.map(|_| ())
    }

    /// Opens an event stream.
    pub(super) async fn stream(
        &self,
        mut call: Call,
        last_seen: Option<u64>,
    ) -> Result<EventStream, ClientError> {
        call = call.header(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(version) = last_seen {
            call = call.header(LAST_EVENT_ID, HeaderValue::from(version));
        }
        let watched = self.watched(&call);
        // The whole stream has no time limit, only its beginning.
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.request(&call).send())
            .await
            .map_err(|_| ClientError::Transport { call: call.name(), source: None })
            .and_then(|sent| sent.map_err(|source| lost(&call, source)));
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                watched.lost();
                return Err(error);
            }
        };
        if response.status().is_success() {
            watched.answered(response.status(), b"");
            return Ok(EventStream::new(call.name(), response));
        }
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = read(&call, response).await?;
        watched.answered(status, &body);
        Err(refusal(&call, status, retry_after, &body))
    }

    /// Sends until there is an answer, a bounded number of times.
    async fn repeated(&self, call: &Call) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let mut pauses = PAUSES.iter();
        loop {
            match (self.once(call).await, pauses.next()) {
                (Err(error), Some(pause)) if error.is_lost_answer() => self.clock.sleep(*pause).await,
                (outcome, _) => return outcome,
            }
        }
    }

    async fn once(&self, call: &Call) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let watched = self.watched(call);
        let request = self.request(call).timeout(ANSWER_TIMEOUT + call.wait);
        let answer = async {
            let response = request.send().await.map_err(|source| lost(call, source))?;
            let (status, retry_after) = (response.status(), retry_after(response.headers()));
            Ok((status, retry_after, read(call, response).await?))
        };
        let (status, retry_after, body) = match answer.await {
            Ok(answer) => answer,
            Err(error) => {
                watched.lost();
                return Err(error);
            }
        };
        watched.answered(status, &body);
        if status.is_success() { Ok((status, body)) } else { Err(refusal(call, status, retry_after, &body)) }
    }

    fn watched(&self, call: &Call) -> Watched {
        Watched::new(self.observer.as_ref(), || {
            let url = self.url(call);
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let path = format!("{}{query}", url.path());
            SentRequest::new(call.method.clone(), path, &call.headers, call.body.clone())
        })
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        if let Some((name, value)) = call.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(call.method.clone(), self.url(call))
            .header(ACCEPT_LANGUAGE, &self.language)
            .headers(call.headers.clone());
        match &call.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

async fn read(call: &Call, mut response: reqwest::Response) -> Result<Vec<u8>, ClientError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| lost(call, source))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(invalid(call, status, "too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(super) fn refusal(
    call: &Call,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ClientError {
    let problem = serde_json::from_slice::<Value>(body).ok().and_then(|json| {
        let problem: Problem = serde::Deserialize::deserialize(&json).ok()?;
        Some(Problem { retry_after, json, ..problem })
    });
    match problem {
        Some(problem) => ClientError::Problem(Box::new(problem)),
        None => invalid(call, status, "no problem of Relais"),
    }
}

fn lost(call: &Call, source: reqwest::Error) -> ClientError {
    ClientError::Transport { call: call.name(), source: Some(source.without_url()) }
}

fn invalid(call: &Call, status: StatusCode, what: &str) -> ClientError {
    ClientError::InvalidAnswer { call: call.name(), status: status.as_u16(), what: what.to_owned() }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Loopback by its name or its number.
fn is_this_machine(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Name and secret are form-encoded first (RFC 6749 §2.3.1).
fn basic(application: &str, secret: &Secret) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(application), encoded(secret.expose()));
    sensitive(&format!("Basic {}", STANDARD.encode(pair)))
}

fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[expect(clippy::disallowed_methods, reason = "a client program, not Relais's way to its providers")]
fn http_client(settings: &ClientSettings, local: bool) -> Result<reqwest::Client, SettingsError> {
    // Already installed is as good as installed now.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("relais-client/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT);
    if local {
        // A workstation's proxy does not know the way back to the workstation.
        builder = builder.no_proxy();
    }
    if let Some(pem) = &settings.ca_pem {
        let roots = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|source| SettingsError::Certificate { what: "trusted root", source })?;
        if roots.is_empty() {
            return Err(SettingsError::NoRoots);
        }
        builder = builder.tls_certs_only(roots);
    }
    if let Credential::Certificate { cert_pem, key_pem } = &settings.credential {
        let mut pem = zeroize::Zeroizing::new(cert_pem.clone());
        pem.push(b'\n');
        pem.extend_from_slice(key_pem.expose().as_bytes());
        let identity = reqwest::Identity::from_pem(&pem)
            .map_err(|source| SettingsError::Certificate { what: "client certificate or its key", source })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(SettingsError::Http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_with_any_character_survives_the_basic_scheme() {
        let value = basic("demo", &Secret::new("a:b é%"));
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"demo:a%3Ab+%C3%A9%25");
        assert!(value.is_sensitive());
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        for (server, local) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:1", true),
            ("http://localhost.example.fr", false),
            ("http://192.0.2.1", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(server).unwrap()), local, "{server}");
        }
    }

    #[test]
    fn errors_name_the_route_and_no_identifier() {
        let call = Call::new(Method::DELETE, &["v1", "logins", "018f0000-0000-7000-8000-000000000000"]);
        assert_eq!(call.name(), "DELETE /v1/logins/{id}");
    }
}
