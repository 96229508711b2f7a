//! What a failed request means: can the peer have processed anything, and what does the operator read?
//!
//! The HTTP library reports layers of causes; the verdict comes from walking them. Where two readings are
//! possible the answer is [`OutboundError::OutcomeUnknown`]: a wrong "not sent" would ring a telephone twice.

use std::error::Error as StdError;
use std::fmt;

use rustls::{AlertDescription, CertificateError};

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
    /// The answer is larger than accepted.
    #[error("the answer is larger than accepted")]
    TooLarge,
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

/// The verdict on a request that brought no response head.
pub(super) fn classify(error: &reqwest::Error, has_identity: bool) -> OutboundError {
    let not_sent = |cause| OutboundError::NotSent { cause };
    if error.is_builder() {
        return not_sent(NotSentCause::InvalidUrl);
    }
    if let Some(failure) = find::<ResolveFailure>(error) {
        return not_sent(match failure {
            ResolveFailure::Refused => NotSentCause::AddressRefused,
            ResolveFailure::Dns(_) | ResolveFailure::Empty => NotSentCause::Dns,
        });
    }
    if error.is_connect() {
        let tls = find::<rustls::Error>(error).map(|error| tls_failure(error, has_identity));
        return not_sent(match tls {
            Some(failure) => NotSentCause::Tls(failure),
            None if error.is_timeout() => NotSentCause::ConnectTimeout,
            None => NotSentCause::Connect,
        });
    }
    // Under TLS 1.3 our side of the handshake ends before the server has judged our certificate; its refusal is
    // the first thing read, perhaps after the request was written (RFC 8446 §4.4.2.4). The server cannot have
    // read the request: it gives no plaintext to anybody before the handshake is complete on its side.
    if let Some(failure) = certificate_alert(error).and_then(|alert| client_failure(alert, has_identity)) {
        return not_sent(NotSentCause::Tls(failure));
    }
    match find::<hyper::Error>(error) {
        // Said by hyper only while it still holds the unwritten message.
        Some(inner) if inner.is_canceled() => not_sent(NotSentCause::Connect),
        Some(inner) if inner.is_parse() => OutboundError::OutcomeUnknown { cause: UnknownCause::InvalidHttp },
        _ => classify_body(error),
    }
}

/// The verdict on an answer that broke off after its head.
pub(super) fn classify_body(error: &reqwest::Error) -> OutboundError {
    let cause = if error.is_timeout() { UnknownCause::Timeout } else { UnknownCause::Cut };
    OutboundError::OutcomeUnknown { cause }
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
            CertificateError::UnknownIssuer => TlsFailure::UntrustedCa,
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
        _ => return None,
    };
    Some(if has_identity {
        TlsFailure::ClientCertificateRefused { alert: name }
    } else {
        TlsFailure::ClientCertificateRequired
    })
}

/// The alert in the chain. The HTTP/2 library keeps only the text of an I/O error, so that is read as well.
fn certificate_alert(error: &(dyn StdError + 'static)) -> Option<AlertDescription> {
    const JUDGEMENTS: [AlertDescription; 9] = [
        AlertDescription::CertificateRequired,
        AlertDescription::NoCertificate,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
    ];
    if let Some(found) = find::<rustls::Error>(error) {
        return match found {
            rustls::Error::AlertReceived(alert) => Some(*alert),
            _ => None,
        };
    }
    let text = find::<std::io::Error>(error)?.to_string();
    JUDGEMENTS.into_iter().find(|alert| text == rustls::Error::AlertReceived(*alert).to_string())
}
