//! Which application is calling (contract: "Who is calling").
//!
//! Exactly the declared kind of credential counts: an application that is registered for a certificate cannot fall
//! back to a secret, and the reverse (R-F-02). Unknown names and wrong secrets are one answer.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;

use super::Engine;
use super::directory::Directory;
use crate::domain::application::{Application, ApplicationCredential};
use crate::domain::names::ApplicationName;
use crate::domain::secret::Secret;

/// What a connection's client certificate says, once the handshake has proved possession of its key.
#[derive(Clone, Debug)]
pub struct CallerCertificate {
    /// SHA-256 of the DER.
    pub thumbprint: [u8; 32],
    /// Whether it chains to the listener's client CA and is in date.
    pub chained: bool,
    /// Subject (RFC 4514).
    pub subject_dn: String,
    /// DNS names of the subject alternative name.
    pub san_dns: Vec<String>,
}

/// The credential that a request carries.
pub enum Credential {
    /// `Authorization: Basic`, decoded (RFC 6749 §2.3.1).
    Basic {
        /// The application's name.
        name: String,
        /// Its secret.
        secret: Secret,
    },
    /// The connection's client certificate.
    Certificate(CallerCertificate),
}

/// Why a caller is no application.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AuthenticateError {
    /// Unknown, wrong, or not the declared kind.
    #[error("no application by that credential")]
    Unknown,
    /// Switched off.
    #[error("the application is disabled")]
    Disabled,
}

impl Engine {
    /// The application behind `credential`.
    pub fn authenticate(&self, credential: &Credential) -> Result<Arc<Application>, AuthenticateError> {
        let directory = self.directory.load();
        let application = match credential {
            Credential::Basic { name, secret } => name
                .parse::<ApplicationName>()
                .ok()
                .and_then(|name| directory.application(&name).cloned())
                .filter(|application| secret_matches(&application.credential, secret)),
            Credential::Certificate(certificate) => owner_of(&directory, certificate),
        }
        .ok_or(AuthenticateError::Unknown)?;
        if application.enabled { Ok(application) } else { Err(AuthenticateError::Disabled) }
    }
}

/// The one application that a certificate belongs to. Where configuration gives it to several (by thumbprint here, by
/// name there), it is nobody's: whom it signs in must not depend on chance.
fn owner_of(directory: &Directory, certificate: &CallerCertificate) -> Option<Arc<Application>> {
    let mut owners = directory
        .applications()
        .filter(|application| certificate_matches(&application.credential, certificate));
    let owner = owners.next()?;
    if let Some(other) = owners.next() {
        tracing::error!(
            application = %owner.name,
            other = %other.name,
            "a client certificate belongs to two applications; it is refused"
        );
        return None;
    }
    Some(owner.clone())
}

fn secret_matches(credential: &ApplicationCredential, secret: &Secret) -> bool {
    let ApplicationCredential::SecretSha256(expected) = credential else { return false };
    verify_slices_are_equal(digest(&SHA256, secret.expose().as_bytes()).as_ref(), expected).is_ok()
}

/// Whether `certificate` is one of the application's: also asked below a login or a session, where the token is the
/// credential and the certificate must be there in addition.
#[must_use]
pub fn certificate_matches(credential: &ApplicationCredential, certificate: &CallerCertificate) -> bool {
    match credential {
        ApplicationCredential::SecretSha256(_) => false,
        ApplicationCredential::CertificateSha256(thumbprints) => {
            thumbprints.contains(&certificate.thumbprint)
        }
        ApplicationCredential::SubjectDn(dn) => certificate.chained && *dn == certificate.subject_dn,
        ApplicationCredential::SanDns(name) => {
            certificate.chained && certificate.san_dns.iter().any(|san| san.eq_ignore_ascii_case(name))
        }
    }
}
