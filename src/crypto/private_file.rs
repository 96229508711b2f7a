//! Files with secrets in them: who may read one, and how one is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let readers = if path.starts_with(SYSTEMD_CREDENTIALS) { Readers::OwnerAndGroup } else { readers };
    let refused = match readers {
        Readers::OwnerOnly => 0o077,
        Readers::OwnerAndGroup => 0o037,
    };
    if mode & refused != 0 {
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

fn create_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
