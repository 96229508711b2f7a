//! Ring keys in files: 32 random bytes, base64url without padding, one line, readable by the owner alone (R-K-05).

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::private_file::{self, PrivateRead, Readers};
use super::ring::KEY_LENGTH;
use crate::domain::random::Random;
use crate::domain::secret::{Secret, SecretBytes};

/// Far more than a key is long, far less than hurts.
const LIMIT: u64 = 4096;

/// A text that is no key. Shows nothing of it.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a key is 32 bytes in base64url without padding, on one line: make one with `relais keys generate`")]
pub struct KeyTextError;

/// Why a key file could not be read or written.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("the key file {path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "the key file {path} may be read by others than its owner (mode {mode:04o}): run `chmod 0600 {path}`, and if others had access to it, make another key",
        path = .path.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What stands in it is no key.
    #[error("the key file {path} holds no key", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What a key looks like.
        source: KeyTextError,
    },
    /// Something stands there already.
    #[error("{path} exists and is not overwritten: choose another name", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("the key file {path} cannot be written", path = .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A new key as text.
#[must_use]
pub fn generate(random: &dyn Random) -> Secret {
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    random.fill(&mut *bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// The bytes of a key given as text; white space around it does not matter.
pub fn parse(text: &str) -> Result<SecretBytes, KeyTextError> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| KeyTextError)?);
    if bytes.len() != KEY_LENGTH {
        return Err(KeyTextError);
    }
    Ok(SecretBytes::new(bytes.to_vec()))
}

/// Reads a key file that only its owner may read.
pub fn read(path: &Path) -> Result<SecretBytes, KeyFileError> {
    let path = path.to_path_buf();
    let content = match private_file::read(&path, Readers::OwnerOnly, LIMIT) {
        Ok(PrivateRead::Content(content)) => content,
        Ok(PrivateRead::Shared { mode }) => return Err(KeyFileError::Shared { path, mode }),
        Err(source) => return Err(KeyFileError::Unreadable { path, source }),
    };
    let key = std::str::from_utf8(&content).map_err(|_| KeyTextError).and_then(parse);
    key.map_err(|source| KeyFileError::Malformed { path, source })
}

/// Writes a secret (a ring key, or a signing key in PEM) into a new file with mode 0600, ended by a line feed.
pub fn write_new(path: &Path, secret: &Secret) -> Result<(), KeyFileError> {
    let path = path.to_path_buf();
    let mut content = Zeroizing::new(Vec::with_capacity(secret.expose().len() + 1));
    content.extend_from_slice(secret.expose().trim_end().as_bytes());
    content.push(b'\n');
    match private_file::write_new(&path, &content) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists { path }),
        Err(source) => Err(KeyFileError::Unwritable { path, source }),
    }
}
