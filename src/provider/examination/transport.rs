//! What a call without an answer says: how far it got, and what is wrong there.

use url::Url;

use crate::domain::examination::{Check, Fault};
use crate::net::outbound::{NotSentCause, OutboundError, TlsFailure};

/// Host and port, as an operator reads them.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The check at which a call to `url` failed, and why. `last`: the check that an answer was wanted for.
pub(super) fn fault(error: &OutboundError, url: &Url, last: Check) -> (Check, Fault) {
    let name = url.host_str().unwrap_or_default().to_owned();
    let host = host(url);
    let cause = match error {
        OutboundError::OutcomeUnknown { .. } => return (last, Fault::NoAnswer { host }),
        OutboundError::NotSent { cause } => cause,
    };
    match cause {
        NotSentCause::InvalidUrl => (Check::Dns, Fault::UrlNotAcceptable { host }),
        NotSentCause::Dns => (Check::Dns, Fault::NameNotResolved { host: name }),
        NotSentCause::AddressRefused => (Check::Dns, Fault::AddressRefused { host: name }),
        NotSentCause::Connect => (Check::Connection, Fault::NotConnected { host }),
        NotSentCause::ConnectTimeout => (Check::Connection, Fault::ConnectTimeout { host }),
        NotSentCause::Tls(failure) => match failure {
            TlsFailure::UntrustedCa => (Check::Tls, Fault::UntrustedCa { host }),
            TlsFailure::WrongHostName => (Check::Tls, Fault::WrongHostName { host }),
            TlsFailure::Expired => (Check::Tls, Fault::ServerCertificateOutOfDate { host }),
            TlsFailure::Other(_) => (Check::Tls, Fault::TlsFailed { host }),
            TlsFailure::ClientCertificateRefused { alert } => {
                (Check::ClientCertificate, Fault::ClientCertificateRefused { host, alert })
            }
            TlsFailure::ClientCertificateRequired => {
                (Check::ClientCertificate, Fault::ClientCertificateRequired { host })
            }
        },
    }
}
