//! Reading and validating the PEM files of a [`super::ServerTls`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::VerifierBuilderError;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{CertificateFiles, ClientAuth, ServerTlsSettings};
use crate::domain::time::Timestamp;

/// What is wrong with the files of a listener. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate is configured.
    #[error("no server certificate is configured")]
    NoCertificate,
    /// A file cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A certificate file holds no valid PEM certificate.
    #[error("{path}: holds no readable PEM certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// A key file holds no private key of a supported kind.
    #[error("{path}: holds no usable PEM private key")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("{key}: does not belong to the certificate in {cert}")]
    KeyMismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate is expired or not valid yet.
    #[error("{path}: a certificate in it is valid from {not_before} to {not_after} only")]
    Dates {
        /// The file.
        path: PathBuf,
        /// Its begin.
        not_before: Timestamp,
        /// Its end.
        not_after: Timestamp,
    },
    /// The certificate says what it is for, and that is not servers.
    #[error("{path}: the certificate is not for servers (extended key usage)")]
    Purpose {
        /// The file.
        path: PathBuf,
    },
    /// The client CA cannot be used.
    #[error("the client CA cannot be used")]
    ClientVerifier(#[source] VerifierBuilderError),
    /// The TLS library refused the whole.
    #[error("the TLS configuration is not possible")]
    Library(#[source] rustls::Error),
}

/// Everything that was read, validated.
pub(super) struct Snapshot {
    pub(super) keys: Vec<Arc<CertifiedKey>>,
    pub(super) client_roots: Option<RootCertStore>,
    /// Over all files, in order: tells whether anything changed.
    pub(super) digest: Vec<u8>,
    pub(super) not_after: Timestamp,
}

/// How a file looked from outside.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

fn client_ca(settings: &ServerTlsSettings) -> Option<&Path> {
    match &settings.client_auth {
        ClientAuth::None => None,
        ClientAuth::Optional { ca } => ca.as_deref(),
        ClientAuth::Required { ca } => Some(ca),
    }
}

/// The stamps of all files in a fixed order; `None` where there is no file. Links are followed, so the swap of a
/// directory behind a link is seen.
pub(super) fn stamps(settings: &ServerTlsSettings) -> Vec<Option<Stamp>> {
    let pairs = settings.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
    pairs
        .chain(client_ca(settings))
        .map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some(Stamp { modified: metadata.modified().ok(), length: metadata.len() })
        })
        .collect()
}

pub(super) fn read(
    settings: &ServerTlsSettings,
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<Snapshot, TlsError> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut keys = Vec::with_capacity(settings.certificates.len());
    let mut not_after: Option<Timestamp> = None;
    for files in &settings.certificates {
        let (key, end) = certified_key(files, now, provider, &mut hash)?;
        keys.push(Arc::new(key));
        not_after = Some(not_after.map_or(end, |earliest| earliest.min(end)));
    }
    let not_after = not_after.ok_or(TlsError::NoCertificate)?;
    let client_roots = client_ca(settings).map(|path| roots(path, &mut hash)).transpose()?;
    Ok(Snapshot { keys, client_roots, digest: hash.finish().as_ref().to_vec(), not_after })
}

fn certified_key(
    files: &CertificateFiles,
    now: Timestamp,
    provider: &CryptoProvider,
    hash: &mut digest::Context,
) -> Result<(CertifiedKey, Timestamp), TlsError> {
    let chain = certificates(&files.cert, hash)?;
    let mut not_after: Option<Timestamp> = None;
    for (position, der) in chain.iter().enumerate() {
        let end = validate(der, &files.cert, now, position == 0)?;
        not_after = Some(not_after.map_or(end, |earliest| earliest.min(end)));
    }
    let not_after = not_after.ok_or_else(|| TlsError::Certificate { path: files.cert.clone() })?;
    let pem = Zeroizing::new(read_file(&files.key, hash)?);
    let unusable = || TlsError::Key { path: files.key.clone() };
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable())?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::KeyMismatch { cert: files.cert.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(_) => TlsError::Certificate { path: files.cert.clone() },
        _ => unusable(),
    })?;
    Ok((certified, not_after))
}

/// Dates of every certificate, purpose of the first; answers its end.
fn validate(
    der: &CertificateDer<'_>,
    path: &Path,
    now: Timestamp,
    is_leaf: bool,
) -> Result<Timestamp, TlsError> {
    let path = || path.to_path_buf();
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| TlsError::Certificate { path: path() })?;
    let not_before = Timestamp::from_secs(certificate.validity().not_before.timestamp());
    let not_after = Timestamp::from_secs(certificate.validity().not_after.timestamp());
    if now < not_before || now > not_after {
        return Err(TlsError::Dates { path: path(), not_before, not_after });
    }
    let usage = certificate.extended_key_usage().map_err(|_| TlsError::Certificate { path: path() })?;
    match usage {
        Some(usage) if is_leaf && !(usage.value.server_auth || usage.value.any) => {
            Err(TlsError::Purpose { path: path() })
        }
        _ => Ok(not_after),
    }
}

fn roots(path: &Path, hash: &mut digest::Context) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, hash)? {
        store.add(certificate).map_err(|_| TlsError::Certificate { path: path.to_path_buf() })?;
    }
    Ok(store)
}

fn certificates(path: &Path, hash: &mut digest::Context) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read_file(path, hash)?;
    let invalid = || TlsError::Certificate { path: path.to_path_buf() };
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|_| invalid())?;
    if found.is_empty() { Err(invalid()) } else { Ok(found) }
}

fn read_file(path: &Path, hash: &mut digest::Context) -> Result<Vec<u8>, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_path_buf(), source })?;
    hash.update(&bytes.len().to_be_bytes());
    hash.update(&bytes);
    Ok(bytes)
}
