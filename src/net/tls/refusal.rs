//! Why a handshake was refused, in words that are stable enough to count.

use std::io;
use std::sync::Arc;

use rustls::{CertificateError, Error};

/// A handshake that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandshakeRefusal {
    /// `certificate_missing`, `certificate_untrusted`, `certificate_expired`, `certificate_invalid`,
    /// `tls_version`, `not_tls`, `refused_by_client` (it does not like our certificate), `timeout` or `other`.
    pub cause: &'static str,
}

/// Is told of every refused handshake; must not block.
pub type RefusalObserver = Arc<dyn Fn(HandshakeRefusal) + Send + Sync>;

/// A refusal with what the log says about it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    pub(crate) cause: &'static str,
    pub(crate) detail: String,
}

impl Refused {
    pub(crate) fn timeout() -> Self {
        Self { cause: "timeout", detail: "the handshake took too long".to_owned() }
    }

    /// A resumed connection whose certificate counts no more.
    pub(crate) fn no_longer_trusted() -> Self {
        Self {
            cause: "certificate_untrusted",
            detail: "the certificate of the resumed connection is no longer accepted".to_owned(),
        }
    }

    /// `None`: the peer just went away, as a load balancer's probe does; nobody refused anything.
    pub(crate) fn from_io(error: &io::Error) -> Option<Self> {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(tls) => Some(Self { cause: cause(tls), detail: tls.to_string() }),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted => None,
                _ => Some(Self { cause: "other", detail: error.to_string() }),
            },
        }
    }
}

fn cause(error: &Error) -> &'static str {
    match error {
        Error::NoCertificatesPresented => "certificate_missing",
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer
            | CertificateError::Revoked
            | CertificateError::UnknownRevocationStatus => "certificate_untrusted",
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => "certificate_expired",
            _ => "certificate_invalid",
        },
        Error::PeerIncompatible(
            rustls::PeerIncompatible::Tls12NotOffered
            | rustls::PeerIncompatible::Tls12NotOfferedOrEnabled
            | rustls::PeerIncompatible::Tls13RequiredForQuic
            | rustls::PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "tls_version",
        Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType | rustls::InvalidMessage::UnknownProtocolVersion,
        ) => "not_tls",
        Error::AlertReceived(_) => "refused_by_client",
        _ => "other",
    }
}
