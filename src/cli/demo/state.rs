//! The demo's folder: keys, certificates, configuration and database, made where they are missing.
//!
//! A marker file says that the folder is a demo's. Nothing is written to a folder with anything in it but without
//! the marker: what stands there is somebody's.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::simulator::CLIENT_ID;
use crate::config::DEMO;
use crate::crypto::key_file::{self, KeyFileError};
use crate::crypto::pki::{DevPki, PkiError};
use crate::crypto::random::SystemRandom;
use crate::crypto::x509;
use crate::domain::time::Timestamp;

/// The file that makes a folder a demo's.
const MARKER: &str = ".relais-demo";

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(super) enum StateError {
    #[error("cannot write {}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error(
        "{} is not empty and was not made by a demo (it has no {MARKER}): name a new or an empty folder",
        folder.display()
    )]
    Foreign { folder: PathBuf },
    #[error("{} is no folder of its own", folder.display())]
    NoFolder { folder: PathBuf },
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
    /// date are made anew. A folder that is neither a demo's nor empty is refused.
    pub(super) fn open(folder: Option<PathBuf>, now: Timestamp) -> Result<Self, StateError> {
        let (folder, temporary) = if let Some(folder) = folder {
            (folder, None)
        } else {
            let temporary =
                tempfile::Builder::new().prefix("relais-demo-").tempdir().map_err(StateError::Temporary)?;
            (temporary.path().to_owned(), Some(temporary))
        };
        let state = Self { folder, _temporary: temporary };
        state.claim()?;
        state.make_keys()?;
        state.make_certificates(now)?;
        state.write_config()?;
        Ok(state)
    }

    /// Makes the folder this demo's alone, or refuses it.
    fn claim(&self) -> Result<(), StateError> {
        let folder = &self.folder;
        let failed = |source| StateError::File { file: folder.clone(), source };
        if !folder.exists() {
            if let Some(parent) = folder.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            fs::DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
        }
        let marker = folder.join(MARKER);
        let marked = marker.symlink_metadata().is_ok_and(|there| there.is_file());
        if !marked && fs::read_dir(folder).map_err(failed)?.next().is_some() {
            return Err(StateError::Foreign { folder: folder.clone() });
        }
        if folder.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        if !marked {
            fs::File::create_new(&marker).map_err(|source| StateError::File { file: marker, source })?;
        }
        Ok(())
    }

    /// Written beside and moved into place: a link of that name is replaced, not followed.
    fn write_config(&self) -> Result<(), StateError> {
        let file = self.config_file();
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut beside| {
            beside.write_all(DEMO.as_bytes())?;
            beside.persist(&file).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| StateError::File { file, source })
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.join("relais.toml")
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.folder.join("certs")
    }

    fn make_keys(&self) -> Result<(), StateError> {
        let keys = self.folder.join("keys");
        own_folder(&keys)?;
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
        own_folder(&certs)?;
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

/// Makes a folder where it is missing. A link is refused: what it leads to is not the demo's.
fn own_folder(folder: &Path) -> Result<(), StateError> {
    match folder.symlink_metadata() {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => Err(StateError::NoFolder { folder: folder.to_owned() }),
        Err(_) => fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .map_err(|source| StateError::File { file: folder.to_owned(), source }),
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_312_800);

    fn open(folder: &Path, now: Timestamp) -> Result<State, StateError> {
        State::open(Some(folder.to_owned()), now)
    }

    fn read(file: impl AsRef<Path>) -> Vec<u8> {
        fs::read(file).expect("a file")
    }

    #[test]
    fn a_folder_with_foreign_files_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let certs = folder.path().join("certs");
        fs::create_dir(&certs).expect("made");
        for file in [folder.path().join("relais.toml"), certs.join("server.key"), certs.join("ca.pem")] {
            fs::write(file, "mine").expect("written");
        }
        let refused = open(folder.path(), NOW).err().expect("refused");
        assert!(matches!(refused, StateError::Foreign { .. }));
        assert!(refused.to_string().contains("not empty") && refused.to_string().contains(MARKER));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing was added");
        for file in [folder.path().join("relais.toml"), certs.join("server.key"), certs.join("ca.pem")] {
            assert_eq!(read(file), b"mine");
        }
    }

    #[test]
    fn a_link_is_no_marker() {
        let (folder, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        fs::write(elsewhere.path().join(MARKER), "").expect("written");
        symlink(elsewhere.path().join(MARKER), folder.path().join(MARKER)).expect("a link");
        assert!(matches!(open(folder.path(), NOW), Err(StateError::Foreign { .. })));
    }

    #[test]
    fn new_and_empty_folders_become_the_owners_alone_and_are_opened_again() {
        let parent = tempfile::tempdir().expect("a folder");
        let empty = parent.path().join("empty");
        fs::create_dir(&empty).expect("made");
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).expect("chmod");
        for folder in [empty, parent.path().join("deep/new")] {
            let state = open(&folder, NOW).expect("taken");
            assert_eq!(folder.metadata().expect("it").permissions().mode() & 0o777, 0o700);
            assert_eq!(read(state.config_file()), DEMO.as_bytes());
            let (key, certificate) = (read(folder.join("keys/demo")), read(folder.join("certs/server.pem")));
            open(&folder, NOW).expect("a demo's folder");
            assert_eq!(read(folder.join("keys/demo")), key);
            assert_eq!(read(folder.join("certs/server.pem")), certificate);
        }
    }

    #[test]
    fn expired_certificates_of_a_demo_are_made_anew() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("state");
        open(&folder, NOW).expect("made");
        let before = read(folder.join("certs/server.pem"));
        open(&folder, NOW + Duration::from_secs(50 * 366 * 24 * 3600)).expect("opened");
        assert_ne!(read(folder.join("certs/server.pem")), before);
    }

    #[test]
    fn links_inside_lead_nothing_out_of_the_folder() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, mine) = (parent.path().join("state"), parent.path().join("mine"));
        open(&folder, NOW).expect("made");
        fs::write(&mine, "mine").expect("written");
        fs::remove_file(folder.join("relais.toml")).expect("removed");
        symlink(&mine, folder.join("relais.toml")).expect("a link");
        let state = open(&folder, NOW).expect("opened");
        assert_eq!((read(&mine), read(state.config_file())), (b"mine".to_vec(), DEMO.as_bytes().to_vec()));

        fs::remove_dir_all(folder.join("certs")).expect("removed");
        symlink(parent.path(), folder.join("certs")).expect("a link");
        assert!(matches!(open(&folder, NOW), Err(StateError::NoFolder { .. })));
    }
}
