//! PostgreSQL 15 or newer: one or many nodes.
//!
//! Work runs in tasks of its own, so that a caller who goes away never leaves a connection inside a transaction, and a
//! connection goes back to the pool only where that is certain ([`work`]). Nodes wake each other by `LISTEN`/`NOTIFY` ([`wake`]).

mod conn;
#[cfg(test)]
mod tests;
mod wake;
mod work;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};
use thiserror::Error;

use self::wake::Notifier;
use self::work::{LEAVE_TRANSACTION, Postgres};
use super::facade::SqlStore;
use super::migrations::{self, MigrateError, MigrationState};
use crate::crypto::ring::KeyRing;
use crate::domain::random::Random;
use crate::domain::secret::Secret;
use crate::engine::ports::{Store, Wake};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// The oldest server that has all that the statements use, as `server_version_num`.
const OLDEST_SERVER: i32 = 150_000;

/// What a session of ours may never do: sit in a transaction, wait for a lock, or run, for long. And each statement sees
/// what was committed when it began, whatever the database's own default is: a statement that has waited for its turn is
/// followed by one that sees what it has waited for. Set by statement and not at connection time, because poolers refuse
/// unknown parameters there.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '3s'; SET statement_timeout = '4s';
    SET lock_timeout = '3s'; SET default_transaction_isolation = 'read committed';
    SET client_min_messages = 'error'; SET TimeZone = 'UTC'";

/// A connection that was idle for longer is asked whether it still lives before it is lent. One that was at work a
/// moment ago is not: that would be one round trip more for every read.
const FRESH: Duration = Duration::from_secs(5);

/// How the pool is made.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `store.url`.
    pub url: Secret,
    /// `store.listen_url`: direct, where `url` goes through a pooler.
    pub listen_url: Option<Secret>,
    /// The most connections, besides one that listens and one that notifies.
    pub max_connections: u32,
}

/// Why the store was not opened. No variant repeats the URL: it may carry a password.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("store.{which} must be postgres://<user>@<host>/<database>")]
    MalformedUrl {
        /// `url` or `listen_url`.
        which: &'static str,
    },
    /// The server cannot be reached or refuses.
    #[error("PostgreSQL cannot be reached; check store.url, the server and its pg_hba.conf")]
    Connect(#[source] sqlx::Error),
    /// The server is too old.
    #[error("PostgreSQL 15 or newer is needed, and this server is {found}")]
    TooOld {
        /// `server_version_num`.
        found: i32,
    },
    /// The server would lose what it has confirmed.
    #[error(
        "PostgreSQL runs with {setting} = off: a crash would lose logins that clients were told of; switch it on"
    )]
    NotDurable {
        /// The setting.
        setting: &'static str,
    },
    /// The schema could not be read.
    #[error("the schema of the database cannot be checked")]
    Migrations(#[from] MigrateError),
    /// The schema is not the one of this binary.
    #[error("the database is not ready: {0}")]
    Schema(MigrationState),
}

/// The store on PostgreSQL.
pub struct PostgresStore {
    store: Arc<SqlStore<Postgres>>,
    wake: Arc<Notifier>,
}

impl PostgresStore {
    /// Connects with a pool of ordinary size.
    pub async fn connect(
        url: &Secret,
        listen_url: Option<&Secret>,
        ring: Arc<KeyRing>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ConnectError> {
        let settings =
            PostgresSettings { url: url.clone(), listen_url: listen_url.cloned(), max_connections: 16 };
        Self::connect_with(settings, ring, random).await
    }

    /// Connects. The schema must be that of this binary (see [`migrations::migrate`]).
    pub async fn connect_with(
        settings: PostgresSettings,
        ring: Arc<KeyRing>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ConnectError> {
        let mut options = parse(&settings.url, "url")?;
        if settings.listen_url.is_some() {
            // Through a pooler the next statement may meet another server process: nothing prepared is kept.
            options = options.statement_cache_capacity(0);
        }
        let listen = match &settings.listen_url {
            Some(url) => parse(url, "listen_url")?,
            None => options.clone(),
        };
        let direct = settings.listen_url.as_ref().unwrap_or(&settings.url);
        let state = migrations::check_postgres(direct).await?;
        if state != MigrationState::Current {
            return Err(ConnectError::Schema(state));
        }
        let pool = pool(options, settings.max_connections).await.map_err(ConnectError::Connect)?;
        check_server(&pool).await?;
        let wake = Notifier::start(listen);
        Ok(Self { store: Arc::new(SqlStore::new(Postgres::new(pool), ring, random)), wake: Arc::new(wake) })
    }

    /// The port.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    /// Wakes the other nodes.
    #[must_use]
    pub fn wake(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.wake) as Arc<dyn Wake>
    }
}

fn parse(url: &Secret, which: &'static str) -> Result<PgConnectOptions, ConnectError> {
    PgConnectOptions::from_str(url.expose())
        .map(|options| options.application_name("relais").disable_statement_logging())
        .map_err(|_| ConnectError::MalformedUrl { which })
}

async fn pool(options: PgConnectOptions, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(SESSION)).await.map(|_| ()) })
        })
        .before_acquire(|connection, lent| {
            Box::pin(async move {
                let is_fresh = lent.idle_for < FRESH;
                Ok(is_fresh || connection.execute(sqlx::raw_sql(LEAVE_TRANSACTION)).await.is_ok())
            })
        })
        .connect_with(options)
        .await
}

/// Refuses a server that would break promises later.
async fn check_server(pool: &PgPool) -> Result<(), ConnectError> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(pool)
        .await
        .map_err(ConnectError::Connect)?;
    if version < OLDEST_SERVER {
        return Err(ConnectError::TooOld { found: version });
    }
    let commit: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
        .fetch_one(pool)
        .await
        .map_err(ConnectError::Connect)?;
    if commit == "off" {
        return Err(ConnectError::NotDurable { setting: "synchronous_commit" });
    }
    Ok(())
}
