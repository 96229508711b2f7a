//! Puts the parts together: configuration in, a running server out.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{App, ask_clients};
use crate::config::{self, Config, Mode, StoreUrl};
use crate::crypto::ring::KeyRing;
use crate::domain::clock::Clock;
use crate::domain::random::Random;
use crate::engine::directory::Directory;
use crate::engine::ports::{Store, StoreError, Wake};
use crate::engine::{Engine, Parts};
use crate::http;
use crate::net::listener::{self, Limits, serve};
use crate::net::tls::{CertificateFiles, ClientAuth, ServerTls, ServerTlsSettings, TlsError};
use crate::provider;
use crate::store::migrations::MigrateError;
use crate::store::postgres::{ConnectError, PostgresStore};
use crate::store::sqlite::{OpenError, OpenMode, SqliteStore};
use crate::target;
use crate::telemetry::exporter;

/// Open connections of the listener `providers`: it has few callers, and they say little.
const PROVIDERS_CONNECTIONS: usize = 1024;
/// From one address: a provider calls from several, or through one that keeps its connections.
const PROVIDERS_CONNECTIONS_PER_ADDRESS: usize = 256;

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A socket cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file that configuration had accepted cannot be read any more.
    #[error("cannot read {}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The metrics recorder cannot be installed.
    #[error("metrics cannot be recorded")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A provider client cannot be made.
    #[error("a provider client cannot be made")]
    Provider(#[from] provider::SettingsError),
    /// The clients of targets cannot be made.
    #[error("the targets cannot be called")]
    Targets(#[from] target::SettingsError),
    /// PostgreSQL cannot be reached.
    #[error("the database cannot be reached")]
    Connect(#[from] ConnectError),
    /// The schema cannot be brought up to date.
    #[error("the database cannot be migrated")]
    Migrate(#[from] MigrateError),
    /// The SQLite database cannot be opened.
    #[error("the database cannot be opened")]
    Open(#[from] OpenError),
    /// The database does not answer.
    #[error("the database does not answer")]
    Store(#[from] StoreError),
    /// The server certificates do not do.
    #[error("the server certificates cannot be used")]
    Tls(#[from] TlsError),
    /// `public_url` is no URL; configuration has refused it before.
    #[error("listeners.clients.public_url is no URL")]
    PublicUrl(#[from] url::ParseError),
}

/// What else a start is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartOptions {
    /// Whether migrations are applied; where not, an older schema is refused.
    pub migrate: bool,
}

impl App {
    /// Opens the database, enters the cluster, adopts, then listens. Once this has answered, calls are answered.
    pub async fn start(
        config: Config,
        options: StartOptions,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        crate::net::install_provider();
        let recorder = exporter::install()?;
        let (clients_listener, clients) = bind(config.clients.bind)?;
        let (ops_listener, ops) = bind(config.ops.bind)?;
        let clients_tls = server_tls(
            &config.clients.tls,
            ClientAuth::Optional { ca: config.clients.client_ca.clone() },
            &*clock,
        )?;
        let for_providers = match &config.for_providers {
            Some(listener) => {
                Some((bind(listener.bind)?, server_tls(&listener.tls, ClientAuth::None, &*clock)?))
            }
            None => None,
        };
        let providers = provider_clients(&config, &clock, &random)?;
        let targets = targets(&config, &providers)?;
        let ring = Arc::new(config.key_ring);
        let (store, wake) = open_store(&config.store, &ring, &random, options).await?;
        let directory =
            directory(config.applications, config.registrations, config.providers, config.targets);
        let engine = Engine::new(Parts {
            store,
            providers: providers.clone(),
            targets,
            wake,
            clock,
            random,
            ring,
            directory,
        });
        engine.run().await?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let clients_router = http::clients::router(http::clients::ClientsState {
            engine: engine.clone(),
            public_url: Url::parse(&config.clients.public_url)?,
            audience: config.clients.public_url.as_str().into(),
            max_requests: whole(config.clients.max_requests),
        });
        let certificates = providers.clone();
        let ops_router = http::ops::router(http::ops::OpsState {
            engine: engine.clone(),
            metrics: recorder.clone(),
            certificates: Arc::new(move |registration| certificates.certificate_end(registration)),
        });
        let limits = Limits { max_connections: whole(config.clients.max_connections), ..Limits::default() };
        if let Some(tls) = &clients_tls {
            ask_clients(tls, &engine.directory());
        }
        tasks.spawn(serve(clients_listener, clients_tls.clone(), clients_router, limits, stop.clone()));
        let mut tls: Vec<_> = clients_tls.iter().map(|tls| ("listeners-clients", tls.clone())).collect();
        let for_providers = for_providers.map(|((listener, bound), server)| {
            let few = Limits {
                max_connections: PROVIDERS_CONNECTIONS,
                max_connections_per_address: PROVIDERS_CONNECTIONS_PER_ADDRESS,
                ..Limits::default()
            };
            let keys = providers.clone();
            let router = http::providers::router(http::providers::ProvidersState {
                engine: engine.clone(),
                jwks: Arc::new(move |registration| keys.jwks(registration)),
            });
            tasks.spawn(serve(listener, server.clone(), router, few, stop.clone()));
            tls.extend(server.map(|server| ("listeners-providers", server)));
            bound
        });
        let (stop_ops, ops_task) = (CancellationToken::new(), TaskTracker::new());
        ops_task.spawn(serve(ops_listener, None, ops_router, Limits::default(), stop_ops.clone()));
        let app = Self {
            engine,
            providers,
            tls,
            recorder,
            at_start: config.at_start,
            clients,
            clients_tls,
            for_providers,
            ops,
            stop,
            tasks,
            stop_ops,
            ops_task,
        };
        app.spawn_upkeep();
        Ok(app)
    }
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    listener::bind(address).map_err(|source| StartError::Bind { address, source })
}

fn server_tls(
    files: &[(PathBuf, PathBuf)],
    client_auth: ClientAuth,
    clock: &dyn Clock,
) -> Result<Option<Arc<ServerTls>>, StartError> {
    if files.is_empty() {
        return Ok(None);
    }
    let certificates =
        files.iter().map(|(cert, key)| CertificateFiles { cert: cert.clone(), key: key.clone() }).collect();
    let settings = ServerTlsSettings { certificates, client_auth, on_refused: Arc::new(|_| {}) };
    Ok(Some(ServerTls::new(settings, clock.now())?))
}

fn provider_clients(
    config: &Config,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Arc<provider::Clients>, StartError> {
    let providers = config
        .providers
        .iter()
        .map(|settings| provider_settings(settings, config.mode))
        .collect::<Result<Vec<_>, _>>()?;
    let registrations = config.registrations.iter().map(registration_settings).collect();
    let exchanges = config
        .targets
        .iter()
        .map(|settings| exchange_settings(settings, config.mode))
        .collect::<Result<Vec<_>, _>>()?;
    let clients = provider::Clients::new(providers, registrations, clock.clone(), random.clone())?;
    Ok(Arc::new(clients.with_exchanges(exchanges)?))
}

fn targets(config: &Config, providers: &Arc<provider::Clients>) -> Result<Arc<target::Targets>, StartError> {
    let settings = config
        .targets
        .iter()
        .map(|settings| {
            let roots_pem = settings.ca.as_deref().map(roots).transpose()?;
            Ok(target::TargetSettings {
                name: settings.target.name.clone(),
                allow_private_addresses: allows_private(config.mode, roots_pem.is_some()),
                roots_pem,
                https_only: config.mode == Mode::Production,
                timeout: settings.target.timeout,
            })
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    let providers = providers.clone();
    let certificates: target::CertificateSource =
        Arc::new(move |registration, x5t| providers.identity(registration, x5t));
    Ok(Arc::new(target::Targets::new(settings, certificates)?))
}

fn exchange_settings(
    settings: &config::TargetSettings,
    mode: Mode,
) -> Result<provider::ExchangeSettings, StartError> {
    let roots_pem = settings.exchange_ca.as_deref().map(roots).transpose()?;
    Ok(provider::ExchangeSettings {
        target: settings.target.name.clone(),
        allow_private_addresses: allows_private(mode, roots_pem.is_some()),
        roots_pem,
        https_only: mode == Mode::Production,
    })
}

fn roots(file: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(file).map_err(|source| StartError::File { file: file.to_owned(), source })
}

/// Whoever pins a private CA runs, or trusts, a server on a private network. One that is trusted by public roots has no
/// business at a private address.
fn allows_private(mode: Mode, has_own_roots: bool) -> bool {
    mode == Mode::Development || has_own_roots
}

pub(super) fn provider_settings(
    settings: &config::ProviderSettings,
    mode: Mode,
) -> Result<provider::ProviderSettings, StartError> {
    let roots_pem = settings.ca.as_deref().map(roots).transpose()?;
    Ok(provider::ProviderSettings {
        provider: settings.provider.clone(),
        allow_private_addresses: allows_private(mode, roots_pem.is_some()),
        roots_pem,
        https_only: mode == Mode::Production,
    })
}

pub(super) fn registration_settings(
    settings: &config::RegistrationSettings,
) -> provider::RegistrationSettings {
    let certificates = settings
        .certificates
        .iter()
        .map(|(cert, key)| provider::CertificateFiles { cert: cert.clone(), key: key.clone() })
        .collect();
    let credential = match &settings.credential {
        config::RegistrationCredential::TlsClientAuth => provider::Credential::TlsClientAuth,
        config::RegistrationCredential::SelfSignedTlsClientAuth => {
            provider::Credential::SelfSignedTlsClientAuth
        }
        config::RegistrationCredential::ClientSecretBasic(secret) => {
            provider::Credential::ClientSecretBasic { secret: secret.clone() }
        }
        config::RegistrationCredential::ClientSecretPost(secret) => {
            provider::Credential::ClientSecretPost { secret: secret.clone() }
        }
        config::RegistrationCredential::PrivateKeyJwt { audience, typ } => {
            let audience = match audience {
                config::Audience::Issuer => provider::AssertionAudience::Issuer,
                config::Audience::TokenEndpoint => provider::AssertionAudience::TokenEndpoint,
                config::Audience::Text(text) => provider::AssertionAudience::Text(text.clone()),
            };
            provider::Credential::PrivateKeyJwt { audience, typ: typ.clone() }
        }
    };
    let signing = settings.signing.as_ref().map(|signing| provider::Signing {
        alg: signing.alg,
        key: signing.key.clone(),
        published: signing.published.clone(),
        requests: signing.requests,
    });
    provider::RegistrationSettings {
        registration: settings.registration.clone(),
        credential,
        signing,
        certificates,
        id_token_algs: settings.id_token_algs.iter().filter_map(|alg| alg.parse().ok()).collect(),
        claims: settings.claims.clone(),
        extra_parameters: settings.extra_parameters.clone().into_iter().collect(),
    }
}

async fn open_store(
    settings: &config::StoreSettings,
    ring: &Arc<KeyRing>,
    random: &Arc<dyn Random>,
    options: StartOptions,
) -> Result<(Arc<dyn Store>, Arc<dyn Wake>), StartError> {
    if options.migrate {
        super::schema::migrate(&settings.url).await?;
    }
    Ok(match &settings.url {
        StoreUrl::Sqlite(path) => {
            let opened = SqliteStore::open(path, ring.clone(), random.clone(), OpenMode::Serve).await?;
            (opened.store(), opened.wake())
        }
        StoreUrl::Postgres(url) => {
            let listen_url = settings.listen_url.as_ref();
            let connected = PostgresStore::connect(url, listen_url, ring.clone(), random.clone()).await?;
            (connected.store(), connected.wake())
        }
    })
}

/// What is configured, for the engine.
pub(super) fn directory(
    applications: Vec<crate::domain::application::Application>,
    registrations: Vec<config::RegistrationSettings>,
    providers: Vec<config::ProviderSettings>,
    targets: Vec<config::TargetSettings>,
) -> Directory {
    Directory::new(
        applications,
        registrations.into_iter().map(|settings| settings.registration).collect(),
        providers.into_iter().map(|settings| settings.provider).collect(),
    )
    .with_targets(targets.into_iter().map(|settings| settings.target))
}
