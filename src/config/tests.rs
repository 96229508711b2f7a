//! A whole configuration in a temporary folder, which each test changes in one place.

mod documents;
mod rules;
mod secrets;
mod signing;
mod sources;
mod targets;
mod values;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use toml::{Table, Value};

use super::{Config, Problem, Problems, load};
use crate::crypto::key_file;
use crate::crypto::pki::DevPki;
use crate::crypto::random::SystemRandom;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// A secret of 256 bits.
const STRONG: &str = "k7Qm2P4Xk7Qm2P4Xk7Qm2P4Xk7Qm2P4Xk7Qm2P4Xabc";

/// Good in production: two registrations of one provider, an application for each kind of credential.
const BASE: &str = r#"
[store]
url = "sqlite://relais.db"
[keys]
active = "2026-11"
pseudonym = "persons"
[keys.ring.2026-11]
file = "keys/2026-11"
[keys.ring.persons]
file = "keys/persons"
[listeners.clients]
public_url = "https://relais.example.fr:8443"
tls = [{ cert = "certs/server.pem", key = "certs/server.key" }]
client_ca = "certs/ca.pem"
[providers.psc-bas]
profile = "psc"
environment = "test"
issuer = "https://provider.example/realm"
ca = "certs/ca.pem"
[providers.psc]
profile = "psc"
environment = "production"
issuer = "https://provider.example/real"
[registrations.lps]
provider = "psc-bas"
client_id = "lps"
auth = "tls_client_auth"
certificates = [{ cert = "certs/client.pem", key = "certs/client.key" }]
scope = "openid scope_all"
channels = ["MOBILE", "CARD"]
[registrations.by-secret]
provider = "psc-bas"
client_id = "by-secret"
auth = "client_secret_basic"
client_secret_file = "keys/secret"
[registrations.real]
provider = "psc"
client_id = "real"
auth = "client_secret_basic"
client_secret_file = "keys/secret"
[applications.by-secret]
kind = "backend"
tenant = "cabinet"
registrations = ["lps", "by-secret"]
auth = "client_secret_basic"
secret_file = "keys/secret"
[applications.by-certificate]
kind = "backend"
tenant = "cabinet"
registrations = ["lps"]
auth = "self_signed_tls_client_auth"
certificate_sha256 = ["00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
[applications.by-subject]
kind = "backend"
tenant = "cabinet"
registrations = ["lps"]
auth = "tls_client_auth"
tls_client_auth_subject_dn = "CN=one,O=Example"
[applications.by-dns]
kind = "backend"
tenant = "cabinet"
registrations = ["lps"]
auth = "tls_client_auth"
tls_client_auth_san_dns = "app.example.fr"
"#;

/// When the certificates of the tests were made.
fn made() -> Timestamp {
    Timestamp::from_secs(1_795_312_800)
}

struct House {
    folder: TempDir,
    table: Table,
    now: Timestamp,
}

impl House {
    fn new() -> Self {
        Self::with(BASE)
    }

    /// A folder with certificates and keys, and this configuration.
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        DevPki::generate("lps", made())
            .expect("a development PKI")
            .write(&folder.path().join("certs"))
            .expect("its files");
        std::fs::create_dir(folder.path().join("keys")).expect("a folder for keys");
        let house = Self { folder, table: text.parse().expect("TOML"), now: made() };
        for name in ["2026-11", "persons"] {
            house.key(name);
        }
        key_file::write_new(&house.path("keys/secret"), &Secret::new(STRONG)).expect("a secret file");
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str) {
        let file = self.path("keys").join(name);
        key_file::write_new(&file, &key_file::generate(&SystemRandom)).expect("a key file");
    }

    fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(mode)).expect("chmod");
    }

    fn later(&mut self, days: u64) {
        self.now = made() + Duration::from_secs(days * 24 * 3600);
    }

    /// Sets the dotted `path` to a TOML value; `None` removes it.
    fn set(&mut self, path: &str, value: Option<&str>) {
        let mut table = &mut self.table;
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            let entry = table.entry(parent).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().expect("a table on the way");
        }
        match value {
            Some(text) => {
                let value = format!("v = {text}").parse::<Table>().expect("a TOML value")["v"].clone();
                table.insert(last.to_owned(), value);
            }
            None => assert!(table.remove(last).is_some(), "{path} was there"),
        }
    }

    fn file(&self) -> PathBuf {
        let file = self.path("relais.toml");
        std::fs::write(&file, self.table.to_string()).expect("the configuration file");
        file
    }

    fn load(&self) -> Result<Config, Problems> {
        load_file(&self.file(), self.now)
    }

    fn good(&self) -> Config {
        match self.load() {
            Ok(config) => config,
            Err(problems) => panic!("{problems}"),
        }
    }

    fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Ok(_) => Vec::new(),
            Err(Problems(problems)) => problems,
        }
    }

    /// The only problem, as `path: what; fix`.
    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        Problem { origin: None, ..problems[0].clone() }.to_string()
    }
}

fn load_file(file: &Path, now: Timestamp) -> Result<Config, Problems> {
    load(Some(file), std::iter::empty(), &[], now)
}
