//! The demo's folder: keys, certificates, configuration and database, made where they are missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::simulator::CLIENT_ID;
use crate::config::DEMO;
use crate::crypto::key_file::{self, KeyFileError};
use crate::crypto::pki::{DevPki, PkiError};
use crate::crypto::random::SystemRandom;
use crate::crypto::x509;
use crate::domain::time::Timestamp;

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(super) enum StateError {
    #[error("cannot write {}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("no temporary folder can be made")]
    Temporary(#[source] io::Error),
    #[error("a key cannot be written")]
    Key(#[from] KeyFileError),
    #[error("no development PKI can be made")]
    Pki(#[from] PkiError),
}

/// The folder; a temporary one goes when this is dropped.
pub(super) struct State {
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl State {
    /// Opens `folder`, or a temporary one, and makes what is missing in it. Certificates that are no longer in
    /// date are made anew.
    pub(super) fn open(folder: Option<PathBuf>, now: Timestamp) -> Result<Self, StateError> {
        let (folder, temporary) = if let Some(folder) = folder {
            (folder, None)
        } else {
            let temporary =
                tempfile::Builder::new().prefix("relais-demo-").tempdir().map_err(StateError::Temporary)?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let state = Self { folder, _temporary: temporary };
        state.make_keys()?;
        state.make_certificates(now)?;
        let file = state.config_file();
        fs::write(&file, DEMO).map_err(|source| StateError::File { file, source })?;
        Ok(state)
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.join("relais.toml")
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.folder.join("certs")
    }

    fn make_keys(&self) -> Result<(), StateError> {
        let keys = self.folder.join("keys");
        fs::create_dir_all(&keys).map_err(|source| StateError::File { file: keys.clone(), source })?;
        for name in ["demo", "persons"] {
            let file = keys.join(name);
            if !file.exists() {
                key_file::write_new(&file, &key_file::generate(&SystemRandom))?;
            }
        }
        Ok(())
    }

    fn make_certificates(&self, now: Timestamp) -> Result<(), StateError> {
        let certs = self.certificates();
        let pair_is_good = |cert, key| x509::load_pair(&certs.join(cert), &certs.join(key), now).is_ok();
        if pair_is_good("server.pem", "server.key") && pair_is_good("client.pem", "client.key") {
            return Ok(());
        }
        for name in DevPki::FILES {
            remove(&certs.join(name))?;
        }
        Ok(DevPki::generate(CLIENT_ID, now)?.write(&certs)?)
    }
}

fn remove(file: &Path) -> Result<(), StateError> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StateError::File { file: file.to_owned(), source })
        }
        _ => Ok(()),
    }
}
