//! Certificate chains and private keys in PEM files, and whether they belong together.

use std::io;
use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use super::Certificate;
use crate::crypto::private_file::{self, PrivateRead, Readers};
use crate::domain::time::Timestamp;

/// Far more than a private key is long, far less than hurts.
const KEY_LIMIT: u64 = 64 * 1024;

/// The version of X.509 that TLS libraries take (RFC 5280 §4.1.2.1).
const VERSION: u32 = 3;

/// Why a certificate or its key cannot be used. Names the file and says what to do.
#[derive(Debug, Error)]
pub enum CertError {
    /// The file cannot be read.
    #[error("{path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Everybody may read the private key.
    #[error(
        "the private key {path} may be read by everybody (mode {mode:04o}): run `chmod 0600 {path}`, and if others had access to it, have a new certificate made",
        path = .path.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no PEM.
    #[error("{path} is not well-formed PEM", path = .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// No certificate in the file.
    #[error("{path} contains no certificate: expected `-----BEGIN CERTIFICATE-----`, the server's or client's own one first", path = .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key in the file.
    #[error(
        "{path} contains no private key: expected PEM, PKCS#8 (`-----BEGIN PRIVATE KEY-----`), PKCS#1 or SEC1, not encrypted by a passphrase",
        path = .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be parsed.
    #[error("{certificate} is not a well-formed X.509 certificate")]
    MalformedCertificate {
        /// Which one.
        certificate: String,
    },
    /// The certificate is of an old version of X.509, as tools make it that are given no extensions.
    #[error(
        "{certificate} is of X.509 version {version}, which TLS does not take: have one of version 3 made, with extensions (`openssl x509 -req … -extfile FILE`)"
    )]
    OldVersion {
        /// Which one.
        certificate: String,
        /// Its version.
        version: u32,
    },
    /// The key is of no kind that TLS can use.
    #[error("{key} is of no supported kind: RSA (2048 bits and more), ECDSA P-256, P-384, P-521 or Ed25519")]
    UnsupportedKey {
        /// Which one.
        key: String,
    },
    /// The key is not the certificate's.
    #[error("{key} does not belong to {certificate}: give the key that the certificate was requested with")]
    Mismatch {
        /// Which key.
        key: String,
        /// Which certificate.
        certificate: String,
    },
    /// The certificate's time has not come.
    #[error("{certificate} is valid from {not_before} only: check the clock of this machine")]
    NotYetValid {
        /// Which one.
        certificate: String,
        /// The first moment at which it counts.
        not_before: Timestamp,
    },
    /// The certificate's time is over.
    #[error("{certificate} expired at {not_after}: renew it")]
    Expired {
        /// Which one.
        certificate: String,
        /// The last moment at which it counted.
        not_after: Timestamp,
    },
}

/// A certificate chain, the own certificate first, and the private key of that one.
pub struct Pair {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// The certificates of a PEM file, in its order; at least one.
pub fn load_pem_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let path = path.to_path_buf();
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(CertError::Unreadable { path, source }),
    };
    let Ok(chain) = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() else {
        return Err(CertError::NotPem { path });
    };
    if chain.is_empty() {
        return Err(CertError::NoCertificate { path });
    }
    for (index, der) in chain.iter().enumerate() {
        if Certificate::parse(der).is_err() {
            let certificate = format!("certificate {} of {}", index + 1, path.display());
            return Err(CertError::MalformedCertificate { certificate });
        }
    }
    Ok(chain)
}

/// The private key of a PEM file that not everybody may read (its group may).
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    let path = path.to_path_buf();
    let pem = match private_file::read(&path, Readers::OwnerAndGroup, KEY_LIMIT) {
        Ok(PrivateRead::Content(pem)) => pem,
        Ok(PrivateRead::Shared { mode }) => return Err(CertError::Shared { path, mode }),
        Err(source) => return Err(CertError::Unreadable { path, source }),
    };
    // The parser's own error may show a line of the file.
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(CertError::NoKey { path }),
        Err(_) => Err(CertError::NotPem { path }),
    }
}

/// A chain and its key from their files, checked as [`check_pair`] does; the messages name the files.
pub fn load_pair(certificate: &Path, key: &Path, now: Timestamp) -> Result<Pair, CertError> {
    let pair = Pair { chain: load_pem_chain(certificate)?, key: load_key(key)? };
    let names = Names {
        certificate: format!("the certificate {}", certificate.display()),
        key: format!("the private key {}", key.display()),
    };
    check(&pair.chain, &pair.key, now, names)?;
    Ok(pair)
}

/// Whether the key belongs to the first certificate of the chain, and that one counts at `now`.
pub fn check_pair(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    now: Timestamp,
) -> Result<(), CertError> {
    let names = Names { certificate: "the certificate".to_owned(), key: "the private key".to_owned() };
    check(chain, key, now, names)
}

/// What messages call the two.
struct Names {
    certificate: String,
    key: String,
}

fn check(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    now: Timestamp,
    Names { certificate, key: key_name }: Names,
) -> Result<(), CertError> {
    let Some(Ok(own)) = chain.first().map(Certificate::parse) else {
        return Err(CertError::MalformedCertificate { certificate });
    };
    if own.version() != VERSION {
        return Err(CertError::OldVersion { certificate, version: own.version() });
    }
    let Ok(signer) = any_supported_type(key) else {
        return Err(CertError::UnsupportedKey { key: key_name });
    };
    match CertifiedKey::new(chain.to_vec(), signer).keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(CertError::Mismatch { key: key_name, certificate });
        }
        Err(_) => return Err(CertError::MalformedCertificate { certificate }),
    }
    if now < own.not_before() {
        return Err(CertError::NotYetValid { certificate, not_before: own.not_before() });
    }
    if now > own.not_after() {
        return Err(CertError::Expired { certificate, not_after: own.not_after() });
    }
    Ok(())
}
