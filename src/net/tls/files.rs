//! Reading and validating the PEM files of a [`super::ServerTls`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::VerifierBuilderError;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertificateFiles, ClientAuth, ServerTlsSettings};
use crate::crypto::file_stamp::FileStamp;
use crate::crypto::x509::{CertError, Certificate, load_pair, load_pem_chain};
use crate::domain::time::Timestamp;

/// What is wrong with the files of a listener.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate is configured.
    #[error("no server certificate is configured")]
    NoCertificate,
    /// A file cannot be used; its own text names it and says what to do.
    #[error(transparent)]
    File(#[from] CertError),
    /// The certificate says what it is for, and that is not servers.
    #[error("the certificate {path} is not for servers (extended key usage): have one made that is", path = .path.display())]
    Purpose {
        /// The file.
        path: PathBuf,
    },
    /// A certificate of the client CA's file cannot be a trust anchor.
    #[error("{path} holds a certificate that cannot be a client CA", path = .path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// The client CA cannot be used.
    #[error("client certificates cannot be verified with the client CA")]
    ClientVerifier(#[source] VerifierBuilderError),
    /// The TLS library refused the whole.
    #[error("the TLS configuration is not possible")]
    Library(#[source] rustls::Error),
}

/// Everything that was read, validated.
pub(super) struct Snapshot {
    pub(super) keys: Vec<Arc<CertifiedKey>>,
    pub(super) client_roots: Option<RootCertStore>,
    /// Over all certificates and keys, in order: tells whether anything changed.
    pub(super) digest: Vec<u8>,
    pub(super) not_after: Timestamp,
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
pub(super) fn stamps(settings: &ServerTlsSettings) -> Vec<Option<FileStamp>> {
    let pairs = settings.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
    pairs.chain(client_ca(settings)).map(FileStamp::of).collect()
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
    let pair = load_pair(&files.cert, &files.key, now)?;
    let leaf = pair.chain.first().ok_or(TlsError::NoCertificate)?;
    check_purpose(leaf, &files.cert)?;
    let malformed = |_| CertError::MalformedCertificate { certificate: files.cert.display().to_string() };
    let not_after = Certificate::parse(leaf).map_err(malformed)?.not_after();
    for der in &pair.chain {
        add(hash, der);
    }
    add(hash, pair.key.secret_der());
    let key = CertifiedKey::from_der(pair.chain, pair.key, provider).map_err(TlsError::Library)?;
    Ok((key, not_after))
}

fn check_purpose(leaf: &CertificateDer<'_>, path: &Path) -> Result<(), TlsError> {
    let for_servers = X509Certificate::from_der(leaf).is_ok_and(|(_, leaf)| {
        leaf.extended_key_usage()
            .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.server_auth || usage.value.any))
    });
    if for_servers { Ok(()) } else { Err(TlsError::Purpose { path: path.to_path_buf() }) }
}

fn roots(path: &Path, hash: &mut digest::Context) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in load_pem_chain(path)? {
        add(hash, &certificate);
        store.add(certificate).map_err(|source| TlsError::ClientCa { path: path.to_path_buf(), source })?;
    }
    Ok(store)
}

/// With the length before it, so that no two lists of files look the same.
fn add(hash: &mut digest::Context, bytes: &[u8]) {
    hash.update(&bytes.len().to_be_bytes());
    hash.update(bytes);
}
