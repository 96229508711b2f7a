//! What `doctor` says, side by side in both languages: for each fault one sentence on what is wrong, and one on what
//! to do. For operators: names of files, hosts and keys of the configuration stand in them, secrets never.
//!
//! The words of a fault stand in the file of what was examined.

mod certificate;
mod ciba;
mod clock;
mod connection;
mod keys;
mod metadata;

use crate::domain::examination::{Check, Fault, Outcome, Proof};
use crate::domain::texts::Language;

/// A fault in words.
pub(super) struct Told {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: &'static str,
}

/// A fault in both languages, French first.
struct Words {
    what: [String; 2],
    fix: [&'static str; 2],
}

const fn pick(language: Language, french: &'static str, english: &'static str) -> &'static str {
    match language {
        Language::French => french,
        Language::English => english,
    }
}

pub(super) fn no_registration(language: Language) -> &'static str {
    pick(
        language,
        "La configuration ne contient aucun enregistrement. Ajoutez une section [registrations.…].",
        "The configuration holds no registration. Add a section [registrations.…].",
    )
}

pub(super) fn no_such_registration(name: &str, language: Language) -> String {
    match language {
        Language::French => format!(
            "La configuration ne contient pas d’enregistrement `{name}`. Donnez à --registration un nom de section [registrations.…]."
        ),
        Language::English => format!(
            "The configuration holds no registration `{name}`. Give --registration the name of a section [registrations.…]."
        ),
    }
}

pub(super) fn status(outcome: &Outcome, language: Language) -> &'static str {
    match outcome {
        Outcome::Well(_) => "ok",
        Outcome::Warning(_) => pick(language, "attention", "warning"),
        Outcome::Failed(_) => pick(language, "échec", "failed"),
        Outcome::NotReached => pick(language, "non atteint", "not reached"),
    }
}

pub(super) fn check(check: Check, language: Language) -> &'static str {
    match check {
        Check::Certificate => pick(language, "certificat client", "client certificate"),
        Check::CommonName => pick(language, "CN et client_id", "CN and client_id"),
        Check::Dns => "DNS",
        Check::Connection => pick(language, "connexion", "connection"),
        Check::Tls => "TLS",
        Check::ClientCertificate => pick(language, "certificat accepté", "certificate accepted"),
        Check::Metadata => pick(language, "métadonnées", "metadata"),
        Check::Issuer => pick(language, "émetteur (issuer)", "issuer"),
        Check::Clock => pick(language, "horloge", "clock"),
        Check::Delivery => pick(language, "mode de remise", "delivery mode"),
        Check::Authentication => pick(language, "authentification", "authentication method"),
        Check::Jwks => pick(language, "clés de signature (JWKS)", "signing keys (JWKS)"),
        Check::SigningAlgs => pick(language, "algorithmes de signature", "signing algorithms"),
        Check::Ciba => pick(language, "CIBA autorisé", "CIBA enabled"),
    }
}

pub(super) fn proof(check: Check, proof: &Proof, language: Language) -> String {
    match proof {
        Proof::Plain if check == Check::Ciba => pick(
            language,
            "le client est reconnu ; aucun téléphone n’a sonné",
            "the client is recognised; no phone rang",
        )
        .to_owned(),
        Proof::Plain => String::new(),
        Proof::Text(text) => text.clone(),
        Proof::DaysLeft { file, days } => match language {
            Language::French => format!("{file}, encore {days} jours"),
            Language::English => format!("{file}, {days} days left"),
        },
        Proof::Seconds(seconds) => match language {
            Language::French => format!("écart de {seconds} s"),
            Language::English => format!("{seconds} s apart"),
        },
        Proof::Keys(count) => match language {
            Language::French => format!("{count} utilisables"),
            Language::English => format!("{count} usable"),
        },
    }
}

pub(super) fn fault(fault: &Fault, language: Language) -> Told {
    let Words { what: [french, english], fix } = words(fault);
    match language {
        Language::French => Told { what: french, fix: fix[0] },
        Language::English => Told { what: english, fix: fix[1] },
    }
}

fn words(fault: &Fault) -> Words {
    match fault {
        Fault::CertificateExpired { file, not_after } => certificate::expired(file, *not_after),
        Fault::CertificateNotYetValid { file, not_before } => certificate::not_yet_valid(file, *not_before),
        Fault::CertificateExpiresSoon { file, days } => certificate::expires_soon(file, *days),
        Fault::CertificateUnusable { file } => certificate::unusable(file),
        Fault::CommonNameDiffers { common_name, client_id } => {
            certificate::name_differs(common_name.as_deref(), client_id)
        }
        Fault::RootsUnusable => connection::roots_unusable(),
        Fault::UrlNotAcceptable { host } => connection::url_not_acceptable(host),
        Fault::NameNotResolved { host } => connection::name_not_resolved(host),
        Fault::AddressRefused { host } => connection::address_refused(host),
        Fault::NotConnected { host } => connection::not_connected(host),
        Fault::ConnectTimeout { host } => connection::connect_timeout(host),
        Fault::UntrustedCa { host } => connection::untrusted_ca(host),
        Fault::WrongHostName { host } => connection::wrong_host_name(host),
        Fault::ServerCertificateOutOfDate { host } => connection::server_certificate_out_of_date(host),
        Fault::TlsFailed { host } => connection::tls_failed(host),
        Fault::ClientCertificateRefused { host, alert } => {
            connection::client_certificate_refused(host, alert)
        }
        Fault::ClientCertificateRequired { host } => connection::client_certificate_required(host),
        Fault::NoAnswer { host } => connection::no_answer(host),
        Fault::UnexpectedStatus { host, status } => connection::unexpected_status(host, *status),
        Fault::MetadataMalformed => metadata::malformed(),
        Fault::MetadataMember { member } => metadata::member(member),
        Fault::MetadataInsecure { member } => metadata::insecure(member),
        Fault::IssuerDiffers { found, configured } => metadata::issuer_differs(found.as_deref(), configured),
        Fault::DeliveryNotOffered { wanted, offered } => metadata::delivery_not_offered(wanted, offered),
        Fault::NotOffered { member, wanted } => metadata::not_offered(member, wanted),
        Fault::NoDate => clock::no_date(),
        Fault::ClocksDiffer { seconds, ours_is_ahead } => clock::clocks_differ(*seconds, *ours_is_ahead),
        Fault::SigningKeyUnusable => keys::own_unusable(),
        Fault::KeysMalformed => keys::malformed(),
        Fault::NoUsableKey => keys::none_usable(),
        Fault::NoKeyFor { algs } => keys::none_for(algs),
        Fault::AlgsNotAdvertised { algs } => keys::algs_not_advertised(algs),
        Fault::CibaNotEnabled { code } => ciba::not_enabled(code),
        Fault::CredentialsRefused { code } => ciba::credentials_refused(code),
        Fault::RefusedOtherwise { code } => ciba::refused_otherwise(code),
        Fault::AcceptedWithoutHint => ciba::accepted_without_hint(),
    }
}

#[cfg(test)]
mod tests;
