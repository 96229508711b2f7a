//! What a phase costs: the server's CPU time and memory, and whether generator and machine could keep up.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::process::{self, Cores, Usage};
use super::samples::{Samples, Summary, rounded};
use crate::domain::clock::{Clock, Monotonic};

const BEAT: Duration = Duration::from_millis(10);

/// A generator whose own timers are later than this measures itself.
const LATE_MS: f64 = 20.0;

/// A machine that is busier than this has no core to spare.
const FULL_PERCENT: f64 = 95.0;

/// A phase under way.
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    began: Monotonic,
    server: Option<(u32, Usage)>,
    own: Option<Usage>,
    cores: Option<Cores>,
    stop: CancellationToken,
    heart: JoinHandle<Samples>,
}

/// A phase, watched.
#[derive(Serialize)]
pub(super) struct Watched {
    pub took_seconds: f64,
    /// Relais; absent where its process was not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    pub generator: Generator,
    /// All cores, whoever used them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_busy_percent: Option<f64>,
}

/// What Relais's process has used.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Server {
    pub cpu_seconds: f64,
    pub resident_kib_before: u64,
    pub resident_kib_after: u64,
    pub resident_kib_peak: u64,
}

/// What this process has used, and how late its timers were.
#[derive(Serialize)]
pub(super) struct Generator {
    pub cpu_seconds: f64,
    pub late: Option<Summary>,
}

impl Watch {
    pub(super) fn begin(clock: &Arc<dyn Clock>, server: Option<u32>) -> Self {
        let stop = CancellationToken::new();
        Self {
            clock: Arc::clone(clock),
            began: clock.monotonic(),
            server: server.and_then(|pid| Some((pid, process::usage(&pid.to_string())?))),
            own: process::usage("self"),
            cores: process::cores(),
            heart: tokio::spawn(beat(Arc::clone(clock), stop.clone())),
            stop,
        }
    }

    pub(super) async fn end(self) -> Watched {
        let took = self.clock.monotonic().since(self.began);
        let server = self.server.and_then(|(pid, before)| {
            let after = process::usage(&pid.to_string())?;
            Some(Server {
                cpu_seconds: rounded(after.cpu.saturating_sub(before.cpu).as_secs_f64()),
                resident_kib_before: before.resident,
                resident_kib_after: after.resident,
                resident_kib_peak: after.resident_peak,
            })
        });
        let own = self.own.zip(process::usage("self"));
        let cores = self.cores.zip(process::cores());
        self.stop.cancel();
        let late = self.heart.await.ok().and_then(Samples::summary);
        Watched {
            took_seconds: rounded(took.as_secs_f64()),
            server,
            generator: Generator {
                cpu_seconds: own.map_or(0.0, |(before, after)| {
                    rounded(after.cpu.saturating_sub(before.cpu).as_secs_f64())
                }),
                late,
            },
            machine_busy_percent: cores.map(|(before, after)| rounded(after.busy_percent_since(before))),
        }
    }
}

impl Watched {
    /// What makes the times doubtful.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Some(late) = self.generator.late
            && late.p99_ms > LATE_MS
        {
            doubts.push(format!(
                "the generator could not keep up: its timers were {} ms late (p99), which every time includes",
                late.p99_ms
            ));
        }
        if let Some(busy) = self.machine_busy_percent
            && busy > FULL_PERCENT
        {
            doubts.push(format!("the machine was {busy} % busy: times include waiting for a core"));
        }
        doubts
    }
}

/// How late timers are.
async fn beat(clock: Arc<dyn Clock>, stop: CancellationToken) -> Samples {
    let mut late = Samples::default();
    loop {
        let due = clock.monotonic() + BEAT;
        tokio::select! {
            () = stop.cancelled() => return late,
            () = clock.sleep_until(due) => late.add(clock.monotonic().since(due)),
        }
    }
}
