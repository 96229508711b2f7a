//! Long bodies through a target, one in each direction: how fast, and what of them stays in memory.
//!
//! The target must be the simulated one, which reads what comes and makes what goes without keeping either.

use std::time::Duration;

use serde::Serialize;

use super::connection::{CallError, Protocol};
use super::report::{Errors, Load, Report};
use super::samples::rounded;
use super::site::Site;
use super::watch::Watched;
use super::{BenchError, Settings};

const MEBIBYTE: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Results {
    mebibytes_each_way: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_mib_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_mib_per_second: Option<f64>,
    /// The most that the server ever had, over both.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_kib_peak: Option<u64>,
}

pub(super) async fn run(site: &mut Site, settings: &Settings) -> Result<Report, BenchError> {
    let mut errors = Errors::default();
    site.prepare(settings.interval, Some(Duration::ZERO)).await?;
    let failed = |call| move |source: CallError| BenchError::Call { call, source };
    let (mut connection, started) = site.clients.start(1).await.map_err(failed("start"))?;
    started.decided(&mut connection).await.map_err(failed("wait"))?;
    let session = started.pick_up(&mut connection).await.map_err(failed("pick-up"))?;
    let mebibytes = u64::try_from(settings.count).unwrap_or(u64::MAX);
    let length = mebibytes.saturating_mul(MEBIBYTE);
    // The exchange, and the connection to the target, are not what is measured.
    session
        .upload(&mut connection, &settings.target, 0)
        .await
        .map_err(failed("the first call of the target"))?;

    let watch = site.watch();
    let uploaded = session.upload(&mut connection, &settings.target, length).await;
    let upload = watch.end().await;
    let is_up = errors.of("upload", uploaded).is_some();
    let mut connection = site.clients.target.connect(Protocol::Http1, 1).await.map_err(failed("connect"))?;
    let watch = site.watch();
    let downloaded = session.download(&mut connection, &settings.target, length).await;
    let download = watch.end().await;
    let is_down = errors.of("download", downloaded).is_some();

    let results = Results {
        mebibytes_each_way: mebibytes,
        upload_mib_per_second: is_up.then(|| rate(settings.count, &upload)),
        download_mib_per_second: is_down.then(|| rate(settings.count, &download)),
        resident_kib_peak: download.server.map(|server| server.resident_kib_peak),
    };
    let load = Load {
        count: settings.count,
        connections: site.clients.target.words(Protocol::Http1),
        ..Load::default()
    };
    Ok(Report::new("forward", &site.version, load, errors, &results)
        .phase("upload", upload)
        .phase("download", download))
}

#[expect(clippy::cast_precision_loss, reason = "mebibytes are far below 2^52")]
fn rate(mebibytes: usize, watched: &Watched) -> f64 {
    rounded(mebibytes as f64 / watched.took_seconds.max(0.001))
}
