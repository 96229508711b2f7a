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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::outbound::UnknownCause;

    #[test]
    fn each_cause_has_its_check_and_its_fault() {
        let url = Url::parse("https://op.example/metadata").expect("a URL");
        let (name, host) = (|| "op.example".to_owned(), || "op.example:443".to_owned());
        let refused = TlsFailure::ClientCertificateRefused { alert: "unknown_ca" };
        for (cause, check, expected) in [
            (NotSentCause::InvalidUrl, Check::Dns, Fault::UrlNotAcceptable { host: host() }),
            (NotSentCause::Dns, Check::Dns, Fault::NameNotResolved { host: name() }),
            (NotSentCause::AddressRefused, Check::Dns, Fault::AddressRefused { host: name() }),
            (NotSentCause::Connect, Check::Connection, Fault::NotConnected { host: host() }),
            (NotSentCause::ConnectTimeout, Check::Connection, Fault::ConnectTimeout { host: host() }),
            (NotSentCause::Tls(TlsFailure::UntrustedCa), Check::Tls, Fault::UntrustedCa { host: host() }),
            (NotSentCause::Tls(TlsFailure::WrongHostName), Check::Tls, Fault::WrongHostName { host: host() }),
            (
                NotSentCause::Tls(TlsFailure::Expired),
                Check::Tls,
                Fault::ServerCertificateOutOfDate { host: host() },
            ),
            (
                NotSentCause::Tls(TlsFailure::Other("x".to_owned())),
                Check::Tls,
                Fault::TlsFailed { host: host() },
            ),
            (
                NotSentCause::Tls(refused),
                Check::ClientCertificate,
                Fault::ClientCertificateRefused { host: host(), alert: "unknown_ca" },
            ),
            (
                NotSentCause::Tls(TlsFailure::ClientCertificateRequired),
                Check::ClientCertificate,
                Fault::ClientCertificateRequired { host: host() },
            ),
        ] {
            assert_eq!(fault(&OutboundError::NotSent { cause }, &url, Check::Metadata), (check, expected));
        }
        let lost = OutboundError::OutcomeUnknown { cause: UnknownCause::Cut };
        assert_eq!(fault(&lost, &url, Check::Jwks), (Check::Jwks, Fault::NoAnswer { host: host() }));
    }
}
