//! The canary test (R-L-01): after everything that can happen to a login has happened, with logs at their loudest, no
//! secret and nothing personal stands in the logs, in metrics, in problems, in the database, or in anybody's answer
//! but the holder's.
//!
//! Relais runs as a process of its own, so that all that it writes is seen; the provider has a witness in between,
//! so that the tokens are known.

mod endings;
mod exchanged;
mod faults;
mod misplaced;
mod needles;
mod refreshed;
mod signed;
mod told;
mod wiped;
mod witness;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use relais::app::clock::SystemClock;
use relais::crypto::key_file;
use relais::crypto::pki::DevPki;
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::{self, SigningAlg};
use relais::domain::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::jwt::Key;
use crate::support::postgres;
use crate::support::process::{Served, free_port};
use crate::support::stack::Backend;
use needles::Needles;
use witness::{CLIENT_SECRET, Witness};

const APPLICATION_SECRET: &str = "an-application-secret-that-nobody-may-see";
const REFERENCE: &str = "reference-of-the-first-login";
const KEY: &str = "7d1f0c9e-3b5a-4c8d-9e2f-1a2b3c4d5e6f";

/// A server in a process, a witnessed provider, and what must not be found.
pub struct World {
    served: Served,
    witness: Witness,
    config: String,
    needles: Mutex<Needles>,
    problems: Mutex<Vec<String>>,
    people: Mutex<u32>,
    /// Signs as the application `signer`.
    signer: Key,
    /// Signs as Relais, at the provider.
    own: Key,
    _folder: tempfile::TempDir,
}

impl World {
    async fn on(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemClock::start().now();
        DevPki::generate("relais-demo", now)
            .expect("a PKI")
            .write(&folder.path().join("certs"))
            .expect("written");
        let mut needles = Needles::default();
        std::fs::create_dir_all(folder.path().join("keys")).expect("a folder");
        for name in ["one", "persons"] {
            let file = folder.path().join("keys").join(name);
            key_file::write_new(&file, &key_file::generate(&SystemRandom)).expect("a key");
            needles.add("key of the ring", std::fs::read_to_string(file).expect("a key").trim());
        }
        let private = std::fs::read_to_string(folder.path().join("certs/client.key")).expect("a key");
        for line in private.lines().filter(|line| !line.starts_with('-')) {
            needles.add("private key", line);
        }
        let [signer, own] = ["signer.pem", "own.pem"].map(|name| {
            let pem = signing_key::generate(SigningAlg::Es256).expect("a key");
            for line in pem.expose().lines().filter(|line| !line.starts_with('-')) {
                needles.add("signing key", line);
            }
            key_file::write_new(&folder.path().join("keys").join(name), &pem).expect("a key");
            Key::from_pem(pem.expose(), SigningAlg::Es256)
        });
        let set = json!({ "keys": [signer.jwk()] });
        let file = folder.path().join("signer.json");
        std::fs::write(&file, set.to_string()).expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("set");
        needles.add("application secret", APPLICATION_SECRET);
        needles.add("client secret", CLIENT_SECRET);
        let witness = Witness::start(&folder.path().join("certs")).await;
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("relais.db").display()),
            Backend::Postgres => postgres::empty_database().await.expose().to_owned(),
        };
        let config = config(&url, &witness.issuer);
        std::fs::write(folder.path().join("relais.toml"), &config).expect("written");
        let served = serve(folder.path()).await;
        Self {
            served,
            witness,
            config,
            needles: Mutex::new(needles),
            problems: Mutex::default(),
            people: Mutex::default(),
            signer,
            own,
            _folder: folder,
        }
    }

    fn desk(&self) -> Caller {
        self.served.relais.basic("desk", APPLICATION_SECRET)
    }

    /// A person of whom no login is under way.
    fn somebody(&self) -> String {
        let mut people = self.people.lock().expect("people");
        *people += 1;
        let hint = format!("8997{:08}", 31_415_000 + *people);
        self.needles.lock().expect("needles").add_person(&hint);
        hint
    }

    fn secret(&self, what: &str, text: &str) {
        self.needles.lock().expect("needles").add_token(what, text);
    }

    /// Keeps an answer: the tokens that it gives are secrets, and a problem must hold none.
    fn keep(&self, answer: Answer) -> Answer {
        if answer.status.as_u16() >= 400 {
            self.problems.lock().expect("problems").push(format!("{:?}{}", answer.headers, answer.body));
        } else if let Ok(body) = serde_json::from_str::<Value>(&answer.body) {
            for name in ["login_token", "session_handle"] {
                if let Some(token) = body[name].as_str() {
                    self.secret(name, token);
                }
            }
        }
        answer
    }

    async fn start(&self, body: Value) -> Answer {
        self.keep(self.desk().post("/v1/logins", body).await)
    }

    fn holder(&self, started: &Answer) -> (Caller, String) {
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        (self.served.relais.bearer(&started.text("/login_token")), path)
    }

    /// Decides the request for `hint`.
    async fn decide(&self, hint: &str, decision: &str, body: Value) {
        let requests = self.witness.phone.get("/_sim/requests").await.expect(200).json();
        let request = requests.as_array().expect("a list").iter().rev().find(|it| it["login_hint"] == hint);
        let id = request.expect("a request")["auth_req_id"].as_str().expect("an id").to_owned();
        self.witness.phone.post(&format!("/_sim/requests/{id}/{decision}"), body).await.expect(204);
    }

    /// Waits until the login is over or approved; its pick-up's answer.
    async fn pick_up(&self, started: &Answer, body: Value) -> Answer {
        let (holder, path) = self.holder(started);
        self.keep(holder.header("prefer", "wait=30").post(&format!("{path}/session"), body).await)
    }

    async fn approved(&self, hint: &str, more: Value) -> Answer {
        let mut body = json!({ "login_hint": hint });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let started = self.start(body).await.expect(201);
        let hint: String = hint.chars().filter(char::is_ascii_digit).collect();
        self.decide(&hint, "approve", Value::Null).await;
        started
    }
}

/// Another process may take the port in between.
async fn serve(folder: &Path) -> Served {
    let served = Served::start(folder, "trace");
    served.ops.get("/health/ready").await.expect(200);
    served
}

fn config(url: &str, issuer: &str) -> String {
    let (port, told) = (free_port(), free_port());
    format!(
        r#"
mode = "development"
[store]
url = "{url}"
[keys]
active = "one"
pseudonym = "persons"
[keys.ring.one]
file = "keys/one"
[keys.ring.persons]
file = "keys/persons"
[listeners.clients]
bind = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[listeners.providers]
bind = "127.0.0.1:{told}"
public_url = "http://127.0.0.1:{told}"
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
auth = "client_secret_basic"
client_secret = "{CLIENT_SECRET}"
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
scope = "openid scope_all"
acr_values = ["eidas1"]
id_token_algs = ["RS256"]
channels = ["MOBILE", "CARD"]
[registrations.posted]
provider = "psc-sim"
client_id = "relais-demo"
auth = "client_secret_post"
client_secret = "{CLIENT_SECRET}"
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
[registrations.signed]
provider = "psc-sim"
client_id = "relais-demo"
auth = "private_key_jwt"
signing_key = "keys/own.pem"
signing_alg = "ES256"
signed_requests = true
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
[registrations.told]
provider = "psc-sim"
client_id = "relais-demo"
auth = "client_secret_basic"
client_secret = "{CLIENT_SECRET}"
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
delivery = "ping"
scope = "openid scope_all"
acr_values = ["eidas1"]
[applications.desk]
kind = "backend"
tenant = "practice"
registrations = ["psc", "told"]
auth = "client_secret_basic"
secret = "{APPLICATION_SECRET}"
[applications.hub]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
acts_for = ["desk"]
auth = "client_secret_basic"
secret = "{APPLICATION_SECRET}"
[applications.stranger]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "{APPLICATION_SECRET}"
[applications.signer]
kind = "backend"
tenant = "practice"
registrations = ["posted", "signed"]
auth = "private_key_jwt"
jwks_file = "signer.json"
[targets.api]
url = "{issuer}/../../../target/"
environment = "test"
ca = "certs/ca.pem"
registrations = ["psc"]
applications = ["desk"]
methods = ["GET"]
paths = ["/**"]
[targets.api.exchange]
token_endpoint = "{issuer}/as/token"
audience = "api"
cnf = "rfc8705"
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn r_l_01_no_secret_and_nobody_s_identity_is_written_anywhere_on_sqlite() {
    everything_on(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r_l_01_no_secret_and_nobody_s_identity_is_written_anywhere_on_postgresql() {
    everything_on(Backend::Postgres).await;
}

async fn everything_on(backend: Backend) {
    let world = World::on(backend).await;
    everything_that_goes_well(&world).await;
    signed::all(&world).await;
    every_other_end(&world).await;
    faults::all(&world).await;
    misplaced::all(&world).await;
    told::all(&world).await;
    refreshed::all(&world).await;
    exchanged::all(&world).await;
    // Last: what its provider does not hear stays to be told.
    endings::all(&world).await;
    nothing_leaks(world).await;
}

async fn everything_that_goes_well(world: &World) {
    // A named person, typed with spaces; the answer to the pick-up is lost once.
    world.needles.lock().expect("needles").add_person("899700000001");
    world.needles.lock().expect("needles").add_uuid("idempotency key", KEY);
    let keyed = world.desk().header("idempotency-key", KEY);
    let body = json!({ "login_hint": " 8997 0000.0001", "reference": REFERENCE,
        "client_context": { "software": { "name": "Logiciel", "version": "1.0" }, "workstation": "PC-1" } });
    let started = world.keep(keyed.post("/v1/logins", body.clone()).await).expect(201);
    world.keep(keyed.post("/v1/logins", body.clone()).await).expect(200);
    world.keep(keyed.post("/v1/logins", json!({ "login_hint": "899700000001" })).await).expect(422);
    world.start(json!({ "login_hint": "899700000001" })).await.expect(409);
    let (holder, path) = world.holder(&started);
    world.keep(holder.get(&path).await).expect(200);
    let mut events = holder.open(&format!("{path}/events")).await;
    events.chunk().await.expect("a first event");
    world.decide("899700000001", "approve", Value::Null).await;
    let lost = world.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
    let session = world.pick_up(&started, Value::Null).await.expect(201);
    let (handle, exercice) = (session.text("/session_handle"), session.text("/subject/exercices/0/id"));
    let (dead, live) = (world.served.relais.bearer(&lost), world.served.relais.bearer(&handle));
    world.keep(dead.get("/v1/session").await).expect(401);
    world.keep(live.get("/v1/session").await).expect(200);
    world.keep(live.get("/v1/session/userinfo").await).expect(200);
    back_ends(world, &handle).await;
    world.keep(live.put("/v1/session/exercice", json!({ "id": exercice })).await).expect(200);
    let mut events = live.open("/v1/session/events").await;
    events.chunk().await.expect("a first event");
    world.pick_up(&started, Value::Null).await.expect(409);
    world.keep(live.delete("/v1/session").await).expect(204);
    world.keep(live.get("/v1/session").await).expect(401);
    // One session stays as it is: what it holds is in the database.
    let started = world.approved(&world.somebody(), json!({})).await;
    let session = world.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
    world.keep(world.served.relais.bearer(&session).get("/v1/session/userinfo").await).expect(200);
}

/// A back end that acts for the desk, and one that does not, are shown a handle.
async fn back_ends(world: &World, handle: &str) {
    let relais = &world.served.relais;
    let hub = relais.basic("hub", APPLICATION_SECRET);
    let stranger = relais.basic("stranger", APPLICATION_SECRET);
    for touch in ["true", "false"] {
        let form = [("token", handle), ("touch", touch)];
        let told = world.keep(hub.post_form("/v1/introspect", &form).await).expect(200);
        assert_eq!(told.at("/active"), json!(true));
        let told = world.keep(stranger.post_form("/v1/introspect", &form).await).expect(200);
        assert_eq!(told.at("/active"), json!(false));
    }
    world.keep(hub.header("relais-session", handle).get("/v1/session/userinfo").await).expect(200);
    world.keep(stranger.header("relais-session", handle).get("/v1/session/userinfo").await).expect(401);
    for form in [
        &[("token", handle), ("token", handle)][..],
        &[("token", handle), ("touch", handle)],
        &[("token", handle), ("more", handle)],
        &[("token_type_hint", handle)],
    ] {
        world.keep(hub.post_form("/v1/introspect", form).await).expect(400);
    }
    for form in [
        [("client_assertion", handle), ("client_assertion_type", handle)],
        [("token", handle), ("client_id", handle)],
    ] {
        world.keep(hub.post_form("/v1/introspect", &form).await).expect(401);
        world.keep(relais.post_form("/v1/introspect", &form).await).expect(401);
    }
}

async fn every_other_end(world: &World) {
    let hint = world.somebody();
    let denied = world.start(json!({ "login_hint": hint })).await.expect(201);
    world.decide(&hint, "deny", Value::Null).await;
    world.pick_up(&denied, Value::Null).await.expect(409);
    // Somebody else approves.
    let (hint, other) = (world.somebody(), world.somebody());
    let mismatch = world.start(json!({ "login_hint": hint })).await.expect(201);
    world.decide(&hint, "approve", json!({ "as": other })).await;
    world.pick_up(&mismatch, Value::Null).await.expect(409);
    // Nobody answers.
    world.witness.phone.put("/_sim/settings", json!({ "expires_in": 2 })).await;
    let expired = world.start(json!({ "login_hint": world.somebody() })).await.expect(201);
    world.pick_up(&expired, Value::Null).await.expect(409);
    world.witness.phone.put("/_sim/settings", json!({ "expires_in": 120 })).await;
    // Nobody of that name; a code that the provider does not take.
    world.secret("login hint", "unknown-canary-person");
    world.start(json!({ "login_hint": "unknown-canary-person" })).await.expect(201);
    world.secret("user code", "user-code-canary");
    world.start(json!({ "login_hint": world.somebody(), "user_code": "user-code-canary" })).await.expect(201);
    // Typing errors.
    world.needles.lock().expect("needles").add_person("810000000008");
    world.start(json!({ "login_hint": "8100 0000 0008" })).await.expect(400);
    // Cancelled, replaced, another person expected, approved and left, left pending.
    let (holder, path) = world.holder(&world.start(json!({ "login_hint": world.somebody() })).await);
    world.keep(holder.delete(&path).await).expect(204);
    let hint = world.somebody();
    world.start(json!({ "login_hint": hint })).await.expect(201);
    world.start(json!({ "login_hint": hint, "if_pending": "replace" })).await.expect(201);
    let expected = world.somebody();
    let started = world.approved(&world.somebody(), json!({})).await;
    world.pick_up(&started, json!({ "expected_subject": expected })).await.expect(409);
    let started = world.approved(&world.somebody(), json!({})).await;
    let (holder, path) = world.holder(&started);
    holder.header("prefer", "wait=10").get(&path).await.expect(200);
}

async fn nothing_leaks(world: World) {
    let metrics = world.served.ops.get("/metrics").await.expect(200).body;
    let World { served, witness, config, needles, problems, .. } = world;
    let mut needles = needles.into_inner().expect("needles");
    witness.heard.tell(&mut needles);
    for name in ["client_assertion", "client_secret", "request", "token", "id_token_hint"] {
        assert!(witness.heard.count(name) > 0, "the witness has seen {name}");
    }
    for name in ["access_token", "refresh_token", "id_token", "auth_req_id", "family_name", "authorization"] {
        assert!(witness.heard.count(name) > 3, "the witness has seen {name}");
    }
    let mut database = Database::of(&config).await;
    let mut dump = database.dump().await;
    let (status, log) = served.stop();
    assert!(status.success(), "{status}");
    dump.extend(database.dump().await);
    assert!(log.contains("\"level\":\"TRACE\"") && log.contains("a session has been picked up"), "{log}");
    let targets: BTreeSet<&str> =
        log.split("\"target\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(
        targets.iter().any(|target| !target.starts_with("relais")),
        "libraries are heard too: {targets:?}"
    );
    assert!(String::from_utf8_lossy(&dump).contains(REFERENCE), "the dump has the rows");
    assert!(
        log.contains("the provider has been told of an end") && log.contains("a logout token is refused")
    );
    assert!(database.number("SELECT count(*) FROM outbox").await > 0, "something is still to be told");
    let problems = problems.into_inner().expect("problems").join("\n");
    for (place, text) in [
        ("the log", log.as_bytes()),
        ("metrics", metrics.as_bytes()),
        ("problems", problems.as_bytes()),
        ("the database", &dump),
    ] {
        let found = needles.found_in(text);
        assert!(found.is_empty(), "{place}: {found:?}{}", first_line(&needles, place, text));
    }
    assert!(!log.contains("\"message\":\"a panic\""));
}

/// For whoever has to mend it: the first line of the log that tells too much.
fn first_line(needles: &Needles, place: &str, text: &[u8]) -> String {
    if place == "the database" {
        return String::new();
    }
    let lines = text.split(|byte| *byte == b'\n');
    let telling = lines.filter(|line| !needles.found_in(line).is_empty()).take(3);
    telling.fold(String::new(), |told, line| {
        let start: String = String::from_utf8_lossy(line).chars().take(600).collect();
        told + "\n" + &start
    })
}

/// A method, for the calls that must be wrong.
fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method")
}

/// In real time, bounded.
const A_MOMENT: Duration = Duration::from_millis(1500);
