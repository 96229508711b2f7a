//! Each fault has words of its own, in both languages.

use std::collections::BTreeSet;

use super::*;
use crate::domain::time::Timestamp;

/// One of each.
fn every_fault() -> Vec<Fault> {
    let (host, file) = (|| "op.example:443".to_owned(), || "certs/lps.pem".to_owned());
    let at = Timestamp::from_secs(1_800_000_000);
    let name = || "lps".to_owned();
    vec![
        Fault::CertificateExpired { file: file(), not_after: at },
        Fault::CertificateNotYetValid { file: file(), not_before: at },
        Fault::CertificateExpiresSoon { file: file(), days: 3 },
        Fault::CertificateUnusable { file: file() },
        Fault::RootsUnusable,
        Fault::CommonNameDiffers { common_name: Some(name()), client_id: "other".to_owned() },
        Fault::CommonNameDiffers { common_name: None, client_id: name() },
        Fault::UrlNotAcceptable { host: host() },
        Fault::NameNotResolved { host: host() },
        Fault::AddressRefused { host: host() },
        Fault::NotConnected { host: host() },
        Fault::ConnectTimeout { host: host() },
        Fault::UntrustedCa { host: host() },
        Fault::WrongHostName { host: host() },
        Fault::ServerCertificateOutOfDate { host: host() },
        Fault::TlsFailed { host: host() },
        Fault::ClientCertificateRefused { host: host(), alert: "unknown_ca" },
        Fault::ClientCertificateRequired { host: host() },
        Fault::NoAnswer { host: host() },
        Fault::UnexpectedStatus { host: host(), status: 503 },
        Fault::MetadataMalformed,
        Fault::MetadataMember { member: "token_endpoint" },
        Fault::MetadataInsecure { member: "token_endpoint" },
        Fault::IssuerDiffers { found: Some(name()), configured: "other".to_owned() },
        Fault::IssuerDiffers { found: None, configured: name() },
        Fault::NoDate,
        Fault::ClocksDiffer { seconds: 300, ours_is_ahead: true },
        Fault::ClocksDiffer { seconds: 300, ours_is_ahead: false },
        Fault::DeliveryNotOffered { wanted: "poll", offered: vec!["ping", "push"] },
        Fault::NotOffered { member: "token_endpoint_auth_methods_supported", wanted: "private_key_jwt" },
        Fault::SigningKeyUnusable,
        Fault::KeysMalformed,
        Fault::NoUsableKey,
        Fault::NoKeyFor { algs: vec!["RS256"] },
        Fault::AlgsNotAdvertised { algs: vec!["RS256"] },
        Fault::CibaNotEnabled { code: "invalid_grant" },
        Fault::CredentialsRefused { code: "invalid_client" },
        Fault::RefusedOtherwise { code: "invalid_scope" },
        Fault::AcceptedWithoutHint,
    ]
}

/// The codes that the domain knows, as its own source writes them: a fault that is added there is missed here.
fn codes_of_the_domain() -> BTreeSet<&'static str> {
    let source = include_str!("../../../domain/examination.rs");
    let (_, body) = source.split_once("pub const fn code(&self)").expect("the codes");
    let (body, _) = body.split_once("/// One registration, examined.").expect("their end");
    body.split('"').skip(1).step_by(2).collect()
}

#[test]
fn each_fault_has_one_sentence_on_what_is_wrong_and_one_on_what_to_do() {
    let faults = every_fault();
    let mut said = BTreeSet::new();
    for language in Language::ALL {
        for told in faults.iter().map(|of| fault(of, language)) {
            for sentence in [told.what.as_str(), told.fix] {
                assert!(sentence.ends_with('.'), "{sentence}");
                assert!(!sentence.contains(". "), "one sentence: {sentence}");
                assert!(
                    sentence
                        .chars()
                        .next()
                        .is_some_and(|c| c.is_uppercase() || sentence.contains("op.example"))
                );
            }
            assert!(said.insert(told.what.clone()), "said twice: {}", told.what);
        }
    }
    for of in &faults {
        let [french, english] = words(of).fix;
        assert_ne!(french, english, "{of:?}");
    }
    let codes: BTreeSet<_> = faults.iter().map(Fault::code).collect();
    assert_eq!(codes.len(), faults.len() - 3, "the three that say two things have one code each");
    assert_eq!(codes, codes_of_the_domain(), "each has its words");
}

#[test]
fn a_single_day_is_a_single_day() {
    let soon = |days| Fault::CertificateExpiresSoon { file: "lps.pem".to_owned(), days };
    for (days, french, english) in
        [(0, "0 jour.", "0 days."), (1, "1 jour.", "1 day."), (2, "2 jours.", "2 days.")]
    {
        assert!(fault(&soon(days), Language::French).what.ends_with(french));
        assert!(fault(&soon(days), Language::English).what.ends_with(english));
    }
}

#[test]
fn what_a_provider_or_a_certificate_says_is_quoted() {
    let hostile = Fault::IssuerDiffers { found: Some("a\"\u{1b}[2J".to_owned()), configured: "b".to_owned() };
    for language in Language::ALL {
        assert!(
            fault(&hostile, language).what.contains(r#""a\"\u{1b}[2J""#),
            "{}",
            fault(&hostile, language).what
        );
    }
}

#[test]
fn a_provider_without_modes_is_said_to_offer_none() {
    let none = Fault::DeliveryNotOffered { wanted: "poll", offered: Vec::new() };
    assert!(fault(&none, Language::French).what.ends_with("le fournisseur ne propose aucun mode connu."));
    assert!(fault(&none, Language::English).what.ends_with("offers none that is known."));
}
