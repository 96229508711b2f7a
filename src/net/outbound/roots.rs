//! The trust anchors of an outbound client: the pinned ones and no others, or the system's.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::OutboundBuildError;

/// Exactly the certificates of this PEM text; one that is unusable refuses the whole, so that nobody believes in
/// a root that is not there.
pub(super) fn pinned(pem: &[u8]) -> Result<RootCertStore, OutboundBuildError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| OutboundBuildError::Roots(error.into()))?;
        store.add(certificate).map_err(|error| OutboundBuildError::Roots(error.into()))?;
    }
    if store.is_empty() { Err(OutboundBuildError::NoRoots) } else { Ok(store) }
}

/// The system's bundle. Single unusable certificates in it are common and skipped.
pub(super) fn system() -> Result<RootCertStore, OutboundBuildError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "part of the system's trusted roots cannot be read");
    }
    store.add_parsable_certificates(found.certs);
    if store.is_empty() { Err(OutboundBuildError::NoRoots) } else { Ok(store) }
}
