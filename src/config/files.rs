//! Files with secrets in them.

use std::path::Path;

use super::reader::Reader;
use crate::crypto::private_file::{self, PrivateRead, Readers};
use crate::domain::secret::Secret;

/// Far more than any secret is long.
const LIMIT: u64 = 64 * 1024;

/// The secret in the file that `key` names, without the line feed at its end. Only the owner may read it (R-K-05).
pub fn read_secret(reader: &Reader<'_>, key: &str) -> Option<Secret> {
    let file = reader.file(key)?;
    let content = match private_file::read(&file, Readers::OwnerOnly, LIMIT) {
        Ok(PrivateRead::Content(content)) => content,
        Ok(PrivateRead::Shared { mode }) => {
            too_open(reader, key, &file, mode);
            return None;
        }
        Err(error) => {
            let what = format!("{} cannot be read ({})", file.display(), error.kind());
            reader.problem(key, what, "name an existing file that Relais may read");
            return None;
        }
    };
    let text =
        std::str::from_utf8(&content).map(|text| text.trim_end_matches(['\r', '\n'])).unwrap_or_default();
    if text.is_empty() {
        reader.problem(key, format!("{} holds no text", file.display()), "write the secret into it");
        return None;
    }
    Some(Secret::new(text))
}

fn too_open(reader: &Reader<'_>, key: &str, file: &Path, mode: u32) {
    let file = file.display();
    reader.problem(
        key,
        format!("{file} may be read by others than its owner (mode {mode:04o})"),
        format!("run `chmod 0600 {file}`, and if others had access to it, change the secret"),
    );
}
