//! Migrations: part of the binary, applied under a lock, never backwards.
//!
//! A schema that is newer than the binary is refused: an old binary must not write what it does not understand.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

use super::sqlite;
use crate::domain::secret::Secret;

/// Number, name, SQLite text, PostgreSQL text.
const MIGRATIONS: [(i64, &str, &str, &str); 6] = [
    (
        1,
        "first",
        include_str!("../../migrations/sqlite/0001_first.sql"),
        include_str!("../../migrations/postgres/0001_first.sql"),
    ),
    (
        2,
        "notifications",
        include_str!("../../migrations/sqlite/0002_notifications.sql"),
        include_str!("../../migrations/postgres/0002_notifications.sql"),
    ),
    (
        3,
        "assertions",
        include_str!("../../migrations/sqlite/0003_assertions.sql"),
        include_str!("../../migrations/postgres/0003_assertions.sql"),
    ),
    (
        4,
        "provider records",
        include_str!("../../migrations/sqlite/0004_provider_records.sql"),
        include_str!("../../migrations/postgres/0004_provider_records.sql"),
    ),
    (
        5,
        "endings",
        include_str!("../../migrations/sqlite/0005_endings.sql"),
        include_str!("../../migrations/postgres/0005_endings.sql"),
    ),
    (
        6,
        "refresh",
        include_str!("../../migrations/sqlite/0006_refresh.sql"),
        include_str!("../../migrations/postgres/0006_refresh.sql"),
    ),
];

/// The table in which sqlx keeps what was applied.
const APPLIED: &str = "_sqlx_migrations";

/// Which database is meant.
#[derive(Clone)]
pub enum Location {
    /// A file, by its path as it is: nothing in it is decoded.
    Sqlite(PathBuf),
    /// `postgres://…`; secret, because it may carry a password.
    Postgres(Secret),
}

/// How a schema stands to this binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrationState {
    /// It is this binary's.
    Current,
    /// Migrations are missing.
    Behind {
        /// The last that was applied; 0 for an empty database.
        applied: i64,
        /// The last that this binary knows.
        known: i64,
    },
    /// A newer binary has been here.
    Newer {
        /// The last that was applied.
        applied: i64,
        /// The last that this binary knows.
        known: i64,
    },
    /// A migration was applied in another wording, or not to its end.
    Altered {
        /// Which.
        version: i64,
    },
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("its schema is current"),
            Self::Behind { applied, known } => {
                write!(f, "its schema is at {applied} and this binary needs {known}: run `relais migrate`")
            }
            Self::Newer { applied, known } => write!(
                f,
                "its schema is at {applied} and this binary knows {known}: start the newer binary that has been here"
            ),
            Self::Altered { version } => write!(
                f,
                "its migration {version} is not the one of this binary: restore it from a backup, or find out who changed it"
            ),
        }
    }
}

/// Why a database was not migrated or checked.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The URL of a PostgreSQL database is none.
    #[error("store.url must be sqlite://<file> or postgres://<user>@<host>/<database>")]
    MalformedUrl,
    /// A server is running, or another migration.
    #[error("the database is in use")]
    Lock(#[from] sqlite::LockError),
    /// The file cannot be made.
    #[error("the database {} cannot be made", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be reached.
    #[error("the database cannot be opened")]
    Connect(#[source] sqlx::Error),
    /// It would not say.
    #[error("the list of applied migrations cannot be read")]
    Read(#[source] sqlx::migrate::MigrateError),
    /// It must not be migrated.
    #[error("the database is not migrated: {0}")]
    Refused(MigrationState),
    /// A migration failed; it was rolled back.
    #[error("a migration failed and was rolled back")]
    Apply(#[source] sqlx::migrate::MigrateError),
}

/// Applies what is missing, under a lock: the serve lock of SQLite, an advisory lock in PostgreSQL.
pub async fn migrate(location: &Location) -> Result<(), MigrateError> {
    match location {
        Location::Sqlite(path) => {
            let _lock = sqlite::lock(path)?;
            sqlite::create_private(path)
                .map_err(|source| MigrateError::Create { path: path.clone(), source })?;
            let options = sqlite::options(path);
            let mut connection = options.connect().await.map_err(MigrateError::Connect)?;
            let outcome = apply(&mut connection, &migrator(|m| m.2)).await;
            // Closed properly, so that nothing stays behind in the write-ahead log.
            let closed = connection.close().await.map_err(MigrateError::Connect);
            outcome.and(closed)
        }
        Location::Postgres(url) => {
            let mut connection = connect_postgres(url).await?;
            apply(&mut connection, &migrator(|m| m.3)).await
        }
    }
}

/// How a database stands, without changing it.
pub async fn check(location: &Location) -> Result<MigrationState, MigrateError> {
    match location {
        Location::Sqlite(path) => check_sqlite(path).await,
        Location::Postgres(url) => check_postgres(url).await,
    }
}

pub(super) async fn check_sqlite(path: &Path) -> Result<MigrationState, MigrateError> {
    if !path.exists() {
        return Ok(behind(0));
    }
    let mut connection =
        sqlite::options(path).read_only(true).connect().await.map_err(MigrateError::Connect)?;
    let present = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let present: i64 =
        sqlx::query_scalar(present).fetch_one(&mut connection).await.map_err(MigrateError::Connect)?;
    state(&mut connection, &migrator(|m| m.2), present > 0).await
}

pub(super) async fn check_postgres(url: &Secret) -> Result<MigrationState, MigrateError> {
    let mut connection = connect_postgres(url).await?;
    let present = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()
                       AND tablename = '_sqlx_migrations'";
    let present: i64 =
        sqlx::query_scalar(present).fetch_one(&mut connection).await.map_err(MigrateError::Connect)?;
    state(&mut connection, &migrator(|m| m.3), present > 0).await
}

async fn connect_postgres(url: &Secret) -> Result<sqlx::PgConnection, MigrateError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| MigrateError::MalformedUrl)?;
    options.disable_statement_logging().connect().await.map_err(MigrateError::Connect)
}

fn migrator(text: impl Fn(&(i64, &str, &'static str, &'static str)) -> &'static str) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|migration| {
            let (version, name, ..) = *migration;
            let sql = sqlx::SqlSafeStr::into_sql_str(text(migration));
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.0)
}

fn behind(applied: i64) -> MigrationState {
    MigrationState::Behind { applied, known: known() }
}

async fn apply<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<(), MigrateError> {
    connection.lock().await.map_err(MigrateError::Apply)?;
    let outcome = apply_locked(connection, migrator).await;
    let unlocked = connection.unlock().await.map_err(MigrateError::Apply);
    outcome.and(unlocked)
}

async fn apply_locked<C: Migrate>(connection: &mut C, migrator: &Migrator) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(APPLIED).await.map_err(MigrateError::Apply)?;
    let applied = match state(connection, migrator, true).await? {
        MigrationState::Current => return Ok(()),
        MigrationState::Behind { applied, .. } => applied,
        refused => return Err(MigrateError::Refused(refused)),
    };
    for migration in migrator.iter().filter(|migration| migration.version > applied) {
        connection.apply(APPLIED, migration).await.map_err(MigrateError::Apply)?;
    }
    Ok(())
}

async fn state<C: Migrate>(
    connection: &mut C,
    migrator: &Migrator,
    table_present: bool,
) -> Result<MigrationState, MigrateError> {
    if !table_present {
        return Ok(behind(0));
    }
    if let Some(version) = connection.dirty_version(APPLIED).await.map_err(MigrateError::Read)? {
        return Ok(MigrationState::Altered { version });
    }
    let applied = connection.list_applied_migrations(APPLIED).await.map_err(MigrateError::Read)?;
    let last = applied.iter().map(|migration| migration.version).max().unwrap_or(0);
    if last > known() {
        return Ok(MigrationState::Newer { applied: last, known: known() });
    }
    for migration in migrator.iter().filter(|migration| migration.version <= last) {
        let same = applied
            .iter()
            .any(|done| done.version == migration.version && done.checksum == migration.checksum);
        if !same {
            return Ok(MigrationState::Altered { version: migration.version });
        }
    }
    Ok(if last == known() { MigrationState::Current } else { behind(last) })
}
