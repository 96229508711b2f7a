//! Sealing of a grant's secrets, and of what the outbox keeps of them.
//!
//! Each row has a data key of its own. The data key seals the row's columns; a ring key wraps the data key. What
//! a ciphertext belongs to is authenticated with it, so a ciphertext moved to another column, row or table, or a wrap
//! moved to another row, tenant or registration, does not open. Rotating a ring key means to wrap one value again.
//!
//! The wrap is a list, so that another kind of wrap (one that also needs the handle) can stand beside this one;
//! entries of an unknown suite or key are passed over.

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::envelope::{self, SUITE};
use super::ring::{KEY_LENGTH, KeyRing};
use crate::domain::ids::{GrantId, OutboxId};
use crate::domain::random::Random;
use crate::domain::secret::SecretBytes;

/// Why something was not sealed or not opened. Never says anything about the content.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// A name in the context contains the separator of contexts.
    #[error("a name that a seal is bound to contains the separator `|`")]
    MalformedContext,
    /// aws-lc refused to seal.
    #[error("sealing failed")]
    Sealing,
    /// Not what was sealed: altered, or moved to another row or column, or another key.
    #[error("the sealed value is not authentic in this place")]
    NotAuthentic,
    /// The list of wraps is not one.
    #[error("the list of wrapped keys is malformed")]
    MalformedWraps,
    /// No wrap in the list was made with a key of this ring.
    #[error("the data key is wrapped with {key_id:?}, which is not in keys.ring")]
    UnknownKey {
        /// The first key that was named.
        key_id: String,
    },
}

/// The row that a sealed value stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    table: &'static str,
    row: Uuid,
}

impl Place {
    /// The row of a grant.
    #[must_use]
    pub const fn grant(grant_id: GrantId) -> Self {
        Self { table: "grants", row: grant_id.0 }
    }

    /// An entry of the outbox.
    #[must_use]
    pub const fn outbox(outbox_id: OutboxId) -> Self {
        Self { table: "outbox", row: outbox_id.0 }
    }

    /// The table, for errors.
    #[must_use]
    pub const fn table(self) -> &'static str {
        self.table
    }
}

/// The key that seals the secrets of one row. Wiped when dropped.
pub struct DataKey(Zeroizing<[u8; KEY_LENGTH]>);

impl DataKey {
    /// Draws a new one.
    #[must_use]
    pub fn draw(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(&mut *bytes);
        Self(bytes)
    }

    /// Seals the value of one `column` of the row.
    pub fn seal(
        &self,
        random: &dyn Random,
        column: &str,
        place: Place,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let aad = column_aad(column, place)?;
        envelope::close(&self.cipher().ok_or(SealError::Sealing)?, random, &aad, plaintext)
            .map_err(|_| SealError::Sealing)
    }

    /// Opens what [`DataKey::seal`] sealed for the same column and row.
    pub fn open(&self, column: &str, place: Place, sealed: &[u8]) -> Result<SecretBytes, SealError> {
        let aad = column_aad(column, place)?;
        envelope::open(&self.cipher().ok_or(SealError::NotAuthentic)?, &aad, sealed)
            .map_err(|_| SealError::NotAuthentic)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &*self.0).ok().map(LessSafeKey::new)
    }

    fn from_bytes(bytes: &SecretBytes) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        if bytes.expose().len() != KEY_LENGTH {
            return None;
        }
        key.copy_from_slice(bytes.expose());
        Some(Self(key))
    }
}

/// What a wrapped data key belongs to.
#[derive(Clone, Copy)]
pub struct WrapContext<'a> {
    /// The row whose secrets the key seals.
    pub place: Place,
    /// Whose person it is about.
    pub tenant: &'a str,
    /// Where the tokens come from.
    pub registration: &'a str,
}

/// One entry of the list of wraps, as stored.
#[derive(Serialize, Deserialize)]
struct Wrap {
    suite: u8,
    key_id: String,
    /// base64url without padding. A wrap of another suite may have none.
    #[serde(default)]
    wrapped: String,
}

impl KeyRing {
    /// Wraps a data key with the active ring key: the JSON text of a list with one entry,
    /// `[{"suite":1,"key_id":"…","wrapped":"…"}]`.
    pub fn wrap(
        &self,
        random: &dyn Random,
        key: &DataKey,
        context: &WrapContext<'_>,
    ) -> Result<String, SealError> {
        let aad = wrap_aad(self.active_id(), context)?;
        let wrapped = envelope::close(&self.active_keys().wrap, random, &aad, &*key.0)
            .map_err(|_| SealError::Sealing)?;
        let wraps = [Wrap {
            suite: SUITE,
            key_id: self.active_id().to_owned(),
            wrapped: URL_SAFE_NO_PAD.encode(wrapped),
        }];
        serde_json::to_string(&wraps).map_err(|_| SealError::Sealing)
    }

    /// The data key out of a list of wraps: by the first entry whose key is in the ring.
    pub fn unwrap_key(&self, wraps: &str, context: &WrapContext<'_>) -> Result<DataKey, SealError> {
        let wraps: Vec<Wrap> = serde_json::from_str(wraps).map_err(|_| SealError::MalformedWraps)?;
        let readable = || wraps.iter().filter(|wrap| wrap.suite == SUITE);
        let Some((wrap, keys)) = readable().find_map(|wrap| Some((wrap, self.sub_keys(&wrap.key_id)?)))
        else {
            let first = readable().next().ok_or(SealError::MalformedWraps)?;
            return Err(SealError::UnknownKey { key_id: first.key_id.clone() });
        };
        let sealed = URL_SAFE_NO_PAD.decode(&wrap.wrapped).map_err(|_| SealError::MalformedWraps)?;
        let bytes = envelope::open(&keys.wrap, &wrap_aad(&wrap.key_id, context)?, &sealed)
            .map_err(|_| SealError::NotAuthentic)?;
        DataKey::from_bytes(&bytes).ok_or(SealError::NotAuthentic)
    }
}

/// `suite|table|column|row`.
fn column_aad(column: &str, Place { table, row }: Place) -> Result<String, SealError> {
    unambiguous([column])?;
    Ok(format!("{SUITE}|{table}|{column}|{row}"))
}

/// `suite|key_id|table|row|tenant|registration`.
fn wrap_aad(key_id: &str, context: &WrapContext<'_>) -> Result<String, SealError> {
    let WrapContext { place: Place { table, row }, tenant, registration } = context;
    unambiguous([key_id, tenant, registration])?;
    Ok(format!("{SUITE}|{key_id}|{table}|{row}|{tenant}|{registration}"))
}

/// Two contexts must never give one text.
fn unambiguous<const N: usize>(names: [&str; N]) -> Result<(), SealError> {
    if names.iter().any(|name| name.contains('|')) { Err(SealError::MalformedContext) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
