//! `[applications.<name>]`: the clients of Relais.

mod acting;
mod credential;

use std::collections::BTreeMap;
use std::time::Duration;

use super::providers::ProviderSettings;
use super::reader::Reader;
use super::registrations::RegistrationSettings;
use crate::crypto::ring::KeyRing;
use crate::domain::application::{
    Application, ApplicationCredential, ApplicationKind, BindingMessageBy, SessionPolicy,
};
use crate::domain::names::{ApplicationName, RegistrationName, TenantName};
use crate::domain::registration::Environment;

const IDLE: Duration = Duration::from_secs(30 * 60);
const ABSOLUTE: Duration = Duration::from_secs(4 * 3600);
/// Beyond a working day somebody should have decided so.
const LONG_SESSION: Duration = Duration::from_secs(12 * 3600);
const PER_PERSON: u32 = 10;
const PICK_UP_WINDOW: Duration = Duration::from_secs(5 * 60);
const LONGEST_PICK_UP_WINDOW: Duration = Duration::from_secs(10 * 60);
const PICK_UP_REPEAT: Duration = Duration::from_secs(60);
/// Where a login is worth nothing without the application's key.
const PICK_UP_REPEAT_WITH_KEY: Duration = Duration::from_secs(5 * 60);

/// What applications refer to.
struct Surroundings<'a> {
    declared: Reader<'a>,
    environments: BTreeMap<&'a str, Environment>,
    credentials: credential::Surroundings<'a>,
}

pub(super) fn read<'a>(
    root: &Reader<'a>,
    providers: &'a [ProviderSettings],
    registrations: &'a [RegistrationSettings],
    ring: Option<&'a KeyRing>,
) -> Vec<Application> {
    let environment = |registration: &RegistrationSettings| {
        let name = &registration.registration.provider;
        Some(providers.iter().find(|settings| settings.provider.name == *name)?.provider.environment)
    };
    let clients = root.section("listeners").section("clients");
    let surroundings = Surroundings {
        declared: root.section("registrations"),
        environments: registrations
            .iter()
            .filter_map(|settings| Some((settings.registration.name.as_str(), environment(settings)?)))
            .collect(),
        credentials: credential::Surroundings {
            ring,
            has_tls: clients.has("tls") && !clients.is_empty_list("tls"),
            has_client_ca: clients.has("client_ca"),
        },
    };
    let applications: Vec<Application> = root
        .section("applications")
        .sections()
        .filter_map(|(name, reader)| read_one(name, &reader, &surroundings))
        .collect();
    credential::refuse_shared(root, &applications);
    acting::check(root, &applications, &surroundings.environments);
    applications
}

fn read_one(name: &str, reader: &Reader<'_>, surroundings: &Surroundings<'_>) -> Option<Application> {
    let name: Option<ApplicationName> = reader.name(name);
    let kind = read_kind(reader);
    let tenant = read_tenant(reader);
    let enabled = reader.flag("enabled", true);
    let registrations = read_registrations(reader, surroundings);
    let acts_for = reader.texts("acts_for").iter().filter_map(|name| name.parse().ok()).collect();
    let credential = credential::read(reader, &surroundings.credentials);
    let binding_message = reader
        .word(
            "binding_message",
            &[("server", BindingMessageBy::Server), ("client", BindingMessageBy::Client)],
        )
        .unwrap_or(BindingMessageBy::Server);
    let reveal_unknown_person = reader.flag("reveal_unknown_person", true);
    let session = read_session(&reader.section("session"));
    let pick_up_window = read_pick_up_window(reader);
    let has_key = credential.as_ref().is_some_and(ApplicationCredential::is_certificate);
    let pick_up_repeat = read_pick_up_repeat(reader, has_key);
    Some(Application {
        name: name?,
        kind: kind?,
        tenant: tenant?,
        enabled,
        registrations,
        acts_for,
        credential: credential?,
        binding_message,
        reveal_unknown_person,
        session,
        pick_up_window,
        pick_up_repeat,
    })
}

fn read_kind(reader: &Reader<'_>) -> Option<ApplicationKind> {
    let kinds = [ApplicationKind::Backend, ApplicationKind::Installed].map(|kind| (kind.as_str(), kind));
    let kind = reader.required_word("kind", &kinds)?;
    if kind == ApplicationKind::Installed {
        reader.problem(
            "kind",
            "\"installed\" is refused: a secret shared by installations would lie on every workstation, and the \
             enrolment of installations arrives with a later version",
            "let the software's server call Relais, as kind = \"backend\"",
        );
        return None;
    }
    Some(kind)
}

fn read_tenant(reader: &Reader<'_>) -> Option<TenantName> {
    let text = reader.required("tenant", "write whose application it is, such as \"cabinet\"")?;
    text.parse().map_err(|error| reader.problem("tenant", format!("{error}"), "choose another name")).ok()
}

fn read_registrations(reader: &Reader<'_>, surroundings: &Surroundings<'_>) -> Vec<RegistrationName> {
    let names = reader.texts("registrations");
    if !reader.has("registrations") || reader.is_empty_list("registrations") {
        let fix = "name the registrations that it may use, the default first";
        reader.problem("registrations", "names none", fix);
    }
    for name in names.iter().filter(|name| !surroundings.declared.has(name)) {
        reader.problem(
            "registrations",
            format!("names the registration {name:?}, which does not exist"),
            format!("add [registrations.{name}], or name one that exists"),
        );
    }
    let environment = |name: &String| surroundings.environments.get(name.as_str());
    let mut known = names.iter().filter_map(environment);
    if known.next().is_some_and(|first| known.any(|other| other != first)) {
        reader.problem(
            "registrations",
            "mixes environments: some lead to real persons, others to test persons",
            "declare one application for production and another one for test",
        );
    }
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn read_session(reader: &Reader<'_>) -> SessionPolicy {
    let absolute = reader.duration("absolute", ABSOLUTE);
    let idle = reader.duration("idle", IDLE.min(absolute));
    if idle > absolute {
        reader.problem("idle", "is longer than session.absolute", "write at most session.absolute");
    }
    if absolute > LONG_SESSION {
        reader.warn(
            "absolute",
            "lets a session live longer than 12 h",
            "keep it to a working day unless somebody decided otherwise",
        );
    }
    SessionPolicy { idle, absolute, per_person: reader.positive("per_person", PER_PERSON) }
}

fn read_pick_up_window(reader: &Reader<'_>) -> Duration {
    let window = reader.duration("pick_up_window", PICK_UP_WINDOW);
    if window > LONGEST_PICK_UP_WINDOW {
        reader.problem("pick_up_window", "is more than 10 minutes", "write at most \"10m\"");
    }
    window
}

fn read_pick_up_repeat(reader: &Reader<'_>, has_key: bool) -> Duration {
    let longest = if has_key { PICK_UP_REPEAT_WITH_KEY } else { PICK_UP_REPEAT };
    let repeat = reader.duration("pick_up_repeat", longest);
    if repeat > longest {
        let limit = humantime::format_duration(longest);
        reader.problem(
            "pick_up_repeat",
            format!("is more than {limit}"),
            format!("write at most \"{limit}\""),
        );
    }
    repeat
}
