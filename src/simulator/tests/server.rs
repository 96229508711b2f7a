//! The simulated provider on real sockets: certificates in the handshake, and connections that are cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CIBA, DOCTOR, ManualClock, asked};
use crate::crypto::pki::{DevCa, Issued};
use crate::crypto::random::SystemRandom;
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::time::Timestamp;
use crate::net::outbound::{
    AddressPolicy, Identity, Outbound, OutboundError, OutboundRequest, OutboundResponse, OutboundSettings,
    TAKES_WITHIN, UnknownCause,
};
use crate::simulator::Front;
use crate::simulator::personality::Personality;
use crate::simulator::server::{Server, ServerError, ServerSettings};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    Timestamp::from_secs(i64::try_from(UnixTime::now().as_secs()).expect("not so late"))
}

fn authority() -> DevCa {
    DevCa::generate("test CA", now() - HOUR, now() + HOUR).expect("CA")
}

fn client_of(ca: &DevCa) -> Issued {
    ca.issue_client("relais-demo", now() - HOUR, now() + HOUR).expect("client certificate")
}

/// A running provider with its authority.
struct Running {
    ca: DevCa,
    issuer: String,
    control: String,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn settings(ca: &DevCa, folder: &std::path::Path, bind: SocketAddr) -> ServerSettings {
    let server = ca.issue_server(&["localhost"], now() - HOUR, now() + HOUR).expect("server certificate");
    let write = |name: &str, text: &str| {
        use std::io::Write as _;
        let path = folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).expect("file");
        file.write_all(text.as_bytes()).expect("written");
    };
    write("ca.pem", &ca.certificate());
    write("server.pem", &server.certificate);
    write("server.key", server.key.expose());
    ServerSettings {
        bind,
        control: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        certs: folder.to_owned(),
        client_id: "relais-demo".to_owned(),
        client_name: "Relais Demo".to_owned(),
        client_secret: Secret::new("relais-demo-secret"),
        interval: Duration::from_secs(5),
        expires_in: Duration::from_secs(120),
        personality: Personality::Psc,
        front: Front::default(),
    }
}

impl Running {
    fn start() -> Self {
        crate::net::install_provider();
        let ca = authority();
        let folder = tempfile::tempdir().expect("folder");
        let settings = settings(&ca, folder.path(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = Server::bind(settings, ManualClock::at(now()), Arc::new(SystemRandom)).expect("server");
        let (issuer, control) = (server.issuer().to_owned(), server.control_url());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.run(shutdown.clone()));
        Self { ca, issuer, control, shutdown, task, _folder: folder }
    }

    fn client(&self, identity: Option<&Issued>) -> Outbound {
        Outbound::new(OutboundSettings {
            roots: Some(self.ca.certificate().into_bytes()),
            identity: identity.map(|issued| {
                let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).expect("PEM");
                Identity { chain: vec![chain], key: SecretBytes::new(key.secret_der().to_vec()) }
            }),
            address_policy: AddressPolicy::AllowPrivate,
            https_only: false,
            takes_within: TAKES_WITHIN,
        })
        .expect("client")
    }

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string().into_bytes());
        let request = request(method, &format!("{}{path}", self.control), HeaderMap::new(), body);
        let answer = self.client(None).send(request).await.expect("an answer");
        assert!(answer.status.is_success(), "{}", answer.status);
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn metadata(&self, client: &Outbound) -> Result<OutboundResponse, OutboundError> {
        let url = format!("{}/.well-known/wallet-openid-configuration", self.issuer);
        client.send(request(Method::GET, &url, HeaderMap::new(), None)).await
    }

    async fn form(&self, client: &Outbound, url: &Value, pairs: &[(&str, &str)]) -> Value {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(pairs).append_pair("client_id", "relais-demo").finish();
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let url = url.as_str().expect("a URL");
        let request = request(Method::POST, url, headers, Some(body.into_bytes()));
        serde_json::from_slice(&client.send(request).await.expect("an answer").body).expect("JSON")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("a clean end");
    }
}

fn request(method: Method, url: &str, headers: HeaderMap, body: Option<Vec<u8>>) -> OutboundRequest {
    OutboundRequest {
        method,
        url: url.parse().expect("a URL"),
        headers,
        body,
        timeout: Duration::from_secs(5),
        max_body: 64 * 1024,
    }
}

async fn userinfo(client: &Outbound, url: &Value, token: &Value) -> u16 {
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    headers.insert(http::header::AUTHORIZATION, bearer.parse().expect("a header"));
    let request = request(Method::GET, url.as_str().expect("a URL"), headers, None);
    client.send(request).await.expect("an answer").status.as_u16()
}

#[tokio::test]
async fn a_login_over_tls_is_bound_to_the_certificate_of_the_connection() {
    let running = Running::start();
    let client = running.client(Some(&client_of(&running.ca)));
    let answer = running.metadata(&client).await.expect("an answer");
    let metadata: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(metadata["issuer"], running.issuer);
    let asked = asked(DOCTOR);
    let started = running.form(&client, &metadata["backchannel_authentication_endpoint"], &asked).await;
    let id = started["auth_req_id"].as_str().expect("an id");
    running.control(Method::POST, &format!("/_sim/requests/{id}/approve"), None).await;
    let poll = [("grant_type", CIBA), ("auth_req_id", id)];
    let tokens = running.form(&client, &metadata["token_endpoint"], &poll).await;
    let url = &metadata["userinfo_endpoint"];
    assert_eq!(userinfo(&client, url, &tokens["access_token"]).await, 200);
    let renewed = running.client(Some(&client_of(&running.ca)));
    assert_eq!(userinfo(&renewed, url, &tokens["access_token"]).await, 401);
    running.stop().await;
}

#[tokio::test]
async fn no_certificate_and_a_foreign_one_are_refused_in_the_handshake_and_counted() {
    let running = Running::start();
    assert!(running.metadata(&running.client(None)).await.is_err());
    let foreign = client_of(&authority());
    assert!(running.metadata(&running.client(Some(&foreign))).await.is_err());
    let stats = running.control(Method::GET, "/_sim/stats", None).await;
    assert_eq!(stats["handshakes_refused"], json!({ "certificate_missing": 1, "certificate_untrusted": 1 }));
    assert_eq!(stats["calls"], json!({}));
    running.stop().await;
}

#[tokio::test]
async fn reset_and_truncated_answers_are_cut_on_the_wire_and_the_next_one_is_whole() {
    let running = Running::start();
    let client = running.client(Some(&client_of(&running.ca)));
    for action in ["reset", "truncate"] {
        let order = json!({ "endpoint": "metadata", "action": action });
        running.control(Method::POST, "/_sim/faults", Some(order)).await;
        let outcome = running.metadata(&client).await;
        let cut = OutboundError::OutcomeUnknown { cause: UnknownCause::Cut };
        assert_eq!(outcome.err(), Some(cut), "{action}");
        assert!(running.metadata(&client).await.is_ok_and(|answer| answer.status == 200));
    }
    let order = json!({ "endpoint": "metadata", "action": "stream" });
    running.control(Method::POST, "/_sim/faults", Some(order)).await;
    assert!(running.metadata(&client).await.is_err(), "the client's limit ends it");
    running.stop().await;
}

#[tokio::test]
async fn a_hanging_answer_does_not_keep_the_provider_from_ending() {
    let running = Running::start();
    let client = running.client(Some(&client_of(&running.ca)));
    let order = json!({ "endpoint": "metadata", "action": "hang" });
    running.control(Method::POST, "/_sim/faults", Some(order)).await;
    let url = format!("{}/.well-known/openid-configuration", running.issuer);
    let hanging = tokio::spawn(async move {
        client.send(request(Method::GET, &url, HeaderMap::new(), None)).await.is_err()
    });
    while running.control(Method::GET, "/_sim/stats", None).await["calls"] == json!({}) {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    assert!(hanging.await.expect("an outcome"), "the connection was cut");
}

#[tokio::test]
async fn a_page_that_waits_for_something_new_is_let_go_at_the_end() {
    let running = Running::start();
    let client = running.client(None);
    let page = async |more: &str| {
        let url = format!("{}/?lang=en{more}", running.control);
        client.send(request(Method::GET, &url, HeaderMap::new(), None)).await.expect("an answer")
    };
    let html = String::from_utf8(page("").await.body).expect("text");
    let seen = html.split_once("data-revision=\"").and_then(|(_, rest)| rest.split_once('"')).expect("one").0;
    let more = format!("&seen={seen}");
    let mut parked = Box::pin(page(&more));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut parked).await;
    assert!(early.is_err(), "it waits");
    running.shutdown.cancel();
    assert_eq!(parked.await.status, 503);
    running.task.await.expect("a clean end");
}

#[tokio::test]
async fn a_second_address_is_answered_too() {
    crate::net::install_provider();
    let folder = tempfile::tempdir().expect("folder");
    let ca = authority();
    let mut settings = settings(&ca, folder.path(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    // A port that was free a moment ago.
    let free = tokio::net::TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), 0)).await.expect("a port");
    let second = free.local_addr().expect("an address");
    drop(free);
    settings.front.also_on = Some(second);
    let server = Server::bind(settings, ManualClock::at(now()), Arc::new(SystemRandom)).expect("server");
    let first = server.control_url();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.run(shutdown.clone()));
    let client = Outbound::new(OutboundSettings {
        roots: None,
        identity: None,
        address_policy: AddressPolicy::AllowPrivate,
        https_only: false,
        takes_within: TAKES_WITHIN,
    })
    .expect("client");
    for base in [first, format!("http://{second}")] {
        let url = format!("{base}/_sim/requests");
        let answer =
            client.send(request(Method::GET, &url, HeaderMap::new(), None)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{url}");
    }
    shutdown.cancel();
    task.await.expect("a clean end");
}

#[tokio::test]
async fn a_taken_port_is_told() {
    crate::net::install_provider();
    let taken = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(&authority(), folder.path(), address);
    let outcome = Server::bind(settings, ManualClock::at(now()), Arc::new(SystemRandom));
    assert!(matches!(outcome, Err(ServerError::Bind { address: told, .. }) if told == address));
}
