//! `GET /v1/session` over PostgreSQL against a bare axum handler with one indexed read of a session's row: the same
//! database, as many connections to it, the same clients, turn by turn in one process.
//!
//! The bare handler has no log, no metrics, no limits, no TLS and no seals, and does not ask whether a connection of
//! its pool still lives: it is what the framework and the driver can do, not what one would run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as Segment, State};
use axum::routing::get;
use axum::{Json, Router};
use relais::app::clock::SystemClock;
use relais::app::{App, StartOptions};
use relais::client::{Client, ClientSettings, Credential, PickUp, StartLogin};
use relais::crypto::key_file;
use relais::crypto::pki::DevPki;
use relais::crypto::random::SystemRandom;
use relais::domain::clock::Clock;
use relais::domain::random::uuid_v4;
use relais::domain::secret::Secret;
use relais::domain::texts::Language;
use relais::simulator::personality::Personality;
use relais::simulator::server::{Server, ServerSettings};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::tell;

/// Names an empty database.
const VARIABLE: &str = "RELAIS_BENCH_POSTGRES_URL";

/// As many as Relais has.
const POOL: u32 = 16;

const CLIENTS: usize = 16;
const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(3);

pub async fn run() {
    let database = std::env::var(VARIABLE)
        .expect("RELAIS_BENCH_POSTGRES_URL is not set: run `scripts/bench`, which starts a PostgreSQL");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let folder = tempfile::tempdir().expect("a folder");
    let stop = CancellationToken::new();
    let server = simulator(folder.path(), &clock);
    let issuer = server.issuer().to_owned();
    server.simulator().approve_by_itself(Duration::ZERO);
    tokio::spawn(server.run(stop.clone()));
    let app = app(folder.path(), &database, &issuer, &clock).await;
    let sessions = sign_in(app.clients(), &clock).await;
    let bare = bare(&database).await;

    let relais_calls: Vec<_> =
        sessions.iter().map(|(_, handle)| request("/v1/session", Some(handle.expose()))).collect();
    let bare_calls: Vec<_> =
        sessions.iter().map(|(session_id, _)| request(&format!("/sessions/{session_id}"), None)).collect();
    let (mut of_relais, mut of_bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let relais = per_second(app.clients(), &relais_calls, &clock).await;
        let bare = per_second(bare, &bare_calls, &clock).await;
        ratios.push(relais / bare * 100.0);
        of_relais.push(relais);
        of_bare.push(bare);
    }
    tell("GET /v1/session over PostgreSQL", median(of_relais), "/s");
    tell("bare handler with one indexed read", median(of_bare), "/s");
    tell("GET /v1/session in percent of the bare handler", median(ratios), "%");
    app.drain().await;
    stop.cancel();
}

fn simulator(folder: &Path, clock: &Arc<dyn Clock>) -> Server {
    std::fs::create_dir(folder.join("keys")).expect("a folder");
    for name in ["now", "persons"] {
        let key = key_file::generate(&SystemRandom);
        key_file::write_new(&folder.join("keys").join(name), &key).expect("a key");
    }
    let certs = folder.join("certs");
    DevPki::generate("relais-demo", clock.now()).expect("a PKI").write(&certs).expect("certificates");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = ServerSettings {
        bind: anywhere,
        control: anywhere,
        certs,
        client_name: "Relais Demo".to_owned(),
        client_id: "relais-demo".to_owned(),
        client_secret: Secret::new("relais-demo-secret"),
        interval: Duration::from_secs(1),
        expires_in: Duration::from_secs(120),
        personality: Personality::Psc,
        front: relais::simulator::Front::default(),
    };
    Server::bind(settings, clock.clone(), Arc::new(SystemRandom)).expect("a simulated provider")
}

async fn app(folder: &Path, database: &str, issuer: &str, clock: &Arc<dyn Clock>) -> App {
    let file = folder.join("relais.toml");
    let text = format!(
        r#"
mode = "development"
[store]
url = "{database}"
[keys]
active = "now"
pseudonym = "persons"
[keys.ring.now]
file = "keys/now"
[keys.ring.persons]
file = "keys/persons"
[listeners.clients]
bind = "127.0.0.1:0"
public_url = "http://127.0.0.1:0"
[listeners.ops]
bind = "127.0.0.1:0"
[providers.psc-sim]
profile = "psc"
environment = "test"
issuer = "{issuer}"
metadata_url = "{issuer}/.well-known/wallet-openid-configuration"
ca = "certs/ca.pem"
[registrations.psc]
provider = "psc-sim"
client_id = "relais-demo"
auth = "tls_client_auth"
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
scope = "openid scope_all"
acr_values = ["eidas1"]
id_token_algs = ["RS256"]
channels = ["MOBILE"]
[applications.bench]
kind = "backend"
tenant = "bench"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "bench"
"#
    );
    std::fs::write(&file, text).expect("written");
    let config = relais::config::load(Some(&file), std::iter::empty(), &[], clock.now());
    let config = config.unwrap_or_else(|problems| panic!("the configuration is refused: {problems}"));
    let options = StartOptions { migrate: true };
    Box::pin(App::start(config, options, clock.clone(), Arc::new(SystemRandom))).await.expect("a server")
}

/// A session for each client: its id and its handle.
async fn sign_in(server: SocketAddr, clock: &Arc<dyn Clock>) -> Vec<(Uuid, Secret)> {
    let settings = ClientSettings {
        server: format!("http://{server}").parse().expect("a URL"),
        application: "bench".to_owned(),
        credential: Credential::Secret(Secret::new("bench")),
        ca_pem: None,
        language: Language::English,
    };
    let client = Client::new(settings, clock.clone()).expect("a client");
    let mut sessions = Vec::new();
    for number in 0..CLIENTS {
        let start = StartLogin::new(Secret::new(format!("8997000020{number:02}")));
        let started = client.start(&start, uuid_v4(&SystemRandom)).await.expect("started");
        let wait = Some(Duration::from_secs(30));
        let picked_up = client.pick_up(started.login.login_id, &started.login_token, wait, None).await;
        let PickUp::Done(picked_up) = picked_up.expect("an answer") else { panic!("nobody approved") };
        sessions.push((picked_up.session.session_id.0, picked_up.session_handle.0));
    }
    sessions
}

async fn bare(database: &str) -> SocketAddr {
    let pool = PgPoolOptions::new()
        .max_connections(POOL)
        .test_before_acquire(false)
        .connect(database)
        .await
        .expect("the database answers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().route("/sessions/{session_id}", get(read)).with_state(pool);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn read(State(pool): State<PgPool>, Segment(session_id): Segment<Uuid>) -> Json<Value> {
    let sql = "SELECT application, registration, support_code, created_at, expires_at, status
               FROM sessions WHERE session_id = $1";
    let row = sqlx::query(sql).bind(session_id).fetch_one(&pool).await.expect("a session");
    Json(json!({
        "session_id": session_id,
        "application": row.get::<String, _>(0),
        "registration": row.get::<String, _>(1),
        "support_code": row.get::<String, _>(2),
        "created_at": row.get::<i64, _>(3),
        "expires_at": row.get::<i64, _>(4),
        "status": row.get::<String, _>(5),
    }))
}

fn request(path: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{token}\r\n")
}

/// How many of these calls are answered a second, each by a client that asks again and again on one connection.
async fn per_second(server: SocketAddr, calls: &[String], clock: &Arc<dyn Clock>) -> f64 {
    let began = clock.monotonic();
    let clients: Vec<_> = calls
        .iter()
        .map(|call| tokio::spawn(ask_again_and_again(server, call.clone(), clock.clone())))
        .collect();
    let mut answers = 0;
    for client in clients {
        answers += client.await.expect("every call is answered");
    }
    f64::from(answers) / clock.monotonic().since(began).as_secs_f64()
}

async fn ask_again_and_again(server: SocketAddr, call: String, clock: Arc<dyn Clock>) -> u32 {
    let mut stream = TcpStream::connect(server).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let until = clock.monotonic() + TURN;
    let (mut answers, mut bytes) = (0, Vec::with_capacity(16_384));
    while clock.monotonic() < until {
        stream.write_all(call.as_bytes()).await.expect("sent");
        bytes.clear();
        while !is_whole(&bytes) {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("read"), 0, "the connection was closed");
        }
        answers += 1;
    }
    answers
}

/// Whether these bytes are one answer with success, to its end.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    bytes.len() == end + 4 + length.parse::<usize>().expect("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
