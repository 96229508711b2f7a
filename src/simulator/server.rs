//! The simulated provider on its two sockets: HTTPS with a required client certificate for the provider, plain
//! HTTP for the control interface and the phone page.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::personality::Personality;
use super::{Front, Simulator, SimulatorError, SimulatorSettings};
use crate::domain::clock::Clock;
use crate::domain::random::Random;
use crate::domain::secret::Secret;
use crate::net::listener::{self, Limits, serve};
use crate::net::outbound::{AddressPolicy, Outbound, OutboundSettings, TAKES_WITHIN};
use crate::net::tls::CertificateFiles;
use crate::net::tls::{ClientAuth, ServerTls, ServerTlsSettings, TlsError};

/// How often the certificate files are looked at.
const BETWEEN_RELOADS: Duration = Duration::from_secs(30);
/// Hanging answers never end by themselves.
const DRAIN: Duration = Duration::from_secs(1);

/// Where a simulated provider stands and how it begins.
pub struct ServerSettings {
    /// The provider's socket (HTTPS). Port 0 takes a free one.
    pub bind: SocketAddr,
    /// The control interface's socket (HTTP). Port 0 takes a free one.
    pub control: SocketAddr,
    /// The folder with `ca.pem` (the authority of the clients' certificates), `server.pem` and `server.key`, as
    /// `relais pki dev` writes it.
    pub certs: PathBuf,
    /// The client that it knows.
    pub client_id: String,
    /// See [`SimulatorSettings::client_name`].
    pub client_name: String,
    /// That client's secret.
    pub client_secret: Secret,
    /// See [`SimulatorSettings::interval`].
    pub interval: Duration,
    /// See [`SimulatorSettings::expires_in`].
    pub expires_in: Duration,
    /// See [`SimulatorSettings::personality`].
    pub personality: Personality,
    /// What stands on the control interface's sockets.
    pub front: Front,
}

/// Life of access and ID tokens at PSC.
const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// Why a simulated provider does not listen.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A socket cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificates do not do.
    #[error("the simulator's certificates cannot be used")]
    Tls(#[from] TlsError),
    /// The authority of the notification endpoint cannot be read.
    #[error("the simulator's ca.pem cannot be used")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The provider itself cannot be made.
    #[error("the simulated provider cannot be made")]
    Simulator(#[from] SimulatorError),
}

/// A simulated provider whose sockets accept connections; they are answered by [`Server::run`].
pub struct Server {
    simulator: Simulator,
    tls: Arc<ServerTls>,
    provider: TcpListener,
    control: TcpListener,
    control_address: SocketAddr,
    also: Option<TcpListener>,
    front: Front,
}

impl Server {
    /// Takes the sockets and makes the provider. Its issuer is `https://localhost:<port>` and the path of the
    /// personality.
    pub fn bind(
        settings: ServerSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ServerError> {
        crate::net::install_provider();
        let (provider, address) = bind(settings.bind)?;
        let (control, control_address) = bind(settings.control)?;
        let also = match settings.front.also_on {
            Some(address) => Some(bind(address)?.0),
            None => None,
        };
        let now = clock.now();
        let simulator = Simulator::new(
            SimulatorSettings {
                issuer: format!("https://localhost:{}{}", address.port(), settings.personality.issuer_path()),
                client_id: settings.client_id,
                client_name: settings.client_name,
                client_secret: settings.client_secret,
                interval: settings.interval,
                expires_in: settings.expires_in,
                access_token_lifetime: ACCESS_TOKEN_LIFETIME,
                personality: settings.personality,
                notifications: Some(notifications(&settings.certs)?),
            },
            clock,
            random,
        )?;
        let observer = simulator.clone();
        let tls = ServerTls::new(
            ServerTlsSettings {
                certificates: vec![CertificateFiles {
                    cert: settings.certs.join("server.pem"),
                    key: settings.certs.join("server.key"),
                }],
                client_auth: ClientAuth::Required { ca: settings.certs.join("ca.pem") },
                on_refused: Arc::new(move |refusal| observer.handshake_refused(refusal.cause)),
            },
            now,
        )?;
        Ok(Self { simulator, tls, provider, control, control_address, also, front: settings.front })
    }

    /// The provider itself.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// The provider's issuer.
    pub fn issuer(&self) -> &str {
        &self.simulator.inner.issuer
    }

    /// Where the control interface and the phone page are, without a final slash.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// Answers on its sockets until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { simulator, tls, provider, control, also, front, .. } = self;
        let limits = Limits { drain_timeout: DRAIN, ..Limits::default() };
        let let_go = from_fn_with_state(shutdown.clone(), until_shutdown);
        let control_router = simulator.control_router(front).layer(let_go);
        let serve_also = async {
            if let Some(also) = also {
                serve(also, None, control_router.clone(), limits.clone(), shutdown.clone()).await;
            }
        };
        let provider_router = simulator.provider_router();
        tokio::join!(
            serve(provider, Some(Arc::clone(&tls)), provider_router, limits.clone(), shutdown.clone()),
            serve(control, None, control_router.clone(), limits.clone(), shutdown.clone()),
            serve_also,
            reload(&tls, &*simulator.inner.clock, &shutdown),
        );
    }
}

/// Lets pages go that wait for something new: nothing comes any more.
async fn until_shutdown(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    tokio::select! {
        answer = next.run(request) => answer,
        () = shutdown.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The way to the client's notification endpoint. It is a client of the same development PKI, on any network.
fn notifications(certs: &Path) -> Result<Outbound, ServerError> {
    let roots = std::fs::read(certs.join("ca.pem")).map_err(|error| ServerError::Roots(error.into()))?;
    Outbound::new(OutboundSettings {
        roots: Some(roots),
        identity: None,
        address_policy: AddressPolicy::AllowPrivate,
        https_only: false,
        takes_within: TAKES_WITHIN,
    })
    .map_err(|error| ServerError::Roots(error.into()))
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    listener::bind(address).map_err(|source| ServerError::Bind { address, source })
}

/// Takes renewed certificates over: development certificates live shorter than a provider that is left running.
async fn reload(tls: &ServerTls, clock: &dyn Clock, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep(BETWEEN_RELOADS) => {}
        }
        if let Some(Err(error)) = tls.look(clock.now()) {
            tracing::warn!(%error, "the simulator keeps its certificates: the new ones cannot be used");
        }
    }
}
