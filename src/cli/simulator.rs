//! `simulator`: the simulated provider alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::End;
use super::output::{data, failed};
use crate::app::clock::SystemClock;
use crate::crypto::random::SystemRandom;
use crate::domain::secret::Secret;
use crate::simulator::Front;
use crate::simulator::personality::Personality;
use crate::simulator::server::{Server, ServerError, ServerSettings};

/// The client that the simulated provider knows, and its secret: published, and good for nothing else.
pub(super) const CLIENT_ID: &str = "relais-demo";
pub(super) const CLIENT_SECRET: &str = "relais-demo-secret";
/// The name that it has been registered with.
pub(super) const CLIENT_NAME: &str = "Relais Demo";

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder with ca.pem, server.pem and server.key, as `pki dev` writes it
    #[arg(long, value_name = "DIR")]
    certs: PathBuf,
    /// Where the provider listens (HTTPS, client certificate required)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8083")]
    bind: SocketAddr,
    /// Where the phone page and the control interface listen (HTTP, no authentication)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    control: SocketAddr,
    /// Whose manners it has: psc, keycloak or generic
    #[arg(long, value_name = "NAME", default_value = "psc")]
    personality: Personality,
    /// Seconds between two polls
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Seconds that a request lives
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    expires_in: u64,
}

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(arguments: Arguments) -> End {
    let server = match listen(arguments) {
        Ok(server) => server,
        Err(error) => return failed(&error),
    };
    let shutdown = CancellationToken::new();
    if let Err(error) = cancel_at_signals(&shutdown) {
        return failed(&error);
    }
    let ready = data(format_args!("ready provider={} control={}", server.issuer(), server.control_url()));
    if ready == End::Done {
        server.run(shutdown).await;
    }
    ready
}

fn listen(arguments: Arguments) -> Result<Server, ServerError> {
    let settings = ServerSettings {
        bind: arguments.bind,
        control: arguments.control,
        certs: arguments.certs,
        client_id: CLIENT_ID.to_owned(),
        client_name: CLIENT_NAME.to_owned(),
        client_secret: Secret::new(CLIENT_SECRET),
        interval: Duration::from_secs(arguments.interval),
        expires_in: Duration::from_secs(arguments.expires_in),
        personality: arguments.personality,
        front: Front::default(),
    };
    Server::bind(settings, Arc::new(SystemClock::start()), Arc::new(SystemRandom))
}

fn cancel_at_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
