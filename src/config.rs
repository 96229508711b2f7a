//! Reads configuration into domain values and each module's plain settings.
//!
//! [`load()`] merges file, environment and flags ([`keys`] lists every key), reads every section, and tells all
//! problems at once. No other module than `app` sees [`Config`]: each gets its own part. What holds a secret has
//! no `Debug`.

mod applications;
mod at_start;
mod certificates;
mod files;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod keys;
mod listeners;
mod load;
mod problem;
mod providers;
mod reader;
mod registrations;
mod ring;
mod secrets;
mod store;
mod targets;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::Path;

use toml::{Table, Value};

pub use at_start::AtStart;
pub use listeners::{ClientsListener, OpsListener, ProvidersListener};
pub use problem::{Origin, Problem, Problems};
pub use providers::ProviderSettings;
pub use registrations::{
    Audience, CertificateFiles, RegistrationCredential, RegistrationSettings, SigningSettings,
};
pub use store::{StoreSettings, StoreUrl};
pub use targets::TargetSettings;

use crate::crypto::ring::KeyRing;
use crate::domain::application::Application;
use crate::domain::time::Timestamp;
use reader::{Context, Reader};

/// What `demo` runs: `config/relais.demo.toml`. Its relative paths start from the state folder, into which it is
/// written.
pub const DEMO: &str = include_str!("../config/relais.demo.toml");

/// How strict the rules are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// No literal secrets, https everywhere.
    Production,
    /// Allows loopback http, literal secrets and short ones.
    Development,
}

/// A configuration without problems.
pub struct Config {
    /// How strict the rules were.
    pub mode: Mode,
    /// Where everything is stored.
    pub store: StoreSettings,
    /// What seals, opens and names.
    pub key_ring: KeyRing,
    /// The listener of the client API.
    pub clients: ClientsListener,
    /// The listener that providers call, where there is one.
    pub for_providers: Option<ProvidersListener>,
    /// The listener of health and metrics.
    pub ops: OpsListener,
    /// The providers.
    pub providers: Vec<ProviderSettings>,
    /// The registrations; each one's provider is in `providers`.
    pub registrations: Vec<RegistrationSettings>,
    /// The applications; each one's registrations are in `registrations`.
    pub applications: Vec<Application>,
    /// The targets; each one's registrations and applications are above.
    pub targets: Vec<TargetSettings>,
    /// What works but deserves attention.
    pub warnings: Vec<Problem>,
    /// What takes effect only at a start.
    pub at_start: AtStart,
}

/// Reads the configuration from `file`, then `environment`, then `overrides` (dotted path and value, from flags).
///
/// Relative paths are resolved against the folder of `file`. Certificates are judged at `now`.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, Value)],
    now: Timestamp,
) -> Result<Config, Problems> {
    let (context, table) = open(file, environment, overrides, now)?;
    read(context, &table)
}

/// Reads the configuration for whoever examines its registrations: that a certificate of theirs is out of date is for
/// him to say, and refuses nothing here.
pub fn load_to_examine(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    now: Timestamp,
) -> Result<Config, Problems> {
    let (mut context, table) = open(file, environment, &[], now)?;
    context.leaves_dates = true;
    read(context, &table)
}

fn read(context: Context, table: &Table) -> Result<Config, Problems> {
    let root = Reader::root(&context, table);
    let key_ring = ring::read(&root.section("keys"));
    let store = store::read(&root.section("store"), key_ring.as_ref());
    let listeners = root.section("listeners");
    let clients = listeners::read_clients(&listeners.section("clients"));
    let for_providers = listeners::read_providers(&listeners);
    let ops = listeners::read_ops(&listeners.section("ops"));
    let providers = providers::read(&root);
    let registrations = registrations::read(&root, &providers, key_ring.as_ref());
    let applications = applications::read(&root, &providers, &registrations, key_ring.as_ref());
    let targets = targets::read(&root, &providers, &registrations, &applications, key_ring.as_ref());
    let binds = [
        ("clients", clients.as_ref().map(|listener| listener.bind)),
        ("providers", for_providers.as_ref().map(|listener| listener.bind)),
        ("ops", ops.map(|listener| listener.bind)),
    ];
    look_over(&context, &binds, &applications);
    targets::look_over(&context, clients.as_ref(), &targets);
    let mode = context.mode;
    let (problems, warnings) = context.into_findings();
    match (store, key_ring, clients, ops) {
        (Some(store), Some(key_ring), Some(clients), Some(ops)) if problems.is_empty() => Ok(Config {
            mode,
            store,
            key_ring,
            clients,
            for_providers,
            ops,
            providers,
            registrations,
            applications,
            targets,
            warnings,
            at_start: AtStart::of(table),
        }),
        _ => Err(Problems(problems)),
    }
}

/// What concerns several sections.
fn look_over(context: &Context, binds: &[(&str, Option<SocketAddr>)], applications: &[Application]) {
    for (index, (name, bind)) in binds.iter().enumerate() {
        let Some(bind) = bind.filter(|bind| bind.port() != 0) else { continue };
        if let Some((other, _)) = binds[..index].iter().find(|(_, earlier)| *earlier == Some(bind)) {
            let what = format!("is the address of listeners.{other} too");
            context.problem(&format!("listeners.{name}.bind"), what, "give each listener a port of its own");
        }
    }
    if applications.is_empty() {
        context.warn("applications", "holds none: nobody can start a login", "declare one");
    }
}

/// Reads the key ring alone: what `secret encrypt` needs before the configuration is complete.
pub fn load_key_ring(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    now: Timestamp,
) -> Result<KeyRing, Problems> {
    let (context, table) = open(file, environment, &[], now)?;
    let key_ring = ring::read(&Reader::root(&context, &table).section("keys"));
    let (mut problems, _) = context.into_findings();
    problems.retain(|problem| problem.path.is_empty() || problem.path.split('.').next() == Some("keys"));
    match key_ring {
        Some(key_ring) if problems.is_empty() => Ok(key_ring),
        _ => Err(Problems(problems)),
    }
}

fn open(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, Value)],
    now: Timestamp,
) -> Result<(Context, Table), Problems> {
    let sources =
        load::Sources::read(file, environment, overrides).map_err(|problem| Problems(vec![problem]))?;
    let (mut context, table) = Context::new(sources, now);
    let words = [("production", Mode::Production), ("development", Mode::Development)];
    let mode = Reader::root(&context, &table).word("mode", &words);
    context.mode = mode.unwrap_or(Mode::Production);
    if context.mode == Mode::Development {
        let what = "development: literal secrets and loopback http are accepted";
        context.warn("mode", what, "set mode = \"production\" where real persons log in");
    }
    Ok((context, table))
}
