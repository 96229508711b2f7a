//! The documents under `config/`: complete, and accepted as they stand.

use std::collections::BTreeSet;

use super::{House, load_file};
use crate::config::{DEMO, Mode, StoreUrl, keys};

const EXAMPLE: &str = include_str!("../../../config/relais.example.toml");

/// One key of the example, with the comment above it.
struct Documented {
    path: String,
    line: String,
    comment: Vec<String>,
}

fn documented() -> Vec<Documented> {
    let (mut section, mut comment, mut found) = (String::new(), Vec::new(), Vec::new());
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split_once(" = ").map(|(key, _)| key).filter(|key| {
            key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'))
        });
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
            comment.clear();
        } else if let Some(key) = key {
            let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            found.push(Documented { path, line: bare.to_owned(), comment: std::mem::take(&mut comment) });
        } else if line.is_empty() {
            comment.clear();
        } else {
            comment.push(bare.to_owned());
        }
    }
    found
}

fn pattern(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('.').collect();
    keys::ALL.iter().map(|key| key.path).find(|pattern| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == segments.len() && parts.iter().zip(&segments).all(|(p, s)| *p == "*" || p == s)
    })
}

#[test]
fn the_example_holds_every_key_that_the_code_knows_and_no_other() {
    let named: BTreeSet<&str> = documented()
        .iter()
        .map(|key| pattern(&key.path).unwrap_or_else(|| panic!("{} is no key", key.path)))
        .collect();
    let known: BTreeSet<&str> = keys::ALL.iter().map(|key| key.path).collect();
    assert_eq!(named, known);
}

#[test]
fn the_example_says_of_every_key_what_it_is_its_default_and_its_environment_name() {
    let mut seen = BTreeSet::new();
    for key in documented() {
        if !seen.insert(pattern(&key.path)) {
            continue;
        }
        let (marks, prose): (Vec<_>, Vec<_>) = key
            .comment
            .iter()
            .partition(|line| line.starts_with("default: ") || line.starts_with("environment: "));
        assert!(prose.iter().any(|line| line.len() > 20), "{}: prose", key.path);
        assert_eq!(marks.len(), 2, "{}: default and environment", key.path);
        assert!(marks[0].starts_with("default: "), "{}", key.path);
        assert_eq!(*marks[1], format!("environment: {}", keys::environment_name(&key.path)));
    }
}

#[test]
fn the_alternatives_of_the_example_are_toml() {
    for key in documented() {
        assert!(key.line.parse::<toml::Table>().is_ok(), "{}", key.line);
    }
}

/// The example, with its files where the test has them.
fn example() -> House {
    let text = EXAMPLE
        .replace("/run/credentials/relais.service/key-", "keys/")
        .replace("certs/lps.", "certs/client.")
        .replace("certs/provider-ca.", "certs/ca.");
    House::with(&text)
}

#[test]
fn the_example_is_accepted_in_production_without_a_warning() {
    let config = example().good();
    assert_eq!(config.mode, Mode::Production);
    assert_eq!(config.warnings, []);
    assert_eq!(config.registrations.len(), 1);
    assert_eq!(config.applications.len(), 1);
}

#[test]
fn the_defaults_of_the_example_are_those_of_the_code() {
    let whole = example();
    let mut bare = example();
    for key in documented() {
        let default = key.comment.iter().find_map(|line| line.strip_prefix("default: "));
        let value = key.line.split_once(" = ").expect("a key").1;
        if default == Some(value) {
            bare.set(&key.path, None);
        }
    }
    let (whole, bare) = (whole.good(), bare.good());
    assert_eq!(whole.clients.bind, bare.clients.bind);
    let for_providers = |config: &crate::config::Config| config.for_providers.as_ref().map(|it| it.bind);
    assert!(for_providers(&whole).is_some());
    assert_eq!(for_providers(&whole), for_providers(&bare));
    assert_eq!(whole.ops.bind, bare.ops.bind);
    let registration = |config: &crate::config::Config| {
        let settings = &config.registrations[0];
        format!("{:?} {:?}", settings.registration, settings.id_token_algs)
    };
    assert_eq!(registration(&whole), registration(&bare));
    let application = |config: &crate::config::Config| {
        let a = &config.applications[0];
        let policy = (a.binding_message, a.session, a.pick_up_window, a.pick_up_repeat);
        format!("{policy:?} {} {}", a.enabled, a.reveal_unknown_person)
    };
    assert_eq!(application(&whole), application(&bare));
    assert!(bare.providers[0].provider.enabled);
}

#[test]
fn the_demo_is_accepted_beside_its_keys_and_certificates() {
    let house = House::with(DEMO);
    house.key("demo");
    std::fs::write(house.path("relais.toml"), DEMO).expect("the demo's file");
    let Ok(config) = load_file(&house.path("relais.toml"), house.now) else { panic!("the demo is refused") };
    assert_eq!(config.mode, Mode::Development);
    assert_eq!(config.applications[0].name.as_str(), "demo");
    assert_eq!(config.registrations[0].registration.name.as_str(), "psc-demo");
    assert_eq!(config.registrations[0].registration.client_id, "relais-demo");
    let StoreUrl::Sqlite(file) = config.store.url else { panic!("SQLite") };
    assert_eq!(file, house.path("relais.db"));
}
