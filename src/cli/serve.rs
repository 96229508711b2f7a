//! `serve`: run. SIGTERM and SIGINT drain, SIGHUP reloads.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::End;
use super::output::{data, environment, failed, say, set_up_logs};
use crate::app::clock::SystemClock;
use crate::app::{App, StartOptions};
use crate::config::{self, Config, Problems};
use crate::crypto::random::SystemRandom;
use crate::domain::clock::Clock;
use crate::telemetry::log;

#[derive(Args)]
pub(super) struct Arguments {
    /// Refuse to start on an older schema instead of migrating it
    #[arg(long)]
    no_migrate: bool,
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(file: Option<&Path>, arguments: Arguments) -> End {
    if let Err(error) = set_up_logs(log::Format::Json) {
        return failed(&error);
    }
    let clock = Arc::new(SystemClock::start());
    let Some(config) = load(file, &*clock) else { return End::Usage };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let public_url = config.clients.public_url.clone();
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let options = StartOptions { migrate: !arguments.no_migrate };
    let app = match Box::pin(App::start(config, options, clock.clone(), Arc::new(SystemRandom))).await {
        Ok(app) => app,
        Err(error) => return failed(&error),
    };
    let ready = data(format_args!("ready clients={public_url} ops=http://{}", app.ops()));
    if ready == End::Done {
        signals.until_told_to_stop(|| reload(&app, file, &*clock)).await;
    }
    app.drain().await;
    ready
}

/// Every problem is told at once; the reader mends them all and starts again.
pub(super) fn load(file: Option<&Path>, clock: &dyn Clock) -> Option<Config> {
    match read(file, clock) {
        Ok(config) => Some(config),
        Err(problems) => {
            for problem in &problems.0 {
                say(problem);
            }
            None
        }
    }
}

fn read(file: Option<&Path>, clock: &dyn Clock) -> Result<Config, Problems> {
    config::load(file, environment()?, &[], clock.now())
}

/// A configuration with problems changes nothing.
fn reload(app: &App, file: Option<&Path>, clock: &dyn Clock) {
    match read(file, clock) {
        Ok(config) => app.reload(config),
        Err(problems) => {
            for problem in &problems.0 {
                tracing::error!("the configuration is not reloaded: {problem}");
            }
        }
    }
}

/// The signals that a server listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn until_told_to_stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload(),
            }
        }
    }

    /// For a verb that reloads nothing: it ends with its terminal too.
    pub(super) async fn until_any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
