//! The composition root: puts store, providers, engine and listeners together, runs, drains and reloads them.
//!
//! The only module that knows all others. It decides nothing about a login; it decides what is connected to what,
//! in which order things start, and in which order they stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{AtStart, Config};
use crate::engine::Engine;
use crate::engine::directory::Directory;
use crate::net::tls::{ServerTls, TlsError};
use crate::provider::Clients;
use crate::telemetry::error_chain::ErrorChain;
use crate::telemetry::{exporter, metrics};

pub mod clock;
pub mod doctor;
mod key_sets;
pub mod schema;
mod start;

pub use crate::http::openapi::{document as openapi_document, document_3_0 as openapi_document_3_0};
use key_sets::KeySets;
pub use start::{StartError, StartOptions};

/// How long work under way may take at the end (real time).
const DRAIN: Duration = Duration::from_secs(30);

/// How often files of certificates and key sets are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// A running server.
pub struct App {
    engine: Arc<Engine>,
    providers: Arc<Clients>,
    /// Of the listeners that have TLS, by their name among the metrics.
    tls: Vec<(&'static str, Arc<ServerTls>)>,
    recorder: PrometheusHandle,
    at_start: AtStart,
    clients: SocketAddr,
    /// Of the listener of the client API, where it has TLS.
    clients_tls: Option<Arc<ServerTls>>,
    for_providers: Option<SocketAddr>,
    ops: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    stop_ops: CancellationToken,
    ops_task: TaskTracker,
}

impl App {
    /// Where the client API listens.
    #[must_use]
    pub fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Where providers call, where anything listens for them.
    #[must_use]
    pub fn for_providers(&self) -> Option<SocketAddr> {
        self.for_providers
    }

    /// Where health and metrics are.
    #[must_use]
    pub fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// The engine, for what runs in the same process.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whether the client API speaks TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.clients_tls.is_some()
    }

    /// Takes over what may change while running: who is enabled, applications and their credentials, certificates
    /// in their files. What needs a restart (listeners, store, keys, addresses of providers) is left as it was.
    pub fn reload(&self, config: Config) {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let fresh =
            start::directory(config.applications, config.registrations, config.providers, config.targets);
        self.engine.reconfigure(|directory| directory.reloaded(&fresh));
        if let Some(tls) = &self.clients_tls {
            ask_clients(tls, &self.engine.directory());
        }
        for section in self.at_start.changed_in(&config.at_start) {
            tracing::warn!("a change of {section} needs a restart; it is left as it was");
        }
        self.reload_certificates();
        tracing::info!("the configuration has been reloaded");
    }

    /// Stops: not ready any more, parked calls are answered, no new connection, work under way is finished, the
    /// logins are given up for adoption.
    pub async fn drain(self) {
        self.engine.draining().cancel();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.engine.drain(DRAIN).await;
        // Last, so that whoever asks is told "draining" until there is nothing left to drain.
        self.stop_ops.cancel();
        self.ops_task.close();
        self.ops_task.wait().await;
        tracing::info!("drained");
    }

    fn spawn_upkeep(&self) {
        let providers = self.providers.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move { providers.run(stop).await });
        let (recorder, clock) = (self.recorder.clone(), self.engine.clock().clone());
        self.tasks.spawn(exporter::keep_up(recorder, clock.clone(), self.stop.clone()));
        let (tls, providers, stop) = (self.tls.clone(), self.providers.clone(), self.stop.clone());
        let (engine, mut key_sets) = (self.engine.clone(), KeySets::default());
        self.tasks.spawn(async move {
            loop {
                for (name, tls) in &tls {
                    metrics::certificate_expiry(name, tls.not_after());
                    if let Some(outcome) = tls.look(clock.now()) {
                        tell_of_server_certificates(outcome);
                    }
                }
                for (name, not_after) in providers.certificates() {
                    metrics::certificate_expiry(&name, not_after);
                }
                key_sets.look(&engine);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = clock.sleep(BETWEEN_LOOKS) => {}
                }
            }
        });
    }

    fn reload_certificates(&self) {
        self.providers.reload();
        for (_, tls) in &self.tls {
            tell_of_server_certificates(tls.reload(self.engine.clock().now()));
        }
    }
}

/// Clients are asked for a certificate only while an application has one.
fn ask_clients(tls: &ServerTls, directory: &Directory) {
    tls.ask_clients(directory.applications().any(|application| application.credential.is_certificate()));
}

fn tell_of_server_certificates(outcome: Result<bool, TlsError>) {
    match outcome {
        Ok(true) => tracing::info!("the server certificates have been replaced"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(
                error = %ErrorChain(&error),
                "new server certificates are refused; the last good ones stay"
            );
        }
    }
}
