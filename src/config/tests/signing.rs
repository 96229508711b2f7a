//! Registrations and applications that sign, and those that authenticate in the other new ways.

use std::path::PathBuf;

use super::{House, made};
use crate::config::{Audience, Config, RegistrationCredential, RegistrationSettings};
use crate::crypto::key_file;
use crate::crypto::pki::DevPki;
use crate::crypto::signer::Signer;
use crate::crypto::signing_key::{SigningAlg, generate};
use crate::domain::application::ApplicationCredential;

/// The good house, with a P-256 key in `keys/ec.pem` that the registration `lps` signs with.
fn signing() -> House {
    let mut house = House::new();
    key(&house, "ec.pem", SigningAlg::Es256);
    house.set("registrations.lps.auth", Some("\"private_key_jwt\""));
    house.set("registrations.lps.signing_key", Some("\"keys/ec.pem\""));
    house.set("registrations.lps.signing_alg", Some("\"ES256\""));
    house
}

fn key(house: &House, name: &str, alg: SigningAlg) -> PathBuf {
    let file = house.path("keys").join(name);
    key_file::write_new(&file, &generate(alg).expect("a key")).expect("written");
    file
}

fn lps(config: &Config) -> &RegistrationSettings {
    config.registrations.iter().find(|it| it.registration.name.as_str() == "lps").expect("lps")
}

#[test]
fn a_registration_that_signs_says_by_what_and_for_whom() {
    let mut house = signing();
    let config = house.good();
    let RegistrationCredential::PrivateKeyJwt { audience, typ } = &lps(&config).credential else {
        panic!("a signature")
    };
    assert_eq!((audience, typ.as_deref()), (&Audience::Issuer, Some("client-authentication+jwt")));
    let settings = lps(&config).signing.as_ref().expect("a key");
    assert_eq!((settings.alg, settings.requests), (SigningAlg::Es256, false));
    assert_eq!(settings.key, house.path("keys/ec.pem"));

    key(&house, "next.pem", SigningAlg::Ps256);
    house.set("registrations.lps.published_keys", Some("[\"keys/next.pem\"]"));
    house.set("registrations.lps.signed_requests", Some("true"));
    house.set("registrations.lps.assertion_typ", Some("\"none\""));
    for (text, expected) in [
        ("token_endpoint", Audience::TokenEndpoint),
        ("issuer", Audience::Issuer),
        ("https://op.example/x", Audience::Text("https://op.example/x".to_owned())),
    ] {
        house.set("registrations.lps.assertion_audience", Some(&format!("{text:?}")));
        let config = house.good();
        let RegistrationCredential::PrivateKeyJwt { audience, typ } = &lps(&config).credential else {
            panic!("a signature")
        };
        assert_eq!((audience, typ), (&expected, &None));
        let settings = lps(&config).signing.as_ref().expect("a key");
        assert_eq!((settings.requests, settings.published.len()), (true, 1));
    }
    house.set("registrations.lps.assertion_audience", Some("\"the issuer\""));
    assert!(house.problem().starts_with("registrations.lps.assertion_audience: "));
}

#[test]
fn a_signing_key_that_does_not_do_is_refused() {
    for (value, part) in [
        ("\"keys/none.pem\"", "cannot be read"),
        ("\"keys/persons\"", "is no PKCS#8 key"),
        ("\"certs/client.pem\"", "may be read by others"),
    ] {
        let mut house = signing();
        house.set("registrations.lps.signing_key", Some(value));
        assert!(house.problem().contains(part), "{value}: {}", house.problem());
    }
    let mut house = signing();
    house.set("registrations.lps.signing_alg", Some("\"RS256\""));
    assert!(house.problem().contains("does not sign by RS256"), "{}", house.problem());
    house.set("registrations.lps.signing_alg", Some("\"HS256\""));
    assert!(house.problem().contains("RS256, PS256, ES256"), "{}", house.problem());
    let mut house = signing();
    house.set("registrations.lps.published_keys", Some("[\"keys/none.pem\"]"));
    assert!(house.problem().starts_with("registrations.lps.published_keys: "));
    let house = signing();
    house.chmod("keys/ec.pem", 0o640);
    assert!(house.problem().contains("chmod 0600"), "{}", house.problem());
}

#[test]
fn a_key_is_known_at_one_provider() {
    let mut house = signing();
    house.set("registrations.by-secret.auth", Some("\"private_key_jwt\""));
    house.set("registrations.by-secret.client_secret_file", None);
    house.set("registrations.by-secret.signing_key", Some("\"keys/ec.pem\""));
    house.set("registrations.by-secret.signing_alg", Some("\"ES256\""));
    house.good();

    // Elsewhere, whatever the file is called.
    std::fs::copy(house.path("keys/ec.pem"), house.path("keys/copy.pem")).expect("copied");
    house.set("registrations.real.auth", Some("\"private_key_jwt\""));
    house.set("registrations.real.client_secret_file", None);
    house.set("registrations.real.signing_key", Some("\"keys/copy.pem\""));
    house.set("registrations.real.signing_alg", Some("\"ES256\""));
    let problem = house.problem();
    assert!(
        problem.starts_with("registrations.real.signing_key: is a key of the registration "),
        "{problem}"
    );
    assert!(problem.contains(" at the provider psc-bas too; make a key of its own"), "{problem}");

    // It would sign one day.
    key(&house, "own.pem", SigningAlg::Es256);
    house.set("registrations.real.signing_key", Some("\"keys/own.pem\""));
    house.good();
    house.set("registrations.real.published_keys", Some("[\"keys/copy.pem\"]"));
    let problem = house.problem();
    assert!(
        problem.starts_with("registrations.real.published_keys: is a key of the registration "),
        "{problem}"
    );

    // One problem for a registration, however many keys it shares.
    house.set("registrations.real.signing_key", Some("\"keys/ec.pem\""));
    assert!(house.problem().starts_with("registrations.real.signing_key: "));
}

#[test]
fn a_certificate_that_chains_to_nothing_is_accepted_where_it_may() {
    let mut house = House::new();
    let other = DevPki::generate("lps", made()).expect("a PKI");
    other.write(&house.path("other")).expect("written");
    house.set("registrations.lps.auth", Some("\"self_signed_tls_client_auth\""));
    let files = "[{ cert = \"other/client.pem\", key = \"other/client.key\" }]";
    house.set("registrations.lps.certificates", Some(files));
    let config = house.good();
    assert!(matches!(lps(&config).credential, RegistrationCredential::SelfSignedTlsClientAuth));
    house.set("registrations.lps.certificates", None);
    assert!(house.problem().starts_with("registrations.lps.certificates: is missing"));
}

#[test]
fn a_secret_may_be_posted() {
    let mut house = House::new();
    house.set("registrations.by-secret.auth", Some("\"client_secret_post\""));
    let config = house.good();
    let posts =
        |it: &&RegistrationSettings| matches!(it.credential, RegistrationCredential::ClientSecretPost(_));
    assert_eq!(config.registrations.iter().filter(posts).count(), 1);
}

#[test]
fn an_application_declares_its_public_keys_alone() {
    let mut house = House::new();
    let file = key(&house, "application.pem", SigningAlg::Es256);
    let jwk = Signer::load(&file).expect("a key").jwk(SigningAlg::Es256);
    let write = |house: &House, text: String| {
        std::fs::write(house.path("keys/set.json"), text).expect("written");
        house.chmod("keys/set.json", 0o644);
    };
    write(&house, serde_json::json!({ "keys": [jwk] }).to_string());
    house.set("applications.by-secret.secret_file", None);
    house.set("applications.by-secret.auth", Some("\"private_key_jwt\""));
    assert!(house.problem().starts_with("applications.by-secret.jwks_file: is missing"));
    house.set("applications.by-secret.jwks_file", Some("\"keys/set.json\""));
    let config = house.good();
    let of = |name: &str| config.applications.iter().find(|it| it.name.as_str() == name).expect("it");
    let ApplicationCredential::AssertionKeys { keys, .. } = &of("by-secret").credential else {
        panic!("keys")
    };
    assert_eq!(keys.len(), 1);
    assert_eq!(of("by-secret").pick_up_repeat.as_secs(), 60, "below a login the token alone counts");

    house.chmod("keys/set.json", 0o664);
    assert!(house.problem().contains("chmod go-w "), "{}", house.problem());
    house.chmod("keys/set.json", 0o644);

    let mut private = jwk.clone();
    private["d"] = serde_json::json!("canary");
    write(&house, serde_json::json!({ "keys": [private] }).to_string());
    assert!(house.problem().contains("holds a private or a shared key"), "{}", house.problem());
    assert!(!house.problem().contains("canary"));
    write(&house, "{}".to_owned());
    assert!(house.problem().contains("is no JSON Web Key Set"), "{}", house.problem());
    house.set("applications.by-secret.jwks_file", Some("\"keys/none.json\""));
    assert!(house.problem().contains("cannot be read"), "{}", house.problem());
    house.set("applications.by-secret.jwks_file", Some("\"keys/set.json\""));
    house.set("applications.by-secret.secret", Some("\"x\""));
    assert!(house.problems().iter().any(|it| it.path == "applications.by-secret.secret"));
}
