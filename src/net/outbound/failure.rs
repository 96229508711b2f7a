//! What a failed request means: can the peer have processed anything, and what does the operator read?
//!
//! The HTTP library reports layers of causes; the verdict comes from walking them. Where two readings are
//! possible the answer is [`OutboundError::OutcomeUnknown`]: a wrong "not sent" would ring a telephone twice.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;
use rustls::{AlertDescription, CertificateError};

use super::connector::ConnectFailure;
use super::dns::ResolveFailure;

/// A request that brought no complete answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutboundError {
    /// The peer has certainly processed nothing.
    #[error("the request was not sent: {cause}")]
    NotSent {
        /// What stood in the way.
        cause: NotSentCause,
    },
    /// The peer may have processed the request.
    #[error("the outcome is unknown: {cause}")]
    OutcomeUnknown {
        /// How the answer was lost.
        cause: UnknownCause,
    },
}

/// Why nothing was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSentCause {
    /// The URL has another scheme than allowed, user information, or no host.
    #[error("the URL is not acceptable (scheme, user information or missing host)")]
    InvalidUrl,
    /// The name does not resolve.
    #[error("the host name cannot be resolved")]
    Dns,
    /// The address policy refuses where the host leads.
    #[error("the address of the host is refused by the address policy")]
    AddressRefused,
    /// The connection was refused, or was closed before the request was written.
    #[error("the connection could not be established")]
    Connect,
    /// TCP or TLS took longer than five seconds.
    #[error("the connection was not established in time")]
    ConnectTimeout,
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(TlsFailure),
}

/// How an answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnknownCause {
    /// No complete answer in time.
    #[error("no complete answer in time")]
    Timeout,
    /// The connection ended before the answer was complete.
    #[error("the connection was cut before the answer was complete")]
    Cut,
    /// The answer is larger than accepted. Its head was read.
    #[error("the answer, of status {status}, is larger than accepted")]
    TooLarge {
        /// Its status.
        status: StatusCode,
    },
    /// The answer is compressed, which nobody asked for. Its head was read.
    #[error("the answer, of status {status}, has a content coding that was not asked for")]
    Encoded {
        /// Its status.
        status: StatusCode,
    },
    /// What came back is no HTTP.
    #[error("the answer is not valid HTTP")]
    InvalidHttp,
}

/// Why TLS failed, as an operator has to know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsFailure {
    /// The server's certificate leads to none of the trusted roots.
    UntrustedCa,
    /// The server's certificate is for another name.
    WrongHostName,
    /// The server's certificate is expired or not valid yet.
    Expired,
    /// The server refused our client certificate.
    ClientCertificateRefused {
        /// The TLS alert (RFC 8446 §6.2), such as `unknown_ca`.
        alert: &'static str,
    },
    /// The server asked for a client certificate and we have none.
    ClientCertificateRequired,
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntrustedCa => f.write_str("the server's certificate is not from a trusted authority"),
            Self::WrongHostName => f.write_str("the server's certificate is for another host name"),
            Self::Expired => f.write_str("the server's certificate is expired or not valid yet"),
            Self::ClientCertificateRefused { alert } => {
                write!(f, "the server refused our client certificate (alert {alert})")
            }
            Self::ClientCertificateRequired => f.write_str("the server requires a client certificate"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The verdict on a request that brought no response head. `handed_over`: some connection was given the request;
/// `refusal`: the alert by which the server ended the handshake of that connection.
pub(super) fn classify(
    error: &(dyn StdError + 'static),
    handed_over: bool,
    refusal: Option<AlertDescription>,
    has_identity: bool,
) -> OutboundError {
    let not_sent = |cause| OutboundError::NotSent { cause };
    if let Some(failure) = find::<ResolveFailure>(error) {
        return not_sent(match failure {
            ResolveFailure::Refused => NotSentCause::AddressRefused,
            ResolveFailure::Dns(_) | ResolveFailure::Empty => NotSentCause::Dns,
        });
    }
    if let Some(failure) = find::<ConnectFailure>(error) {
        return not_sent(connect_failure(failure, has_identity));
    }
    // A server gives no plaintext to anybody before the handshake is complete on its side, so what was written on
    // such a connection was read by nobody. `connector` has seen to it that this is such an alert.
    if let Some(failure) = refusal.and_then(|alert| client_failure(alert, has_identity)) {
        return not_sent(NotSentCause::Tls(failure));
    }
    match find::<hyper::Error>(error) {
        _ if !handed_over => not_sent(NotSentCause::Connect),
        // Said by hyper only while it still holds the unwritten message.
        Some(inner) if inner.is_canceled() => not_sent(NotSentCause::Connect),
        Some(inner) if inner.is_parse() => OutboundError::OutcomeUnknown { cause: UnknownCause::InvalidHttp },
        _ => OutboundError::OutcomeUnknown { cause: UnknownCause::Cut },
    }
}

fn connect_failure(failure: &ConnectFailure, has_identity: bool) -> NotSentCause {
    match failure {
        ConnectFailure::TimedOut => NotSentCause::ConnectTimeout,
        ConnectFailure::ServerName => NotSentCause::InvalidUrl,
        ConnectFailure::Tcp(error) => {
            let error: &(dyn StdError + 'static) = error.as_ref();
            let timed_out = find::<std::io::Error>(error)
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
            if timed_out { NotSentCause::ConnectTimeout } else { NotSentCause::Connect }
        }
        ConnectFailure::Tls(error) => find::<rustls::Error>(error)
            .map_or(NotSentCause::Connect, |error| NotSentCause::Tls(tls_failure(error, has_identity))),
    }
}

/// The first error of this type in the chain. `io::Error` hides the error that it carries from `source`, so it is
/// opened by hand.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = carried.and_then(|carried| find::<T>(carried)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn tls_failure(error: &rustls::Error, has_identity: bool) -> TlsFailure {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // A bad signature: an authority of the same name with another key, such as a development PKI that
            // was made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFailure::UntrustedCa,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::WrongHostName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFailure::Expired,
            other => TlsFailure::Other(other.to_string()),
        },
        rustls::Error::AlertReceived(alert) => {
            client_failure(*alert, has_identity).unwrap_or_else(|| TlsFailure::Other(error.to_string()))
        }
        other => TlsFailure::Other(other.to_string()),
    }
}

/// The alerts by which a server judges a client certificate. Not every server has `certificate_required`: to a
/// client without certificate some say `bad_certificate`.
fn client_failure(alert: AlertDescription, has_identity: bool) -> Option<TlsFailure> {
    let name = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            return Some(TlsFailure::ClientCertificateRequired);
        }
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        // A signature in our chain, or ours over the handshake. Without a certificate it means something else.
        AlertDescription::DecryptError if has_identity => "decrypt_error",
        _ => return None,
    };
    Some(if has_identity {
        TlsFailure::ClientCertificateRefused { alert: name }
    } else {
        TlsFailure::ClientCertificateRequired
    })
}
