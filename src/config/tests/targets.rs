//! `[targets.…]`: what is refused, what deserves attention, and what arrives.

use super::{BASE, House};
use crate::config::{Problem, TargetSettings};
use crate::domain::target::{ActorTokenKind, Cnf, ExchangeAuth, SubjectTokenType, TargetPath};

const TARGET: &str = r#"
[targets.dmp]
url = "https://dmp.example.fr/fhir/"
environment = "test"
registrations = ["lps"]
applications = ["by-secret"]
methods = ["GET", "POST"]
paths = ["/Patient/**"]
[targets.dmp.exchange]
token_endpoint = "https://as.example.fr/token"
"#;

fn house() -> House {
    House::with(&format!("{BASE}{TARGET}"))
}

fn target(house: &House) -> TargetSettings {
    let config = house.good();
    assert_eq!(config.targets.len(), 1);
    config.targets[0].clone()
}

/// `(key below the target, TOML value or nothing, key that is told below the target, part of what is told)`.
type Row = (&'static str, Option<&'static str>, &'static str, &'static str);

fn refused(rows: &[Row]) {
    for (key, value, told_at, part) in rows {
        let mut house = house();
        house.set(&format!("targets.dmp.{key}"), *value);
        let told: Vec<String> = house.problems().iter().map(ToString::to_string).collect();
        let start =
            if told_at.is_empty() { "targets.dmp".to_owned() } else { format!("targets.dmp.{told_at}") };
        let found = told.iter().any(|line| {
            line.strip_prefix(&start).is_some_and(|rest| rest.starts_with([' ', ':'])) && line.contains(part)
        });
        assert!(found, "{key} = {value:?}: expected {start}: …{part}…, told {told:#?}");
    }
}

#[test]
fn where_a_target_is_and_who_may_call_it() {
    refused(&[
        ("url", None, "url", "missing"),
        ("url", Some("\"dmp.example.fr\""), "url", "a URL"),
        ("url", Some("\"http://dmp.example.fr/\""), "url", "https"),
        ("url", Some("\"http://localhost/\""), "url", "https"),
        ("url", Some("\"ftp://dmp.example.fr/\""), "url", "https"),
        ("url", Some("\"https://user@dmp.example.fr/\""), "url", "user name"),
        ("url", Some("\"https://dmp.example.fr/?a=b\""), "url", "query"),
        ("url", Some("\"https://dmp.example.fr/#a\""), "url", "fragment"),
        ("url", Some("\"https://dmp.example.fr/a//b\""), "url", "a segment is empty"),
        ("url", Some("\"https://dmp.example.fr/a%2fb\""), "url", "encoded"),
        ("environment", None, "environment", "production, test"),
        ("environment", Some("\"bas\""), "environment", "production, test"),
        ("environment", Some("\"production\""), "registrations", "mixes environments"),
        ("registrations", Some("[\"real\"]"), "registrations", "mixes environments"),
        ("registrations", Some("[\"none\"]"), "registrations", "does not exist"),
        ("registrations", Some("\"lps\""), "registrations", "list of texts"),
        ("applications", Some("[\"none\"]"), "applications", "does not exist"),
        ("enabled", Some("1"), "enabled", "true or false"),
        ("ca", Some("\"none.pem\""), "ca", "cannot be read"),
        ("uri", Some("\"x\""), "uri", "did you mean `url`?"),
        ("exchange.audiance", Some("\"x\""), "exchange.audiance", "did you mean `audience`?"),
    ]);
    let mut house = house();
    house.set("targets.DMP", Some("{}"));
    assert!(
        house.problems().iter().any(|it| it.path == "targets.DMP" && it.what.contains("a name is made of"))
    );
}

#[test]
fn what_it_may_be_called_with() {
    refused(&[
        ("methods", Some("[\"get\"]"), "methods", "GET, HEAD, POST"),
        ("methods", Some("[\"CONNECT\"]"), "methods", "no method that is forwarded"),
        ("methods", Some("[\"TRACE\"]"), "methods", "no method that is forwarded"),
        ("methods", Some("[\"*\"]"), "methods", "no method that is forwarded"),
        ("paths", Some("[\"Patient\"]"), "paths", "begins with a slash"),
        ("paths", Some("[\"/a*\"]"), "paths", "star"),
        ("paths", Some("[\"/../x\"]"), "paths", "leads elsewhere"),
        ("paths", Some("[\"/**\", \"/**\"]"), "paths", "twice"),
        ("request_max", Some("\"20\""), "request_max", "a size"),
        ("request_max", Some("\"0MiB\""), "request_max", "a size"),
        ("request_max", Some("20"), "request_max", "a text"),
        ("request_max", Some("\"99999999999GiB\""), "request_max", "a size"),
        ("max_requests", Some("0"), "max_requests", "greater than 0"),
        ("timeout", Some("\"11m\""), "timeout", "10 minutes"),
        ("timeout", Some("\"0s\""), "timeout", "length of time"),
    ]);
}

#[test]
fn how_its_tokens_are_had() {
    refused(&[
        ("exchange", None, "exchange.token_endpoint", "missing"),
        ("exchange.token_endpoint", Some("\"http://as.example.fr\""), "exchange.token_endpoint", "https"),
        ("exchange.resource", Some("\"dmp\""), "exchange.resource", "absolute URI"),
        ("exchange.resource", Some("\"https://a/#b\""), "exchange.resource", "fragment"),
        (
            "exchange.subject_token_type",
            Some("\"id_token\""),
            "exchange.subject_token_type",
            "access_token, jwt",
        ),
        ("exchange.cnf", Some("\"hex\""), "exchange.cnf", "rfc8705, cisis_hex, none"),
        ("exchange.actor_token", Some("\"jwt\""), "exchange.actor_token", "none, cisis"),
        ("exchange.actor_token", Some("\"cisis\""), "exchange.actor_token", "registration lps has none"),
        ("exchange.ca", Some("\"none.pem\""), "exchange.ca", "cannot be read"),
        ("exchange.auth", Some("\"basic\""), "exchange.auth", "not known"),
        ("exchange.auth", Some("\"client_secret_basic\""), "exchange.client_secret", "missing"),
        ("exchange.auth", Some("\"private_key_jwt\""), "exchange.auth", "registration lps has none"),
        ("exchange.client_secret", Some("\"x\""), "exchange.client_secret", "does not go with"),
        ("exchange.client_secret_file", Some("\"x\""), "exchange.client_secret_file", "does not go with"),
    ]);
    let mut house = house();
    house.set("targets.dmp.exchange.auth", Some("\"client_secret_post\""));
    house.set("targets.dmp.exchange.client_secret", Some("\"in clear\""));
    assert!(house.problem().starts_with("targets.dmp.exchange.client_secret: is a secret in clear"));
    house.set("targets.dmp.exchange.client_secret", None);
    house.set("targets.dmp.exchange.client_secret_file", Some("\"keys/secret\""));
    assert!(matches!(target(&house).target.exchange.auth, ExchangeAuth::ClientSecretPost(_)));
    house.set("targets.dmp.exchange.auth", Some("\"tls_client_auth\""));
    assert!(house.problem().contains("does not go with auth = \"tls_client_auth\""));
}

#[test]
fn what_needs_a_certificate_or_a_key_asks_it_of_each_registration() {
    let mut house = house();
    house.set("targets.dmp.registrations", Some("[\"lps\", \"by-secret\"]"));
    house.set("targets.dmp.exchange.cnf", Some("\"rfc8705\""));
    assert!(house.problem().starts_with(
        "targets.dmp.exchange.cnf: binds tokens to a certificate, and the registration by-secret has none"
    ));
    house.set("targets.dmp.exchange.cnf", Some("\"none\""));
    house.set("targets.dmp.exchange.auth", Some("\"tls_client_auth\""));
    assert!(
        house.problem().starts_with(
            "targets.dmp.exchange.auth: proves by a certificate, and the registration by-secret"
        )
    );
}

#[test]
fn deny_by_default_is_said() {
    for key in ["registrations", "applications", "methods", "paths"] {
        for value in [None, Some("[]")] {
            let mut house = house();
            house.set(&format!("targets.dmp.{key}"), value);
            let told: Vec<Problem> = house.good().warnings;
            let path = format!("targets.dmp.{key}");
            assert!(
                told.iter().any(|it| it.path == path && it.what.contains("is refused")),
                "{key}: {told:?}"
            );
        }
    }
    let mut house = house();
    house.set("targets.dmp.registrations", Some("[\"by-secret\"]"));
    house.set("targets.dmp.applications", Some("[\"by-certificate\"]"));
    let told: Vec<String> = house.good().warnings.into_iter().map(|warning| warning.path).collect();
    assert_eq!(told, ["targets.dmp.applications", "targets.dmp.exchange.auth"]);
}

#[test]
fn targets_that_may_fill_the_listener_are_a_warning() {
    // Another target beside it: 64 and 32 calls.
    let more =
        TARGET.replace("targets.dmp", "targets.mss").replace("environment", "max_requests = 32\nenvironment");
    for (places, is_told) in [(128, false), (127, true), (32, true)] {
        let mut house = House::with(&format!("{BASE}{TARGET}{more}"));
        house.set("listeners.clients.max_requests", Some(&places.to_string()));
        let told: Vec<Problem> = house.good().warnings;
        let found = told.iter().find(|warning| warning.path == "listeners.clients.max_requests");
        assert_eq!(found.is_some(), is_told, "{places}: {told:?}");
        assert!(found.is_none_or(|warning| warning.what.contains("96 of them")), "{found:?}");
    }
    assert!(house().good().warnings.iter().all(|warning| !warning.path.starts_with("listeners")));
}

#[test]
fn an_application_needs_no_registration_of_the_target_where_it_acts_for_one_that_has() {
    let warned = |acts_for: Option<&str>| {
        let mut house = house();
        house.set("targets.dmp.registrations", Some("[\"by-secret\"]"));
        house.set("targets.dmp.applications", Some("[\"by-certificate\"]"));
        if acts_for.is_some() {
            house.set("applications.by-certificate.acts_for", acts_for);
        }
        let of_applications = |it: &Problem| it.path == "targets.dmp.applications";
        house.good().warnings.into_iter().find(of_applications).map(|it| it.what)
    };
    let told = warned(None).expect("a warning");
    assert!(told.contains("\"by-certificate\"") && told.contains("acts for"), "{told}");
    assert_eq!(warned(Some("[\"by-secret\"]")), None);
}

#[test]
fn the_values_of_a_target_arrive() {
    let mut house = house();
    let TargetSettings { target: bare, ca, exchange_ca } = target(&house);
    assert_eq!((bare.name.as_str(), bare.url.as_str()), ("dmp", "https://dmp.example.fr/fhir/"));
    assert_eq!((bare.request_max, bare.max_requests, bare.timeout.as_secs()), (10 << 20, 64, 30));
    assert!(bare.enabled && ca.is_none() && exchange_ca.is_none());
    assert_eq!(bare.methods, ["GET", "POST"]);
    let allows = |method, path| bare.allows(method, &TargetPath::parse(path).expect("a path"));
    assert!(allows("GET", "/Patient/1") && !allows("DELETE", "/Patient/1") && !allows("GET", "/Observation"));
    let name = |text: &str| text.parse().expect("a name");
    assert!(bare.is_open_to(&name("by-secret"), &"lps".parse().expect("a name")));
    assert!(!bare.is_open_to(&name("by-dns"), &"lps".parse().expect("a name")));
    assert!(!bare.is_open_to(&name("by-secret"), &"by-secret".parse().expect("a name")));
    let exchange = &bare.exchange;
    assert_eq!(exchange.subject_token_type, SubjectTokenType::AccessToken);
    assert_eq!((exchange.cnf, exchange.actor_token), (Cnf::None, ActorTokenKind::None));
    assert!(matches!(exchange.auth, ExchangeAuth::OfRegistration));

    house.set("targets.dmp.ca", Some("\"certs/ca.pem\""));
    house.set("targets.dmp.request_max", Some("\"512 KiB\""));
    house.set("targets.dmp.exchange.cnf", Some("\"cisis_hex\""));
    house.set("targets.dmp.exchange.scope", Some("\"a b\""));
    house.set("targets.dmp.exchange.client_id", Some("\"other\""));
    let TargetSettings { target: full, ca, exchange_ca } = target(&house);
    assert_eq!(ca, Some(house.path("certs/ca.pem")));
    assert_eq!(exchange_ca, ca);
    assert_eq!(full.request_max, 512 * 1024);
    assert_eq!(full.exchange.cnf, Cnf::CisisHex);
    assert_eq!(full.exchange.scope.as_deref(), Some("a b"));
    assert_eq!(full.exchange.client_id.as_deref(), Some("other"));
}
