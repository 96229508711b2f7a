//! An operator's site: a folder with keys, certificates and a production configuration, all made by the verbs; a
//! simulated provider as a process of its own; nodes of `relais serve`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use relais::app::clock::SystemClock;
use relais::crypto::pki::{DevCa, Issued};
use relais::domain::clock::Clock as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ports;
use super::running::{Running, done, eventually, pause, relais, run};
use crate::support::http::{Answer, Caller};
use crate::support::postgres;
use crate::support::stack::Backend;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A site without nodes yet.
pub struct Site {
    pub folder: PathBuf,
    /// The simulated provider's control interface.
    pub phone: Caller,
    pub simulator: Running,
    pub provider_port: u16,
    control_port: u16,
    store: String,
    desk: String,
    sealed: String,
    _temporary: TempDir,
}

/// One `relais serve`.
pub struct Node {
    pub process: Running,
    pub file: PathBuf,
    pub port: u16,
    ops_port: u16,
    folder: PathBuf,
    desk: String,
    sealed: String,
}

/// From yesterday to tomorrow.
pub fn present() -> (relais::domain::time::Timestamp, relais::domain::time::Timestamp) {
    let now = SystemClock::start().now();
    (now - DAY, now + DAY)
}

pub fn authority(name: &str) -> DevCa {
    let (from, to) = present();
    DevCa::generate(name, from, to + DAY).expect("an authority")
}

/// Writes a certificate and its key as `NAME.pem` and `NAME.key`; replaces what is there.
pub fn write_pair(folder: &Path, name: &str, pair: &Issued) {
    write_private(&folder.join(format!("{name}.key")), pair.key.expose());
    std::fs::write(folder.join(format!("{name}.pem")), &pair.certificate).expect("written");
}

/// Writes a file for its owner alone.
pub fn write_private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text).expect("written");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("for its owner alone");
}

impl Site {
    /// A site on `backend`, whose provider wants polls a second apart.
    pub async fn on(backend: Backend) -> Self {
        Self::prepared(backend, |_| {}).await
    }

    /// The same, but `prepare` changes the folder before the provider starts.
    pub async fn prepared(backend: Backend, prepare: impl FnOnce(&Path)) -> Self {
        let temporary = TempDir::new().expect("a folder");
        let folder = temporary.path().to_owned();
        done(&run(&folder, &["pki", "dev", "--out", "certs"], ""));
        for key in ["key-2026", "key-persons"] {
            done(&run(&folder, &["keys", "generate", "--out", key], ""));
        }
        // Secrets of applications are as long as keys.
        for secret in ["desk", "sealed"] {
            done(&run(&folder, &["keys", "generate", "--out", secret], ""));
        }
        let applications = authority("Applications");
        std::fs::create_dir(folder.join("applications")).expect("a folder");
        std::fs::write(folder.join("applications/ca.pem"), applications.certificate()).expect("written");
        let (from, to) = present();
        let chained = applications.issue_client("chained", from, to).expect("a certificate");
        write_pair(&folder.join("applications"), "chained", &chained);
        let stranger = authority("Somebody").issue_client("chained", from, to).expect("a certificate");
        write_pair(&folder.join("applications"), "stranger", &stranger);
        write_self_signed(&folder.join("applications"), "pinned");
        prepare(&folder);
        let store = match backend {
            Backend::Sqlite => "sqlite://relais.db".to_owned(),
            Backend::Postgres => postgres::empty_database().await.expose().to_owned(),
        };
        write_private(&folder.join("store-url"), &store);
        let provider_port = ports::block(2);
        let control_port = provider_port + 1;
        let simulator = start_simulator(&folder, provider_port, control_port).await;
        let phone = Caller::new(format!("http://127.0.0.1:{control_port}"));
        let secret = |name| std::fs::read_to_string(folder.join(name)).expect("a secret").trim().to_owned();
        let (desk, sealed) = (secret("desk"), secret("sealed"));
        Self {
            phone,
            simulator,
            provider_port,
            control_port,
            store,
            desk,
            sealed,
            folder,
            _temporary: temporary,
        }
    }

    /// Where the simulated provider is steered from.
    pub fn control(&self) -> String {
        format!("http://127.0.0.1:{}", self.control_port)
    }

    /// Whether the database can be shared by nodes.
    pub fn is_shared(&self) -> bool {
        self.store.starts_with("postgres")
    }

    pub fn store_url(&self) -> &str {
        &self.store
    }

    /// Starts a node and waits until it is ready.
    pub async fn serve(&self) -> Node {
        self.serve_with(|config| config).await
    }

    /// Starts a node whose configuration is changed before.
    pub async fn serve_with(&self, change: impl FnOnce(String) -> String) -> Node {
        let (file, port) = self.configure(change);
        let process = start_node(&self.folder, &file, port).await;
        let (desk, sealed) = (self.desk.clone(), self.sealed.clone());
        Node { process, file, port, ops_port: port + 1, folder: self.folder.clone(), desk, sealed }
    }

    /// Writes a configuration with ports of its own: the file, and the port for clients.
    pub fn configure(&self, change: impl FnOnce(String) -> String) -> (PathBuf, u16) {
        let port = ports::block(2);
        let file = self.folder.join(format!("relais-{port}.toml"));
        let bare = Self::ring_and_store();
        std::fs::write(&file, &bare).expect("written");
        let arguments = ["secret", "encrypt", "--config", file.to_str().expect("a path")];
        let sealed = done(&run(&self.folder, &arguments, &self.sealed));
        std::fs::write(&file, change(format!("{bare}{}", self.rest(port, &sealed)))).expect("written");
        (file, port)
    }

    fn ring_and_store() -> String {
        r#"
mode = "production"
[store]
url_file = "store-url"
[keys]
active = "2026"
pseudonym = "persons"
[keys.ring.2026]
file = "key-2026"
[keys.ring.persons]
file = "key-persons"
"#
        .to_owned()
    }

    fn rest(&self, port: u16, sealed: &str) -> String {
        let (ops, provider) = (port + 1, self.provider_port);
        let issuer = format!("https://localhost:{provider}/auth/realms/esante-wallet");
        let fingerprint = fingerprint(&self.folder.join("applications/pinned.pem"));
        format!(
            r#"
[listeners.clients]
bind = "127.0.0.1:{port}"
public_url = "https://localhost:{port}"
tls = [{{ cert = "certs/server.pem", key = "certs/server.key" }}]
client_ca = "applications/ca.pem"
[listeners.ops]
bind = "127.0.0.1:{ops}"
[providers.psc-sim]
profile = "psc"
environment = "test"
issuer = "{issuer}"
metadata_url = "{issuer}/.well-known/wallet-openid-configuration"
ca = "certs/ca.pem"
[registrations.lps]
provider = "psc-sim"
client_id = "relais-demo"
auth = "tls_client_auth"
certificates = [{{ cert = "certs/client.pem", key = "certs/client.key" }}]
scope = "openid scope_all"
acr_values = ["eidas1"]
id_token_algs = ["RS256"]
channels = ["MOBILE", "CARD"]
[applications.desk]
kind = "backend"
tenant = "practice"
registrations = ["lps"]
auth = "client_secret_basic"
secret_file = "desk"
[applications.sealed]
kind = "backend"
tenant = "practice"
registrations = ["lps"]
auth = "client_secret_basic"
secret = "{sealed}"
[applications.pinned]
kind = "backend"
tenant = "practice"
registrations = ["lps"]
auth = "self_signed_tls_client_auth"
certificate_sha256 = ["{fingerprint}"]
[applications.chained]
kind = "backend"
tenant = "practice"
registrations = ["lps"]
auth = "tls_client_auth"
tls_client_auth_subject_dn = "CN=chained"
"#
        )
    }

    /// Stops the simulated provider and starts it again on the same ports: everything that it knew is gone.
    pub async fn restart_simulator(&mut self) {
        self.simulator.kill().await;
        self.simulator = start_simulator(&self.folder, self.provider_port, self.control_port).await;
    }

    /// Every request that the provider knows, oldest first.
    pub async fn requests(&self) -> Vec<Value> {
        self.phone.get("/_sim/requests").await.expect(200).json().as_array().expect("a list").clone()
    }

    /// The last request for a person, once there is one.
    pub async fn request_for(&self, hint: &str) -> Value {
        eventually("the phone rings", async || {
            self.requests().await.into_iter().rev().find(|request| request["login_hint"] == hint)
        })
        .await
    }

    /// Decides the last request for a person.
    pub async fn decide(&self, hint: &str, decision: &str, body: Value) {
        let request = self.request_for(hint).await;
        let id = request["auth_req_id"].as_str().expect("an id");
        self.phone.post(&format!("/_sim/requests/{id}/{decision}"), body).await.expect(204);
    }

    pub async fn approve(&self, hint: &str) {
        self.decide(hint, "approve", Value::Null).await;
    }

    pub async fn stats(&self) -> Value {
        self.phone.get("/_sim/stats").await.expect(200).json()
    }

    pub async fn fault(&self, fault: Value) {
        self.phone.post("/_sim/faults", fault).await.expect(201);
    }

    pub async fn settings(&self, settings: Value) {
        self.phone.put("/_sim/settings", settings).await.expect(200);
    }

    /// Nobody was polled too early, or twice at once.
    pub async fn assert_polite(&self) {
        let stats = self.stats().await;
        assert_eq!((&stats["early_polls"], &stats["overlapping_polls"]), (&json!(0), &json!(0)), "{stats}");
    }

    /// How often a person's phone rang.
    pub async fn rings(&self, hint: &str) -> u64 {
        self.stats().await["rings"][hint].as_u64().unwrap_or(0)
    }
}

impl Node {
    /// The client API over TLS, without any credential.
    pub fn relais(&self) -> Caller {
        self.caller(|builder| builder)
    }

    /// The client API with the certificate `applications/NAME.pem`.
    pub fn with_certificate(&self, name: &str) -> Caller {
        let file = |extension| {
            std::fs::read_to_string(self.folder.join(format!("applications/{name}.{extension}")))
                .expect("a file")
        };
        let identity = format!("{}{}", file("key"), file("pem"));
        let identity = reqwest::Identity::from_pem(identity.as_bytes()).expect("a certificate with its key");
        self.caller(|builder| builder.identity(identity))
    }

    fn caller(&self, build: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Caller {
        let roots = std::fs::read(self.folder.join("certs/ca.pem")).expect("roots");
        self.caller_trusting(&roots, build)
    }

    /// The client API for somebody who trusts other roots.
    pub fn caller_trusting(
        &self,
        roots: &[u8],
        build: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Caller {
        let roots = reqwest::Certificate::from_pem_bundle(roots).expect("roots");
        Caller::with(self.url(), |builder| build(builder.tls_certs_only(roots)))
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn desk(&self) -> Caller {
        self.relais().basic("desk", &self.desk)
    }

    pub fn sealed(&self) -> Caller {
        self.relais().basic("sealed", &self.sealed)
    }

    /// Health and metrics.
    pub fn ops(&self) -> Caller {
        Caller::new(format!("http://127.0.0.1:{}", self.ops_port))
    }

    pub async fn start(&self, hint: &str) -> Answer {
        self.desk().post("/v1/logins", json!({ "login_hint": hint })).await
    }

    /// The caller that holds the token of a start's answer, and the login's path.
    pub fn holder(&self, started: &Answer) -> (Caller, String) {
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        (self.relais().bearer(&started.text("/login_token")), path)
    }

    /// The login of a start's answer as it is now.
    pub async fn login(&self, started: &Answer) -> Answer {
        let (holder, path) = self.holder(started);
        holder.get(&path).await.expect(200)
    }

    /// Waits until the login of a start's answer is decided, and picks it up.
    pub async fn pick_up(&self, started: &Answer) -> Answer {
        let (holder, path) = self.holder(started);
        holder.header("prefer", "wait=30").post(&format!("{path}/session"), Value::Null).await
    }

    /// Signs a person in: the pick-up's answer.
    pub async fn sign_in(&self, site: &Site, hint: &str) -> Answer {
        let started = self.start(hint).await.expect(201);
        site.approve(hint).await;
        self.pick_up(&started).await.expect(201)
    }

    /// The same configuration again, after its process has ended.
    pub async fn restart(&mut self) {
        self.process = start_node(&self.folder, &self.file, self.port).await;
    }

    /// `relais login` at this node: exit code, stdout, stderr.
    pub async fn login_verb(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut running = self.begin_login_verb(arguments);
        let code = running.ended().await;
        (code, running.stdout(), running.stderr())
    }

    /// The same, still running.
    pub fn begin_login_verb(&self, arguments: &[&str]) -> Running {
        Running::start(self.login_command(arguments))
    }

    /// The verb, to be started.
    pub fn login_command(&self, arguments: &[&str]) -> Command {
        let mut command = relais(&self.folder);
        command.args(["login", "--server", &self.url(), "--ca", "certs/ca.pem"]).args(arguments);
        command
    }
}

async fn start_simulator(folder: &Path, provider: u16, control: u16) -> Running {
    let mut command = relais(folder);
    let (bind, control_address) = (format!("127.0.0.1:{provider}"), format!("127.0.0.1:{control}"));
    command.args(["simulator", "--certs", "certs", "--interval", "1"]);
    command.args(["--bind", &bind, "--control", &control_address]);
    let mut simulator = Running::start(command);
    let ready = simulator.first_line().await;
    let expected = format!(
        "ready provider=https://localhost:{provider}/auth/realms/esante-wallet control=http://{control_address}"
    );
    assert_eq!(ready, expected);
    simulator
}

async fn start_node(folder: &Path, file: &Path, port: u16) -> Running {
    let mut command = relais(folder);
    command.arg("serve").arg("--config").arg(file);
    let mut node = Running::start(command);
    let ready = node.first_line().await;
    assert_eq!(ready, format!("ready clients=https://localhost:{port} ops=http://127.0.0.1:{}", port + 1));
    node
}

/// A certificate that vouches for itself, as `openssl req -x509` makes it.
fn write_self_signed(folder: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let pair = Issued { certificate, key: relais::domain::secret::Secret::new(key.serialize_pem()) };
    write_pair(folder, name, &pair);
}

/// As `openssl x509 -noout -fingerprint -sha256` prints it.
fn fingerprint(file: &Path) -> String {
    use std::fmt::Write as _;
    let der = CertificateDer::from_pem_file(file).expect("a certificate");
    let hash = digest(&SHA256, &der);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let separator = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{separator}{byte:02X}");
        text
    })
}

/// A person for each place in the tests: nobody rings anybody else's phone.
pub fn person(number: u32) -> String {
    let body = format!("8997{number:08}");
    // `psc` hints of other shapes pass untouched.
    assert_eq!(body.len(), 12);
    body
}

/// Gives processes time to do what they should not.
pub async fn nothing_happens_for(seconds: u64) {
    pause(Duration::from_secs(seconds)).await;
}
