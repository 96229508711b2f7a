//! What a whole configuration becomes: values, warnings, all problems together.

use super::House;
use crate::config::{RegistrationCredential, RegistrationSettings, StoreUrl};
use crate::domain::application::ApplicationCredential;
use crate::domain::registration::Delivery;

fn accepted(rows: &[(&str, &str)]) {
    for (path, value) in rows {
        let mut house = House::new();
        house.set(path, Some(value));
        assert_eq!(house.problems(), [], "{path} = {value}");
    }
}

#[test]
fn several_problems_are_told_at_once_in_the_order_of_their_paths() {
    let mut house = House::new();
    house.set("store.url", Some("\"mysql://x\""));
    house.set("providers.psc.issuer", None);
    house.set("registrations.lps.delivery", Some("\"push\""));
    house.set("applications.by-dns.kind", Some("\"installed\""));
    house.set("keys.active", None);
    let paths: Vec<String> = house.problems().into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "applications.by-dns.kind",
            "keys.active",
            "providers.psc.issuer",
            "registrations.lps.delivery",
            "store.url"
        ]
    );
}

#[test]
fn what_is_allowed_is_accepted() {
    accepted(&[
        ("store.url", "\"postgres://relais@db.example/relais\""),
        ("store.url", "\"postgresql://relais@db.example/relais\""),
        ("providers.psc.metadata_url", "\"https://provider.example/real/.well-known/wallet\""),
        ("providers.psc.profile", "\"keycloak\""),
        ("registrations.lps.delivery", "\"poll\""),
        ("registrations.lps.id_token_algs", "[\"PS256\", \"ES256\"]"),
        (
            "registrations.by-secret.certificates",
            "[{ cert = \"certs/client.pem\", key = \"certs/client.key\" }]",
        ),
        ("registrations.lps.request_lifetime", "\"5m\""),
        ("applications.by-secret.enabled", "false"),
        ("applications.by-secret.binding_message", "\"client\""),
    ]);
}

#[test]
fn a_registration_that_is_told_needs_a_listener_and_push_a_second_thought() {
    for (mode, delivery) in [("ping", Delivery::Ping), ("push", Delivery::Push)] {
        let mut house = House::new();
        house.set("registrations.lps.delivery", Some(&format!("\"{mode}\"")));
        house.set(
            "listeners.providers",
            Some("{ public_url = \"https://r:8444\", tls = [{ cert = \"certs/server.pem\", key = \"certs/server.key\" }] }"),
        );
        let config = house.good();
        assert_eq!(config.for_providers.map(|listener| listener.bind.port()), Some(8444));
        let lps = |it: &&RegistrationSettings| it.registration.name.as_str() == "lps";
        let lps = config.registrations.iter().find(lps).expect("lps");
        assert_eq!(lps.registration.delivery, delivery);
        let warned: Vec<_> = config.warnings.iter().map(|it| it.path.as_str()).collect();
        let expected: &[&str] = if mode == "push" { &["registrations.lps.delivery"] } else { &[] };
        assert_eq!(warned, expected);
    }
}

#[test]
fn the_values_arrive() {
    let mut house = House::new();
    house.set("registrations.lps.acr_values", Some("[\"eidas1\", \"eidas2\"]"));
    house
        .set("applications.by-secret.session", Some("{ idle = \"15m\", absolute = \"2h\", per_person = 2 }"));
    let config = house.good();
    let StoreUrl::Sqlite(file) = &config.store.url else { panic!("SQLite") };
    assert_eq!(*file, house.path("relais.db"));
    assert_eq!(config.key_ring.active_id(), "2026-11");
    assert_eq!(config.clients.bind.to_string(), "0.0.0.0:8443");
    assert_eq!(config.ops.bind.to_string(), "127.0.0.1:8081");
    let psc = config.providers.iter().find(|p| p.provider.name.as_str() == "psc").expect("psc");
    assert_eq!(
        psc.provider.metadata_url.as_str(),
        "https://provider.example/real/.well-known/openid-configuration"
    );
    assert!(psc.ca.is_none());
    let lps = config.registrations.iter().find(|r| r.registration.name.as_str() == "lps").expect("lps");
    assert_eq!(lps.registration.scope, ["openid", "scope_all"]);
    assert_eq!(lps.registration.acr_values, ["eidas1", "eidas2"]);
    assert_eq!(lps.registration.request_lifetime.as_secs(), 120);
    assert!(matches!(lps.credential, RegistrationCredential::TlsClientAuth) && lps.signing.is_none());
    assert_eq!(lps.certificates, [(house.path("certs/client.pem"), house.path("certs/client.key"))]);
    let find = |name: &str| config.applications.iter().find(|a| a.name.as_str() == name).expect("it");
    let session = find("by-secret").session;
    assert_eq!((session.idle.as_secs(), session.absolute.as_secs(), session.per_person), (900, 7200, 2));
    assert_eq!(find("by-secret").pick_up_repeat.as_secs(), 60);
    assert_eq!(find("by-dns").pick_up_repeat.as_secs(), 300);
    let ApplicationCredential::CertificateSha256(thumbprints) = &find("by-certificate").credential else {
        panic!("thumbprints")
    };
    assert_eq!(thumbprints[0][..4], [0x00, 0x11, 0x22, 0x33]);
}

#[test]
fn what_deserves_attention_is_a_warning() {
    for (path, value, part) in [
        ("mode", "\"development\"", "mode: development"),
        ("applications", "{}", "applications: holds none"),
        ("listeners.ops.bind", "\"0.0.0.0:8081\"", "listeners.ops.bind: is not loopback"),
        ("applications.by-secret.session.absolute", "\"13h\"", "applications.by-secret.session.absolute: "),
    ] {
        let mut house = House::new();
        house.set(path, Some(value));
        let warnings: Vec<String> = house
            .good()
            .warnings
            .into_iter()
            .map(|warning| crate::config::Problem { origin: None, ..warning }.to_string())
            .collect();
        assert!(warnings.iter().any(|warning| warning.starts_with(part)), "{path}: {warnings:?}");
    }
}
