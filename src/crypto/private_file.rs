//! Files with secrets in them: who may read one, and how one is written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

/// Who else than its owner may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    OwnerOnly,
    /// Its group: private keys of TLS are often shared that way (`ssl-cert` on Debian).
    OwnerAndGroup,
}

/// What reading a private file gives.
pub enum PrivateRead {
    /// Its content.
    Content(Zeroizing<Vec<u8>>),
    /// Too many may read it; nothing was read.
    Shared {
        /// The permission bits.
        mode: u32,
    },
}

/// Where systemd puts the credentials of a service. It grants them to the service's user by an access list, and
/// the file's group bits then show that list's mask, not a group.
const SYSTEMD_CREDENTIALS: &str = "/run/credentials/";

/// Reads at most `limit` bytes of the file, if nobody else than `readers` may read it.
pub fn read(path: &Path, readers: Readers, limit: u64) -> io::Result<PrivateRead> {
    let file = File::open(path)?;
    // Of the open file, not of the path: another file may stand there a moment later.
    let mode = mode_of(&file.metadata()?);
    if mode & refused_bits(path, readers) != 0 {
        return Ok(PrivateRead::Shared { mode });
    }
    let length = usize::try_from(file.metadata()?.len().min(limit)).unwrap_or(0);
    let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
    if file.take(limit + 1).read_to_end(&mut content)? as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large for a key"));
    }
    Ok(PrivateRead::Content(content))
}

/// Writes a new file that only its owner may read. Errors with `AlreadyExists` where something stands there.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    create_new(path, content, 0o600)
}

/// Writes a new file that everybody may read. Errors with `AlreadyExists` where something stands there.
pub fn write_new_public(path: &Path, content: &[u8]) -> io::Result<()> {
    create_new(path, content, 0o644)
}

/// The permission bits that must not be set.
fn refused_bits(path: &Path, readers: Readers) -> u32 {
    match readers {
        Readers::OwnerOnly if !path.starts_with(SYSTEMD_CREDENTIALS) => 0o077,
        Readers::OwnerOnly | Readers::OwnerAndGroup => 0o037,
    }
}

/// The permission bits.
#[cfg(unix)]
pub(super) fn mode_of(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

/// Elsewhere the access list of the folder decides, and there are no bits to look at.
#[cfg(not(unix))]
pub(super) const fn mode_of(_: &Metadata) -> u32 {
    0o600
}

fn create_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    set_mode(&mut options, mode);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
const fn set_mode(_: &mut OpenOptions, _: u32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_list_s_mask_of_a_systemd_credential_is_not_taken_for_a_group() {
        let credential = Path::new("/run/credentials/relais.service/key-2026-11");
        assert_eq!(refused_bits(credential, Readers::OwnerOnly) & 0o440, 0);
        for bit in [0o020, 0o010, 0o004, 0o002, 0o001] {
            assert_ne!(refused_bits(credential, Readers::OwnerOnly) & bit, 0, "{bit:o}");
        }
        for elsewhere in ["/etc/relais/key", "run/credentials/key", "/run/credentials-of-mine/key"] {
            assert_eq!(refused_bits(Path::new(elsewhere), Readers::OwnerOnly), 0o077, "{elsewhere}");
        }
    }

    #[test]
    fn a_file_of_exactly_the_limit_is_read_whole_and_one_byte_more_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        write_new(&path, &[7; 11]).expect("written");
        let Ok(PrivateRead::Content(content)) = read(&path, Readers::OwnerOnly, 11) else { panic!("read") };
        assert_eq!(*content, [7; 11]);
        assert!(read(&path, Readers::OwnerOnly, 10).is_err());
    }
}
