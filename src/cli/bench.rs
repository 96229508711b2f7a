//! `bench`: load on a running server, and what came of it.
//!
//! Data goes to stdout: one JSON object, or lines of a name and a value. A call that failed makes the verb fail,
//! behind its report; what makes the times doubtful is in the report and on stderr.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use url::Url;

use super::End;
use super::output::{data, failed, say};
use crate::app::clock::SystemClock;
use crate::bench::{self, BenchError, Credential, Report, Settings};
use crate::crypto::random::SystemRandom;
use crate::domain::secret::Secret;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where the client API is; on this machine
    #[arg(long, value_name = "URL")]
    server: Url,
    /// The application that the clients belong to
    #[arg(long, value_name = "NAME")]
    application: String,
    /// A file with the application's secret
    #[arg(long, value_name = "FILE", required_unless_present = "cert", conflicts_with = "cert")]
    secret_file: Option<PathBuf>,
    /// The application's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The only roots to trust the server by, PEM; needed with https
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The simulated provider's control interface; on this machine
    #[arg(long, value_name = "URL")]
    control: Url,
    /// The process of Relais, whose CPU time and memory are told
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// The registration, of a test environment (without it: the application's default)
    #[arg(long, value_name = "NAME")]
    registration: Option<String>,
    /// What the load is
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Scenario,
    /// forward: the target, which must be the simulated one
    #[arg(long, value_name = "NAME", default_value = "api")]
    target: String,
    /// How many logins, pending logins or waiters; forward: mebibytes each way
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    count: u32,
    /// logins: started a second, whatever the answers do (without it: as fast as --at-once clients go);
    /// waiters: approved a second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Clients at once, where there is no timetable: logins without --rate, and the starts of pending and waiters
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    at_once: u32,
    /// Seconds between two polls of one login
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    /// logins: how long a person takes to approve, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 6000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    approve_after: u64,
    /// pending, idle: how long to look on, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    duration: u64,
    /// waiters: how many share a connection; more than 1 is HTTP/2
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    streams: u32,
    /// Lines of a name and a value, or one JSON object
    #[arg(short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Complete logins: start, wait, pick-up, session read
    Logins,
    /// Logins that nobody decides: punctual polls, memory
    Pending,
    /// Parked long polls: memory, and how soon each is answered
    Waiters,
    /// Long bodies through a target, one each way: speed, memory
    Forward,
    /// No load at all
    Idle,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Loads the server and tells what came of it.
pub(super) async fn run(arguments: Arguments) -> End {
    let output = arguments.output;
    let settings = match settings(arguments) {
        Ok(settings) => settings,
        Err(unreadable) => {
            say(format_args!("relais: {unreadable}"));
            return End::Usage;
        }
    };
    match Box::pin(bench::run(&settings, Arc::new(SystemClock::start()), &SystemRandom)).await {
        Ok(report) => tell(&report, output),
        Err(error) => {
            failed(&error);
            if is_usage(&error) { End::Usage } else { End::Failed }
        }
    }
}

fn tell(report: &Report, output: Format) -> End {
    for doubt in report.doubts() {
        say(format_args!("relais: {doubt}"));
    }
    let told = match output {
        Format::Text => data(report.text()),
        Format::Json => data(report.json()),
    };
    if report.has_errors() { End::Failed } else { told }
}

/// What another command line would mend.
const fn is_usage(error: &BenchError) -> bool {
    matches!(
        error,
        BenchError::Target { .. }
            | BenchError::NotATest(_)
            | BenchError::Registration
            | BenchError::ForeignProvider
            | BenchError::Process(_)
            | BenchError::Settings(_)
            | BenchError::Descriptors { .. }
    )
}

fn settings(arguments: Arguments) -> Result<Settings, String> {
    let credential = match (&arguments.cert, &arguments.key, &arguments.secret_file) {
        (Some(cert), Some(key), _) => {
            Credential::Certificate { cert_pem: read(cert)?.into_bytes(), key_pem: Secret::new(read(key)?) }
        }
        (_, _, Some(file)) => Credential::Secret(Secret::new(read(file)?.trim_end_matches(['\r', '\n']))),
        _ => return Err("give --secret-file, or --cert and --key".to_owned()),
    };
    Ok(Settings {
        ca_pem: arguments.ca.as_deref().map(read).transpose()?.map(String::into_bytes),
        server: arguments.server,
        application: arguments.application,
        credential,
        control: arguments.control,
        server_pid: arguments.server_pid,
        registration: arguments.registration,
        scenario: match arguments.scenario {
            Scenario::Logins => bench::Scenario::Logins,
            Scenario::Pending => bench::Scenario::Pending,
            Scenario::Waiters => bench::Scenario::Waiters,
            Scenario::Forward => bench::Scenario::Forward,
            Scenario::Idle => bench::Scenario::Idle,
        },
        target: arguments.target,
        count: whole(arguments.count),
        rate: arguments.rate,
        at_once: whole(arguments.at_once),
        interval: arguments.interval,
        approve_after: Duration::from_millis(arguments.approve_after),
        duration: Duration::from_secs(arguments.duration),
        streams: whole(arguments.streams),
    })
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.1 to 100000".to_owned()),
    }
}
