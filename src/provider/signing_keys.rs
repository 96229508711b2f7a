//! The signing keys of one registration: the first signs, the others are only published (rotation with overlap).
//!
//! A file that changes is validated first and swapped as a whole; one that cannot be used changes nothing. A key is
//! published from the moment it could sign, and, in memory, for a day after it signed: what it has just signed is still
//! on its way, and another node may sign with it a moment longer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Map, Value, json};

use crate::crypto::file_stamp::{FileStamp, Watched};
use crate::crypto::signer::{Signer, SignerError, SigningFailed};
use crate::crypto::signing_key::SigningAlg;
use crate::domain::names::RegistrationName;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

use super::settings::Signing;

/// How long a key is published that signs no more.
const PUBLISHED_AFTERWARDS: Duration = Duration::from_hours(24);

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Its file.
    #[error("the signing key cannot be used")]
    File(#[from] SignerError),
    /// It is of another kind than the algorithm.
    #[error("the signing key {path} does not sign by {alg}", path = .path.display(), alg = .alg.as_str())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it should sign by.
        alg: SigningAlg,
    },
}

/// The keys of one registration.
pub struct SigningKeys {
    registration: RegistrationName,
    alg: SigningAlg,
    /// The first signs.
    files: Vec<PathBuf>,
    current: ArcSwap<Set>,
    /// What the files looked like when they were last read; held during a reload, so that two cannot interleave.
    watched: Mutex<Vec<Watched<Option<FileStamp>>>>,
}

/// What is in force at one moment.
#[derive(Clone)]
struct Set {
    /// In the order of the files; never empty.
    signers: Vec<Arc<Signer>>,
    /// Those that signed, and until when each is published.
    former: Vec<(Arc<Signer>, Timestamp)>,
}

impl Set {
    fn published(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Signer>> {
        let former = self.former.iter().filter(move |(_, until)| now < *until).map(|(signer, _)| signer);
        self.signers.iter().chain(former)
    }
}

impl SigningKeys {
    /// Reads every key; all must be usable.
    pub fn load(registration: RegistrationName, settings: &Signing) -> Result<Self, SigningKeyError> {
        let files: Vec<PathBuf> =
            std::iter::once(&settings.key).chain(&settings.published).cloned().collect();
        let watched = files.iter().map(|file| Watched::taken(FileStamp::of(file))).collect();
        let read = |(place, file): (usize, &PathBuf)| signer(place, file, settings.alg).map(Arc::new);
        let signers = files.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let current = ArcSwap::from_pointee(Set { signers, former: Vec::new() });
        Ok(Self { registration, alg: settings.alg, files, current, watched: Mutex::new(watched) })
    }

    /// By which algorithm the first key signs.
    pub const fn alg(&self) -> SigningAlg {
        self.alg
    }

    /// A JWT with these claims, by the key that signs now.
    pub fn sign(&self, typ: Option<&str>, claims: &Map<String, Value>) -> Result<Secret, SigningFailed> {
        self.current.load().signers.first().ok_or(SigningFailed)?.sign(self.alg, typ, claims)
    }

    /// The public keys as a JWK set (RFC 7517 §5), the one that signs first.
    pub fn jwks(&self, now: Timestamp) -> Value {
        let mut keys: Vec<Value> = Vec::new();
        for signer in self.current.load().published(now) {
            let jwk = signer.jwk(self.alg);
            // One that has signed may stand in the files still, and in two of them while they change places.
            if !keys.contains(&jwk) {
                keys.push(jwk);
            }
        }
        json!({ "keys": keys })
    }

    /// Reads the files that have changed. Each is validated before it counts.
    pub fn reload(&self, now: Timestamp) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, (file, known)) in self.files.iter().zip(watched.iter_mut()).enumerate() {
            match known.look(FileStamp::of(file), || signer(place, file, self.alg)) {
                None => {}
                Some(Ok(signer)) => self.swap(place, signer, now),
                Some(Err(error)) => tracing::error!(
                    registration = %self.registration,
                    file = %file.display(),
                    error = %error,
                    cause = std::error::Error::source(&error).map(ToString::to_string),
                    "a changed signing key cannot be used; the last good one stays"
                ),
            }
        }
    }

    fn swap(&self, place: usize, signer: Signer, now: Timestamp) {
        let mut set = Set::clone(&self.current.load());
        let was_published = set.published(now).any(|known| known.kid() == signer.kid());
        let Set { signers, former } = &mut set;
        let Some(known) = signers.get_mut(place).filter(|known| known.kid() != signer.kid()) else { return };
        tracing::info!(
            registration = %self.registration,
            kid = signer.kid(),
            signs = place == 0,
            "a signing key has been replaced"
        );
        if place == 0 && !was_published {
            tracing::warn!(
                registration = %self.registration,
                kid = signer.kid(),
                "the key that signs now was not published before; a provider that keeps the key set refuses it until it fetches the set again"
            );
        }
        let outgoing = std::mem::replace(known, Arc::new(signer));
        former.retain(|(_, until)| now < *until);
        if place == 0 {
            former.retain(|(known, _)| known.kid() != outgoing.kid());
            former.push((outgoing, now + PUBLISHED_AFTERWARDS));
        }
        self.current.store(Arc::new(set));
    }
}

/// A key that is only published may be of another kind: rotation may change the algorithm.
fn signer(place: usize, file: &Path, alg: SigningAlg) -> Result<Signer, SigningKeyError> {
    let signer = Signer::load(file)?;
    if place == 0 && !signer.fits(alg) {
        return Err(SigningKeyError::Kind { path: file.to_owned(), alg });
    }
    Ok(signer)
}
