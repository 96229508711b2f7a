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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::crypto::testing::Seeded;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_generated_key_is_43_characters_and_reads_back() {
        let text = generate(&Seeded::new(1));
        assert_eq!(text.expose().len(), 43);
        let mut expected = [0; 32];
        Seeded::new(1).fill(&mut expected);
        assert_eq!(parse(text.expose()).map(|key| key.expose().to_vec()), Ok(expected.to_vec()));
        assert!(parse(&format!("  {}\r\n", text.expose())).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = "A".repeat(43);
        for bad in
            ["", "abc", &"A".repeat(42), &"A".repeat(44), &format!("{key}="), &format!("{}+", &key[1..])]
        {
            assert_eq!(parse(bad).err(), Some(KeyTextError), "{bad}");
        }
    }

    #[test]
    fn a_written_key_is_one_line_for_its_owner_alone_and_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let (first, second) = (generate(&Seeded::new(1)), generate(&Seeded::new(2)));
        write_new(&path, &first).expect("written");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_to_string(&path).expect("text"), format!("{}\n", first.expose()));
        assert!(matches!(write_new(&path, &second), Err(KeyFileError::Exists { .. })));
        let read = read(&path).expect("read");
        assert_eq!(read.expose(), parse(first.expose()).expect("a key").expose());
    }

    #[test]
    fn r_k_05_a_key_file_that_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_new(&path, &generate(&Seeded::new(1))).expect("written");
        for bits in [0o644, 0o640, 0o604, 0o620, 0o601, 0o660] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(bits)).expect("set");
            let error = read(&path).err().expect("refused");
            assert!(matches!(error, KeyFileError::Shared { mode, .. } if mode == bits), "{bits:o}");
            let text = error.to_string();
            assert!(text.contains(&format!("chmod 0600 {}", path.display())), "{text}");
        }
        for bits in [0o600, 0o400] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(bits)).expect("set");
            assert!(read(&path).is_ok(), "{bits:o}");
        }
    }

    #[test]
    fn a_file_that_is_missing_too_large_or_no_key_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert!(matches!(read(&path), Err(KeyFileError::Unreadable { .. })));
        for (content, malformed) in
            [(vec![0xff; 43], true), (b"hello".to_vec(), true), (vec![b'A'; 5000], false)]
        {
            std::fs::remove_file(&path).ok();
            private_file::write_new(&path, &content).expect("written");
            let error = read(&path).err().expect("refused");
            assert_eq!(matches!(error, KeyFileError::Malformed { .. }), malformed, "{error}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_not_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none").join("key");
        assert!(matches!(write_new(&path, &generate(&Seeded::new(1))), Err(KeyFileError::Unwritable { .. })));
    }
}
