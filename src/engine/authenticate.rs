//! Which application is calling (contract: "Who is calling").
//!
//! Exactly the declared kind of credential counts: an application that is registered for a certificate cannot fall
//! back to a secret, and the reverse (R-F-02). Unknown names and wrong secrets are one answer. An assertion counts once
//! over all nodes, however often and wherever it is presented at the same time (R-F-01).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;

use super::Engine;
use super::assertion::judge;
use super::directory::Directory;
use super::ports::{Actor, SpendAssertion, StoreError};
use crate::crypto::assertion::Assertion;
use crate::domain::application::{Application, ApplicationCredential};
use crate::domain::assertion_key::AssertionKey;
use crate::domain::names::ApplicationName;
use crate::domain::secret::Secret;
use crate::telemetry::metrics;

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
    /// `Relais-Client-Assertion` (RFC 7523).
    Assertion {
        /// The JWT.
        jwt: Secret,
        /// What it must have been made for: the listener that it came to.
        audience: Arc<str>,
    },
    /// The connection's client certificate.
    Certificate(CallerCertificate),
}

/// An application that has proven who it is.
pub struct Authenticated {
    /// The application.
    pub application: Arc<Application>,
    /// The thumbprint (RFC 7638) of the key that signed its assertion.
    pub jkt: Option<String>,
}

/// Why a caller is no application.
#[derive(Debug, Error)]
pub enum AuthenticateError {
    /// An application's own key has signed the assertion, and it does not count.
    #[error("the assertion breaks the rule {rule}")]
    Assertion {
        /// Which rule: the name of a claim, or `replayed`.
        rule: &'static str,
    },
    /// Unknown, wrong, or not the declared kind.
    #[error("no application by that credential")]
    Unknown,
    /// Switched off.
    #[error("the application is disabled")]
    Disabled,
    /// Whether the assertion has been taken before cannot be said.
    #[error("the store cannot say")]
    Store(#[source] StoreError),
}

/// An assertion is remembered for so long beyond its end: another node's clock may be late.
const REMEMBERED: Duration = Duration::from_mins(10);

impl Engine {
    /// The application behind `credential`. `by`: who comes with it, for the audit.
    pub async fn authenticate(
        &self,
        credential: &Credential,
        by: &Actor,
    ) -> Result<Authenticated, AuthenticateError> {
        let directory = self.directory.load_full();
        let application = match credential {
            Credential::Basic { name, secret } => by_name(&directory, name)
                .filter(|application| secret_matches(&application.credential, secret)),
            Credential::Certificate(certificate) => owner_of(&directory, certificate),
            Credential::Assertion { jwt, audience } => {
                return self.by_assertion(&directory, jwt, audience, by).await;
            }
        }
        .ok_or(AuthenticateError::Unknown)?;
        if !application.enabled {
            return Err(AuthenticateError::Disabled);
        }
        Ok(Authenticated { application, jkt: None })
    }

    async fn by_assertion(
        &self,
        directory: &Directory,
        jwt: &Secret,
        audience: &str,
        by: &Actor,
    ) -> Result<Authenticated, AuthenticateError> {
        let assertion = Assertion::read(jwt.expose()).map_err(|error| unproven(error.rule()))?;
        let application =
            assertion.issuer().and_then(|name| by_name(directory, name)).ok_or_else(|| unproven("iss"))?;
        let ApplicationCredential::AssertionKeys { keys, .. } = &application.credential else {
            return Err(unproven("iss"));
        };
        let (claims, key) = assertion.verify(keys).map_err(|error| unproven(error.rule()))?;
        let now = self.clock.now();
        let told = judge(claims, application.name.as_str(), audience, now)
            .map_err(|rule| broken(rule, &application, key))?;
        if !application.enabled {
            return Err(AuthenticateError::Disabled);
        }
        let spend = SpendAssertion {
            tenant: application.tenant.clone(),
            application: application.name.clone(),
            jti: told.jti,
            jkt: key.thumbprint.clone(),
            attempt: self.attempt(),
            now,
            until: told.exp + REMEMBERED,
        };
        if !self.store.spend_assertion(spend, by).await.map_err(AuthenticateError::Store)? {
            return Err(replayed(&application, key));
        }
        let jkt = Some(key.thumbprint.clone());
        Ok(Authenticated { application, jkt })
    }
}

/// None of an application's keys has been found to have signed it: anybody can send such a thing, as often as he likes.
fn unproven(rule: &'static str) -> AuthenticateError {
    metrics::assertion_refused(rule);
    tracing::debug!(rule, "a client assertion is refused");
    AuthenticateError::Unknown
}

/// The application has signed it, and it does not count.
fn broken(rule: &'static str, application: &Application, key: &AssertionKey) -> AuthenticateError {
    metrics::assertion_refused(rule);
    tracing::info!(application = %application.name, jkt = key.thumbprint, rule, "a client assertion is refused");
    AuthenticateError::Assertion { rule }
}

/// It has counted before: its application made a mistake, or somebody else has got hold of it.
fn replayed(application: &Application, key: &AssertionKey) -> AuthenticateError {
    let rule = "replayed";
    metrics::assertion_refused(rule);
    tracing::warn!(application = %application.name, jkt = key.thumbprint, rule, "a client assertion is refused");
    AuthenticateError::Assertion { rule }
}

fn by_name(directory: &Directory, name: &str) -> Option<Arc<Application>> {
    let name = name.parse::<ApplicationName>().ok()?;
    directory.application(&name).cloned()
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
        ApplicationCredential::SecretSha256(_) | ApplicationCredential::AssertionKeys { .. } => false,
        ApplicationCredential::CertificateSha256(thumbprints) => {
            thumbprints.contains(&certificate.thumbprint)
        }
        ApplicationCredential::SubjectDn(dn) => certificate.chained && *dn == certificate.subject_dn,
        ApplicationCredential::SanDns(name) => {
            certificate.chained && certificate.san_dns.iter().any(|san| san.eq_ignore_ascii_case(name))
        }
    }
}
