//! Applications: the clients of Relais.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::assertion_key::AssertionKey;
use super::names::{ApplicationName, RegistrationName, TenantName};
use super::session::Session;

/// What kind of client an application is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationKind {
    /// A server: keeps credentials.
    Backend,
    /// A thick client or mobile app: no shared secret, each installation has its own key.
    Installed,
}

impl ApplicationKind {
    /// As configuration and answers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Installed => "installed",
        }
    }
}

/// Who draws the `binding_message`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingMessageBy {
    /// Relais, from a CSPRNG (R-A-02).
    Server,
    /// The application may send its own; where it does not, Relais draws.
    Client,
}

/// How long sessions of an application live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionPolicy {
    /// Without a use.
    pub idle: Duration,
    /// From the moment the tokens arrived.
    pub absolute: Duration,
    /// Live sessions that one person may have at this application.
    pub per_person: u32,
}

/// How an application proves who it is. Secrets are kept as keyed hashes or thumbprints only.
#[derive(Clone)]
pub enum ApplicationCredential {
    /// `client_secret_basic`: SHA-256 of the secret. Generated secrets have 256 bits, so no slow hash is needed;
    /// it is compared in constant time.
    SecretSha256([u8; 32]),
    /// `private_key_jwt`: the public keys that its assertions are signed with.
    AssertionKeys {
        /// The keys; never empty.
        keys: Vec<AssertionKey>,
        /// The file that they were read from: it is read again when it changes.
        file: PathBuf,
    },
    /// `self_signed_tls_client_auth`: SHA-256 of the DER certificate, one of these.
    CertificateSha256(Vec<[u8; 32]>),
    /// `tls_client_auth`, by subject distinguished name (RFC 4514 text).
    SubjectDn(String),
    /// `tls_client_auth`, by a DNS name in the subject alternative name.
    SanDns(String),
}

impl ApplicationCredential {
    /// Whether the connection must carry a certificate of the application.
    #[must_use]
    pub const fn is_certificate(&self) -> bool {
        match self {
            Self::SecretSha256(_) | Self::AssertionKeys { .. } => false,
            Self::CertificateSha256(_) | Self::SubjectDn(_) | Self::SanDns(_) => true,
        }
    }
}

/// A client of Relais.
#[derive(Clone)]
pub struct Application {
    /// Its name.
    pub name: ApplicationName,
    /// Its kind.
    pub kind: ApplicationKind,
    /// Who it belongs to.
    pub tenant: TenantName,
    /// `false`: no call is answered, its sessions end.
    pub enabled: bool,
    /// The registrations that it may use, the first is the default.
    pub registrations: Vec<RegistrationName>,
    /// The applications of its tenant whose sessions it may introspect and use, beside its own.
    pub acts_for: Vec<ApplicationName>,
    /// How it proves who it is.
    pub credential: ApplicationCredential,
    /// Whether it may send its own `binding_message`.
    pub binding_message: BindingMessageBy,
    /// Whether it is told that a hint names nobody.
    pub reveal_unknown_person: bool,
    /// How long its sessions live.
    pub session: SessionPolicy,
    /// How long an approved login waits for its pick-up.
    pub pick_up_window: Duration,
    /// How long after the first pick-up a lost answer may be asked for again.
    pub pick_up_repeat: Duration,
}

impl Application {
    /// Whether it may act with a session: one of its own, or of an application of its tenant that it acts for.
    #[must_use]
    pub fn may_act_with(&self, session: &Session) -> bool {
        self.tenant == session.tenant
            && (self.name == session.application || self.acts_for.contains(&session.application))
    }
}
