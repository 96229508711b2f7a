//! The serve lock: `<database>.lock`, held by the operating system for as long as the process lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error(
        "another process serves or migrates {database}: it holds {lock}. SQLite is for one server; stop the other one, or use PostgreSQL for several"
    )]
    Held {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The lock file cannot be opened or locked.
    #[error("the lock file {lock} cannot be used")]
    Io {
        /// The lock file.
        lock: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// The lock, until dropped.
pub(in crate::store) struct ServeLock {
    /// Never read: the operating system unlocks when it is closed, also after a crash.
    _file: File,
}

impl ServeLock {
    /// Takes the lock beside `database`, or says who may hold it. Does not wait.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let io = |source| LockError::Io { lock: lock.clone(), source };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let file = options.open(&lock).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { database: database.to_owned(), lock }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}
