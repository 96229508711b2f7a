//! Secrets in configuration: a literal (development only), `ENC(…)`, or a file of its own.

use super::Mode;
use super::files;
use super::reader::Reader;
use crate::crypto::enc;
use crate::crypto::ring::KeyRing;
use crate::domain::secret::Secret;

/// What to do with a secret that stands in clear.
pub fn how_to_keep(key: &str) -> String {
    format!("encrypt it with `relais secret encrypt` and write the ENC(…) it prints, or use {key}_file")
}

/// The value of `key` where it stands in clear.
pub fn literal<'a>(reader: &Reader<'a>, key: &str) -> Option<&'a str> {
    reader.plain_text(key).filter(|text| !text.is_empty() && !enc::is_encrypted(text))
}

/// The secret `key`, or the content of `<key>_file`: exactly one of them must be there.
///
/// Where the ring could not be read, an encrypted secret is passed over: the ring's problem is told already.
pub fn read(reader: &Reader<'_>, key: &str, ring: Option<&KeyRing>) -> Option<Secret> {
    let file_key = format!("{key}_file");
    match (reader.has(key), reader.has(&file_key)) {
        (true, true) => {
            reader.problem(key, format!("stands beside {file_key}"), "remove one of the two");
            None
        }
        (false, false) => {
            reader.problem(key, "is missing", format!("write {key} (ENC(…)) or {file_key}"));
            None
        }
        (true, false) => {
            let text = reader.text(key)?;
            if enc::is_encrypted(text) {
                return decrypt(reader, key, text, ring);
            }
            if reader.context.mode == Mode::Production {
                reader.problem(
                    key,
                    "is a secret in clear, which is for mode = \"development\" only",
                    how_to_keep(key),
                );
                return None;
            }
            Some(Secret::new(text))
        }
        (false, true) => {
            let text = files::read_secret(reader, &file_key)?;
            if enc::is_encrypted(text.expose()) {
                return decrypt(reader, &file_key, text.expose(), ring);
            }
            Some(text)
        }
    }
}

fn decrypt(reader: &Reader<'_>, key: &str, text: &str, ring: Option<&KeyRing>) -> Option<Secret> {
    match enc::decrypt(ring?, text) {
        Ok(secret) => Some(secret),
        Err(error) => {
            // The error says what to do.
            reader.problem(key, error.to_string(), "");
            None
        }
    }
}
