//! What an examination of a registration finds: which checks there are, and what may be wrong with each.
//!
//! Facts only: whoever shows them has the words. Nothing here holds a secret, or a text that a provider wrote freely.

use super::names::{ProviderName, RegistrationName};
use super::time::Timestamp;

/// What is looked at, in the order in which one thing rests on another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    /// A client certificate of the registration: usable and in date.
    Certificate,
    /// Its CN is the `client_id`.
    CommonName,
    /// The provider's name resolves, to an address that may be called.
    Dns,
    /// The port answers.
    Connection,
    /// The provider's certificate is trusted, in date, and for that name.
    Tls,
    /// The provider accepts the client certificate in the handshake.
    ClientCertificate,
    /// The metadata can be read and hold what CIBA needs.
    Metadata,
    /// The metadata's issuer is the configured one.
    Issuer,
    /// Both clocks agree.
    Clock,
    /// The provider offers the delivery mode.
    Delivery,
    /// The provider takes the way in which the client proves who it is.
    Authentication,
    /// The signing keys can be read and used.
    Jwks,
    /// The provider signs ID tokens by an algorithm that is accepted.
    SigningAlgs,
    /// The client may use CIBA.
    Ciba,
}

impl Check {
    /// As machines read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::CommonName => "common_name",
            Self::Dns => "dns",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::ClientCertificate => "client_certificate",
            Self::Metadata => "metadata",
            Self::Issuer => "issuer",
            Self::Clock => "clock",
            Self::Delivery => "delivery",
            Self::Authentication => "authentication",
            Self::Jwks => "jwks",
            Self::SigningAlgs => "signing_algs",
            Self::Ciba => "ciba",
        }
    }
}

/// What came of one check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Which one.
    pub check: Check,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All is well.
    Well(Proof),
    /// It works, and deserves attention.
    Warning(Fault),
    /// It does not work.
    Failed(Fault),
    /// What it rests on does not work.
    NotReached,
}

/// What was seen where all is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The check's name says it all.
    Plain,
    /// Days left to a certificate.
    DaysLeft {
        /// Its file.
        file: String,
        /// Whole days.
        days: u64,
    },
    /// A name or a text that was compared or reached.
    Text(String),
    /// How far the clocks are apart.
    Seconds(u64),
    /// Usable keys.
    Keys(usize),
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A certificate's time is over.
    CertificateExpired {
        /// Its file.
        file: String,
        /// The last moment at which it counted.
        not_after: Timestamp,
    },
    /// A certificate's time has not come.
    CertificateNotYetValid {
        /// Its file.
        file: String,
        /// The first moment at which it counts.
        not_before: Timestamp,
    },
    /// A certificate's time is over soon.
    CertificateExpiresSoon {
        /// Its file.
        file: String,
        /// Whole days left.
        days: u64,
    },
    /// A certificate or its key cannot be used for another reason.
    CertificateUnusable {
        /// Its file.
        file: String,
    },
    /// The trusted roots cannot be used.
    RootsUnusable,
    /// The certificate's CN is another text than the `client_id`; `None`: it has no CN.
    CommonNameDiffers {
        /// The CN.
        common_name: Option<String>,
        /// The `client_id`.
        client_id: String,
    },
    /// A URL may not be called.
    UrlNotAcceptable {
        /// Its host.
        host: String,
    },
    /// A name does not resolve.
    NameNotResolved {
        /// The name.
        host: String,
    },
    /// A name leads to addresses that may not be called only.
    AddressRefused {
        /// The name.
        host: String,
    },
    /// Nobody answers at a port.
    NotConnected {
        /// Host and port.
        host: String,
    },
    /// A port does not answer in time.
    ConnectTimeout {
        /// Host and port.
        host: String,
    },
    /// A server's certificate leads to no trusted root.
    UntrustedCa {
        /// Host and port.
        host: String,
    },
    /// A server's certificate is for another name.
    WrongHostName {
        /// Host and port.
        host: String,
    },
    /// A server's certificate is out of date.
    ServerCertificateOutOfDate {
        /// Host and port.
        host: String,
    },
    /// A handshake failed otherwise.
    TlsFailed {
        /// Host and port.
        host: String,
    },
    /// A server refused our certificate in the handshake.
    ClientCertificateRefused {
        /// Host and port.
        host: String,
        /// The TLS alert.
        alert: &'static str,
    },
    /// A server asks for a certificate, and there is none.
    ClientCertificateRequired {
        /// Host and port.
        host: String,
    },
    /// No complete answer, or one that is no HTTP or too large.
    NoAnswer {
        /// Host and port.
        host: String,
    },
    /// An answer with an unexpected status.
    UnexpectedStatus {
        /// Host and port.
        host: String,
        /// The status.
        status: u16,
    },
    /// The metadata document is no JSON object, or has a member twice.
    MetadataMalformed,
    /// A member of the metadata is missing or no URL.
    MetadataMember {
        /// Which one.
        member: &'static str,
    },
    /// An endpoint may not be called: no https.
    MetadataInsecure {
        /// Which one.
        member: &'static str,
    },
    /// The metadata name another issuer, or none.
    IssuerDiffers {
        /// What they name, as far as it is fit to be shown.
        found: Option<String>,
        /// The configured one.
        configured: String,
    },
    /// No answer says what time it is.
    NoDate,
    /// The clocks differ.
    ClocksDiffer {
        /// By how much.
        seconds: u64,
        /// Whether ours is ahead.
        ours_is_ahead: bool,
    },
    /// The provider does not offer the delivery mode.
    DeliveryNotOffered {
        /// The registration's.
        wanted: &'static str,
        /// What the provider offers.
        offered: Vec<&'static str>,
    },
    /// The metadata do not name a method or an algorithm that the registration is configured for.
    NotOffered {
        /// The list that does not name it.
        member: &'static str,
        /// What is configured.
        wanted: &'static str,
    },
    /// The registration's signing key cannot be used.
    SigningKeyUnusable,
    /// The key set is no JSON Web Key Set, or holds too many keys.
    KeysMalformed,
    /// The key set holds no usable key.
    NoUsableKey,
    /// No key fits an accepted algorithm.
    NoKeyFor {
        /// The accepted algorithms.
        algs: Vec<&'static str>,
    },
    /// The provider advertises none of the accepted algorithms.
    AlgsNotAdvertised {
        /// The accepted algorithms.
        algs: Vec<&'static str>,
    },
    /// The provider knows the client and does not let it use CIBA.
    CibaNotEnabled {
        /// The OAuth error.
        code: &'static str,
    },
    /// The provider does not accept the client's credentials.
    CredentialsRefused {
        /// The OAuth error; `none` where there is none.
        code: &'static str,
    },
    /// The provider refused the request, and not for its missing hint.
    RefusedOtherwise {
        /// The OAuth error; `other` where it is no registered one.
        code: &'static str,
    },
    /// The provider accepted a request that names nobody.
    AcceptedWithoutHint,
}

impl Fault {
    /// As machines read it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CertificateExpired { .. } => "certificate_expired",
            Self::CertificateNotYetValid { .. } => "certificate_not_yet_valid",
            Self::CertificateExpiresSoon { .. } => "certificate_expires_soon",
            Self::CertificateUnusable { .. } => "certificate_unusable",
            Self::RootsUnusable => "roots_unusable",
            Self::CommonNameDiffers { .. } => "common_name_differs",
            Self::UrlNotAcceptable { .. } => "url_not_acceptable",
            Self::NameNotResolved { .. } => "name_not_resolved",
            Self::AddressRefused { .. } => "address_refused",
            Self::NotConnected { .. } => "not_connected",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::UntrustedCa { .. } => "untrusted_ca",
            Self::WrongHostName { .. } => "wrong_host_name",
            Self::ServerCertificateOutOfDate { .. } => "server_certificate_out_of_date",
            Self::TlsFailed { .. } => "tls_failed",
            Self::ClientCertificateRefused { .. } => "client_certificate_refused",
            Self::ClientCertificateRequired { .. } => "client_certificate_required",
            Self::NoAnswer { .. } => "no_answer",
            Self::UnexpectedStatus { .. } => "unexpected_status",
            Self::MetadataMalformed => "metadata_malformed",
            Self::MetadataMember { .. } => "metadata_member",
            Self::MetadataInsecure { .. } => "metadata_insecure",
            Self::IssuerDiffers { .. } => "issuer_differs",
            Self::NoDate => "no_date",
            Self::ClocksDiffer { .. } => "clocks_differ",
            Self::DeliveryNotOffered { .. } => "delivery_not_offered",
            Self::NotOffered { .. } => "not_offered",
            Self::SigningKeyUnusable => "signing_key_unusable",
            Self::KeysMalformed => "keys_malformed",
            Self::NoUsableKey => "no_usable_key",
            Self::NoKeyFor { .. } => "no_key_for_algs",
            Self::AlgsNotAdvertised { .. } => "algs_not_advertised",
            Self::CibaNotEnabled { .. } => "ciba_not_enabled",
            Self::CredentialsRefused { .. } => "credentials_refused",
            Self::RefusedOtherwise { .. } => "refused_otherwise",
            Self::AcceptedWithoutHint => "accepted_without_hint",
        }
    }
}

/// One registration, examined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examination {
    /// Which one.
    pub registration: RegistrationName,
    /// Where it is registered.
    pub provider: ProviderName,
    /// What was found, in the order of the checks.
    pub findings: Vec<Finding>,
}
