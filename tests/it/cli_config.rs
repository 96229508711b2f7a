//! The verbs that read and prepare configuration, as an operator runs them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `relais` in `folder` with an environment of its own.
fn relais(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_relais"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A verb that reads no stdin may have ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The verb succeeded, and this is its stdout without the line feed.
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn mode(file: &Path) -> u32 {
    file.metadata().expect("the file").permissions().mode() & 0o777
}

/// A folder with keys, certificates and a good configuration, made by the verbs themselves.
fn house() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["key-2026", "key-persons"] {
        done(&relais(folder.path(), &["keys", "generate", "--out", name], ""));
    }
    done(&relais(folder.path(), &["pki", "dev", "--out", "certs", "--client-id", "lps"], ""));
    let configuration = r#"
mode = "development"
[keys]
active = "2026"
pseudonym = "persons"
[keys.ring.2026]
file = "key-2026"
[keys.ring.persons]
file = "key-persons"
[listeners.clients]
bind = "127.0.0.1:8080"
public_url = "http://localhost:8080"
[providers.psc]
profile = "psc"
environment = "test"
issuer = "https://localhost:8083/realm"
ca = "certs/ca.pem"
[registrations.lps]
provider = "psc"
client_id = "lps"
auth = "tls_client_auth"
certificates = [{ cert = "certs/client.pem", key = "certs/client.key" }]
[applications.demo]
kind = "backend"
tenant = "demo"
registrations = ["lps"]
auth = "client_secret_basic"
secret = "SECRET"
"#;
    std::fs::write(folder.path().join("relais.toml"), configuration).expect("the configuration");
    folder
}

#[test]
fn check_accepts_a_good_configuration_and_tells_its_warnings() {
    let folder = house();
    let output = relais(folder.path(), &["check", "--config", "relais.toml"], "");
    assert_eq!(done(&output), "ok: 1 provider, 1 registration, 1 application, 1 warning");
    assert!(text(&output.stderr).starts_with("warning: mode (line 2): development"));
}

#[test]
fn check_tells_every_problem_at_once_and_exits_with_2() {
    let folder = house();
    let file = folder.path().join("relais.toml");
    let bad = std::fs::read_to_string(&file)
        .expect("the configuration")
        .replace("environment = \"test\"", "environment = \"bas\"")
        .replace("client_id", "clientid");
    std::fs::write(&file, bad).expect("written");
    let output = relais(folder.path(), &["--config", "relais.toml", "check"], "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let told: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[0].starts_with("providers.psc.environment (line "), "{told:#?}");
    assert!(told[1].starts_with("registrations.lps.client_id: is missing"), "{told:#?}");
    assert!(told[2].ends_with("unknown key; did you mean `client_id`?"), "{told:#?}");
    assert_eq!(told[3], "3 problems");
}

#[test]
fn check_reads_the_environment() {
    let folder = house();
    let output = Command::new(env!("CARGO_BIN_EXE_relais"))
        .args(["check", "--config", "relais.toml"])
        .current_dir(folder.path())
        .env_clear()
        .env("RELAIS__REGISTRATIONS__LPS__DELIVERY", "push")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("registrations.lps.delivery (RELAIS__REGISTRATIONS__LPS__DELIVERY): "),
        "{told}"
    );
}

#[test]
fn an_encrypted_secret_takes_the_place_of_the_one_in_clear() {
    let folder = house();
    let encrypt = ["secret", "encrypt", "--config", "relais.toml"];
    let secret = "k7Qm2P4Xk7Qm2P4Xk7Qm2P4Xk7Qm2P4Xk7Qm2P4Xabc";
    let encrypted = done(&relais(folder.path(), &encrypt, &format!("{secret}\n")));
    assert!(encrypted.starts_with("ENC(v1:2026:") && encrypted.ends_with(')'), "{encrypted}");
    assert!(!encrypted.contains(secret));
    let file = folder.path().join("relais.toml");
    let configuration = std::fs::read_to_string(&file).expect("the configuration");
    let configuration = configuration
        .replace("mode = \"development\"", "")
        .replace("http://localhost:8080", "https://localhost:8080")
        .replace(
            "[providers.psc]",
            "tls = [{ cert = \"certs/server.pem\", key = \"certs/server.key\" }]\n[providers.psc]",
        );
    std::fs::write(&file, configuration.replace("SECRET", secret)).expect("written");
    let output = relais(folder.path(), &["check", "--config", "relais.toml"], "");
    assert_eq!(output.status.code(), Some(2), "in clear");
    assert!(text(&output.stderr).contains("applications.demo.secret (line "));
    assert!(!text(&output.stderr).contains(secret));
    std::fs::write(&file, configuration.replace("SECRET", &encrypted)).expect("written");
    done(&relais(folder.path(), &["check", "--config", "relais.toml"], ""));
}

#[test]
fn secret_encrypt_needs_a_ring_and_a_secret() {
    let folder = house();
    let output = relais(folder.path(), &["secret", "encrypt"], "x");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("keys.active: is missing"), "{}", text(&output.stderr));
    let output = relais(folder.path(), &["secret", "encrypt", "--config", "relais.toml"], "\n");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn r_k_05_a_generated_key_is_for_its_owner_alone_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let generate = ["keys", "generate", "--out", "key"];
    let output = relais(folder.path(), &generate, "");
    assert_eq!(done(&output), "", "the key goes nowhere but into the file");
    let file = folder.path().join("key");
    let key = std::fs::read_to_string(&file).expect("the key");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(key.len(), 44, "43 characters and a line feed");
    assert!(key.trim_end().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    assert_eq!(relais(folder.path(), &generate, "").status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).expect("the key"), key);
}

#[test]
fn a_signing_key_is_pkcs_8_in_pem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    done(&relais(folder.path(), &["keys", "generate", "--out", "key", "--signing", "ES256"], ""));
    let key = std::fs::read_to_string(folder.path().join("key")).expect("the key");
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(mode(&folder.path().join("key")), 0o600);
    let output = relais(folder.path(), &["keys", "generate", "--out", "other", "--signing", "HS256"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(!folder.path().join("other").exists());
}

#[test]
fn pki_dev_writes_five_files_and_overwrites_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let make = ["pki", "dev", "--out", "certs"];
    done(&relais(folder.path(), &make, ""));
    let certs = folder.path().join("certs");
    for name in ["ca.pem", "server.pem", "client.pem"] {
        assert!(
            std::fs::read_to_string(certs.join(name)).is_ok_and(|pem| pem.contains("CERTIFICATE")),
            "{name}"
        );
    }
    for name in ["server.key", "client.key"] {
        assert_eq!(mode(&certs.join(name)), 0o600, "{name}");
    }
    let before = std::fs::read(certs.join("client.key")).expect("the key");
    assert_eq!(relais(folder.path(), &make, "").status.code(), Some(1));
    assert_eq!(std::fs::read(certs.join("client.key")).expect("the key"), before);
}

#[test]
fn version_speaks_to_humans_and_machines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(done(&relais(folder.path(), &["version"], "")), format!("relais {version}"));
    let json = done(&relais(folder.path(), &["version", "-o", "json"], ""));
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["version"], version);
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for arguments in [&[][..], &["chek"], &["keys", "generate"]] {
        assert_eq!(relais(folder.path(), arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_variable_of_ours_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt;

    let folder = house();
    let output = Command::new(env!("CARGO_BIN_EXE_relais"))
        .args(["check", "--config", "relais.toml"])
        .current_dir(folder.path())
        .env_clear()
        .env("RELAIS__STORE__URL", std::ffi::OsStr::from_bytes(b"sqlite://s3cret\xff.db"))
        .output()
        .expect("the binary ends");
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("RELAIS__STORE__URL: is not UTF-8") && !told.contains("s3cret"), "{told}");
}
