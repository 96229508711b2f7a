//! What the provider client is made from: plain values, no configuration types.

use std::path::PathBuf;
use std::str::FromStr;

use openidconnect::core::CoreJwsSigningAlgorithm;

use crate::crypto::signing_key::SigningAlg;
use crate::domain::claims::ClaimPaths;
use crate::domain::names::{ProviderName, RegistrationName, TargetName};
use crate::domain::registration::{Provider, Registration};
use crate::domain::secret::Secret;

/// One provider.
#[derive(Clone)]
pub struct ProviderSettings {
    /// Its name, profile, issuer and metadata URL.
    pub provider: Provider,
    /// The trusted roots, PEM, and no others; `None`: the system's.
    pub roots_pem: Option<Vec<u8>>,
    /// Whether its hosts may have private or loopback addresses (R-G-06).
    pub allow_private_addresses: bool,
    /// Refuse `http` URLs. False only in development, and then for loopback only.
    pub https_only: bool,
}

/// One registration.
#[derive(Clone)]
pub struct RegistrationSettings {
    /// Its name, provider, `client_id` and scopes.
    pub registration: Registration,
    /// How it authenticates.
    pub credential: Credential,
    /// What it signs with; `None`: it signs nothing.
    pub signing: Option<Signing>,
    /// The first is used for new logins, the others for grants that are bound to them (RFC 8705 §3).
    pub certificates: Vec<CertificateFiles>,
    /// The algorithms that its ID tokens may be signed with, and no others (R-C-01).
    pub id_token_algs: Vec<IdTokenAlg>,
    /// Where its claims hold what a subject is made of, where that is configured.
    pub claims: ClaimPaths,
    /// Sent with every backchannel authentication request.
    pub extra_parameters: Vec<(String, String)>,
}

/// How a registration authenticates at the backchannel and token endpoints.
#[derive(Clone)]
pub enum Credential {
    /// By its TLS certificate, which chains to an authority; `client_id` in the body (RFC 8705 §2.1).
    TlsClientAuth,
    /// By its TLS certificate, which the provider knows itself; on the wire the same (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
    /// `client_id` and secret in the `Authorization` header (RFC 6749 §2.3.1).
    ClientSecretBasic {
        /// The secret.
        secret: Secret,
    },
    /// `client_id` and secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost {
        /// The secret.
        secret: Secret,
    },
    /// By a JWT of its own in the body (RFC 7523 §2.2, RFC 10070).
    PrivateKeyJwt {
        /// For whom it is made.
        audience: AssertionAudience,
        /// `typ` of its header; `None`: it has none.
        typ: Option<String>,
    },
}

impl Credential {
    /// As metadata and configuration name it (RFC 8414 §2).
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::ClientSecretBasic { .. } => "client_secret_basic",
            Self::ClientSecretPost { .. } => "client_secret_post",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
        }
    }

    /// Whether it is nothing without a certificate on the connection.
    pub(super) const fn needs_certificate(&self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

/// For whom an assertion is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AssertionAudience {
    /// The issuer: what RFC 10070 wants.
    Issuer,
    /// The token endpoint, for every call: what RFC 7523 suggested and older providers insist on.
    TokenEndpoint,
    /// What a provider asks for instead.
    Text(String),
}

/// What a registration signs with.
#[derive(Clone)]
pub struct Signing {
    /// By which algorithm.
    pub alg: SigningAlg,
    /// The key that signs: a PKCS#8 PEM file, read again when it changes.
    pub key: PathBuf,
    /// Keys that are published beside it: the last one and the next one.
    pub published: Vec<PathBuf>,
    /// Whether authentication requests are signed (CIBA §7.1.1).
    pub requests: bool,
}

/// A certificate and its key, as PEM files. They are read again when they change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How the authorization server of a target is reached. What is said to it stands with the target.
#[derive(Clone)]
pub struct ExchangeSettings {
    /// Whose it is.
    pub target: TargetName,
    /// The trusted roots, PEM, and no others; `None`: the system's.
    pub roots_pem: Option<Vec<u8>>,
    /// Whether it may have a private or loopback address (R-G-06).
    pub allow_private_addresses: bool,
    /// Refuse `http` URLs. False only in development, and then for loopback only.
    pub https_only: bool,
}

/// An algorithm that an ID token may be signed with (RFC 7518 §3.1, RFC 8037 §3.1). No symmetric one, no `none`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IdTokenAlg {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (Keycloak, PSC).
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA P-256 with SHA-256.
    Es256,
    /// ECDSA P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl IdTokenAlg {
    /// Every supported algorithm.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// As a JOSE header writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) const fn jws(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Rs384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            Self::Rs512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Ps384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            Self::Ps512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }
}

/// The text names no supported algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an ID token algorithm is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA")]
pub struct UnknownAlg;

impl FromStr for IdTokenAlg {
    type Err = UnknownAlg;

    fn from_str(text: &str) -> Result<Self, UnknownAlg> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text).ok_or(UnknownAlg)
    }
}

/// Why no provider client could be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A registration names a provider that does not exist.
    #[error("registration {registration} names the provider {provider}, which does not exist")]
    UnknownProvider {
        /// Which registration.
        registration: RegistrationName,
        /// What it names.
        provider: ProviderName,
    },
    /// `tls_client_auth` or `self_signed_tls_client_auth` without a certificate.
    #[error("registration {registration} authenticates by certificate and has none")]
    NoCertificate {
        /// Which registration.
        registration: RegistrationName,
    },
    /// `private_key_jwt` without a key.
    #[error("registration {registration} authenticates by signature and has no signing key")]
    NoSigningKey {
        /// Which registration.
        registration: RegistrationName,
    },
    /// A signing key cannot be used.
    #[error("registration {registration}: its signing key cannot be used")]
    SigningKey {
        /// Which registration.
        registration: RegistrationName,
        /// Why.
        source: super::signing_keys::SigningKeyError,
    },
    /// No algorithm is pinned.
    #[error("registration {registration} names no ID token algorithm")]
    NoAlgorithm {
        /// Which registration.
        registration: RegistrationName,
    },
    /// A static parameter would replace one of the protocol's.
    #[error("registration {registration}: the extra parameter {parameter} belongs to the protocol")]
    ReservedParameter {
        /// Which registration.
        registration: RegistrationName,
        /// Which parameter.
        parameter: String,
    },
    /// The trusted roots of a target's authorization server cannot be used.
    #[error("target {target}: the HTTP client for its token endpoint cannot be made")]
    Exchange {
        /// Which target.
        target: TargetName,
        /// Why.
        source: crate::net::outbound::OutboundBuildError,
    },
    /// A certificate or the trusted roots cannot be used.
    #[error("registration {registration}: its HTTP client cannot be made")]
    Client {
        /// Which registration.
        registration: RegistrationName,
        /// Why.
        source: super::certificates::CertificateError,
    },
}
