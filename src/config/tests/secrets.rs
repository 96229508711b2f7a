//! Secrets, key files and certificates.

use aws_lc_rs::digest::{SHA256, digest};

use super::{House, STRONG};
use crate::config::{RegistrationCredential, StoreUrl, load_key_ring};
use crate::crypto::enc;
use crate::crypto::key_file;
use crate::crypto::pki::DevPki;
use crate::crypto::random::SystemRandom;
use crate::domain::application::ApplicationCredential;
use crate::domain::secret::Secret;

fn encrypted(house: &House, text: &str) -> String {
    let Ok(ring) = load_key_ring(Some(&house.file()), std::iter::empty(), house.now) else {
        panic!("no ring")
    };
    enc::encrypt(&ring, &SystemRandom, &Secret::new(text)).expect("encrypted")
}

fn client_secret(house: &House) -> String {
    let config = house.good();
    let settings = config.registrations.iter().find(|r| r.registration.name.as_str() == "by-secret");
    match settings.map(|settings| &settings.credential) {
        Some(RegistrationCredential::ClientSecretBasic(secret)) => secret.expose().to_owned(),
        _ => panic!("a secret"),
    }
}

#[test]
fn a_secret_is_read_from_its_file_without_the_line_feed() {
    assert_eq!(client_secret(&House::new()), STRONG);
}

#[test]
fn an_encrypted_secret_is_opened_in_the_configuration_and_in_a_file() {
    let mut house = House::new();
    let text = encrypted(&house, "of the provider");
    house.set("registrations.by-secret.client_secret_file", None);
    house.set("registrations.by-secret.client_secret", Some(&format!("{text:?}")));
    assert_eq!(client_secret(&house), "of the provider");

    let mut house = House::new();
    let text = encrypted(&house, "of the provider");
    key_file::write_new(&house.path("keys/encrypted"), &Secret::new(text)).expect("written");
    house.set("registrations.by-secret.client_secret_file", Some("\"keys/encrypted\""));
    assert_eq!(client_secret(&house), "of the provider");
}

#[test]
fn a_secret_that_does_not_open_is_a_problem_that_does_not_show_it() {
    let other = House::new();
    let foreign = encrypted(&other, "of another house");
    let unknown = foreign.replace("2026-11", "2025-01");
    for (text, part) in [
        (foreign.as_str(), "cannot be decrypted"),
        (unknown.as_str(), "not in keys.ring"),
        ("ENC(v1:2026-11)", "form"),
    ] {
        let mut house = House::new();
        house.set("registrations.by-secret.client_secret_file", None);
        house.set("registrations.by-secret.client_secret", Some(&format!("{text:?}")));
        let told = house.problem();
        assert!(told.starts_with("registrations.by-secret.client_secret: ") && told.contains(part), "{told}");
        assert!(told.contains("secret encrypt") || told.contains("encrypt the secret again"), "{told}");
        assert!(!told.contains(&text[text.len() - 12..]), "{told}");
    }
}

#[test]
fn a_malformed_enc_text_is_never_a_secret_in_clear() {
    let whole = encrypted(&House::new(), "of the provider");
    let cut = &whole[..whole.len() - 1];
    for path in ["registrations.by-secret.client_secret", "applications.by-secret.secret", "store.url"] {
        for text in [cut, "ENC(", " ENC(v1:2026-11:AAAA) x"] {
            let mut house = House::new();
            house.set("mode", Some("\"development\""));
            if path != "store.url" {
                house.set(&format!("{path}_file"), None);
            }
            house.set(path, Some(&format!("{text:?}")));
            let told = house.problem();
            assert!(told.starts_with(&format!("{path}: ")) && told.contains("not of the form"), "{told}");
        }
    }
    let mut house = House::new();
    house.set("mode", Some("\"development\""));
    key_file::write_new(&house.path("keys/cut"), &Secret::new(cut)).expect("written");
    house.set("registrations.by-secret.client_secret_file", Some("\"keys/cut\""));
    assert!(house.problem().contains("not of the form"));
}

#[test]
fn a_secret_in_clear_is_for_development_only_and_never_shown() {
    for path in ["registrations.by-secret.client_secret", "applications.by-secret.secret"] {
        let mut house = House::new();
        house.set(&format!("{path}_file"), None);
        house.set(path, Some(&format!("{STRONG:?}")));
        let told = house.problem();
        assert!(told.starts_with(&format!("{path}: is a secret in clear")), "{told}");
        assert!(told.contains("relais secret encrypt") && !told.contains(STRONG), "{told}");
        house.set("mode", Some("\"development\""));
        house.good();
    }
}

#[test]
fn exactly_one_of_secret_and_file() {
    for path in ["registrations.by-secret.client_secret", "applications.by-secret.secret"] {
        let mut house = House::new();
        house.set(path, Some("\"x\""));
        assert!(house.problem().contains("stands beside"));
        let mut house = House::new();
        house.set(&format!("{path}_file"), None);
        assert!(house.problem().starts_with(&format!("{path}: is missing")));
    }
}

#[test]
fn a_secret_of_an_application_has_256_bits_outside_development() {
    let mut house = House::new();
    key_file::write_new(&house.path("keys/short"), &Secret::new(&STRONG[..42])).expect("written");
    house.set("applications.by-secret.secret_file", Some("\"keys/short\""));
    assert!(house.problem().starts_with("applications.by-secret.secret_file: is shorter than 43 characters"));
    house.set("mode", Some("\"development\""));
    let config = house.good();
    let application = config.applications.iter().find(|a| a.name.as_str() == "by-secret").expect("it");
    let ApplicationCredential::SecretSha256(hash) = application.credential else { panic!("a hash") };
    let expected = digest(&SHA256, &STRONG.as_bytes()[..42]);
    assert_eq!(hash, expected.as_ref());
}

#[test]
fn a_password_in_a_store_url_is_a_secret() {
    let url = "postgres://relais:h7Kd93kd@db.example/relais";
    let mut house = House::new();
    house.set("store.url", Some(&format!("{url:?}")));
    let told = house.problem();
    assert!(told.starts_with("store.url: holds a password in clear") && !told.contains("h7Kd93kd"), "{told}");
    let text = encrypted(&House::new(), url);
    house.set("store.url", Some(&format!("{text:?}")));
    assert!(house.problem().contains("cannot be decrypted"), "another house's key");

    let mut house = House::new();
    let text = encrypted(&house, url);
    house.set("store.url", Some(&format!("{text:?}")));
    house.set("store.listen_url", Some("\"postgres://relais@direct.example/relais\""));
    let store = house.good().store;
    let StoreUrl::Postgres(secret) = store.url else { panic!("PostgreSQL") };
    assert_eq!(secret.expose(), url);
    assert!(store.listen_url.is_some());

    let mut house = House::new();
    key_file::write_new(&house.path("keys/url"), &Secret::new(url)).expect("written");
    house.set("store.url", None);
    house.set("store.url_file", Some("\"keys/url\""));
    assert!(matches!(house.good().store.url, StoreUrl::Postgres(_)));
    house.set("store.url", Some("\"sqlite://relais.db\""));
    assert!(house.problem().contains("stands beside url_file"));
}

#[test]
fn r_k_05_files_with_keys_and_secrets_are_for_their_owner_alone() {
    for (file, path) in [
        ("keys/2026-11", "keys.ring.2026-11.file"),
        ("certs/server.key", "listeners.clients.tls"),
        ("certs/client.key", "registrations.lps.certificates"),
    ] {
        let house = House::new();
        house.chmod(file, 0o644);
        let told = house.problem();
        assert!(told.starts_with(&format!("{path}: ")), "{told}");
        assert!(told.contains("chmod 0600"), "{told}");
    }
    let house = House::new();
    house.chmod("keys/secret", 0o640);
    let problems = house.problems();
    assert_eq!(problems.len(), 3, "one per use: {problems:?}");
    assert!(problems.iter().all(|problem| problem.fix.contains("chmod 0600")), "{problems:?}");
}

#[test]
fn a_certificate_matches_its_key_and_is_in_date() {
    let mut house = House::new();
    let other = DevPki::generate("other", house.now).expect("a PKI");
    other.write(&house.path("other")).expect("its files");
    house.set(
        "registrations.lps.certificates",
        Some("[{ cert = \"other/client.pem\", key = \"certs/client.key\" }]"),
    );
    let told = house.problem();
    assert!(
        told.starts_with("registrations.lps.certificates: ") && told.contains("does not belong to"),
        "{told}"
    );

    let mut house = House::new();
    house.later(366);
    let told = house.problems();
    let of =
        |path: &str| told.iter().find(|problem| problem.path == path).map(|problem| problem.what.as_str());
    assert!(of("listeners.clients.tls").is_some_and(|what| what.contains("expired")), "{told:?}");
    assert!(of("registrations.lps.certificates").is_some_and(|what| what.contains("expired")), "{told:?}");
    assert!(of("providers.psc-bas.ca").is_some_and(|what| what.contains("in date")), "{told:?}");
}

#[test]
fn a_certificate_is_for_what_it_is_used_for() {
    let mut house = House::new();
    let (client, server) = (
        "[{ cert = \"certs/client.pem\", key = \"certs/client.key\" }]",
        "[{ cert = \"certs/server.pem\", key = \"certs/server.key\" }]",
    );
    house.set("registrations.lps.certificates", Some(server));
    let told = house.problem();
    assert!(
        told.starts_with("registrations.lps.certificates: ") && told.contains("not for clients"),
        "{told}"
    );
    house.set("registrations.lps.certificates", Some(client));
    house.set("listeners.clients.tls", Some(client));
    let told = house.problem();
    assert!(told.starts_with("listeners.clients.tls: ") && told.contains("not for servers"), "{told}");
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let mut house = House::new();
    house.later(340);
    let warnings = house.good().warnings;
    let paths: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["listeners.clients.tls", "registrations.lps.certificates"]);
}

#[test]
fn the_key_ring_is_read_while_the_rest_is_still_wrong() {
    let mut house = House::new();
    house.set("registrations.by-secret.client_secret_file", None);
    house.set("store.url", Some("\"mysql://x\""));
    assert!(load_key_ring(Some(&house.file()), std::iter::empty(), house.now).is_ok());
    house.set("keys.active", None);
    let Err(problems) = load_key_ring(Some(&house.file()), std::iter::empty(), house.now) else {
        panic!("accepted")
    };
    assert!(problems.to_string().starts_with("keys.active: is missing"), "{problems}");
}
