//! Certificates and their keys: what a certificate says, and whether a pair of files can be used.
//!
//! Nothing here decides whether a certificate is *trusted*: that is TLS's part. No message contains anything of a
//! private key.

pub mod dn;
mod files;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::domain::time::Timestamp;

pub use files::{CertError, Pair, check_pair, load_key, load_pair, load_pem_chain};

/// The bytes are no X.509 certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

/// What one certificate says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    version: u32,
    thumbprint: [u8; 32],
    subject_dn: String,
    common_names: Vec<String>,
    san_dns: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    self_signed: bool,
    for_servers: bool,
    for_clients: bool,
}

impl Certificate {
    /// Reads a certificate from DER. Errors where the bytes are no certificate, or something follows it.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, NotACertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
        if !rest.is_empty() {
            return Err(NotACertificate);
        }
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest(&SHA256, der).as_ref());
        let subject = certificate.subject();
        // An error: the extension stands there twice.
        let usage = certificate.extended_key_usage().map_err(|_| NotACertificate)?.map(|usage| usage.value);
        Ok(Self {
            for_servers: usage.is_none_or(|usage| usage.any || usage.server_auth),
            for_clients: usage.is_none_or(|usage| usage.any || usage.client_auth),
            // Counted from 0 on the wire (RFC 5280 §4.1.2.1).
            version: certificate.version().0.saturating_add(1),
            thumbprint,
            subject_dn: dn::render(subject),
            common_names: subject.iter_common_name().filter_map(dn::text_of).collect(),
            san_dns: san_dns(&certificate)?,
            not_before: timestamp(certificate.validity().not_before),
            not_after: timestamp(certificate.validity().not_after),
            self_signed: subject.as_raw() == certificate.issuer().as_raw()
                && certificate.verify_signature(None).is_ok(),
        })
    }

    /// The version of X.509 that it is of, from 1.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub const fn thumbprint_sha256(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// The thumbprint as `x5t#S256` (RFC 8705 §3.1): base64url without padding.
    #[must_use]
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.thumbprint)
    }

    /// The subject as RFC 4514 writes it: last RDN first, escaped. Compare it with [`dn::normalise`] of a configured one.
    #[must_use]
    pub fn subject_dn(&self) -> String {
        self.subject_dn.clone()
    }

    /// Every CN of the subject, in the order of the certificate.
    #[must_use]
    pub fn common_names(&self) -> Vec<String> {
        self.common_names.clone()
    }

    /// The DNS names among the subject's alternative names.
    #[must_use]
    pub fn san_dns(&self) -> Vec<String> {
        self.san_dns.clone()
    }

    /// The first second at which it counts.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second at which it counts.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it is signed with its own key, in its own name.
    #[must_use]
    pub const fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    /// Whether it may be a TLS server's: its extended key usage says so, or it has none (RFC 5280 §4.2.1.12).
    #[must_use]
    pub const fn is_for_servers(&self) -> bool {
        self.for_servers
    }

    /// Whether it may be a TLS client's, by the same rule.
    #[must_use]
    pub const fn is_for_clients(&self) -> bool {
        self.for_clients
    }
}

fn san_dns(certificate: &X509Certificate<'_>) -> Result<Vec<String>, NotACertificate> {
    // An error: the extension stands there twice.
    let Some(extension) = certificate.subject_alternative_name().map_err(|_| NotACertificate)? else {
        return Ok(Vec::new());
    };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}

fn timestamp(at: ASN1Time) -> Timestamp {
    Timestamp::from_secs(at.timestamp())
}

#[cfg(test)]
mod tests;
