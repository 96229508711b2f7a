//! The ring of keys that everything else hangs from.
//!
//! One key is *active*: it seals and hashes. The others only open and find what they made while they were active.
//! One more, the *pseudonym* key, names persons and does nothing else: it never seals and never hashes tokens, so that
//! rotating the active key leaves the names of persons as they are.
//!
//! The key bytes themselves are never used: each purpose has a sub-key by HKDF-SHA-256 (RFC 5869) with a label
//! of its own.

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use thiserror::Error;

use crate::domain::secret::SecretBytes;

/// Bytes of a ring key.
pub const KEY_LENGTH: usize = 32;

const SALT: &[u8] = b"relais/ring/v1";

/// What a keyed hash is for. The hashes of one value for two purposes have nothing in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Finding a login by its token.
    LoginToken,
    /// Finding a session by its handle.
    SessionHandle,
    /// Finding a login by the token that its provider notifies with.
    NotificationToken,
    /// Recognising the provider's name of a request, where it comes back in a notification.
    ProviderRequest,
    /// Finding what a provider calls a session of its own (`sid`).
    ProviderSession,
    /// Finding what a provider calls a person (`sub`).
    ProviderSubject,
    /// Finding an earlier start by its `Idempotency-Key`.
    IdempotencyKey,
    /// Recognising the body of an earlier start.
    ReplayBody,
    /// Proving that an audit record is as it was written.
    AuditRecord,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::LoginToken => b"hash/login-token",
            Self::SessionHandle => b"hash/session-handle",
            Self::NotificationToken => b"hash/notification-token",
            Self::ProviderRequest => b"hash/provider-request",
            Self::ProviderSession => b"hash/provider-session",
            Self::ProviderSubject => b"hash/provider-subject",
            Self::IdempotencyKey => b"hash/idempotency-key",
            Self::ReplayBody => b"hash/replay-body",
            Self::AuditRecord => b"hash/audit-record",
        }
    }
}

/// A key as configuration gives it.
pub struct RingKey {
    /// Its name: lower-case letters, digits and hyphens, at most 64.
    pub id: String,
    /// 32 random bytes.
    pub bytes: SecretBytes,
}

/// HMAC-SHA-256 of a secret, and the ring key that it was made with. Not secret.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyedHash {
    /// Which ring key.
    pub key_id: String,
    /// The hash.
    pub hash: [u8; 32],
}

/// The name of one person at one provider, from which the hint cannot be told without the pseudonym key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pseudonym([u8; 32]);

impl Pseudonym {
    /// The bytes, as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Why keys do not make a ring.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RingError {
    /// A key's name is not well-formed.
    #[error("the key id {id:?} is not made of a-z, 0-9 and hyphens, 1 to 64 characters")]
    MalformedId {
        /// The name.
        id: String,
    },
    /// Two keys have one name.
    #[error("the key id {id:?} stands twice in the ring")]
    DuplicateId {
        /// The name.
        id: String,
    },
    /// A key is not 32 bytes long.
    #[error("the key {id:?} has {length} bytes and must have 32: make one with `relais keys generate`")]
    WrongLength {
        /// The key's name.
        id: String,
        /// How many bytes it has.
        length: usize,
    },
    /// `keys.active` names no key of the ring.
    #[error("keys.active is {id:?}, which is not in keys.ring")]
    UnknownActive {
        /// The name.
        id: String,
    },
    /// `keys.pseudonym` names no key of the ring.
    #[error("keys.pseudonym is {id:?}, which is not in keys.ring")]
    UnknownPseudonym {
        /// The name.
        id: String,
    },
    /// One key for both uses.
    #[error("keys.active and keys.pseudonym are both {id:?}: the pseudonym key must be a key of its own")]
    PseudonymIsActive {
        /// The name.
        id: String,
    },
    /// aws-lc could not derive a sub-key.
    #[error("no sub-key could be derived from the key {id:?}")]
    Derivation {
        /// The key's name.
        id: String,
    },
}

/// The sub-keys of one ring key.
pub(super) struct SubKeys {
    login_token: hmac::Key,
    session_handle: hmac::Key,
    notification_token: hmac::Key,
    provider_request: hmac::Key,
    provider_session: hmac::Key,
    provider_subject: hmac::Key,
    idempotency_key: hmac::Key,
    replay_body: hmac::Key,
    audit_record: hmac::Key,
    /// Makes login tokens out of a login and its `Idempotency-Key`.
    pub(super) token_derivation: hmac::Key,
    /// Wraps data keys.
    pub(super) wrap: LessSafeKey,
    /// Seals configuration secrets.
    pub(super) enc: LessSafeKey,
}

impl SubKeys {
    fn derive(bytes: &SecretBytes) -> Result<Self, Unspecified> {
        let root = Salt::new(HKDF_SHA256, SALT).extract(bytes.expose());
        Ok(Self {
            login_token: mac_key(&root, Purpose::LoginToken.label())?,
            session_handle: mac_key(&root, Purpose::SessionHandle.label())?,
            notification_token: mac_key(&root, Purpose::NotificationToken.label())?,
            provider_request: mac_key(&root, Purpose::ProviderRequest.label())?,
            provider_session: mac_key(&root, Purpose::ProviderSession.label())?,
            provider_subject: mac_key(&root, Purpose::ProviderSubject.label())?,
            idempotency_key: mac_key(&root, Purpose::IdempotencyKey.label())?,
            replay_body: mac_key(&root, Purpose::ReplayBody.label())?,
            audit_record: mac_key(&root, Purpose::AuditRecord.label())?,
            token_derivation: mac_key(&root, b"derive/login-token")?,
            wrap: cipher_key(&root, b"wrap/data-key")?,
            enc: cipher_key(&root, b"seal/configuration")?,
        })
    }

    fn hash(&self, purpose: Purpose, value: &[u8]) -> [u8; 32] {
        let key = match purpose {
            Purpose::LoginToken => &self.login_token,
            Purpose::SessionHandle => &self.session_handle,
            Purpose::NotificationToken => &self.notification_token,
            Purpose::ProviderRequest => &self.provider_request,
            Purpose::ProviderSession => &self.provider_session,
            Purpose::ProviderSubject => &self.provider_subject,
            Purpose::IdempotencyKey => &self.idempotency_key,
            Purpose::ReplayBody => &self.replay_body,
            Purpose::AuditRecord => &self.audit_record,
        };
        tag_bytes(&hmac::sign(key, value))
    }
}

fn mac_key(root: &Prk, label: &[u8]) -> Result<hmac::Key, Unspecified> {
    Ok(hmac::Key::from(root.expand(&[label], HMAC_SHA256)?))
}

fn cipher_key(root: &Prk, label: &[u8]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::from(root.expand(&[label], &AES_256_GCM)?)))
}

/// The 32 bytes of an HMAC-SHA-256.
pub(super) fn tag_bytes(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

struct Entry {
    id: String,
    keys: SubKeys,
}

/// The keys of this installation, ready for use.
pub struct KeyRing {
    active: Entry,
    /// Those that only open and find.
    older: Vec<Entry>,
    pseudonym: hmac::Key,
}

impl KeyRing {
    /// Takes keys in: `active` seals and hashes, `pseudonym` names persons, the others open and find.
    ///
    /// Errors: [`RingError`], for what an operator has to change in `[keys]`.
    pub fn new(active: &str, pseudonym: &str, keys: Vec<RingKey>) -> Result<Self, RingError> {
        if active == pseudonym {
            return Err(RingError::PseudonymIsActive { id: active.to_owned() });
        }
        let (mut active_entry, mut pseudonym_key) = (None, None);
        let mut older: Vec<Entry> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for RingKey { id, bytes } in keys {
            check_key(&id, &bytes)?;
            if !seen.insert(id.clone()) {
                return Err(RingError::DuplicateId { id });
            }
            if id == pseudonym {
                let root = Salt::new(HKDF_SHA256, SALT).extract(bytes.expose());
                let key = mac_key(&root, b"name/person").map_err(|_| RingError::Derivation { id })?;
                pseudonym_key = Some(key);
                continue;
            }
            let Ok(keys) = SubKeys::derive(&bytes) else { return Err(RingError::Derivation { id }) };
            if id == active {
                active_entry = Some(Entry { id, keys });
            } else {
                older.push(Entry { id, keys });
            }
        }
        // The newest name first: what is looked up was most likely made by the key before this one.
        older.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(Self {
            active: active_entry.ok_or_else(|| RingError::UnknownActive { id: active.to_owned() })?,
            older,
            pseudonym: pseudonym_key
                .ok_or_else(|| RingError::UnknownPseudonym { id: pseudonym.to_owned() })?,
        })
    }

    /// The name of the key that seals and hashes.
    #[must_use]
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    /// The hash of `value` with the active key: what is stored.
    #[must_use]
    pub fn hash(&self, purpose: Purpose, value: &[u8]) -> KeyedHash {
        self.active.hash(purpose, value)
    }

    /// The hash of `value` with the key named `key_id`; `None` where the ring has no such key, or where it is the
    /// pseudonym key.
    #[must_use]
    pub fn hash_with(&self, purpose: Purpose, key_id: &str, value: &[u8]) -> Option<[u8; 32]> {
        self.sub_keys(key_id).map(|keys| keys.hash(purpose, value))
    }

    /// The hashes under which `value` may have been stored: by the active key first, then by every other key.
    #[must_use]
    pub fn candidates(&self, purpose: Purpose, value: &[u8]) -> Vec<KeyedHash> {
        self.entries().map(|entry| entry.hash(purpose, value)).collect()
    }

    /// The name of the person whom `normalised_hint` hints at, at `provider`.
    #[must_use]
    pub fn pseudonym(&self, provider: &str, normalised_hint: &str) -> Pseudonym {
        let mut mac = hmac::Context::with_key(&self.pseudonym);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        mac.update(&(provider.len() as u64).to_be_bytes());
        mac.update(provider.as_bytes());
        mac.update(normalised_hint.as_bytes());
        Pseudonym(tag_bytes(&mac.sign()))
    }

    pub(super) fn active_keys(&self) -> &SubKeys {
        &self.active.keys
    }

    pub(super) fn sub_keys(&self, key_id: &str) -> Option<&SubKeys> {
        self.entries().find(|entry| entry.id == key_id).map(|entry| &entry.keys)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.active).chain(&self.older)
    }
}

impl Entry {
    fn hash(&self, purpose: Purpose, value: &[u8]) -> KeyedHash {
        KeyedHash { key_id: self.id.clone(), hash: self.keys.hash(purpose, value) }
    }
}

fn check_key(id: &str, bytes: &SecretBytes) -> Result<(), RingError> {
    let well_formed = (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_formed {
        return Err(RingError::MalformedId { id: id.to_owned() });
    }
    let length = bytes.expose().len();
    if length != KEY_LENGTH {
        return Err(RingError::WrongLength { id: id.to_owned(), length });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
