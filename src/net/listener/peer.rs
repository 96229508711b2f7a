//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;

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
    /// The subject as RFC 4514 writes it.
    pub subject_dn: String,
    /// The DNS names among the subject's alternative names.
    pub san_dns: Vec<String>,
}

impl PeerCertificate {
    pub(super) fn new(der: &CertificateDer<'_>, chained: bool) -> Self {
        let hash = digest::digest(&digest::SHA256, der);
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(hash.as_ref());
        let parsed = x509_parser::parse_x509_certificate(der).ok().map(|(_, parsed)| parsed);
        let subject_dn = parsed.as_ref().map(|parsed| parsed.subject().to_string()).unwrap_or_default();
        Self { der: der.to_vec(), thumbprint, chained, subject_dn, san_dns: Vec::new() }
    }
}
