//! Routers, engine, store, provider and clock, put together for one test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use relais::crypto::random::SystemRandom;
use relais::crypto::ring::{KeyRing, RingKey};
use relais::domain::application::{
    Application, ApplicationCredential, ApplicationKind, BindingMessageBy, SessionPolicy,
};
use relais::domain::profile::{Profile, ProfileName};
use relais::domain::registration::{Delivery, Environment, Provider, Registration};
use relais::domain::secret::SecretBytes;
use relais::domain::time::Timestamp;
use relais::engine::directory::Directory;
use relais::engine::{Engine, Parts};
use relais::http::clients::{self, ClientsState};
use relais::http::ops::{self, OpsState};
use relais::http::providers::{self, ProvidersState};
use relais::net::listener::{Peer, PeerCertificate};
use relais::store::migrations::{Location, migrate};
use relais::store::sqlite::{OpenMode, SqliteStore};
use relais::target::Targets;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::provider::Scripted;
use crate::support::clock::ManualClock;

pub const PERSON: &str = "899700000001";

/// The application of most tests.
pub const LOGICIEL: &str = "logiciel:secret";

pub struct World {
    pub clients: Router,
    pub ops: Router,
    pub for_providers: Router,
    pub engine: Arc<Engine>,
    pub provider: Arc<Scripted>,
    pub clock: ManualClock,
    pub certificate_end: Arc<Mutex<Option<Timestamp>>>,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Status and problem code.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["request_id"], self.header("x-request-id"));
        (self.status.as_u16(), body["code"].as_str().expect("code").to_owned())
    }
}

/// A login that was started.
pub struct Started {
    pub id: String,
    pub token: String,
    pub answer: Answer,
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("name")
}

/// What is called here is in other tests.
fn no_targets() -> Targets {
    Targets::new(Vec::new(), Arc::new(|_, _| None)).expect("targets")
}

fn application(text: &str, credential: ApplicationCredential) -> Application {
    Application {
        name: name(text),
        kind: ApplicationKind::Backend,
        tenant: name("cabinet"),
        enabled: true,
        registrations: vec![name("lps")],
        acts_for: Vec::new(),
        credential,
        binding_message: BindingMessageBy::Server,
        reveal_unknown_person: true,
        session: SessionPolicy {
            idle: Duration::from_mins(30),
            absolute: Duration::from_hours(4),
            per_person: 10,
        },
        pick_up_window: Duration::from_mins(10),
        pick_up_repeat: Duration::from_mins(1),
    }
}

fn secret(text: &str) -> ApplicationCredential {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    ApplicationCredential::SecretSha256(hash)
}

fn directory(enabled: bool, profile: &'static Profile) -> Directory {
    let applications = vec![
        Application { acts_for: vec![name("certifie")], ..application("logiciel", secret("secret")) },
        Application { reveal_unknown_person: false, ..application("discret", secret("secret")) },
        Application { binding_message: BindingMessageBy::Client, ..application("bavard", secret("secret")) },
        application("certifie", ApplicationCredential::CertificateSha256(vec![[1; 32]])),
        Application { enabled: false, ..application("coupe", secret("secret")) },
    ];
    let registration = Registration {
        name: name("lps"),
        provider: name("psc"),
        client_id: "relais".to_owned(),
        enabled,
        delivery: Delivery::Poll,
        scope: vec!["openid".to_owned(), "scope_all".to_owned()],
        acr_values: vec!["eidas1".to_owned()],
        channels: vec!["MOBILE".to_owned(), "CARD".to_owned()],
        request_lifetime: Duration::from_secs(120),
        max_age: None,
        request_context: false,
    };
    let provider = Provider {
        name: name("psc"),
        profile,
        environment: Environment::Test,
        enabled: true,
        issuer: "https://provider.test".to_owned(),
        metadata_url: "https://provider.test/metadata".parse().expect("URL"),
    };
    Directory::new(applications, vec![registration], vec![provider])
}

impl World {
    pub async fn new() -> Self {
        Self::with(ProfileName::Psc.profile()).await
    }

    /// With a provider of this profile.
    pub async fn with(profile: &'static Profile) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("relais.db");
        migrate(&Location::Sqlite(path.clone())).await.expect("schema");
        let key = |id: &str, byte| RingKey { id: id.to_owned(), bytes: SecretBytes::new(vec![byte; 32]) };
        let keys = vec![key("2026-11", 1), key("persons", 2)];
        let ring = Arc::new(KeyRing::new("2026-11", "persons", keys).expect("ring"));
        let random = Arc::new(SystemRandom);
        let store =
            SqliteStore::open(&path, ring.clone(), random.clone(), OpenMode::Serve).await.expect("store");
        let clock = ManualClock::at_present();
        let provider = Arc::new(Scripted::default());
        let engine = Engine::new(Parts {
            store: store.store(),
            providers: provider.clone(),
            targets: Arc::new(no_targets()),
            wake: store.wake(),
            clock: Arc::new(clock.clone()),
            random,
            ring,
            directory: directory(true, profile),
        });
        engine.run().await.expect("run");
        let public_url = "https://relais.test:8443".parse().expect("URL");
        let clients = clients::router(ClientsState {
            engine: engine.clone(),
            public_url,
            audience: "https://relais.test:8443".into(),
            max_requests: 64,
        });
        let certificate_end = Arc::new(Mutex::new(None));
        let ends = certificate_end.clone();
        let ops = ops::router(OpsState {
            engine: engine.clone(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            certificates: Arc::new(move |_| *ends.lock().expect("lock")),
        });
        let for_providers = providers::router(ProvidersState {
            engine: engine.clone(),
            jwks: Arc::new(|name| (name.as_str() == "lps").then(|| json!({ "keys": [{ "kid": "one" }] }))),
        });
        Self { clients, ops, for_providers, engine, provider, clock, certificate_end, _folder: folder }
    }

    /// Switches the only registration off.
    pub fn disable_registration(&self) {
        self.engine.reconfigure(|_| directory(false, ProfileName::Psc.profile()));
    }

    /// Sends a request as it is.
    pub async fn send(&self, router: &Router, request: Request<Body>) -> Answer {
        let answer = router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Sends a call of the client API: `body` as JSON where there is one.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(&self.clients, request(method, path, headers, body)).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, &[("authorization", &bearer(token))], "").await
    }

    pub async fn start_with(&self, application: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let basic = basic(application);
        let mut all = vec![("authorization", basic.as_str())];
        all.extend_from_slice(headers);
        self.call(Method::POST, "/v1/logins", &all, body).await
    }

    /// Starts a login for [`PERSON`].
    pub async fn start(&self, application: &str) -> Started {
        let body = format!("{{\"login_hint\":\"{PERSON}\"}}");
        let answer = self.start_with(application, &[], &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let object = answer.json();
        let text = |name: &str| object[name].as_str().expect(name).to_owned();
        Started { id: text("login_id"), token: text("login_token"), answer }
    }

    /// Moves time on, step by step, until the login is shown with `status`.
    pub async fn until(&self, login: &Started, status: &str) {
        let path = format!("/v1/logins/{}", login.id);
        for step in 0.. {
            assert!(step < 400, "the login was never {status}");
            if self.get(&path, &login.token).await.json()["status"] == status {
                return;
            }
            self.clock.advance_slowly(Duration::from_millis(250), Duration::from_millis(250)).await;
        }
    }

    /// Waits until what is due has happened. Time moves only where that takes unusually long: a lease that has lapsed,
    /// because time was moved far or this machine was slow, is renewed a little later.
    #[expect(clippy::disallowed_methods, reason = "what is due needs real time to happen")]
    pub async fn happens(&self, what: &str, condition: impl Fn() -> bool) {
        for look in 1..=2000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            if look % 50 == 0 {
                self.clock.advance(Duration::from_millis(250));
            }
        }
        assert!(condition(), "never happened: {what}");
    }

    pub async fn pick_up(&self, login: &Started, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = bearer(&login.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.call(Method::POST, &format!("/v1/logins/{}/session", login.id), &all, body).await
    }

    /// A session handle, the whole way.
    pub async fn session(&self) -> (Started, String) {
        let login = self.start(LOGICIEL).await;
        self.provider.approve();
        self.until(&login, "approved").await;
        let answer = self.pick_up(&login, &[], "").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let handle = answer.json()["session_handle"].as_str().expect("handle").to_owned();
        (login, handle)
    }
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(body.to_owned())).expect("request")
}

/// The same over a connection whose client certificate has a thumbprint of this byte.
pub fn with_certificate(mut request: Request<Body>, thumbprint: u8) -> Request<Body> {
    let certificate = PeerCertificate {
        der: Vec::new(),
        thumbprint: [thumbprint; 32],
        chained: false,
        subject_dn: "CN=certifie".to_owned(),
        san_dns: Vec::new(),
    };
    let address = ([127, 0, 0, 1], 40_000).into();
    request.extensions_mut().insert(Peer { address, certificate: Some(Arc::new(certificate)) });
    request
}

pub fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
