//! The simulated provider with a witness in between: every request that Relais sends, every answer that it gets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use relais::app::clock::SystemClock;
use relais::crypto::random::SystemRandom;
use relais::domain::secret::Secret;
use relais::net::listener::{Limits, serve};
use relais::net::tls::{CertificateFiles, ClientAuth, ServerTls, ServerTlsSettings};
use relais::simulator::personality::Personality;
use relais::simulator::{Front, Simulator, SimulatorSettings};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::needles::Needles;
use crate::support::http::Caller;

pub const CLIENT_SECRET: &str = "a-client-secret-that-nobody-may-see";

/// Members of forms and JSON documents that are secret or personal.
const TELLING: [&str; 19] = [
    "access_token",
    "refresh_token",
    "id_token",
    "id_token_hint",
    "token",
    "subject_token",
    "auth_req_id",
    "login_hint",
    "client_secret",
    "client_assertion",
    "request",
    "user_code",
    "client_notification_token",
    "family_name",
    "given_name",
    "SubjectNameID",
    "preferred_username",
    "sub",
    "session_state",
];

#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<(String, String)>>>);

impl Heard {
    fn hear(&self, name: &str, text: &str) {
        if !text.is_empty() {
            self.0.lock().expect("heard").push((name.to_owned(), text.to_owned()));
        }
    }

    fn hear_json(&self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if let (true, Some(text)) = (TELLING.contains(&name.as_str()), value.as_str()) {
                        self.hear(name, text);
                    }
                    self.hear_json(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.hear_json(item)),
            _ => {}
        }
    }

    /// How often something by that name was heard.
    pub fn count(&self, name: &str) -> usize {
        self.0.lock().expect("heard").iter().filter(|(heard, _)| heard == name).count()
    }

    /// Everything heard.
    pub fn tell(&self, needles: &mut Needles) {
        for (name, text) in &*self.0.lock().expect("heard") {
            match name.as_str() {
                "login_hint" | "SubjectNameID" | "preferred_username" => needles.add_person(text),
                _ => needles.add_token(name, text),
            }
        }
    }
}

/// A provider that runs as long as this lives.
pub struct Witness {
    pub issuer: String,
    pub phone: Caller,
    pub heard: Heard,
    pub simulator: Simulator,
    _stop: DropGuard,
}

impl Witness {
    pub async fn start(certs: &Path) -> Self {
        relais::net::install_provider();
        let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (provider, control) = (listen().await, listen().await);
        let port = |listener: &TcpListener| listener.local_addr().expect("bound");
        let issuer = format!("https://localhost:{}/auth/realms/esante-wallet", port(&provider).port());
        let settings = SimulatorSettings {
            issuer: issuer.clone(),
            client_id: "relais-demo".to_owned(),
            client_name: "Relais Demo".to_owned(),
            client_secret: Secret::new(CLIENT_SECRET),
            interval: Duration::from_secs(1),
            expires_in: Duration::from_secs(120),
            access_token_lifetime: Duration::from_secs(120),
            personality: Personality::Psc,
            notifications: None,
        };
        let clock = Arc::new(SystemClock::start());
        let simulator = Simulator::new(settings, clock.clone(), Arc::new(SystemRandom)).expect("a provider");
        let tls = ServerTlsSettings {
            certificates: vec![CertificateFiles {
                cert: certs.join("server.pem"),
                key: certs.join("server.key"),
            }],
            client_auth: ClientAuth::Required { ca: certs.join("ca.pem") },
            on_refused: Arc::new(|_| {}),
        };
        let now = relais::domain::clock::Clock::now(&*clock);
        let tls = ServerTls::new(tls, now).expect("certificates");
        let heard = Heard::default();
        let router = simulator.provider_router().layer(from_fn_with_state(heard.clone(), listen_in));
        let address: SocketAddr = port(&control);
        let stop = CancellationToken::new();
        let limits = Limits { drain_timeout: Duration::from_secs(1), ..Limits::default() };
        tokio::spawn(serve(provider, Some(tls), router, limits.clone(), stop.clone()));
        tokio::spawn(serve(control, None, simulator.control_router(Front::default()), limits, stop.clone()));
        let phone = Caller::new(format!("http://{address}"));
        Self { issuer, phone, heard, simulator, _stop: stop.drop_guard() }
    }
}

async fn listen_in(State(heard): State<Heard>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    for (name, value) in url::form_urlencoded::parse(&body) {
        if TELLING.contains(&&*name) {
            heard.hear(&name, &value);
        }
    }
    if let Some(value) = parts.headers.get("authorization").and_then(|value| value.to_str().ok()) {
        heard.hear("authorization", value.split_once(' ').map_or(value, |(_, rest)| rest));
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    if let Ok(value) = serde_json::from_slice(&body) {
        heard.hear_json(&value);
    }
    Response::from_parts(parts, Body::from(body))
}
