//! Load on a running Relais, as a fleet of thick clients makes it, and what came of it.
//!
//! What always holds: arrivals follow a timetable that no slow answer holds back, and latencies count from it, so
//! that a server that stalls is not asked less; where the generator or the machine could not keep up, the report says
//! so. Every start rings a phone, therefore load goes to loopback addresses only, to a registration of a `test`
//! environment, and only after one start has been seen to ring at the simulated provider that is named ([`site`]).
//!
//! It knows the contract and nothing of the server's inside. It has connections of its own, because twenty thousand
//! typed clients would measure themselves.

mod api;
mod connection;
mod control;
mod forward;
mod idle;
mod load;
mod logins;
mod pending;
mod polls;
mod process;
mod report;
mod samples;
mod site;
mod waiters;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use crate::client::{ClientError, SettingsError};
use crate::domain::clock::Clock;
use crate::domain::random::Random;
use crate::domain::secret::Secret;

pub use connection::{CallError, TargetError};
pub use report::Report;

/// What the load is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Complete logins: start, wait, pick-up, session read.
    Logins,
    /// Logins that nobody decides, polled for some intervals.
    Pending,
    /// Parked long polls, answered when their login is decided.
    Waiters,
    /// Long bodies through a target, one each way.
    Forward,
    /// Nothing at all.
    Idle,
}

/// How an application proves who it is.
pub enum Credential {
    /// `client_secret_basic`.
    Secret(Secret),
    /// A client certificate and its key, PEM.
    Certificate {
        /// The certificate and its chain.
        cert_pem: Vec<u8>,
        /// Its private key.
        key_pem: Secret,
    },
}

/// Where the load goes, and how much of it.
pub struct Settings {
    /// The client API.
    pub server: Url,
    /// The application that the clients belong to.
    pub application: String,
    /// How it proves that.
    pub credential: Credential,
    /// The only roots to trust the server by; needed with https.
    pub ca_pem: Option<Vec<u8>>,
    /// The simulated provider's control interface.
    pub control: Url,
    /// The process of Relais, for its CPU time and memory.
    pub server_pid: Option<u32>,
    /// Over which registration; by default the application's first.
    pub registration: Option<String>,
    /// What the load is.
    pub scenario: Scenario,
    /// The target that long bodies go through.
    pub target: String,
    /// How many logins, pending logins or waiters, or mebibytes each way.
    pub count: usize,
    /// Logins started, or waiters' logins approved, a second; `None`: as fast as it goes.
    pub rate: Option<f64>,
    /// Clients at once that start logins, where there is no timetable.
    pub at_once: usize,
    /// What the provider asks to wait between two polls, in seconds.
    pub interval: u64,
    /// How long a person takes to approve.
    pub approve_after: Duration,
    /// How long to look at pending logins, or at a server without load.
    pub duration: Duration,
    /// Waiters on one connection: 1 is HTTP/1.1, more is HTTP/2.
    pub streams: usize,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The application's own view could not be had.
    #[error("Relais does not answer as it should")]
    Application(#[from] ClientError),
    /// A call that everything else rests on failed.
    #[error("{call} failed")]
    Call {
        /// Which one.
        call: &'static str,
        /// Why.
        #[source]
        source: CallError,
    },
    /// More connections than this process, or the server, may have.
    #[error("{whose} may open {limit} files and would need {needed}: raise the limit (ulimit -n)")]
    Descriptors {
        /// `this process` or `the server`.
        whose: &'static str,
        /// Its limit.
        limit: u64,
        /// With some to spare.
        needed: u64,
    },
    /// Relais's provider is another one: its phone may be somebody's.
    #[error("a start did not ring at the simulated provider of --control: no load without it")]
    ForeignProvider,
    /// No load but on a test environment.
    #[error("registration `{0}` is not of a test environment: every start rings a phone, no load on it")]
    NotATest(String),
    /// The typed client cannot be made.
    #[error("the client cannot be made")]
    Settings(#[from] SettingsError),
    /// An address that no load goes to, or that cannot be used.
    #[error("{which} cannot be used")]
    Target {
        /// `--server` or `--control`.
        which: &'static str,
        /// Why.
        #[source]
        source: TargetError,
    },
    /// The process is not there, or not to be looked at.
    #[error("the process {0} cannot be looked at")]
    Process(u32),
    /// The application has no such registration.
    #[error("the application has no such registration")]
    Registration,
}

/// Loads the server and says what came of it.
///
/// # Errors
/// [`BenchError`]: nothing could be measured. Errors of single calls are in the report.
pub async fn run(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<Report, BenchError> {
    let mut site = site::Site::open(settings, clock, random).await?;
    let report = match settings.scenario {
        Scenario::Logins => logins::run(&mut site, settings).await,
        Scenario::Pending => pending::run(&mut site, settings).await,
        Scenario::Waiters => waiters::run(&mut site, settings).await,
        Scenario::Forward => forward::run(&mut site, settings).await,
        Scenario::Idle => idle::run(&site, settings).await,
    };
    site.close().await;
    report
}
