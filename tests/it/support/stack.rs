//! A whole stack in this process: the simulated provider over TLS with client certificates, and Relais on either
//! store, from a configuration text as an operator writes it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relais::app::clock::SystemClock;
use relais::app::{App, StartOptions};
use relais::config;
use relais::crypto::key_file;
use relais::crypto::pki::DevPki;
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::{self, SigningAlg};
use relais::domain::clock::Clock;
use relais::domain::secret::Secret;
use relais::engine::Engine;
use relais::simulator::personality::Personality;
use relais::simulator::server::{Server, ServerSettings};
use relais::simulator::{Front, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::clock::ManualClock;
use super::http::{Answer, Caller};

/// A test person with two practices.
pub const DOCTOR: &str = "899700000001";

/// The secret of the application `desk`.
pub const SECRET: &str = "a-secret-of-the-desk";

/// What a registration at PSC asks for.
const PSC_ASKS: &str = r#"scope = "openid scope_all"
acr_values = ["eidas1"]
channels = ["MOBILE", "CARD"]"#;

/// Which store a stack runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Both, for tests that run on each.
pub const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];

/// What a stack is made from.
pub struct Builder {
    backend: Backend,
    manual: bool,
    interval: Duration,
    expires_in: Duration,
    personality: Personality,
    application: String,
    extra: String,
    registration: String,
    auth: String,
    signing_keys: Vec<(&'static str, SigningAlg)>,
    delivery: Option<&'static str>,
}

/// A further node on the database of a stack.
pub struct Node {
    /// Where its providers call.
    pub notified: Caller,
    /// Its client API.
    pub relais: Caller,
    app: App,
}

impl Node {
    /// Its engine.
    pub fn engine(&self) -> &Arc<Engine> {
        self.app.engine()
    }

    pub async fn stop(self) {
        self.app.drain().await;
    }
}

/// A running stack. Everything in it ends when it is dropped.
pub struct Stack {
    /// Time, where it is driven by hand.
    pub clock: ManualClock,
    /// The simulated provider's control interface.
    pub phone: Caller,
    /// The provider itself, for what no interface offers.
    pub simulator: Simulator,
    /// The client API, without credential.
    pub relais: Caller,
    /// Health and metrics.
    pub ops: Caller,
    /// Keys, certificates, database.
    pub folder: PathBuf,
    /// The configuration text.
    pub config: String,
    app: Option<App>,
    time: Arc<dyn Clock>,
    stop: CancellationToken,
    pki: DevPki,
    _temporary: TempDir,
}

impl Stack {
    pub fn on(backend: Backend) -> Builder {
        Builder {
            backend,
            manual: false,
            interval: Duration::from_secs(1),
            expires_in: Duration::from_secs(120),
            personality: Personality::Psc,
            application: String::new(),
            extra: String::new(),
            registration: String::new(),
            auth: "auth = \"tls_client_auth\"".to_owned(),
            signing_keys: Vec::new(),
            delivery: None,
        }
    }

    /// The application `desk`.
    pub fn desk(&self) -> Caller {
        self.relais.basic("desk", SECRET)
    }

    /// Starts a login for `hint`.
    pub async fn start(&self, hint: &str) -> Answer {
        self.desk().post("/v1/logins", json!({ "login_hint": hint })).await
    }

    /// The caller that holds the token of a start's answer, and the login's path.
    pub fn holder(&self, started: &Answer) -> (Caller, String) {
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        (self.relais.bearer(&started.text("/login_token")), path)
    }

    /// Every request that the simulated provider knows, oldest first.
    pub async fn requests(&self) -> Vec<Value> {
        self.phone.get("/_sim/requests").await.expect(200).json().as_array().expect("a list").clone()
    }

    /// Decides the newest request.
    pub async fn decide(&self, decision: &str, body: Value) {
        let requests = self.requests().await;
        let id = requests.last().expect("a request")["auth_req_id"].as_str().expect("an id").to_owned();
        self.phone.post(&format!("/_sim/requests/{id}/{decision}"), body).await.expect(204);
    }

    pub async fn stats(&self) -> Value {
        self.phone.get("/_sim/stats").await.expect(200).json()
    }

    pub async fn fault(&self, fault: Value) {
        self.phone.post("/_sim/faults", fault).await.expect(201);
    }

    pub async fn no_faults(&self) {
        self.phone.delete("/_sim/faults").await.expect(204);
    }

    pub async fn settings(&self, settings: Value) {
        let answer = self.phone.put("/_sim/settings", settings).await;
        assert!(answer.status.is_success(), "{}", answer.body);
    }

    /// Signs `hint` in: the pick-up's answer.
    pub async fn sign_in(&self, hint: &str) -> Answer {
        self.sign_in_as(&self.desk(), hint).await
    }

    /// Signs `hint` in as another application: the pick-up's answer.
    pub async fn sign_in_as(&self, application: &Caller, hint: &str) -> Answer {
        let started = application.post("/v1/logins", json!({ "login_hint": hint })).await.expect(201);
        self.decide("approve", Value::Null).await;
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        let holder = application.bearer(&started.text("/login_token"));
        let waiting = holder.header("prefer", "wait=30");
        let path = format!("{path}/session");
        let mut pick_up = Box::pin(waiting.post(&path, Value::Null));
        loop {
            tokio::select! {
                answer = &mut pick_up => return answer.expect(201),
                () = self.clock.advance_slowly(Duration::from_millis(250), Duration::from_millis(250)) => {}
            }
        }
    }

    /// Waits (in real time, bounded) until `done` says so.
    #[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
    pub async fn eventually<F: Future<Output = bool>>(&self, what: &str, mut done: impl FnMut() -> F) {
        for _ in 0..500 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never happened: {what}");
    }

    /// The running application.
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("running")
    }

    /// Stops the simulated provider, its control interface included.
    pub fn stop_provider(&self) {
        self.stop.cancel();
    }

    /// Stops Relais gracefully; the provider goes on.
    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.drain().await;
        }
    }

    /// Starts Relais again on the same database.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (app, relais, ops) = start_app(&self.folder, &self.config, &self.time).await;
        self.app = Some(app);
        self.relais = relais;
        self.ops = ops;
    }

    /// One more certificate of the client that the provider knows: `certs/NAME.pem`, `certs/NAME.key`.
    pub fn another_certificate(&self, name: &str) {
        let now = self.time.now();
        let (from, to) = (now - Duration::from_hours(1), now + Duration::from_hours(24));
        let issued = self.pki.authority().issue_client("relais-demo", from, to).expect("a certificate");
        let certs = self.folder.join("certs");
        std::fs::write(certs.join(format!("{name}.pem")), issued.certificate).expect("written");
        key_file::write_new(&certs.join(format!("{name}.key")), &issued.key).expect("written");
    }

    /// Where providers call, without credential.
    pub fn notified(&self) -> Caller {
        notified(self.app())
    }

    /// Another node.
    pub async fn another_node(&self) -> Node {
        let (app, relais, _) = start_app(&self.folder, &self.config, &self.time).await;
        Node { notified: notified(&app), relais, app }
    }

    /// The simulated provider tells the client of requests from now on.
    pub async fn tells(&self, mode: &str, listener: &Caller) {
        let endpoint = format!("{}/providers/psc/ciba", listener.base());
        self.settings(json!({ "delivery": { "mode": mode, "endpoint": endpoint } })).await;
    }

    /// Takes a changed configuration over, as SIGHUP does.
    pub fn reload(&self, config: &str) {
        self.app().reload(load(&self.folder, config, &*self.time));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Builder {
    /// Time stands still until the test moves it.
    pub fn manual_clock(mut self) -> Self {
        self.manual = true;
        self
    }

    /// The provider's polling interval.
    pub fn interval(mut self, seconds: u64) -> Self {
        self.interval = Duration::from_secs(seconds);
        self
    }

    /// The provider's life of a request.
    pub fn expires_in(mut self, seconds: u64) -> Self {
        self.expires_in = Duration::from_secs(seconds);
        self
    }

    /// Whose manners the provider has; the profile of the same name goes with it.
    pub fn personality(mut self, personality: Personality) -> Self {
        self.personality = personality;
        self
    }

    /// More lines of `[applications.desk]`.
    pub fn application(mut self, lines: &str) -> Self {
        self.application.push_str(lines);
        self.application.push('\n');
        self
    }

    /// More lines of `[registrations.psc]`.
    pub fn registration(mut self, lines: &str) -> Self {
        self.registration.push_str(lines);
        self.registration.push('\n');
        self
    }

    /// How Relais authenticates at the provider: these lines of `[registrations.psc]` instead of the certificate's.
    pub fn client_auth(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.auth);
        self
    }

    /// A new signing key in `keys/NAME`, before Relais starts.
    pub fn signing_key(mut self, name: &'static str, alg: SigningAlg) -> Self {
        self.signing_keys.push((name, alg));
        self
    }

    /// How the outcome comes: `ping` or `push`. The simulated provider tells it to this stack.
    pub fn delivery(mut self, mode: &'static str) -> Self {
        self.delivery = Some(mode);
        self.extra
            .push_str("[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n");
        self.registration(&format!("delivery = \"{mode}\""))
    }

    /// More sections; `{issuer}` stands for the provider's issuer.
    pub fn sections(mut self, text: &str) -> Self {
        self.extra.push_str(text);
        self
    }

    pub async fn start(self) -> Stack {
        relais::net::install_provider();
        let clock = ManualClock::at_present();
        let time: Arc<dyn Clock> =
            if self.manual { Arc::new(clock.clone()) } else { Arc::new(SystemClock::start()) };
        let temporary = TempDir::new().expect("a folder");
        let folder = temporary.path().to_owned();
        let pki = write_keys_and_certificates(&folder, &*time);
        for (name, alg) in &self.signing_keys {
            let key = signing_key::generate(*alg).expect("a key");
            key_file::write_new(&folder.join("keys").join(name), &key).expect("written");
        }
        let stop = CancellationToken::new();
        let server = self.simulator(&folder, &time);
        let simulator = server.simulator().clone();
        let (issuer, phone) = (server.issuer().to_owned(), Caller::new(server.control_url()));
        tokio::spawn(server.run(stop.clone()));
        if let Some(mode) = self.delivery {
            // Its metadata says so from the beginning; where Relais listens is known later.
            let delivery = json!({ "delivery": { "mode": mode, "endpoint": "http://127.0.0.1:1/" } });
            phone.put("/_sim/settings", delivery).await.expect(200);
        }
        let url = match self.backend {
            Backend::Sqlite => format!("sqlite://{}", folder.join("relais.db").display()),
            Backend::Postgres => super::postgres::empty_database().await.expose().to_owned(),
        };
        let config = self.config(&url, &issuer);
        let (app, relais, ops) = start_app(&folder, &config, &time).await;
        let stack = Stack {
            clock,
            phone,
            simulator,
            relais,
            ops,
            folder,
            config,
            app: Some(app),
            time,
            stop,
            pki,
            _temporary: temporary,
        };
        if let Some(mode) = self.delivery {
            stack.tells(mode, &stack.notified()).await;
        }
        stack
    }

    fn simulator(&self, folder: &Path, time: &Arc<dyn Clock>) -> Server {
        let settings = ServerSettings {
            bind: local(),
            control: local(),
            certs: folder.join("certs"),
            client_id: "relais-demo".to_owned(),
            client_name: "Relais Demo".to_owned(),
            client_secret: Secret::new("relais-demo-secret"),
            interval: self.interval,
            expires_in: self.expires_in,
            personality: self.personality,
            front: Front::default(),
        };
        Server::bind(settings, time.clone(), Arc::new(SystemRandom)).expect("a simulated provider")
    }

    fn config(&self, url: &str, issuer: &str) -> String {
        let Self { application, extra, registration, auth, .. } = self;
        let extra = extra.replace("{issuer}", issuer);
        let (profile, document, asks) = match self.personality {
            Personality::Psc => ("psc", "wallet-openid-configuration", PSC_ASKS),
            Personality::Keycloak => ("keycloak", "openid-configuration", "scope = \"openid profile\""),
            Personality::Generic => ("generic", "openid-configuration", "scope = \"openid profile\""),
        };
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
bind = "127.0.0.1:0"
public_url = "http://127.0.0.1:0"
[listeners.ops]
bind = "127.0.0.1:0"
[providers.psc-sim]
profile = "{profile}"
environment = "test"
issuer = "{issuer}"
metadata_url = "{issuer}/.well-known/{document}"
ca = "certs/ca.pem"
[registrations.psc]
provider = "psc-sim"
client_id = "relais-demo"
{auth}
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
id_token_algs = ["RS256"]
{asks}
{registration}
[applications.desk]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "{SECRET}"
{application}
{extra}
"#
        )
    }
}

fn notified(app: &App) -> Caller {
    Caller::new(format!("http://{}", app.for_providers().expect("a listener")))
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn write_keys_and_certificates(folder: &Path, time: &dyn Clock) -> DevPki {
    std::fs::create_dir_all(folder.join("keys")).expect("a folder");
    for name in ["one", "persons"] {
        key_file::write_new(&folder.join("keys").join(name), &key_file::generate(&SystemRandom))
            .expect("a key");
    }
    let pki = DevPki::generate("relais-demo", time.now()).expect("a PKI");
    pki.write(&folder.join("certs")).expect("certificates");
    pki
}

fn load(folder: &Path, config: &str, time: &dyn Clock) -> config::Config {
    let file = folder.join("relais.toml");
    std::fs::write(&file, config).expect("written");
    config::load(Some(&file), std::iter::empty(), &[], time.now())
        .unwrap_or_else(|problems| panic!("the configuration is refused: {problems}"))
}

async fn start_app(folder: &Path, config: &str, time: &Arc<dyn Clock>) -> (App, Caller, Caller) {
    let config = load(folder, config, &**time);
    let options = StartOptions { migrate: true };
    let starting = App::start(config, options, time.clone(), Arc::new(SystemRandom));
    // Boxed: every test would carry its size.
    let app = Box::pin(starting).await.expect("a server");
    let scheme = if app.speaks_tls() { "https" } else { "http" };
    let relais = Caller::new(format!("{scheme}://{}", app.clients()));
    let ops = Caller::new(format!("http://{}", app.ops()));
    (app, relais, ops)
}
