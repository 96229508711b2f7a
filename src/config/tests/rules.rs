//! One rule per row: what is changed in a good configuration, and what is told about it.

use super::{BASE, House};
use crate::domain::parameters::RESERVED;

/// `(path, TOML value or nothing, start of the problem, part of what is told)`.
type Row = (&'static str, Option<&'static str>, &'static str, &'static str);

fn refused(rows: &[Row]) {
    for (path, value, start, part) in rows {
        let mut house = House::new();
        house.set(path, *value);
        let problems = house.problems();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {}; {}", problem.path, problem.what, problem.fix))
            .collect();
        let found = told.iter().any(|line| line.starts_with(&format!("{start}: ")) && line.contains(part));
        assert!(found, "{path} = {value:?}: expected {start}: …{part}…, told {told:#?}");
    }
}

#[test]
fn the_base_of_these_tests_is_good() {
    let config = House::new().good();
    assert_eq!(config.providers.len(), 2);
    assert_eq!(config.registrations.len(), 3);
    assert_eq!(config.applications.len(), 4);
    assert_eq!(config.warnings, []);
}

#[test]
fn top_and_store() {
    refused(&[
        ("mode", Some("\"test\""), "mode", "production, development"),
        ("mode", Some("1"), "mode", "not a text"),
        ("store.url", Some("\"mysql://x\""), "store.url", "neither"),
        ("store.url", Some("\"sqlite://\""), "store.url", "names no file"),
        ("store.url", Some("\"sqlite://:memory:\""), "store.url", "names no file"),
        ("store.url", Some("\"\""), "store.url", "empty"),
        ("store.listen_url", Some("\"postgres://h/d\""), "store.listen_url", "SQLite"),
    ]);
}

#[test]
fn keys() {
    refused(&[
        ("keys.active", None, "keys.active", "missing"),
        ("keys.active", Some("\"2027\""), "keys.active", "not in keys.ring"),
        ("keys.pseudonym", Some("\"2027\""), "keys.pseudonym", "not in keys.ring"),
        ("keys.pseudonym", Some("\"2026-11\""), "keys.pseudonym", "key of its own"),
        ("keys.ring.2026-11.file", None, "keys.ring.2026-11.file", "relais keys generate"),
        ("keys.ring.2026-11.file", Some("\"keys/none\""), "keys.ring.2026-11.file", "cannot be read"),
        ("keys.ring.2026-11.file", Some("\"certs/client.key\""), "keys.ring.2026-11.file", "holds no key"),
        ("keys.ring.2026_12", Some("{ file = \"keys/persons\" }"), "keys.ring.2026_12", "a name is made of"),
    ]);
}

#[test]
fn listeners() {
    refused(&[
        ("listeners.clients.bind", Some("\"127.0.0.1:8081\""), "listeners.ops.bind", "a port of its own"),
        ("listeners.clients.bind", Some("\"localhost\""), "listeners.clients.bind", "an address and a port"),
        ("listeners.clients.public_url", None, "listeners.clients.public_url", "missing"),
        ("listeners.clients.public_url", Some("\"x\""), "listeners.clients.public_url", "not a URL"),
        (
            "listeners.clients.public_url",
            Some("\"http://localhost\""),
            "listeners.clients.public_url",
            "https",
        ),
        ("listeners.clients.public_url", Some("\"https://a/\""), "listeners.clients.public_url", "slash"),
        ("listeners.clients.public_url", Some("\"https://a?b\""), "listeners.clients.public_url", "query"),
        ("listeners.clients.tls", None, "listeners.clients.tls", "missing"),
        ("listeners.clients.tls", Some("[]"), "listeners.clients.tls", "missing"),
        ("listeners.clients.tls", Some("[{ cert = \"a\" }]"), "listeners.clients.tls", "list of { cert"),
        ("listeners.clients.tls", Some("\"a\""), "listeners.clients.tls", "list of { cert"),
        ("listeners.providers.bind", Some("\"x\""), "listeners.providers.bind", "an address and a port"),
        ("listeners.providers.bind", Some("\"127.0.0.1:1\""), "listeners.providers.public_url", "missing"),
        ("listeners.providers.bind", Some("\"127.0.0.1:1\""), "listeners.providers.tls", "missing"),
        (
            "listeners.providers",
            Some("{ bind = \"0.0.0.0:8443\", public_url = \"https://a\" }"),
            "listeners.providers.bind",
            "the address of listeners.clients too",
        ),
        (
            "listeners.providers",
            Some("{ public_url = \"http://a\" }"),
            "listeners.providers.public_url",
            "https",
        ),
        (
            "listeners.providers",
            Some("{ public_url = \"https://a/\" }"),
            "listeners.providers.public_url",
            "slash",
        ),
        ("listeners.providers.client_ca", Some("\"x\""), "listeners.providers.client_ca", "unknown key"),
        ("listeners.clients.client_ca", None, "applications.by-dns.auth", "client_ca"),
        ("listeners.clients.client_ca", Some("\"none\""), "listeners.clients.client_ca", "cannot be read"),
        (
            "listeners.clients.client_ca",
            Some("\"keys/secret\""),
            "listeners.clients.client_ca",
            "no certificate",
        ),
    ]);
}

#[test]
fn certificates_without_tls_are_refused_for_each_application_that_needs_them() {
    let mut house = House::new();
    house.set("mode", Some("\"development\""));
    house.set("listeners.clients.tls", None);
    house.set("listeners.clients.bind", Some("\"127.0.0.1:8080\""));
    house.set("listeners.clients.public_url", Some("\"http://127.0.0.1:8080\""));
    let paths: Vec<String> = house.problems().into_iter().map(|problem| problem.path).collect();
    let names = ["by-certificate", "by-dns", "by-subject"];
    assert_eq!(paths, names.map(|name| format!("applications.{name}.auth")));
}

#[test]
fn without_tls_only_on_loopback_in_development() {
    let mut house = House::with(BASE.split("[applications.by-certificate]").next().unwrap_or_default());
    house.set("listeners.clients.tls", None);
    house.set("mode", Some("\"development\""));
    house.set("listeners.clients.public_url", Some("\"http://localhost:8080\""));
    house.set("listeners.clients.bind", Some("\"0.0.0.0:8080\""));
    assert!(house.problem().starts_with("listeners.clients.tls: is missing"));
    house.set("listeners.clients.bind", Some("\"127.0.0.1:8080\""));
    assert!(house.good().clients.tls.is_empty());
    house.set("listeners.clients.public_url", Some("\"http://relais.example:8080\""));
    assert!(house.problem().starts_with("listeners.clients.public_url: is not an https URL"));
}

#[test]
fn providers() {
    refused(&[
        ("providers.psc.profile", None, "providers.psc.profile", "psc, keycloak, generic"),
        ("providers.psc.profile", Some("\"okta\""), "providers.psc.profile", "psc, keycloak, generic"),
        ("providers.psc.environment", None, "providers.psc.environment", "production, test"),
        ("providers.psc.environment", Some("\"bas\""), "providers.psc.environment", "production, test"),
        ("providers.psc.enabled", Some("\"yes\""), "providers.psc.enabled", "true or false"),
        ("providers.psc.issuer", None, "providers.psc.issuer", "missing"),
        ("providers.psc.issuer", Some("\"http://localhost/x\""), "providers.psc.issuer", "https"),
        ("providers.psc.metadata_url", Some("\"ftp://x/y\""), "providers.psc.metadata_url", "https"),
        ("providers.psc.ca", Some("\"none.pem\""), "providers.psc.ca", "cannot be read"),
        ("providers.PSC", Some("{}"), "providers.PSC", "a name is made of"),
        ("providers.psc.isuer", Some("\"x\""), "providers.psc.isuer", "did you mean `issuer`?"),
    ]);
}

#[test]
fn registrations() {
    refused(&[
        ("registrations.lps.provider", None, "registrations.lps.provider", "missing"),
        ("registrations.lps.provider", Some("\"x\""), "registrations.lps.provider", "does not exist"),
        ("registrations.lps.client_id", None, "registrations.lps.client_id", "missing"),
        ("registrations.lps.auth", None, "registrations.lps.auth", "missing"),
        ("registrations.lps.auth", Some("\"private_key_jwt\""), "registrations.lps.signing_key", "missing"),
        (
            "registrations.lps.auth",
            Some("\"client_secret_post\""),
            "registrations.lps.client_secret",
            "missing",
        ),
        (
            "registrations.lps.extra_parameters",
            Some("{ aud = \"x\" }"),
            "registrations.lps.extra_parameters.aud",
            "by itself",
        ),
        ("registrations.lps.auth", Some("\"basic\""), "registrations.lps.auth", "not known"),
        ("registrations.lps.certificates", None, "registrations.lps.certificates", "missing"),
        ("registrations.lps.certificates", Some("[]"), "registrations.lps.certificates", "empty"),
        (
            "registrations.lps.client_secret",
            Some("\"x\""),
            "registrations.lps.client_secret",
            "does not go with",
        ),
        (
            "registrations.lps.delivery",
            Some("\"ping\""),
            "registrations.lps.delivery",
            "[listeners.providers]",
        ),
        (
            "registrations.lps.delivery",
            Some("\"push\""),
            "registrations.lps.delivery",
            "[listeners.providers]",
        ),
        ("registrations.lps.delivery", Some("\"mail\""), "registrations.lps.delivery", "not known"),
        ("registrations.lps.scope", Some("\"profile\""), "registrations.lps.scope", "openid"),
        (
            "registrations.lps.id_token_algs",
            Some("[\"none\"]"),
            "registrations.lps.id_token_algs",
            "proves nothing",
        ),
        (
            "registrations.lps.id_token_algs",
            Some("[\"HS256\"]"),
            "registrations.lps.id_token_algs",
            "proves nothing",
        ),
        (
            "registrations.lps.id_token_algs",
            Some("[\"RS1\"]"),
            "registrations.lps.id_token_algs",
            "not known",
        ),
        ("registrations.lps.id_token_algs", Some("[]"), "registrations.lps.id_token_algs", "empty"),
        ("registrations.lps.channels", Some("[\"SMS\"]"), "registrations.lps.channels", "MOBILE, CARD"),
        ("registrations.lps.channels", Some("[\"CARD\", \"CARD\"]"), "registrations.lps.channels", "twice"),
        ("registrations.lps.channels", Some("\"CARD\""), "registrations.lps.channels", "list of texts"),
        ("registrations.lps.request_lifetime", Some("\"2h\""), "registrations.lps.request_lifetime", "hour"),
        (
            "registrations.lps.request_lifetime",
            Some("120"),
            "registrations.lps.request_lifetime",
            "not a text",
        ),
        (
            "registrations.lps.request_lifetime",
            Some("\"0s\""),
            "registrations.lps.request_lifetime",
            "length of time",
        ),
        ("registrations.lps.max_age", Some("\"0s\""), "registrations.lps.max_age", "length of time"),
        ("registrations.lps.request_context", Some("\"yes\""), "registrations.lps.request_context", "true"),
        (
            "registrations.lps.extra_parameters",
            Some("{ login_hint = \"x\" }"),
            "registrations.lps.extra_parameters.login_hint",
            "by itself",
        ),
        (
            "registrations.lps.extra_parameters",
            Some("{ channel = \"CARD\" }"),
            "registrations.lps.extra_parameters.channel",
            "by itself",
        ),
        (
            "registrations.lps.extra_parameters",
            Some("{ a = 1 }"),
            "registrations.lps.extra_parameters.a",
            "not a text",
        ),
    ]);
}

#[test]
fn no_parameter_of_the_protocol_is_set_by_configuration() {
    // The list that a start refuses too.
    assert!(
        ["request", "request_uri", "request_context", "login_hint"].iter().all(|it| RESERVED.contains(it))
    );
    for name in RESERVED {
        let mut house = House::new();
        house.set("registrations.lps.extra_parameters", Some(&format!("{{ {name} = \"x\" }}")));
        let expected = format!("registrations.lps.extra_parameters.{name}: is a parameter of the protocol");
        assert!(house.problem().starts_with(&expected), "{}", house.problem());
    }
}

#[test]
fn keys_that_sign_are_for_registrations_that_do() {
    refused(&[
        ("registrations.lps.signed_requests", Some("true"), "registrations.lps.signing_key", "missing"),
        ("registrations.lps.signing_key", Some("\"x\""), "registrations.lps.signing_key", "does not go with"),
        ("registrations.lps.signing_alg", Some("\"ES256\""), "registrations.lps.signing_alg", "does not go"),
        ("registrations.lps.published_keys", Some("[]"), "registrations.lps.published_keys", "does not go"),
        (
            "registrations.lps.assertion_typ",
            Some("\"none\""),
            "registrations.lps.assertion_typ",
            "does not go with auth = \"tls_client_auth\"",
        ),
        (
            "registrations.by-secret.assertion_audience",
            Some("\"issuer\""),
            "registrations.by-secret.assertion_audience",
            "does not go with",
        ),
    ]);
}

#[test]
fn channels_are_for_profiles_that_have_them() {
    let mut house = House::new();
    house.set("providers.psc-bas.profile", Some("\"generic\""));
    assert!(house.problem().starts_with("registrations.lps.channels: the profile generic has no channels"));
}

#[test]
fn who_an_application_is_and_how_it_proves_it() {
    refused(&[
        ("applications.by-secret.kind", None, "applications.by-secret.kind", "backend, installed"),
        ("applications.by-secret.kind", Some("\"installed\""), "applications.by-secret.kind", "enrolment"),
        ("applications.by-secret.tenant", None, "applications.by-secret.tenant", "missing"),
        (
            "applications.by-secret.tenant",
            Some("\"Dr X\""),
            "applications.by-secret.tenant",
            "a name is made of",
        ),
        ("applications.by-secret.registrations", None, "applications.by-secret.registrations", "names none"),
        (
            "applications.by-secret.registrations",
            Some("[]"),
            "applications.by-secret.registrations",
            "names none",
        ),
        (
            "applications.by-secret.registrations",
            Some("[\"x\"]"),
            "applications.by-secret.registrations",
            "exist",
        ),
        (
            "applications.by-secret.registrations",
            Some("[\"lps\", \"real\"]"),
            "applications.by-secret.registrations",
            "mixes environments",
        ),
        ("applications.by-secret.auth", None, "applications.by-secret.auth", "missing"),
        (
            "applications.by-secret.auth",
            Some("\"private_key_jwt\""),
            "applications.by-secret.jwks_file",
            "missing",
        ),
        (
            "applications.by-secret.certificate_sha256",
            Some("[]"),
            "applications.by-secret.certificate_sha256",
            "go with",
        ),
        (
            "applications.by-certificate.certificate_sha256",
            Some("[\"00\"]"),
            "applications.by-certificate.certificate_sha256",
            "64 hexadecimal",
        ),
        (
            "applications.by-certificate.certificate_sha256",
            Some("[]"),
            "applications.by-certificate.certificate_sha256",
            "names no certificate",
        ),
        (
            "applications.by-subject.tls_client_auth_san_dns",
            Some("\"x.example\""),
            "applications.by-subject.tls_client_auth_subject_dn",
            "beside",
        ),
        (
            "applications.by-subject.tls_client_auth_subject_dn",
            None,
            "applications.by-subject.tls_client_auth_subject_dn",
            "missing",
        ),
        (
            "applications.by-subject.tls_client_auth_subject_dn",
            Some("\"Example\""),
            "applications.by-subject.tls_client_auth_subject_dn",
            "RFC 4514",
        ),
        (
            "applications.by-dns.tls_client_auth_san_dns",
            Some("\"*.example.fr\""),
            "applications.by-dns.tls_client_auth_san_dns",
            "no DNS name",
        ),
    ]);
}

#[test]
fn what_an_application_may_and_how_long() {
    refused(&[
        (
            "applications.by-secret.binding_message",
            Some("\"x\""),
            "applications.by-secret.binding_message",
            "server, client",
        ),
        (
            "applications.by-secret.session.idle",
            Some("\"5h\""),
            "applications.by-secret.session.idle",
            "absolute",
        ),
        (
            "applications.by-secret.session.absolute",
            Some("\"0s\""),
            "applications.by-secret.session.absolute",
            "zero",
        ),
        (
            "applications.by-secret.session.per_person",
            Some("0"),
            "applications.by-secret.session.per_person",
            "than 0",
        ),
        (
            "applications.by-secret.pick_up_window",
            Some("\"11m\""),
            "applications.by-secret.pick_up_window",
            "10m",
        ),
        (
            "applications.by-secret.pick_up_repeat",
            Some("\"2m\""),
            "applications.by-secret.pick_up_repeat",
            "1m",
        ),
        ("applications.by-dns.pick_up_repeat", Some("\"6m\""), "applications.by-dns.pick_up_repeat", "5m"),
    ]);
}

#[test]
fn a_certificate_belongs_to_exactly_one_application() {
    for (path, value) in [
        (
            "applications.twin",
            "{ auth = \"self_signed_tls_client_auth\", certificate_sha256 = [\"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\"] }",
        ),
        (
            "applications.twin",
            "{ auth = \"tls_client_auth\", tls_client_auth_subject_dn = \"cn=one, o=Example\" }",
        ),
        ("applications.twin", "{ auth = \"tls_client_auth\", tls_client_auth_san_dns = \"APP.example.fr\" }"),
    ] {
        let mut house = House::new();
        house.set(path, Some(value));
        house.set("applications.twin.kind", Some("\"backend\""));
        house.set("applications.twin.tenant", Some("\"cabinet\""));
        house.set("applications.twin.registrations", Some("[\"lps\"]"));
        let told = house.problem();
        assert!(told.starts_with("applications.twin."), "{told}");
        assert!(told.contains("belongs to exactly one application"), "{told}");
    }
}
