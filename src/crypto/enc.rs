//! Secrets in configuration files: `ENC(v1:<key id>:<base64url>)`.
//!
//! Made by `relais secret encrypt` with the active ring key; opened by any ring key but the pseudonym key. The text
//! is not bound to the place where it stands, so that it may be moved between files; whoever may write the
//! configuration decides about every secret anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::envelope::{self, SUITE};
use super::ring::KeyRing;
use super::seal::SealError;
use crate::domain::random::Random;
use crate::domain::secret::Secret;

const START: &str = "ENC(";
const VERSION: &str = "v1";
const END: char = ')';

/// Why an `ENC(…)` text did not open. Shows the key's name and nothing of the value.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EncError {
    /// Not of the form `ENC(v1:<key id>:<base64url>)`.
    #[error("not of the form ENC(v1:<key id>:<base64url>): make it with `relais secret encrypt`")]
    Malformed,
    /// The ring has no such key.
    #[error(
        "encrypted with the key {key_id:?}, which is not in keys.ring: add that key, or encrypt the secret again"
    )]
    UnknownKey {
        /// The key's name.
        key_id: String,
    },
    /// Altered, or encrypted with another key of the same name.
    #[error(
        "cannot be decrypted with the key {key_id:?}: the text was altered or this is another key; encrypt the secret again"
    )]
    NotAuthentic {
        /// The key's name.
        key_id: String,
    },
}

/// Whether a configuration value claims to be encrypted: by its start, so that one that was cut off is malformed
/// rather than a secret in clear.
#[must_use]
pub fn is_encrypted(text: &str) -> bool {
    text.trim_start().starts_with(START)
}

/// Encrypts a secret with the active key.
pub fn encrypt(ring: &KeyRing, random: &dyn Random, secret: &Secret) -> Result<String, SealError> {
    let key_id = ring.active_id();
    let sealed = envelope::close(&ring.active_keys().enc, random, &aad(key_id), secret.expose().as_bytes())
        .map_err(|_| SealError::Sealing)?;
    Ok(format!("{START}{VERSION}:{key_id}:{}{END}", URL_SAFE_NO_PAD.encode(sealed)))
}

/// Opens what [`encrypt`] made.
pub fn decrypt(ring: &KeyRing, text: &str) -> Result<Secret, EncError> {
    let inner = text.trim().strip_prefix(START).and_then(|text| text.strip_suffix(END));
    let mut parts = inner.ok_or(EncError::Malformed)?.split(':');
    let (Some(VERSION), Some(key_id), Some(value), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(EncError::Malformed);
    };
    let sealed = URL_SAFE_NO_PAD.decode(value).map_err(|_| EncError::Malformed)?;
    let keys = ring.sub_keys(key_id).ok_or_else(|| EncError::UnknownKey { key_id: key_id.to_owned() })?;
    let not_authentic = || EncError::NotAuthentic { key_id: key_id.to_owned() };
    let opened = envelope::open(&keys.enc, &aad(key_id), &sealed).map_err(|_| not_authentic())?;
    let text = std::str::from_utf8(opened.expose()).map_err(|_| not_authentic())?;
    Ok(Secret::new(text))
}

fn aad(key_id: &str) -> String {
    format!("{SUITE}|{key_id}|configuration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{Seeded, key, ring};

    fn decrypted(ring: &KeyRing, text: &str) -> Result<String, EncError> {
        decrypt(ring, text).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn what_was_encrypted_is_decrypted_also_after_a_rotation() {
        let random = Seeded::new(1);
        for plain in ["", "s3cret", "clé: à (garder)\n"] {
            let text = encrypt(&ring("2026-10"), &random, &Secret::new(plain)).expect("encrypted");
            assert!(text.starts_with("ENC(v1:2026-10:") && text.ends_with(')'), "{text}");
            assert!(is_encrypted(&text));
            for active in ["2026-10", "2026-11"] {
                assert_eq!(decrypted(&ring(active), &text).as_deref(), Ok(plain));
            }
            assert_eq!(decrypted(&ring("2026-10"), &format!(" {text}\n")).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn a_literal_is_not_taken_for_an_encrypted_one() {
        for text in ["", "secret", "enc(v1:a:b)", "ENC", "xENC(v1:a:b)"] {
            assert!(!is_encrypted(text), "{text}");
            assert_eq!(decrypted(&ring("2026-11"), text), Err(EncError::Malformed), "{text}");
        }
        for text in [
            "ENC()",
            "ENC(v1:a:b",
            " ENC(v1:a:b) x",
            "ENC(v2:2026-11:AAAA)",
            "ENC(v1:2026-11)",
            "ENC(v1:2026-11:AA:AA)",
            "ENC(v1:2026-11:+/)",
        ] {
            assert!(is_encrypted(text), "{text}");
            assert_eq!(decrypted(&ring("2026-11"), text), Err(EncError::Malformed), "{text}");
        }
    }

    #[test]
    fn an_altered_text_or_another_key_of_the_same_name_is_refused_by_the_key_s_name() {
        let text = encrypt(&ring("2026-11"), &Seeded::new(2), &Secret::new("s3cret")).expect("encrypted");
        let refused = Err(EncError::NotAuthentic { key_id: "2026-11".to_owned() });
        let other = KeyRing::new("2026-11", "persons", vec![key("2026-11", 9), key("persons", 3)]);
        assert_eq!(decrypted(&other.expect("a ring"), &text), refused);
        let at = text.len() - 10;
        let altered = if text[at..].starts_with('A') { 'B' } else { 'A' };
        let altered = format!("{}{altered}{}", &text[..at], &text[at + 1..]);
        assert_eq!(decrypted(&ring("2026-11"), &altered), refused);
        let renamed = text.replace("2026-11", "2026-10");
        assert_eq!(
            decrypted(&ring("2026-11"), &renamed),
            Err(EncError::NotAuthentic { key_id: "2026-10".to_owned() })
        );
    }

    #[test]
    fn an_unknown_key_and_the_pseudonym_key_open_nothing() {
        for key_id in ["2026-09", "persons"] {
            assert_eq!(
                decrypted(&ring("2026-11"), &format!("ENC(v1:{key_id}:AAAA)")),
                Err(EncError::UnknownKey { key_id: key_id.to_owned() })
            );
        }
    }

    #[test]
    fn a_wrapped_data_key_s_cipher_opens_no_configuration_secret() {
        let ring = ring("2026-11");
        let sealed = envelope::close(&ring.active_keys().wrap, &Seeded::new(3), &aad("2026-11"), b"x")
            .expect("sealed");
        let text = format!("ENC(v1:2026-11:{})", URL_SAFE_NO_PAD.encode(sealed));
        assert_eq!(decrypted(&ring, &text), Err(EncError::NotAuthentic { key_id: "2026-11".to_owned() }));
    }
}
