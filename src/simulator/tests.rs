//! The simulated provider over its routers, on a clock that the test drives. What needs a socket (TLS, cut
//! connections) is in [`server`].

mod backchannel;
mod control;
mod delivery;
mod endings;
mod faults;
mod id_tokens;
mod people;
mod personalities;
mod phone;
mod refresh;
mod server;
mod target;
mod token;
mod token_exchange;
mod userinfo;

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::personality::{Paths, Personality};
use super::{Front, Simulator, SimulatorSettings};
use crate::crypto::pki::DevCa;
use crate::crypto::random::SystemRandom;
use crate::domain::clock::{Clock, Monotonic};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::net::listener::{Peer, PeerCertificate};

pub const ISSUER: &str = "https://localhost:8083/auth/realms/esante-wallet";
pub const BASE: &str = "/auth/realms/esante-wallet/protocol/openid-connect";
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";
pub const DOCTOR: &str = "899700000001";
/// Where the manual clock begins.
pub const EPOCH: i64 = 1_795_312_800;

/// A clock that only [`ManualClock::advance`] moves.
pub struct ManualClock {
    began: Timestamp,
    elapsed: watch::Sender<Duration>,
}

impl ManualClock {
    pub fn at(began: Timestamp) -> Arc<Self> {
        Arc::new(Self { began, elapsed: watch::Sender::new(Duration::ZERO) })
    }

    pub fn advance(&self, length: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += length);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.began + *self.elapsed.borrow()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.elapsed.borrow())
    }

    fn sleep_until(&self, at: Monotonic) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut elapsed = self.elapsed.subscribe();
        Box::pin(async move {
            let _ = elapsed.wait_for(|elapsed| *elapsed >= at.0).await;
        })
    }
}

/// A client certificate of a CA that everybody trusts here.
pub fn certificate(common_name: &str) -> Arc<PeerCertificate> {
    static CA: OnceLock<DevCa> = OnceLock::new();
    let (from, to) = (Timestamp::from_secs(EPOCH - 86_400), Timestamp::from_secs(EPOCH + 86_400));
    let ca = CA.get_or_init(|| DevCa::generate("test CA", from, to).expect("CA"));
    let issued = ca.issue_client(common_name, from, to).expect("certificate");
    let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM").to_vec();
    Arc::new(PeerCertificate {
        thumbprint: super::jose::sha256(&der),
        der,
        chained: true,
        subject_dn: format!("CN={common_name}"),
        san_dns: Vec::new(),
    })
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("a text body")
    }

    /// Status, `error` and `error_description`.
    pub fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let member = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), member("error"), member("error_description"))
    }
}

/// A simulated provider with a client that has the right certificate.
pub struct Lab {
    pub simulator: Simulator,
    pub clock: Arc<ManualClock>,
    pub certificate: Option<Arc<PeerCertificate>>,
    pub provider: Router,
    pub control: Router,
}

impl Lab {
    pub fn new() -> Self {
        Self::of(Personality::Psc)
    }

    /// One with these manners.
    pub fn of(personality: Personality) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(EPOCH));
        let settings = SimulatorSettings {
            issuer: format!("https://localhost:8083{}", personality.issuer_path()),
            client_id: "relais-demo".to_owned(),
            client_name: "Relais Demo".to_owned(),
            client_secret: Secret::new("relais-demo-secret"),
            interval: Duration::from_secs(5),
            expires_in: Duration::from_secs(120),
            access_token_lifetime: Duration::from_secs(120),
            personality,
            notifications: None,
        };
        let simulator = Simulator::new(settings, clock.clone(), Arc::new(SystemRandom)).expect("simulator");
        Self {
            provider: simulator.provider_router(),
            control: simulator.control_router(Front::default()),
            certificate: Some(certificate("relais-demo")),
            simulator,
            clock,
        }
    }

    /// The path of an endpoint.
    fn path(&self, endpoint: fn(&Paths) -> &'static str) -> String {
        let inner = &self.simulator.inner;
        format!("{}{}", inner.path, endpoint(&inner.traits.paths))
    }

    pub fn advance(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
    }

    pub fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .extension(Peer { address, certificate: self.certificate.clone() });
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(body).expect("request")
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        answer(self.provider.clone(), request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, &[], Body::empty())).await
    }

    pub fn form(&self, path: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Request<Body> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.request(Method::POST, path, &headers, Body::from(body))
    }

    /// A backchannel request by certificate.
    pub async fn start_with(&self, pairs: &[(&str, &str)]) -> Answer {
        let pairs: Vec<_> = [("client_id", "relais-demo")].iter().chain(pairs).copied().collect();
        let path = self.path(|paths| paths.backchannel);
        self.send(self.form(&path, &[], &pairs)).await
    }

    /// An accepted request for somebody; its `auth_req_id`.
    pub async fn start(&self, login_hint: &str) -> String {
        let answer = self.start_with(&asked(login_hint)).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.error());
        answer.json()["auth_req_id"].as_str().expect("auth_req_id").to_owned()
    }

    /// A token request by certificate.
    pub async fn poll(&self, auth_req_id: &str) -> Answer {
        self.send(self.poll_request(auth_req_id)).await
    }

    pub fn poll_request(&self, auth_req_id: &str) -> Request<Body> {
        let pairs = [("grant_type", CIBA), ("client_id", "relais-demo"), ("auth_req_id", auth_req_id)];
        self.form(&self.path(|paths| paths.token), &[], &pairs)
    }

    /// The `error` of a token request, or `ok`.
    pub async fn poll_result(&self, auth_req_id: &str) -> String {
        let answer = self.poll(auth_req_id).await;
        if answer.status == StatusCode::OK { "ok".to_owned() } else { answer.error().1 }
    }

    /// Tokens for somebody, approved as `said`.
    pub async fn tokens(&self, login_hint: &str, said: Value) -> Value {
        let id = self.start(login_hint).await;
        self.approve(&id, said).await;
        let answer = self.poll(&id).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.error());
        answer.json()
    }

    pub async fn userinfo(&self, access_token: &str) -> Answer {
        let bearer = format!("Bearer {access_token}");
        let headers = [("authorization", bearer.as_str())];
        let path = self.path(|paths| paths.userinfo);
        self.send(self.request(Method::GET, &path, &headers, Body::empty())).await
    }

    pub async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        answer(self.control.clone(), self.request(method, path, &[], body)).await
    }

    pub async fn approve(&self, auth_req_id: &str, said: Value) {
        let answer = self.control(Method::POST, &format!("/_sim/requests/{auth_req_id}/approve"), said).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }

    pub async fn deny(&self, auth_req_id: &str) {
        let path = format!("/_sim/requests/{auth_req_id}/deny");
        assert_eq!(self.control(Method::POST, &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    }

    pub async fn fault(&self, order: Value) {
        let answer = self.control(Method::POST, "/_sim/faults", order).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        assert!(answer.json()["fault_id"].is_string());
    }

    pub async fn settings(&self, change: Value) -> Answer {
        self.control(Method::PUT, "/_sim/settings", change).await
    }

    pub async fn stats(&self) -> Value {
        self.control(Method::GET, "/_sim/stats", Value::Null).await.json()
    }

    pub async fn requests(&self) -> Vec<Value> {
        let list = self.control(Method::GET, "/_sim/requests", Value::Null).await.json();
        list.as_array().expect("a list").clone()
    }
}

/// A complete set of parameters.
pub fn asked(login_hint: &str) -> [(&str, &str); 5] {
    [
        ("scope", "openid scope_all"),
        ("acr_values", "eidas1"),
        ("login_hint", login_hint),
        ("binding_message", "42"),
        ("channel", "CARD"),
    ]
}

pub async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body that ends");
    Answer { status: parts.status, headers: parts.headers, body }
}

/// The claims of a compact JWT, unverified.
pub fn claims(token: &Value) -> Value {
    part(token, 1)
}

/// The header of a compact JWT.
pub fn jose_header(token: &Value) -> Value {
    part(token, 0)
}

fn part(token: &Value, index: usize) -> Value {
    let part = token.as_str().expect("a token").split('.').nth(index).expect("a part").to_owned();
    serde_json::from_slice(&super::jose::from_base64url(&part).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn the_metadata_is_psc_s_at_both_names() {
    let lab = Lab::new();
    let answer = lab.get("/auth/realms/esante-wallet/.well-known/wallet-openid-configuration").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["backchannel_token_delivery_modes_supported"], json!(["poll", "ping"]));
    assert_eq!(metadata["acr_values_supported"], json!(["0", "0"]));
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], json!(true));
    let other = lab.get("/auth/realms/esante-wallet/.well-known/openid-configuration").await;
    assert_eq!(other.json(), metadata);
}

#[tokio::test]
async fn every_endpoint_that_the_metadata_names_answers() {
    let lab = Lab::new();
    let metadata = lab.get("/auth/realms/esante-wallet/.well-known/openid-configuration").await.json();
    let mut urls = vec![&metadata["jwks_uri"]];
    for holder in [&metadata, &metadata["mtls_endpoint_aliases"]] {
        for name in [
            "token_endpoint",
            "userinfo_endpoint",
            "backchannel_authentication_endpoint",
            "introspection_endpoint",
            "revocation_endpoint",
        ] {
            urls.push(&holder[name]);
        }
    }
    urls.push(&metadata["end_session_endpoint"]);
    for url in urls {
        let path = url.as_str().expect("a URL").strip_prefix("https://localhost:8083").expect("our origin");
        assert_ne!(lab.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn an_issuer_that_no_client_could_use_is_refused() {
    for issuer in [
        "http://localhost/auth/realms/x",
        "https://localhost",
        "https://localhost/auth/",
        "https://localhost/a?b",
        "x",
    ] {
        assert!(super::issuer_path(issuer).is_err(), "{issuer}");
    }
}
