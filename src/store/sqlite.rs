//! SQLite: embedded, one node.
//!
//! Writes go through one task ([`writer`]), which commits what is queued together; reads use a pool of read-only
//! connections. `serve` holds a lock file beside the database, so that two servers never share one.

mod conn;
mod lock;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use thiserror::Error;
use tokio::sync::mpsc;

pub use self::lock::LockError;
use self::lock::ServeLock;
use self::writer::Writer;
use super::conn::{Fault, Work};
use super::facade::{Backend, SqlStore};
use super::migrations::{self, MigrateError, MigrationState};
use crate::crypto::ring::KeyRing;
use crate::domain::random::Random;
use crate::engine::ports::{Changed, Store, Wake, WakeSignal};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
const READERS: u32 = 4;

/// What the store is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// To serve: takes the serve lock, so that no second server can.
    Serve,
    /// For a short command beside a server that may be running: takes no lock, adopts nothing.
    Beside,
}

/// Why the store was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another server, or no way to lock.
    #[error("the database cannot be locked")]
    Lock(#[from] LockError),
    /// The file cannot be opened.
    #[error("the database {path} cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be read.
    #[error("the schema of the database cannot be checked")]
    Migrations(#[from] MigrateError),
    /// The schema is not the one of this binary.
    #[error("the database {path} is not ready: {state}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// How its schema stands.
        state: MigrationState,
    },
}

/// The store on SQLite.
pub struct SqliteStore {
    store: Arc<SqlStore<Sqlite>>,
    wake: Arc<SingleNode>,
}

impl SqliteStore {
    /// Opens the database at `path`, whose schema must be that of this binary (see [`migrations::migrate`]).
    pub async fn open(
        path: &Path,
        ring: Arc<KeyRing>,
        random: Arc<dyn Random>,
        mode: OpenMode,
    ) -> Result<Self, OpenError> {
        let lock = match mode {
            OpenMode::Serve => Some(ServeLock::take(path)?),
            OpenMode::Beside => None,
        };
        let state = migrations::check_sqlite(path).await?;
        if state != MigrationState::Current {
            return Err(OpenError::Schema { path: path.to_owned(), state });
        }
        let open_error = |source| OpenError::Open { path: path.to_owned(), source };
        let writer = Writer::start(options(path)).await.map_err(open_error)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A file does not go away between two uses, and asking costs as much as a small read.
            .test_before_acquire(false)
            .connect_with(options(path).read_only(true))
            .await
            .map_err(open_error)?;
        let backend = Sqlite { writer, readers, lock };
        Ok(Self {
            store: Arc::new(SqlStore::new(backend, ring, random)),
            wake: Arc::new(SingleNode::default()),
        })
    }

    /// The port.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    /// There is nobody else to wake.
    #[must_use]
    pub fn wake(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.wake) as Arc<dyn Wake>
    }
}

/// After how many pages of 4 KiB in the write-ahead log they are copied into the database, by whoever commits next: one
/// login writes some sixty, most of them the same as the one before, and the copying holds every commit up. 32 MiB are
/// read again in a moment after a crash.
const CHECKPOINT_PAGES: &str = "8192";

/// How every connection is opened. `synchronous=FULL`: what was answered survives a power cut.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is wiped is overwritten, also in free pages: the ring key would open it.
        .pragma("secure_delete", "ON")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        // What savepoints keep of pages would be a file for each larger batch, made and removed again.
        .pragma("temp_store", "MEMORY")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Makes the file where it is missing, for its owner alone; what SQLite puts beside it takes over its mode.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The lock that `serve` holds, for a migration.
pub(super) fn lock(path: &Path) -> Result<ServeLock, LockError> {
    ServeLock::take(path)
}

/// The backend.
struct Sqlite {
    writer: Writer,
    readers: SqlitePool,
    lock: Option<ServeLock>,
}

#[async_trait]
impl Backend for Sqlite {
    async fn write<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault> {
        self.writer.submit(work).await
    }

    async fn read<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault> {
        let mut reader = self.readers.acquire().await?;
        work(&mut *reader).await
    }

    fn may_adopt(&self) -> bool {
        self.lock.is_some()
    }
}

/// A wake that does nothing. The sending ends are kept, so that whoever listens waits and hears no end.
#[derive(Default)]
struct SingleNode {
    kept: Mutex<Vec<mpsc::Sender<WakeSignal>>>,
}

impl Wake for SingleNode {
    fn publish(&self, _: Changed) {}

    fn signals(&self) -> mpsc::Receiver<WakeSignal> {
        let (sender, receiver) = mpsc::channel(1);
        if let Ok(mut kept) = self.kept.lock() {
            kept.push(sender);
        }
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_answered_survives_a_power_cut_and_rows_keep_their_parents() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(&folder.path().join("relais.db")).create_if_missing(true);
        let mut connection = options.connect().await.expect("a new file");
        let full: i64 = 2;
        let (on, in_memory) = (1, 2);
        let settings: [(&'static str, i64); 6] = [
            ("PRAGMA synchronous", full),
            ("PRAGMA foreign_keys", on),
            ("PRAGMA secure_delete", on),
            ("PRAGMA busy_timeout", 5000),
            ("PRAGMA temp_store", in_memory),
            ("PRAGMA wal_autocheckpoint", 8192),
        ];
        for (pragma, expected) in settings {
            let found: i64 = sqlx::query_scalar(pragma).fetch_one(&mut connection).await.expect("a number");
            assert_eq!(found, expected, "{pragma}");
        }
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.expect("a word");
        assert_eq!(mode, "wal");
    }
}
