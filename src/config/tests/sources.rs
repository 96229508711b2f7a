//! File, environment and flags.

use super::{House, STRONG};
use crate::config::{Config, Problem, Problems, load};
use toml::Value;

fn load_with(
    house: &House,
    variables: &[(&str, &str)],
    flags: &[(&str, Value)],
) -> Result<Config, Vec<Problem>> {
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let flags: Vec<_> = flags.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
    load(Some(&house.file()), variables, &flags, house.now).map_err(|Problems(problems)| problems)
}

fn good(house: &House, variables: &[(&str, &str)], flags: &[(&str, Value)]) -> Config {
    match load_with(house, variables, flags) {
        Ok(config) => config,
        Err(problems) => panic!("{problems:?}"),
    }
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let mut house = House::new();
    house.set("listeners.ops.bind", Some("\"127.0.0.1:1\""));
    let variables = [("RELAIS__LISTENERS__OPS__BIND", "127.0.0.1:2")];
    let flags = [("listeners.ops.bind", Value::from("127.0.0.1:3"))];
    assert_eq!(good(&house, &[], &[]).ops.bind.port(), 1);
    assert_eq!(good(&house, &variables, &[]).ops.bind.port(), 2);
    assert_eq!(good(&house, &variables, &flags).ops.bind.port(), 3);
}

#[test]
fn in_a_segment_that_is_a_name_an_underscore_is_a_hyphen_and_in_a_key_it_is_itself() {
    let config = good(
        &House::new(),
        &[
            ("RELAIS__REGISTRATIONS__BY_SECRET__CLIENT_ID", "from-environment"),
            ("RELAIS__APPLICATIONS__BY_SECRET__SESSION__PER_PERSON", "3"),
        ],
        &[],
    );
    let registration = config.registrations.iter().find(|r| r.registration.name.as_str() == "by-secret");
    assert_eq!(registration.map(|r| r.registration.client_id.as_str()), Some("from-environment"));
    let application = config.applications.iter().find(|a| a.name.as_str() == "by-secret");
    assert_eq!(application.map(|a| a.session.per_person), Some(3));
}

#[test]
fn texts_need_no_quotes_and_lists_and_tables_are_written_as_in_the_file() {
    let config = good(
        &House::new(),
        &[
            ("RELAIS__REGISTRATIONS__LPS__CLIENT_ID", "1234"),
            ("RELAIS__REGISTRATIONS__LPS__CHANNELS", "[\"CARD\"]"),
            ("RELAIS__REGISTRATIONS__LPS__ENABLED", "false"),
            ("RELAIS__REGISTRATIONS__LPS__SCOPE", "\"openid profile\""),
            ("RELAIS__REGISTRATIONS__LPS__EXTRA_PARAMETERS", "{ one = \"1\" }"),
            ("RELAIS__REGISTRATIONS__LPS__EXTRA_PARAMETERS__TWO", "2"),
        ],
        &[],
    );
    let lps = config.registrations.iter().find(|r| r.registration.name.as_str() == "lps").expect("lps");
    assert_eq!(lps.registration.client_id, "1234");
    assert_eq!(lps.registration.channels, ["CARD"]);
    assert!(!lps.registration.enabled);
    assert_eq!(lps.registration.scope, ["openid", "profile"]);
    assert_eq!(lps.extra_parameters.get("one").map(String::as_str), Some("1"));
    assert_eq!(lps.extra_parameters.get("two").map(String::as_str), Some("2"));
}

#[test]
fn a_section_may_come_from_the_environment_alone() {
    let mut house = House::new();
    house.set("keys.ring.persons", None);
    let file = house.path("keys/persons").display().to_string();
    good(&house, &[("RELAIS__KEYS__RING__PERSONS__FILE", &file)], &[]);
}

#[test]
fn other_variables_are_not_looked_at() {
    good(&House::new(), &[("RELAIS_LOG", "debug"), ("PATH", "/bin")], &[]);
}

#[test]
fn unknown_keys_are_refused_wherever_they_come_from() {
    let mut house = House::new();
    house.set("registrations.lps.clientid", Some("\"x\""));
    house.set("storre", Some("{ url = \"x\" }"));
    let variables = [("RELAIS__STORE__ULR", "x"), ("RELAIS__MODDE", "x")];
    let flags = [("listeners.ops.port", Value::from(1))];
    let Err(problems) = load_with(&house, &variables, &flags) else { panic!("accepted") };
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert_eq!(told[0], "listeners.ops.port (flag): unknown key; remove it");
    assert_eq!(told[1], "modde (RELAIS__MODDE): unknown key; did you mean `mode`?");
    assert!(told[2].starts_with("registrations.lps.clientid (line "), "{}", told[2]);
    assert!(told[2].ends_with("unknown key; did you mean `client_id`?"), "{}", told[2]);
    assert_eq!(told[3], "store.ulr (RELAIS__STORE__ULR): unknown key; did you mean `url`?");
    assert!(told[4].ends_with("unknown key; did you mean `store`?"), "{}", told[4]);
}

#[test]
fn what_later_versions_offer_is_said_not_to_be_supported() {
    let mut house = House::new();
    house.set("listeners.admin.bind", Some("\"127.0.0.1:8445\""));
    let told = house.problem();
    assert!(told.contains("not supported by this version"), "{told}");
}

#[test]
fn a_problem_names_the_line_of_the_file() {
    let house = House::new();
    let file = house.file();
    std::fs::write(&file, "mode = \"production\"\n\n[store]\nurl = \"mysql://x\"\n").expect("written");
    let Err(Problems(problems)) = load(Some(&file), std::iter::empty(), &[], house.now) else {
        panic!("accepted")
    };
    let store = problems.iter().find(|problem| problem.path == "store.url").expect("a problem");
    assert!(store.to_string().starts_with("store.url (line 4): "), "{store}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line_and_without_its_text() {
    let house = House::new();
    let file = house.file();
    std::fs::write(&file, format!("mode = \"production\"\nsecret = \"{STRONG}\n")).expect("written");
    let Err(problems) = load(Some(&file), std::iter::empty(), &[], house.now) else { panic!("accepted") };
    let told = problems.to_string();
    assert!(told.contains("configuration (line 2): "), "{told}");
    assert!(!told.contains(STRONG), "{told}");
}

#[test]
fn a_file_that_is_missing_is_told() {
    let house = House::new();
    let file = house.path("nowhere.toml");
    let Err(problems) = load(Some(&file), std::iter::empty(), &[], house.now) else { panic!("accepted") };
    assert!(problems.to_string().contains("nowhere.toml cannot be read"), "{problems}");
}

#[test]
fn a_value_where_a_section_belongs_is_refused() {
    let mut house = House::new();
    house.set("applications.by-secret.session", Some("\"30m\""));
    assert!(house.problem().starts_with("applications.by-secret.session: a table is expected"));
}
