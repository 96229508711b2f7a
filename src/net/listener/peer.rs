//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

use crate::crypto::x509::Certificate;

/// The other end of a request's connection; in every request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address as the socket says, never as a header says.
    pub address: SocketAddr,
    /// The client certificate whose key the client has proven to hold.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerCertificate {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// SHA-256 of the DER form: what `x5t#S256` holds (RFC 8705 §3.1).
    pub thumbprint: [u8; 32],
    /// It leads to the listener's client CA, is for clients, and was in date when the connection was made.
    pub chained: bool,
    /// The subject as RFC 4514 writes it, as `crypto::x509::dn::normalise` does; empty where it cannot be read.
    pub subject_dn: String,
    /// The DNS names among the subject's alternative names.
    pub san_dns: Vec<String>,
}

impl PeerCertificate {
    pub(super) fn new(der: &CertificateDer<'_>, chained: bool) -> Self {
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, der).as_ref());
        // TLS has read its key, so it is a certificate. Where its names cannot be read it has none, and can be
        // recognised by its thumbprint alone.
        let parsed = Certificate::parse(der).ok();
        let subject_dn = parsed.as_ref().map(Certificate::subject_dn).unwrap_or_default();
        let san_dns = parsed.as_ref().map(Certificate::san_dns).unwrap_or_default();
        Self { der: der.to_vec(), thumbprint, chained, subject_dn, san_dns }
    }
}
