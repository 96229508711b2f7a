//! Nothing at all: what a server costs that nobody calls.

use serde::Serialize;

use super::report::{Errors, Load, Report};
use super::samples::rounded;
use super::site::Site;
use super::{BenchError, Settings};

#[derive(Serialize)]
struct Results {
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_kib: Option<u64>,
    /// Of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
}

pub(super) async fn run(site: &Site, settings: &Settings) -> Result<Report, BenchError> {
    let watch = site.watch();
    site.clients.clock.sleep(settings.duration).await;
    let watched = watch.end().await;
    let results = Results {
        resident_kib: watched.server.map(|server| server.resident_kib_after),
        cpu_percent: watched.server.map(|server| rounded(server.cpu_seconds * 100.0 / watched.took_seconds)),
    };
    let load = Load::default();
    Ok(Report::new("idle", &site.version, load, Errors::default(), &results).phase("idle", watched))
}
