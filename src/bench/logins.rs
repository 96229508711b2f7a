//! Complete logins: start, wait for the decision, pick up, read the session. Each is a workstation of its own with
//! one connection, which is closed at its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::connection::{CallError, Protocol};
use super::load::{Pace, arrivals};
use super::polls::Polls;
use super::report::{Errors, Load, Report};
use super::samples::{Samples, Summary, rounded};
use super::site::{Clients, Site};
use super::{BenchError, Settings};
use crate::domain::clock::Monotonic;
use crate::domain::time::Timestamp;

#[derive(Serialize)]
struct Results {
    logins: usize,
    /// Between the first tenth and the last tenth to be complete.
    logins_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu_ms_per_login: Option<f64>,
    /// From the timetable to the answer.
    start: Option<Summary>,
    pick_up: Option<Summary>,
    session_read: Option<Summary>,
    /// From the person's approval to the answer of the wait: the provider's interval is in it.
    approval_to_answer: Option<Summary>,
    /// From the tokens' arrival at Relais to the answer of the wait: the commit is in it.
    known_to_answer: Option<Summary>,
    polls: Polls,
}

/// A complete login.
struct Complete {
    hint: String,
    start: Duration,
    pick_up: Duration,
    session_read: Duration,
    /// When Relais had the tokens, and when the wait was answered.
    known: Timestamp,
    answered: Timestamp,
    ended: Monotonic,
}

/// A call that failed.
type Failed = (&'static str, CallError);

pub(super) async fn run(site: &mut Site, settings: &Settings) -> Result<Report, BenchError> {
    let mut errors = Errors::default();
    site.warm_up(settings.count, &mut errors).await;
    site.prepare(settings.interval, Some(settings.approve_after)).await?;
    let before = site.stats().await?;
    let watch = site.watch();
    let (clients, window) = (Arc::clone(&site.clients), site.pick_up_window);
    let visit = move |number, due| {
        let clients = Arc::clone(&clients);
        async move { log_in(&clients, window, number, due).await }
    };
    let pace = settings.rate.map_or(Pace::AtOnce(settings.at_once), Pace::Rate);
    let outcomes = arrivals(&site.clients.clock, pace, settings.count, visit).await;
    let watched = watch.end().await;
    let polls = Polls::of(&site.stats().await?.since(&before));
    let complete: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome {
            Ok(complete) => Some(complete),
            Err((call, error)) => errors.of(call, Err(error)),
        })
        .collect();
    let approved = approvals(site, settings.approve_after).await?;
    let of = |length: fn(&Complete) -> Duration| complete.iter().map(length).collect::<Samples>().summary();
    let results = Results {
        logins: complete.len(),
        logins_per_second: rounded(per_second(&complete)),
        server_cpu_ms_per_login: watched
            .server
            .map(|server| rounded(server.cpu_seconds * 1000.0 / count(complete.len()))),
        start: of(|login| login.start),
        pick_up: of(|login| login.pick_up),
        session_read: of(|login| login.session_read),
        approval_to_answer: complete
            .iter()
            .filter_map(|login| Some(login.answered.since(*approved.get(&login.hint)?)))
            .collect::<Samples>()
            .summary(),
        known_to_answer: of(|login| login.answered.since(login.known)),
        polls,
    };
    let load = Load {
        count: settings.count,
        rate_per_second: settings.rate,
        at_once: settings.rate.is_none().then_some(settings.at_once),
        interval_seconds: Some(settings.interval),
        approve_after_ms: Some(settings.approve_after.as_millis()),
        connections: format!("{}, one for each login", site.clients.target.words(Protocol::Http1)),
    };
    Ok(Report::new("logins", &site.version, load, errors, &results).phase("logins", watched))
}

async fn log_in(
    clients: &Clients,
    pick_up_window: Duration,
    number: usize,
    due: Monotonic,
) -> Result<Complete, Failed> {
    let clock = &clients.clock;
    let of = |call| move |error| (call, error);
    let (mut connection, started) = clients.start(number).await.map_err(of("start"))?;
    let start = clock.monotonic().since(due);
    let decided = started.decided(&mut connection).await.map_err(of("wait"))?;
    let answered = clock.now();
    let before = clock.monotonic();
    let session = started.pick_up(&mut connection).await.map_err(of("pick-up"))?;
    let picked_up = clock.monotonic();
    session.read(&mut connection).await.map_err(of("session"))?;
    let ended = clock.monotonic();
    Ok(Complete {
        hint: clients.hint(number),
        start,
        pick_up: picked_up.since(before),
        session_read: ended.since(picked_up),
        known: decided.expires_at - pick_up_window,
        answered,
        ended,
    })
}

/// When each person approved, by hint.
async fn approvals(site: &mut Site, after: Duration) -> Result<HashMap<String, Timestamp>, BenchError> {
    let rung = site.requests().await?;
    Ok(rung.into_iter().map(|request| (request.login_hint, request.created_at + after)).collect())
}

/// Completed logins a second, without the slow beginning and end of a run.
fn per_second(complete: &[Complete]) -> f64 {
    let mut ended: Vec<_> = complete.iter().map(|login| login.ended).collect();
    ended.sort_unstable();
    let tenth = ended.len() / 10;
    let middle = &ended[tenth..ended.len() - tenth];
    match (middle.first(), middle.last()) {
        (Some(first), Some(last)) if last > first => {
            count(middle.len() - 1) / last.since(*first).as_secs_f64()
        }
        _ => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of logins are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
