use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::*;
use crate::crypto::x509::{Certificate, check_pair, load_pair, load_pem_chain};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

fn roots(ca: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(der(ca)).expect("a root");
    Arc::new(roots)
}

fn unix(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(now.since(Timestamp::from_secs(0)))
}

fn server_is_trusted(ca: &str, server: &str, name: &'static str, now: Timestamp) -> bool {
    WebPkiServerVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
        .build()
        .expect("a verifier")
        .verify_server_cert(&der(server), &[], &ServerName::try_from(name).expect("a name"), &[], unix(now))
        .is_ok()
}

fn client_is_trusted(ca: &str, client: &str, now: Timestamp) -> bool {
    WebPkiClientVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
        .build()
        .expect("a verifier")
        .verify_client_cert(&der(client), &[], unix(now))
        .is_ok()
}

#[test]
fn the_server_certificate_is_trusted_for_this_machine_and_for_nothing_else() {
    let pki = DevPki::generate("relais-demo", NOW).expect("a PKI");
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(server_is_trusted(&pki.ca, &pki.server, name, NOW), "{name}");
    }
    for name in ["example.fr", "127.0.0.2"] {
        assert!(!server_is_trusted(&pki.ca, &pki.server, name, NOW), "{name}");
    }
    assert!(!client_is_trusted(&pki.ca, &pki.server, NOW), "no client");
}

#[test]
fn the_client_certificate_has_the_client_id_as_its_cn_and_is_no_server_s() {
    let pki = DevPki::generate("relais-démo, 2", NOW).expect("a PKI");
    assert!(client_is_trusted(&pki.ca, &pki.client, NOW));
    assert!(!server_is_trusted(&pki.ca, &pki.client, "localhost", NOW));
    let client = Certificate::parse(&der(&pki.client)).expect("a certificate");
    assert_eq!(client.common_names(), ["relais-démo, 2"]);
    assert_eq!(client.subject_dn(), r"CN=relais-démo\, 2");
}

#[test]
fn certificates_of_one_pki_are_not_trusted_by_another() {
    let one = DevPki::generate("a", NOW).expect("a PKI");
    let two = DevPki::generate("a", NOW).expect("a PKI");
    assert!(!client_is_trusted(&two.ca, &one.client, NOW));
    assert!(!server_is_trusted(&two.ca, &one.server, "localhost", NOW));
}

#[test]
fn all_of_it_is_valid_for_one_year() {
    let pki = DevPki::generate("a", NOW).expect("a PKI");
    for pem in [&pki.ca, &pki.server, &pki.client] {
        let certificate = Certificate::parse(&der(pem)).expect("a certificate");
        assert_eq!(certificate.not_before(), NOW - DAY);
        assert_eq!(certificate.not_after(), NOW + LIFE);
    }
    assert!(!client_is_trusted(&pki.ca, &pki.client, NOW + LIFE + DAY));
}

#[test]
fn the_authority_signs_more_on_request_also_what_must_be_refused() {
    let pki = DevPki::generate("a", NOW).expect("a PKI");
    let expired = pki.authority().issue_client("a", NOW - DAY, NOW - Duration::from_secs(1)).expect("issued");
    assert!(!client_is_trusted(&pki.ca, &expired.certificate, NOW));
    assert!(client_is_trusted(&pki.ca, &expired.certificate, NOW - Duration::from_secs(2)));
    let elsewhere = pki.authority().issue_server(&["idp.example.fr"], NOW, NOW + DAY).expect("issued");
    assert!(!server_is_trusted(&pki.ca, &elsewhere.certificate, "localhost", NOW));
    assert!(server_is_trusted(&pki.ca, &elsewhere.certificate, "idp.example.fr", NOW));
    let key = PrivateKeyDer::from_pem_slice(elsewhere.key.expose().as_bytes()).expect("a key");
    assert!(check_pair(&[der(&elsewhere.certificate)], &key, NOW).is_ok());
}

#[test]
fn five_files_are_written_and_the_keys_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("new").join("certs");
    DevPki::generate("a", NOW).expect("a PKI").write(&dir).expect("written");
    let mut names: Vec<_> =
        std::fs::read_dir(&dir).expect("there").map(|entry| entry.expect("read").file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.pem", "client.key", "client.pem", "server.key", "server.pem"]);
    for own in ["server", "client"] {
        let key = dir.join(format!("{own}.key"));
        assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o7777, 0o600);
        assert!(load_pair(&dir.join(format!("{own}.pem")), &key, NOW).is_ok());
    }
    assert_eq!(load_pem_chain(&dir.join("ca.pem")).expect("a chain").len(), 1);
}

#[test]
fn nothing_is_written_where_one_of_the_files_exists() {
    let pki = DevPki::generate("a", NOW).expect("a PKI");
    for name in DevPki::FILES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, "mine").expect("written");
        let error = pki.write(folder.path()).expect_err("refused");
        assert!(matches!(&error, PkiError::Exists { path: shown } if *shown == path), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("nowhere", folder.path().join("client.key")).expect("a link");
    assert!(matches!(pki.write(folder.path()), Err(PkiError::Exists { .. })));
}

#[test]
fn a_name_that_no_certificate_can_carry_is_an_error() {
    let ca = DevCa::generate("CA", NOW, NOW + DAY).expect("a CA");
    assert!(matches!(ca.issue_server(&["é"], NOW, NOW + DAY), Err(PkiError::Generation(_))));
}
