//! Logins that nobody decides: how punctually they are polled, and what each costs while it waits.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::api::Started;
use super::load::{Pace, arrivals};
use super::polls::{Polls, margin};
use super::report::{Errors, Load, Report};
use super::site::Site;
use super::{BenchError, Settings};

#[derive(Serialize)]
struct Results {
    pending: usize,
    /// Resident memory of Relais that came with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_bytes_per_pending: Option<u64>,
    /// What so many logins are owed in the time that they were looked at.
    polls_expected: u128,
    polls: Polls,
}

pub(super) async fn run(site: &mut Site, settings: &Settings) -> Result<Report, BenchError> {
    let mut errors = Errors::default();
    site.warm_up(settings.count, &mut errors).await;
    site.prepare(settings.interval, None).await?;
    let watch = site.watch();
    let started = start(site, settings, &mut errors).await;
    let starting = watch.end().await;

    let interval = Duration::from_secs(settings.interval) + margin();
    // Whole intervals: each login is owed as many polls, whenever it was started.
    let intervals = settings.duration.as_millis().div_ceil(interval.as_millis());
    let look_on = interval * u32::try_from(intervals).unwrap_or(u32::MAX);
    let before = site.stats().await?;
    let watch = site.watch();
    site.clients.clock.sleep(look_on).await;
    let polls = Polls::of(&site.stats().await?.since(&before));
    let waiting = watch.end().await;

    let pending = started.len();
    let cost = starting
        .server
        .zip(waiting.server)
        .map(|(before, after)| bytes_each(before.resident_kib_before, after.resident_kib_after, pending));
    let results = Results {
        pending,
        server_bytes_per_pending: cost,
        polls_expected: u128::try_from(pending).unwrap_or_default() * intervals,
        polls,
    };
    site.cancel(started, &mut errors).await;
    let load = Load {
        count: settings.count,
        at_once: Some(settings.at_once),
        interval_seconds: Some(settings.interval),
        ..Load::default()
    };
    Ok(Report::new("pending", &site.version, load, errors, &results)
        .phase("starting", starting)
        .phase("waiting", waiting))
}

/// Starts them, each over a connection that is closed again, as fast as some clients go: it is no part of what is
/// measured.
pub(super) async fn start(site: &Site, settings: &Settings, errors: &mut Errors) -> Vec<Started> {
    let clients = Arc::clone(&site.clients);
    let visit = move |number, _| {
        let clients = Arc::clone(&clients);
        async move { clients.start(number).await.map(|(_, started)| started) }
    };
    arrivals(&site.clients.clock, Pace::AtOnce(settings.at_once), settings.count, visit)
        .await
        .into_iter()
        .filter_map(|outcome| errors.of("start", outcome))
        .collect()
}

/// How much more memory each of `count` took.
pub(super) fn bytes_each(kib_before: u64, kib_after: u64, count: usize) -> u64 {
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    kib_after.saturating_sub(kib_before) * 1024 / count
}
