//! `[targets.<name>]`: the downstream APIs, and how tokens for them are had.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::certificates;
use super::listeners::ClientsListener;
use super::providers::ProviderSettings;
use super::reader::{Context, Reader};
use super::registrations::{RegistrationCredential, RegistrationSettings};
use super::secrets;
use crate::crypto::ring::KeyRing;
use crate::domain::application::Application;
use crate::domain::names::{ApplicationName, RegistrationName};
use crate::domain::registration::Environment;
use crate::domain::target::{
    ActorTokenKind, Cnf, ExchangeAuth, ExchangeParameters, METHODS, PathPattern, SubjectTokenType, Target,
    TargetPath,
};

/// A target, and what only its clients need.
#[derive(Clone)]
pub struct TargetSettings {
    /// The target.
    pub target: Target,
    /// Pinned roots (PEM) of the target; absent: the system's.
    pub ca: Option<PathBuf>,
    /// Pinned roots (PEM) of the token endpoint; absent: the system's. Those of the target, unless configured.
    pub exchange_ca: Option<PathBuf>,
}

const REQUEST_MAX: u64 = 10 * 1024 * 1024;
const MAX_REQUESTS: u32 = 64;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any front end keeps a silent connection.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// What targets refer to.
struct Surroundings<'a> {
    root: &'a Reader<'a>,
    registrations: BTreeMap<&'a str, (&'a RegistrationSettings, Option<Environment>)>,
    applications: &'a [Application],
    ring: Option<&'a KeyRing>,
}

pub(super) fn read(
    root: &Reader<'_>,
    providers: &[ProviderSettings],
    registrations: &[RegistrationSettings],
    applications: &[Application],
    ring: Option<&KeyRing>,
) -> Vec<TargetSettings> {
    let environment = |settings: &RegistrationSettings| {
        let name = &settings.registration.provider;
        Some(providers.iter().find(|settings| settings.provider.name == *name)?.provider.environment)
    };
    let surroundings = Surroundings {
        root,
        registrations: registrations
            .iter()
            .map(|settings| (settings.registration.name.as_str(), (settings, environment(settings))))
            .collect(),
        applications,
        ring,
    };
    root.section("targets")
        .sections()
        .filter_map(|(name, reader)| read_one(name, &reader, &surroundings))
        .collect()
}

/// Calls of targets have places at the listener too, until their answers begin.
pub(super) fn look_over(context: &Context, clients: Option<&ClientsListener>, targets: &[TargetSettings]) {
    let Some(clients) = clients else { return };
    let calls: u64 = targets.iter().map(|settings| u64::from(settings.target.max_requests)).sum();
    let places = u64::from(clients.max_requests);
    if calls * 4 > places * 3 {
        let what =
            format!("is {places}, and targets that hang may have {calls} of them (their max_requests)");
        let fix = "raise it, or lower max_requests of targets, so that there is room for everything else";
        context.warn("listeners.clients.max_requests", what, fix);
    }
}

fn read_one(name: &str, reader: &Reader<'_>, surroundings: &Surroundings<'_>) -> Option<TargetSettings> {
    let name = reader.name(name);
    let url = read_url(reader);
    let environments = [Environment::Production, Environment::Test].map(|e| (e.as_str(), e));
    let environment = reader.required_word("environment", &environments);
    let enabled = reader.flag("enabled", true);
    let registrations = read_registrations(reader, environment, surroundings);
    let applications = read_applications(reader, &registrations, surroundings);
    let methods = read_methods(reader);
    let paths = read_paths(reader);
    for key in ["registrations", "applications", "methods", "paths"] {
        if !reader.has(key) || reader.is_empty_list(key) {
            reader.warn(
                key,
                "names none: every call of the target is refused",
                "name what it may be used by or for",
            );
        }
    }
    let request_max = reader.size("request_max", REQUEST_MAX);
    let max_requests = reader.positive("max_requests", MAX_REQUESTS);
    let timeout = reader.duration("timeout", TIMEOUT);
    if timeout > LONGEST_TIMEOUT {
        reader.problem("timeout", "is more than 10 minutes", "write at most \"10m\"");
    }
    let ca = read_roots(reader);
    let exchange = reader.section("exchange");
    let exchange_ca = read_roots(&exchange).or_else(|| ca.clone());
    let exchange = read_exchange(&exchange, &registrations, surroundings);
    let target = Target {
        name: name?,
        url: url?,
        environment: environment?,
        enabled,
        registrations,
        applications,
        methods,
        paths,
        request_max,
        max_requests,
        timeout,
        exchange: exchange?,
    };
    Some(TargetSettings { target, ca, exchange_ca })
}

fn read_roots(reader: &Reader<'_>) -> Option<PathBuf> {
    let file = reader.file("ca")?;
    certificates::check_roots(reader, "ca", &file);
    Some(file)
}

fn read_url(reader: &Reader<'_>) -> Option<url::Url> {
    let text = reader.required("url", "write the URL that the paths of the API begin with")?;
    let url = reader.url("url", text)?;
    // The parser has resolved dots; what is left is joined with paths of callers, under the same rules.
    if let Err(error) = TargetPath::parse(url.path()) {
        reader.problem(
            "url",
            format!("has a path that servers read differently: {error}"),
            "write it plainly",
        );
        return None;
    }
    Some(url)
}

fn read_registrations(
    reader: &Reader<'_>,
    environment: Option<Environment>,
    surroundings: &Surroundings<'_>,
) -> Vec<RegistrationName> {
    let names = reader.texts("registrations");
    let declared = surroundings.root.section("registrations");
    for name in &names {
        if !declared.has(name) {
            let what = format!("names the registration {name:?}, which does not exist");
            reader.problem(
                "registrations",
                what,
                format!("add [registrations.{name}], or name one that exists"),
            );
        }
        let of_registration = surroundings.registrations.get(name.as_str()).and_then(|(_, it)| *it);
        if let (Some(own), Some(other)) = (environment, of_registration)
            && own != other
        {
            let what = format!(
                "mixes environments: the target is {}, the registration {name:?} is {}",
                own.as_str(),
                other.as_str()
            );
            let fix = "declare one target for production and another one for test";
            reader.problem("registrations", what, fix);
        }
    }
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn read_applications(
    reader: &Reader<'_>,
    registrations: &[RegistrationName],
    surroundings: &Surroundings<'_>,
) -> Vec<ApplicationName> {
    let names = reader.texts("applications");
    let declared = surroundings.root.section("applications");
    for name in names.iter().filter(|name| !declared.has(name)) {
        let what = format!("names the application {name:?}, which does not exist");
        reader.problem("applications", what, format!("add [applications.{name}], or name one that exists"));
    }
    let names: Vec<ApplicationName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    for application in surroundings.applications.iter().filter(|it| names.contains(&it.name)) {
        // It is the session that has a registration, and an application may call with sessions of those it acts for too.
        let mut whose = surroundings
            .applications
            .iter()
            .filter(|it| it.name == application.name || application.acts_for.contains(&it.name));
        if !whose.any(|it| it.registrations.iter().any(|name| registrations.contains(name))) {
            let what = format!(
                "names {:?}, and neither it nor an application that it acts for uses one of the target's registrations",
                application.name.as_str()
            );
            reader.warn("applications", what, "name a registration of theirs, or leave it out");
        }
    }
    names
}

fn read_methods(reader: &Reader<'_>) -> Vec<&'static str> {
    let mut methods = Vec::new();
    for text in reader.texts("methods") {
        match METHODS.iter().find(|method| **method == text) {
            Some(method) => methods.push(*method),
            None => reader.problem(
                "methods",
                format!("{text:?} is no method that is forwarded"),
                format!("write some of: {}", METHODS.join(", ")),
            ),
        }
    }
    methods
}

fn read_paths(reader: &Reader<'_>) -> Vec<PathPattern> {
    let mut paths = Vec::new();
    for text in reader.texts("paths") {
        match PathPattern::parse(&text) {
            Ok(pattern) => paths.push(pattern),
            Err(error) => {
                let fix = "write paths such as \"/**\", \"/Patient/*\", \"/Patient/**\"";
                reader.problem("paths", format!("{text:?} is no pattern: {error}"), fix);
            }
        }
    }
    paths
}

fn read_exchange(
    reader: &Reader<'_>,
    registrations: &[RegistrationName],
    surroundings: &Surroundings<'_>,
) -> Option<ExchangeParameters> {
    let token_endpoint = reader
        .required("token_endpoint", "write the token endpoint of the API's authorization server")
        .and_then(|text| reader.url("token_endpoint", text));
    let types = [("access_token", SubjectTokenType::AccessToken), ("jwt", SubjectTokenType::Jwt)];
    let cnfs = [("rfc8705", Cnf::Rfc8705), ("cisis_hex", Cnf::CisisHex), ("none", Cnf::None)];
    let actors = [("none", ActorTokenKind::None), ("cisis", ActorTokenKind::Cisis)];
    let cnf = reader.word("cnf", &cnfs).unwrap_or(Cnf::None);
    let actor_token = reader.word("actor_token", &actors).unwrap_or(ActorTokenKind::None);
    let resource = reader.text("resource").filter(|text| is_resource(reader, text));
    let used: Vec<&RegistrationSettings> = registrations
        .iter()
        .filter_map(|name| surroundings.registrations.get(name.as_str()).map(|(settings, _)| *settings))
        .collect();
    let without = |has: fn(&RegistrationSettings) -> bool, key: &str, what: &str, fix: &str| {
        for settings in used.iter().filter(|settings| !has(settings)) {
            let name = &settings.registration.name;
            reader.problem(key, format!("{what}, and the registration {name} has none"), fix);
        }
    };
    let (give_certificate, give_key) = ("give it certificates", "give it signing_key and signing_alg");
    if cnf != Cnf::None {
        without(has_certificate, "cnf", "binds tokens to a certificate", give_certificate);
    }
    if actor_token == ActorTokenKind::Cisis {
        without(has_key, "actor_token", "is signed", give_key);
    }
    let auth = read_auth(reader, surroundings.ring);
    match auth {
        Some(ExchangeAuth::Certificate) => {
            without(has_certificate, "auth", "proves by a certificate", give_certificate);
        }
        Some(ExchangeAuth::PrivateKeyJwt) => without(has_key, "auth", "proves by a signature", give_key),
        _ => {}
    }
    let shared_secret = |settings: &RegistrationSettings| match settings.credential {
        RegistrationCredential::ClientSecretBasic(_) | RegistrationCredential::ClientSecretPost(_) => true,
        RegistrationCredential::TlsClientAuth
        | RegistrationCredential::SelfSignedTlsClientAuth
        | RegistrationCredential::PrivateKeyJwt { .. } => false,
    };
    if !reader.has("auth") && used.iter().any(|settings| shared_secret(settings)) {
        reader.warn(
            "auth",
            "is not set: the secret that a registration has at its provider goes to the token endpoint of the target",
            "write auth with a secret of its own, or be sure that both are one server",
        );
    }
    Some(ExchangeParameters {
        audience: reader.text("audience").map(str::to_owned),
        resource: resource.map(str::to_owned),
        scope: reader.text("scope").map(str::to_owned),
        subject_token_type: reader
            .word("subject_token_type", &types)
            .unwrap_or(SubjectTokenType::AccessToken),
        subject_issuer: reader.text("subject_issuer").map(str::to_owned),
        cnf,
        actor_token,
        client_id: reader.text("client_id").map(str::to_owned),
        token_endpoint: token_endpoint?,
        auth: auth?,
    })
}

fn has_certificate(settings: &RegistrationSettings) -> bool {
    !settings.certificates.is_empty()
}

fn has_key(settings: &RegistrationSettings) -> bool {
    settings.signing.is_some()
}

/// RFC 8707 §2: an absolute URI without fragment.
fn is_resource(reader: &Reader<'_>, text: &str) -> bool {
    let is_one = url::Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    if !is_one {
        reader.problem(
            "resource",
            "is no absolute URI without fragment",
            "write the URI that the server gave",
        );
    }
    is_one
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Certificate,
    Basic,
    Post,
    Jwt,
}

/// The names of RFC 8414.
const AUTHS: &[(&str, Auth)] = &[
    ("tls_client_auth", Auth::Certificate),
    ("self_signed_tls_client_auth", Auth::Certificate),
    ("client_secret_basic", Auth::Basic),
    ("client_secret_post", Auth::Post),
    ("private_key_jwt", Auth::Jwt),
];

fn read_auth(reader: &Reader<'_>, ring: Option<&KeyRing>) -> Option<ExchangeAuth> {
    let secret_keys = &["client_secret", "client_secret_file"];
    if !reader.has("auth") {
        reader.refuse(secret_keys, "the client authentication of the registration (no auth)");
        return Some(ExchangeAuth::OfRegistration);
    }
    let auth = reader.word("auth", AUTHS)?;
    if !matches!(auth, Auth::Basic | Auth::Post) {
        reader.refuse(secret_keys, &format!("auth = {:?}", reader.text("auth").unwrap_or_default()));
    }
    match auth {
        Auth::Certificate => Some(ExchangeAuth::Certificate),
        Auth::Basic => secrets::read(reader, "client_secret", ring).map(ExchangeAuth::ClientSecretBasic),
        Auth::Post => secrets::read(reader, "client_secret", ring).map(ExchangeAuth::ClientSecretPost),
        Auth::Jwt => Some(ExchangeAuth::PrivateKeyJwt),
    }
}
