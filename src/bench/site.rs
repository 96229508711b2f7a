//! What a run knows of the place that it loads, and the proof that it may be loaded.
//!
//! Nothing is loaded but a registration of a `test` environment. A test environment may still ring real devices:
//! therefore one single start must first be seen to ring at the simulated provider.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::{Api, Started};
use super::connection::{CallError, Connection, Protocol, Target};
use super::control::{Control, InForce, Rung, Stats};
use super::load::{Pace, arrivals};
use super::report::Errors;
use super::watch::Watch;
use super::{BenchError, Credential, Settings, process};
use crate::client::{self, ApplicationInfo, Client, ClientSettings, Received};
use crate::domain::clock::Clock;
use crate::domain::random::Random;
use crate::domain::registration::Environment;
use crate::domain::texts::Language;

/// Hints that begin so are persons of the simulator, and pass a hint rule untouched.
const PERSONS: &str = "8997";

/// Persons of eight digits more; the first thousand have names and are left to people.
const FIRST_PERSON: u32 = 1000;
const LAST_PERSON: u32 = 90_000_000;

/// Longer than any run. Relais has a shorter ceiling of its own.
const LIFE: u64 = 3600;

/// Logins before the measuring begins: pools, caches and the allocator are then as they are under way.
const WARM_UP: usize = 200;

/// How many connections end logins.
const ENDING: usize = 16;

/// Files beside the connections.
const OTHER_DESCRIPTORS: usize = 100;

/// The place.
pub(super) struct Site {
    pub clients: Arc<Clients>,
    pub control: Control,
    /// How long an approved login waits for its pick-up: its shown end less this is when Relais knew.
    pub pick_up_window: Duration,
    /// Relais's.
    pub version: String,
    server_pid: Option<u32>,
    /// The provider's settings before.
    before: InForce,
}

/// What every client needs.
pub(super) struct Clients {
    pub clock: Arc<dyn Clock>,
    pub api: Api,
    pub target: Target,
    first_person: u32,
}

impl Clients {
    /// The hint of person number `number` of this run.
    pub(super) fn hint(&self, number: usize) -> String {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        format!("{PERSONS}{:08}", self.first_person.saturating_add(number))
    }

    /// Starts a login as a client with a connection of its own.
    pub(super) async fn start(&self, number: usize) -> Result<(Connection, Started), CallError> {
        let mut connection = self.target.connect(Protocol::Http1, number).await?;
        let started = self.api.start(&mut connection, &self.hint(number)).await?;
        Ok((connection, started))
    }
}

impl Site {
    /// Opens it, or says why it may not be loaded.
    pub(super) async fn open(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
    ) -> Result<Self, BenchError> {
        if let Some(pid) = settings.server_pid {
            process::usage(&pid.to_string()).ok_or(BenchError::Process(pid))?;
        }
        let target = Target::new(&settings.server, settings.ca_pem.as_deref(), Some(&settings.credential))
            .map_err(|source| BenchError::Target { which: "--server", source })?;
        let control = Target::new(&settings.control, None, None)
            .map_err(|source| BenchError::Target { which: "--control", source })?;
        let application = typed_client(settings, &clock)?.application().await?;
        let registration = allowed(&application, settings.registration.as_deref())?;
        let api = Api::new(&settings.application, &settings.credential, &registration);
        let window = application.json.pointer("/limits/pick_up_window_seconds").and_then(Value::as_u64);
        let mut control = Control::open(control).await.map_err(control_failed)?;
        let before = control.settings().await.map_err(control_failed)?;
        let site = Self {
            clients: Arc::new(Clients { clock, api, target, first_person: draw_person(random) }),
            control,
            pick_up_window: Duration::from_secs(window.unwrap_or(300)),
            version: application.view.version,
            server_pid: settings.server_pid,
            before,
        };
        site.proven().await
    }

    /// One start, which must ring at the simulated provider.
    async fn proven(mut self) -> Result<Self, BenchError> {
        let failed = |call| move |source| BenchError::Call { call, source };
        let (mut connection, started) = self.clients.start(0).await.map_err(failed("the first start"))?;
        let rung = self.requests().await;
        started.cancel(&mut connection).await.map_err(failed("cancelling the first login"))?;
        let hint = self.clients.hint(0);
        if rung?.iter().any(|request| request.login_hint == hint) {
            Ok(self)
        } else {
            Err(BenchError::ForeignProvider)
        }
    }

    /// Puts the provider's settings back.
    pub(super) async fn close(mut self) {
        // A provider that is gone has no settings to put back.
        let _ = self.control.restore(&self.before).await;
    }

    /// Has logins polled every `interval` seconds, living longer than the run, and approved after a while by
    /// themselves or not at all.
    pub(super) async fn prepare(
        &mut self,
        interval: u64,
        approve_after: Option<Duration>,
    ) -> Result<(), BenchError> {
        let after_ms = approve_after.map(|after| after.as_millis());
        self.control.prepare(interval, LIFE, after_ms).await.map_err(control_failed)
    }

    /// Refuses more connections than can be had at both ends.
    pub(super) fn check_descriptors(&self, connections: usize) -> Result<(), BenchError> {
        let needed = u64::try_from(connections + OTHER_DESCRIPTORS).unwrap_or(u64::MAX);
        let server = self.server_pid.map(|pid| pid.to_string());
        let ends = [("this process", Some("self")), ("the server", server.as_deref())];
        for (whose, process) in ends {
            let limit = process.and_then(process::descriptors);
            if let Some(limit) = limit.filter(|limit| *limit < needed) {
                return Err(BenchError::Descriptors { whose, limit, needed });
            }
        }
        Ok(())
    }

    /// What the provider has counted.
    pub(super) async fn stats(&mut self) -> Result<Stats, BenchError> {
        self.control.stats().await.map_err(control_failed)
    }

    /// Every request that the provider remembers.
    pub(super) async fn requests(&mut self) -> Result<Vec<Rung>, BenchError> {
        self.control.requests().await.map_err(control_failed)
    }

    /// Begins a phase.
    pub(super) fn watch(&self) -> Watch {
        Watch::begin(&self.clients.clock, self.server_pid)
    }

    /// Starts and cancels logins, `count` at most, until everything is as it is under way.
    pub(super) async fn warm_up(&self, count: usize, errors: &mut Errors) {
        // Persons whom the measuring does not ask for.
        let first = usize::try_from(LAST_PERSON - FIRST_PERSON).unwrap_or(0);
        let clients = Arc::clone(&self.clients);
        let visit = move |number, _| {
            let clients = Arc::clone(&clients);
            async move {
                let (mut connection, started) = clients.start(first + number).await?;
                started.cancel(&mut connection).await
            }
        };
        for outcome in arrivals(&self.clients.clock, Pace::AtOnce(ENDING), WARM_UP.min(count), visit).await {
            errors.of("warm-up", outcome);
        }
    }

    /// Cancels what is left, so that nothing rings for nobody.
    pub(super) async fn cancel(&self, started: Vec<Started>, errors: &mut Errors) {
        let (clients, started) = (Arc::clone(&self.clients), Arc::new(started));
        let count = started.len();
        let visit = move |number, _| {
            let (clients, started) = (Arc::clone(&clients), Arc::clone(&started));
            async move {
                let mut connection = clients.target.connect(Protocol::Http1, number).await?;
                match started.get(number) {
                    Some(started) => started.cancel(&mut connection).await,
                    None => Ok(()),
                }
            }
        };
        for outcome in arrivals(&self.clients.clock, Pace::AtOnce(ENDING), count, visit).await {
            errors.of("cancel", outcome);
        }
    }
}

fn control_failed(source: CallError) -> BenchError {
    BenchError::Call { call: "the control interface", source }
}

/// The typed client asks who we are: its rules about addresses and answers hold here too.
fn typed_client(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Client, BenchError> {
    let credential = match &settings.credential {
        Credential::Secret(secret) => client::Credential::Secret(secret.clone()),
        Credential::Certificate { cert_pem, key_pem } => {
            client::Credential::Certificate { cert_pem: cert_pem.clone(), key_pem: key_pem.clone() }
        }
    };
    let settings = ClientSettings {
        server: settings.server.clone(),
        application: settings.application.clone(),
        credential,
        ca_pem: settings.ca_pem.clone(),
        language: Language::English,
    };
    Ok(Client::new(settings, Arc::clone(clock))?)
}

/// The registration that is loaded.
fn allowed(application: &Received<ApplicationInfo>, name: Option<&str>) -> Result<String, BenchError> {
    let offered = application.registration(name).ok_or(BenchError::Registration)?;
    if offered.environment.is(&Environment::Test) {
        Ok(offered.name.clone())
    } else {
        Err(BenchError::NotATest(offered.name.clone()))
    }
}

/// Another run on the same database asks for others: a person's slot may outlive a run.
fn draw_person(random: &dyn Random) -> u32 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    FIRST_PERSON + u32::from_le_bytes(bytes) % (LAST_PERSON - FIRST_PERSON)
}
