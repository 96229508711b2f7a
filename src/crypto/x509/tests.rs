use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::crypto::pki::{DevCa, Issued};
use crate::crypto::signing_key::{self, SigningAlg};
use crate::domain::secret::Secret;

/// Made with OpenSSL 3.0, which also gave the values that the test expects of it: a subject with everything that needs
/// an escape, an RDN with two parts, and three alternative names.
const FROM_OPENSSL: &str = "\
-----BEGIN CERTIFICATE-----
MIIC1DCCAnqgAwIBAgIUJln1207fcAyU7cEirTYpV72cpvIwCgYIKoZIzj0EAwIw
gaUxCzAJBgNVBAYTAkZSMRUwEwYDVQQIDAwgUGFyaXMgKDc1KSAxFzAVBgNVBAoM
DsOJeGVtcGxlLCAiU0EiMSUwCgYDVQQLDANhPWIwFwYDVQQLDBAjMzE4NzUxMjc1
MTAwMDIwMQswCQYDVQQFEwI0MjEYMBYGA1UEYQwPTlRSRlItMzE4NzUxMjc1MRgw
FgYDVQQDDA9yZWxhaXM7PGRlbW8+XHgwIBcNMjYxMTIyMDI0NzUxWhgPMjEyNjEw
MjkwMjQ3NTFaMIGlMQswCQYDVQQGEwJGUjEVMBMGA1UECAwMIFBhcmlzICg3NSkg
MRcwFQYDVQQKDA7DiXhlbXBsZSwgIlNBIjElMAoGA1UECwwDYT1iMBcGA1UECwwQ
IzMxODc1MTI3NTEwMDAyMDELMAkGA1UEBRMCNDIxGDAWBgNVBGEMD05UUkZSLTMx
ODc1MTI3NTEYMBYGA1UEAwwPcmVsYWlzOzxkZW1vPlx4MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAELgyp0t9lSk2eJaY7WpelRqGYZd7v8EbGZ/wnd2joaZ/wnWHj
886uD8FqzEpI1ibU/qgUIhBTDmOCnWoX155RB6OBgzCBgDAdBgNVHQ4EFgQUBz9+
YyqetpGgeuU/Yo2lS0g2fgQwHwYDVR0jBBgwFoAUBz9+YyqetpGgeuU/Yo2lS0g2
fgQwDwYDVR0TAQH/BAUwAwEB/zAtBgNVHREEJjAkggxhLmV4YW1wbGUuZnKCDiou
Yi5leGFtcGxlLmZyhwR/AAABMAoGCCqGSM49BAMCA0gAMEUCIQCavbSelSXn0Mu5
EXvMTNb46xk37OcwEsKneHLW6WzBsQIgH7vV3Rn6oWghqfLkLS/teYgEQAzdCHt3
9nS2bNflFKo=
-----END CERTIFICATE-----";

/// Made with `openssl x509 -req` without extensions, which gives version 1.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUXZik8vLmkhfeWYPSXaUH4mnQ3r0wCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDbHBzMCAXDTI2MTEyNjE1MjExOFoYDzIxMjYxMTAyMTUyMTE4WjAOMQww
CgYDVQQDDANscHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQFlcjtWsFMHq36
oU0YjQsD8vV8Ys88qfTtboBCwDf2lcwJMPNDz1TiKyrTw19UXwNPH3/iyjzxUaOK
lQt3aRh6MAoGCCqGSM49BAMCA0gAMEUCIQCjZCmyQ7Pp2qwnhxJxc2Ljzq28jlaW
zJzmnsWAls3epgIgY+h1XMoP9GXuslem1A04BINxBKk3o6tx1E+O3GXHkh4=
-----END CERTIFICATE-----";

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn ca() -> DevCa {
    DevCa::generate("CA", NOW - DAY, NOW + DAY).expect("a CA")
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

fn parsed(pem: &str) -> Certificate {
    Certificate::parse(&der(pem)).expect("a certificate")
}

fn private_key(secret: &Secret) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(secret.expose().as_bytes()).expect("a key")
}

#[test]
fn a_certificate_of_openssl_says_what_openssl_says() {
    let certificate = parsed(FROM_OPENSSL);
    let subject = concat!(
        r"CN=relais\;\<demo\>\\x,organizationIdentifier=NTRFR-318751275,serialNumber=42,",
        r"OU=\#318751275100020+OU=a=b,",
        r#"O=Éxemple\, \"SA\",ST=\ Paris (75)\ ,C=FR"#
    );
    assert_eq!(certificate.subject_dn(), subject);
    assert_eq!(dn::normalise(subject).as_deref(), Ok(subject));
    assert_eq!(certificate.common_names(), [r"relais;<demo>\x"]);
    assert_eq!(certificate.san_dns(), ["a.example.fr", "*.b.example.fr"]);
    assert_eq!(certificate.x5t_s256(), "cHHnShYfBHNl4padVMRT1nfX5DGHVeMCe0xYPPnUS2M");
    assert_eq!(certificate.thumbprint_sha256()[..4], [0x70, 0x71, 0xe7, 0x4a]);
    assert_eq!(certificate.not_before(), Timestamp::from_secs(1_795_315_671));
    assert_eq!(certificate.not_after(), Timestamp::from_secs(4_948_915_671));
    assert!(certificate.is_self_signed());
}

#[test]
fn a_certificate_of_an_authority_is_not_self_signed() {
    let ca = ca();
    assert!(parsed(&ca.certificate()).is_self_signed());
    let issued = ca.issue_client("a", NOW, NOW + DAY).expect("issued");
    assert!(!parsed(&issued.certificate).is_self_signed());
    // The authority's name alone does not make it so.
    let namesake = ca.issue_client("CA", NOW, NOW + DAY).expect("issued");
    assert!(!parsed(&namesake.certificate).is_self_signed());
}

#[test]
fn bytes_that_are_no_certificate_or_more_than_one_are_refused() {
    let good = der(FROM_OPENSSL);
    let mut longer = good.to_vec();
    longer.push(0);
    for bad in [vec![], vec![0x30, 0x00], good[..good.len() - 1].to_vec(), longer] {
        assert_eq!(Certificate::parse(&CertificateDer::from(bad)), Err(NotACertificate));
    }
}

#[test]
fn an_old_version_is_told_apart_from_a_key_of_somebody_else() {
    assert_eq!((parsed(VERSION_1).version(), parsed(FROM_OPENSSL).version()), (1, 3));
    let mut issued = ca().issue_client("lps", NOW, NOW + DAY).expect("issued");
    VERSION_1.clone_into(&mut issued.certificate);
    let (_folder, certificate, key) = written(&issued);
    let error = load_pair(&certificate, &key, NOW).err().expect("refused");
    assert!(matches!(error, CertError::OldVersion { version: 1, .. }), "{error:?}");
    let told = error.to_string();
    assert!(
        told.contains(&format!("the certificate {} is of X.509 version 1", certificate.display())),
        "{told}"
    );
    assert!(told.contains("have one of version 3 made"), "{told}");
}

#[test]
fn a_key_belongs_to_its_certificate_alone() {
    let ca = ca();
    let (one, two) = (ca.issue_client("a", NOW, NOW + DAY), ca.issue_client("a", NOW, NOW + DAY));
    let (one, two) = (one.expect("issued"), two.expect("issued"));
    let chain = vec![der(&one.certificate), der(&ca.certificate())];
    assert!(check_pair(&chain, &private_key(&one.key), NOW).is_ok());
    assert!(matches!(check_pair(&chain, &private_key(&two.key), NOW), Err(CertError::Mismatch { .. })));
    let rsa = signing_key::generate_rsa_2048().expect("a key");
    assert!(matches!(check_pair(&chain, &private_key(&rsa), NOW), Err(CertError::Mismatch { .. })));
    assert!(matches!(
        check_pair(&[], &private_key(&one.key), NOW),
        Err(CertError::MalformedCertificate { .. })
    ));
}

#[test]
fn a_certificate_counts_from_its_first_to_its_last_second() {
    let issued = ca().issue_client("a", NOW, NOW + DAY).expect("issued");
    let (chain, key) = (vec![der(&issued.certificate)], private_key(&issued.key));
    let check = |now| check_pair(&chain, &key, now);
    let moment = Duration::from_micros(1);
    assert!(
        matches!(check(NOW - moment), Err(CertError::NotYetValid { not_before, .. }) if not_before == NOW)
    );
    assert!(check(NOW).is_ok());
    assert!(check(NOW + DAY).is_ok());
    assert!(
        matches!(check(NOW + DAY + moment), Err(CertError::Expired { not_after, .. }) if not_after == NOW + DAY)
    );
}

/// A folder with the pair as `own.pem` and `own.key`.
fn written(issued: &Issued) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
    std::fs::write(&certificate, &issued.certificate).expect("written");
    write_key(&key, issued.key.expose(), 0o600);
    (folder, certificate, key)
}

fn write_key(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
}

#[test]
fn a_pair_of_files_is_loaded_and_its_faults_name_the_files() {
    let ca = ca();
    let issued = ca.issue_server(&["localhost"], NOW, NOW + DAY).expect("issued");
    let other = ca.issue_server(&["localhost"], NOW, NOW + DAY).expect("issued");
    let (_folder, certificate, key) = written(&issued);
    let pair = load_pair(&certificate, &key, NOW).expect("a pair");
    assert_eq!(pair.chain, [der(&issued.certificate)]);

    let expired = load_pair(&certificate, &key, NOW + DAY + DAY).err().expect("expired").to_string();
    assert!(expired.contains(&certificate.display().to_string()), "{expired}");
    assert!(expired.contains("expired at 2026-"), "{expired}");

    write_key(&key, other.key.expose(), 0o600);
    let mismatch = load_pair(&certificate, &key, NOW).err().expect("mismatch").to_string();
    for path in [&certificate, &key] {
        assert!(mismatch.contains(&path.display().to_string()), "{mismatch}");
    }
}

#[test]
fn a_chain_keeps_the_order_of_its_file() {
    let ca = ca();
    let mut issued = ca.issue_server(&["localhost"], NOW, NOW + DAY).expect("issued");
    let (own, authority) = (der(&issued.certificate), der(&ca.certificate()));
    issued.certificate.push_str(&ca.certificate());
    let (_folder, certificate, _) = written(&issued);
    assert_eq!(load_pem_chain(&certificate).expect("a chain"), [own, authority]);
}

#[test]
fn r_k_05_a_private_key_that_everybody_may_read_is_refused_with_what_to_do() {
    let issued = ca().issue_server(&["localhost"], NOW, NOW + DAY).expect("issued");
    let (_folder, _, key) = written(&issued);
    for mode in [0o644, 0o604, 0o660, 0o602] {
        write_key(&key, issued.key.expose(), mode);
        let error = load_key(&key).expect_err("refused");
        assert!(matches!(error, CertError::Shared { mode: shown, .. } if shown == mode), "{mode:o}");
        assert!(error.to_string().contains(&format!("chmod 0600 {}", key.display())));
    }
    for mode in [0o600, 0o400, 0o640, 0o440] {
        write_key(&key, issued.key.expose(), mode);
        assert!(load_key(&key).is_ok(), "{mode:o}");
    }
}

#[test]
fn files_of_the_wrong_kind_are_told_apart_and_nothing_of_a_key_is_shown() {
    let issued = ca().issue_server(&["localhost"], NOW, NOW + DAY).expect("issued");
    let (folder, certificate, key) = written(&issued);
    assert!(matches!(load_pem_chain(&key), Err(CertError::NoCertificate { .. })));
    write_key(&certificate, &issued.certificate, 0o600);
    assert!(matches!(load_key(&certificate), Err(CertError::NoKey { .. })));
    assert!(matches!(load_key(&folder.path().join("none")), Err(CertError::Unreadable { .. })));
    assert!(matches!(load_pem_chain(&folder.path().join("none")), Err(CertError::Unreadable { .. })));
    let broken = issued.key.expose().replace("-----END", "----END");
    write_key(&key, &broken, 0o600);
    let Err(error @ CertError::NotPem { .. }) = load_key(&key) else { panic!("no PEM") };
    let line = issued.key.expose().lines().nth(1).expect("a line");
    assert!(!format!("{error}{error:?}").contains(line));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&certificate, garbage).expect("written");
    assert!(matches!(load_pem_chain(&certificate), Err(CertError::MalformedCertificate { .. })));
}

#[test]
fn every_kind_of_signing_key_is_one_that_loads() {
    for alg in SigningAlg::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("signing.key");
        crate::crypto::key_file::write_new(&path, &signing_key::generate(alg).expect("a key"))
            .expect("written");
        assert!(matches!(load_key(&path), Ok(PrivateKeyDer::Pkcs8(_))), "{}", alg.as_str());
    }
}
