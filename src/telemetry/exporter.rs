//! The Prometheus recorder behind the metric names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::metrics::{self, APPROVAL_SECONDS};
use crate::domain::clock::Clock;

/// Bounds of the histograms of calls, in seconds: from an answer out of memory to a parked long poll.
const CALLS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Bounds of the time that a person takes, in seconds.
const APPROVALS: [f64; 8] = [2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// How often samples are folded; without it histograms would grow without bound (R-H-09).
const UPKEEP: Duration = Duration::from_secs(5);

/// Makes Prometheus the process's recorder and describes every metric to it. Further calls give the same handle:
/// several servers in one process (tests) share what is global.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&CALLS)?
        .set_buckets_for_metric(Matcher::Full(APPROVAL_SECONDS.to_owned()), &APPROVALS)?
        .install_recorder()?;
    metrics::describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Folds samples until `stop`.
pub async fn keep_up(handle: PrometheusHandle, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(UPKEEP) => handle.run_upkeep(),
        }
    }
}
