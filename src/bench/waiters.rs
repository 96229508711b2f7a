//! Parked long polls, one for each of as many pending logins: what each costs, and how soon it is answered once Relais
//! knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::api::Started;
use super::connection::{CallError, Connection, Protocol};
use super::load::due_after;
use super::pending::{bytes_each, start};
use super::polls::Polls;
use super::report::{Errors, Load, Report};
use super::samples::{Samples, Summary};
use super::site::Site;
use super::{BenchError, Settings};
use crate::domain::clock::Clock;
use crate::domain::time::Timestamp;

/// How many park a second: all of them before the first long poll is over.
const PARKED_PER_SECOND: f64 = 1000.0;

/// How many of those who wait are told of a decision, evenly chosen. The others keep waiting: what is measured is how
/// soon one of very many hears, not how long it takes to let all of them in.
const DECIDED: usize = 1000;

/// How long the last to park is left alone, so that memory is that of waiting and not of arriving.
const SETTLED: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Results {
    waiters: usize,
    /// How many of them were told of a decision.
    decided: usize,
    connections: usize,
    /// Resident memory of Relais that came with the waiting, its connection included and its login not.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_bytes_per_waiter: Option<u64>,
    /// The same of the logins that they wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_bytes_per_pending: Option<u64>,
    /// From the tokens' arrival at Relais to the answer: the commit is in it.
    known_to_answer: Option<Summary>,
    polls: Polls,
}

pub(super) async fn run(site: &mut Site, settings: &Settings) -> Result<Report, BenchError> {
    let connections = settings.count.div_ceil(settings.streams);
    site.check_descriptors(connections)?;
    let mut errors = Errors::default();
    site.warm_up(settings.count, &mut errors).await;
    site.prepare(settings.interval, None).await?;
    let before = site.stats().await?;
    let watch = site.watch();
    let started = start(site, settings, &mut errors).await;
    let starting = watch.end().await;

    let watch = site.watch();
    let waiting = park(site, settings.streams, started).await;
    site.clients.clock.sleep(SETTLED).await;
    let parked = watch.end().await;

    let watch = site.watch();
    let decided = approve_some(site, settings, &mut errors).await?;
    let lateness = answers(waiting, decided, site.pick_up_window, &mut errors).await;
    let deciding = watch.end().await;

    let each = |phase: Option<super::watch::Server>| {
        phase.map(|server| bytes_each(server.resident_kib_before, server.resident_kib_after, settings.count))
    };
    let results = Results {
        waiters: settings.count,
        decided,
        connections,
        server_bytes_per_waiter: each(parked.server),
        server_bytes_per_pending: each(starting.server),
        known_to_answer: lateness.summary(),
        polls: Polls::of(&site.stats().await?.since(&before)),
    };
    let protocol = protocol(settings.streams);
    let load = Load {
        count: settings.count,
        rate_per_second: settings.rate,
        at_once: Some(settings.at_once),
        interval_seconds: Some(settings.interval),
        connections: format!(
            "{}, {} waiters on each connection",
            site.clients.target.words(protocol),
            settings.streams
        ),
        ..Load::default()
    };
    Ok(Report::new("waiters", &site.version, load, errors, &results)
        .phase("starting", starting)
        .phase("parking", parked)
        .phase("deciding", deciding))
}

/// When Relais answered, by whose end it can be told when it knew.
struct Answered {
    expires_at: Timestamp,
    at: Timestamp,
}

type Waiting = JoinSet<Result<Answered, CallError>>;

fn protocol(streams: usize) -> Protocol {
    if streams == 1 { Protocol::Http1 } else { Protocol::Http2 }
}

/// Lets one client wait for each login.
async fn park(site: &Site, streams: usize, started: Vec<Started>) -> Waiting {
    let clients = &site.clients;
    let mut waiting = JoinSet::new();
    let mut shared: Option<Connection> = None;
    let began = clients.clock.monotonic();
    for (number, started) in started.into_iter().enumerate() {
        let due = began + due_after(number, PARKED_PER_SECOND);
        if clients.clock.monotonic() < due {
            clients.clock.sleep_until(due).await;
        }
        if number % streams == 0 {
            shared = None;
        }
        let connection = match shared.as_ref().and_then(Connection::share) {
            Some(connection) => Ok(connection),
            None => clients.target.connect(protocol(streams), number).await,
        };
        if shared.is_none() {
            shared = connection.as_ref().ok().and_then(Connection::share);
        }
        let clock = Arc::clone(&clients.clock);
        waiting.spawn(async move { wait(started, connection?, &*clock).await });
    }
    waiting
}

async fn wait(
    started: Started,
    mut connection: Connection,
    clock: &dyn Clock,
) -> Result<Answered, CallError> {
    let login = started.decided(&mut connection).await?;
    let at = clock.now();
    match login.status.as_str() {
        "approved" => Ok(Answered { expires_at: login.expires_at, at }),
        status => Err(CallError::Refused(format!("({status})"))),
    }
}

/// Some of the persons approve, one after the other. How many.
async fn approve_some(
    site: &mut Site,
    settings: &Settings,
    errors: &mut Errors,
) -> Result<usize, BenchError> {
    let rung: HashMap<_, _> =
        site.requests().await?.into_iter().map(|request| (request.login_hint, request.auth_req_id)).collect();
    let chosen = (0..settings.count).step_by(settings.count.div_ceil(DECIDED));
    let began = site.clients.clock.monotonic();
    let mut approved = 0;
    for (turn, number) in chosen.enumerate() {
        if let Some(rate) = settings.rate {
            site.clients.clock.sleep_until(began + due_after(turn, rate)).await;
        }
        // A start that failed has rung nobody, and has been counted.
        if let Some(auth_req_id) = rung.get(&site.clients.hint(number)) {
            approved += usize::from(errors.of("approve", site.control.approve(auth_req_id).await).is_some());
        }
    }
    Ok(approved)
}

/// How long after Relais knew each of the `decided` was answered; then the others are let go.
async fn answers(
    mut waiting: Waiting,
    decided: usize,
    pick_up_window: Duration,
    errors: &mut Errors,
) -> Samples {
    let mut lateness = Samples::default();
    for _ in 0..decided {
        let Some(outcome) = waiting.join_next().await else { break };
        let outcome = outcome.unwrap_or(Err(CallError::Lost));
        if let Some(answered) = errors.of("wait", outcome) {
            lateness.add(answered.at.since(answered.expires_at - pick_up_window));
        }
    }
    lateness
}
