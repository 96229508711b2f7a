//! What `doctor` finds, check by check, against a scripted provider: each check once where it fails.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::SigningAlg;
use relais::domain::clock::Clock as _;
use relais::domain::examination::{Check, Fault, Finding, Outcome, Proof};
use relais::domain::registration::Delivery;
use relais::domain::time::Timestamp;
use relais::provider::{
    AssertionAudience, CertificateFiles, Credential, IdTokenAlg, ProviderSettings, RegistrationSettings,
    Signing, examine,
};
use serde_json::{Value, json};

use crate::support::clock::ManualClock;

use super::op::{Op, Reply};
use super::setup::{CLIENT_ID, provider_settings, registration_settings};
use super::signing::rsa_1;
use super::tls::{Pki, authority, by_certificate, listen};

const REFUSAL: &str = "missing parameter : login_hint";

/// What a provider says that lets this client use CIBA.
fn no_hint() -> Reply {
    Reply::json(400, &json!({"error": "invalid_request", "error_description": REFUSAL}))
}

/// A provider at which all is well.
fn prepare(op: &Op) {
    op.publish(&[rsa_1().jwk()]);
    op.stand("backchannel", no_hint());
}

async fn plain() -> Op {
    let op = Op::listen().await;
    prepare(&op);
    op
}

async fn over_tls(pki: &Pki) -> (Op, [CertificateFiles; 1]) {
    let op = listen(pki, "localhost").await;
    prepare(&op);
    (op, [pki.write("client", &pki.client(60))])
}

async fn examined_with(
    op: &Op,
    change: impl FnOnce(&mut ProviderSettings, &mut RegistrationSettings),
) -> Vec<Finding> {
    relais::net::install_provider();
    let (mut provider, mut registration) = (provider_settings(op), registration_settings());
    change(&mut provider, &mut registration);
    let examined = examine(provider, registration, Arc::new(ManualClock::at_present()), &SystemRandom).await;
    assert_eq!((examined.registration.as_str(), examined.provider.as_str()), ("lps", "op"));
    for request in op.seen("backchannel") {
        names_nobody(&request);
    }
    assert_eq!(op.count("token") + op.count("userinfo"), 0);
    examined.findings
}

async fn examined(op: &Op) -> Vec<Finding> {
    examined_with(op, |_, _| {}).await
}

/// Whatever the provider makes of the request, there is nobody in it to ring.
fn names_nobody(request: &super::op::Recorded) {
    for hint in ["login_hint", "login_hint_token", "id_token_hint", "request", "request_uri"] {
        assert!(request.form(hint).is_empty(), "{hint}");
    }
}

fn checks(findings: &[Finding]) -> Vec<Check> {
    findings.iter().map(|finding| finding.check).collect()
}

/// The one thing that is wrong: everything before is well, nothing that rests on it was reached.
#[track_caller]
fn only_fault(findings: &[Finding]) -> (Check, Outcome) {
    let is_fault = |finding: &&Finding| matches!(finding.outcome, Outcome::Warning(_) | Outcome::Failed(_));
    let faults: Vec<_> = findings.iter().filter(is_fault).collect();
    assert_eq!(faults.len(), 1, "{findings:?}");
    (faults[0].check, faults[0].outcome.clone())
}

#[track_caller]
fn failed(findings: &[Finding], check: Check, fault: Fault) {
    assert_eq!(only_fault(findings), (check, Outcome::Failed(fault)));
}

#[track_caller]
fn warned(findings: &[Finding], check: Check, fault: Fault) {
    assert_eq!(only_fault(findings), (check, Outcome::Warning(fault)));
}

fn not_reached(findings: &[Finding]) -> Vec<Check> {
    let cut_off = |finding: &&Finding| finding.outcome == Outcome::NotReached;
    findings.iter().filter(cut_off).map(|finding| finding.check).collect()
}

fn host(op: &Op) -> String {
    op.base.split_once("://").expect("a URL").1.to_owned()
}

/// What stands on an answer to the metadata call.
const AFTER_METADATA: [Check; 7] = [
    Check::Issuer,
    Check::Clock,
    Check::Delivery,
    Check::Authentication,
    Check::Jwks,
    Check::SigningAlgs,
    Check::Ciba,
];

#[tokio::test]
async fn all_is_well_over_mutual_tls_and_one_request_names_nobody() {
    let pki = Pki::new();
    let (op, files) = over_tls(&pki).await;
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    let expected = [
        Check::Certificate,
        Check::CommonName,
        Check::Dns,
        Check::Connection,
        Check::Tls,
        Check::ClientCertificate,
        Check::Metadata,
        Check::Issuer,
        Check::Clock,
        Check::Delivery,
        Check::Authentication,
        Check::Jwks,
        Check::SigningAlgs,
        Check::Ciba,
    ];
    assert_eq!(checks(&findings), expected);
    for finding in &findings {
        assert!(matches!(finding.outcome, Outcome::Well(_)), "{finding:?}");
    }
    let file = files[0].cert.display().to_string();
    assert_eq!(findings[0].outcome, Outcome::Well(Proof::DaysLeft { file, days: 59 }));
    assert_eq!(op.count("backchannel"), 1);
    assert_eq!(op.seen("backchannel")[0].form("client_id"), [CLIENT_ID]);
    assert_eq!(op.seen("backchannel")[0].form("scope"), ["openid scope_all"]);
}

#[tokio::test]
async fn a_certificate_that_is_out_of_date_not_yet_in_date_or_almost_out_of_it() {
    let pki = Pki::new();
    let (op, _) = over_tls(&pki).await;
    let now = ManualClock::at_present().now();
    let day = Duration::from_secs(24 * 3600);
    let examined_with_dates = async |name: &str, from: Timestamp, to: Timestamp| {
        let files =
            [pki.write(name, &pki.authority.issue_client(CLIENT_ID, from, to).expect("a certificate"))];
        let findings = examined_with(&op, by_certificate(&pki, &files)).await;
        (only_fault(&findings), not_reached(&findings).len(), files[0].cert.display().to_string())
    };

    let ((check, outcome), cut_off, _) = examined_with_dates("old", now - day * 9, now - day).await;
    assert_eq!((check, cut_off), (Check::Certificate, 13));
    assert!(matches!(outcome, Outcome::Failed(Fault::CertificateExpired { .. })), "{outcome:?}");

    let ((check, outcome), cut_off, _) = examined_with_dates("young", now + day, now + day * 9).await;
    assert_eq!((check, cut_off), (Check::Certificate, 13));
    assert!(matches!(outcome, Outcome::Failed(Fault::CertificateNotYetValid { .. })), "{outcome:?}");
    assert_eq!(op.count("metadata"), 0);

    let (found, cut_off, file) = examined_with_dates("soon", now - day, now + day * 5 + day / 2).await;
    assert_eq!(cut_off, 0);
    let fault = Fault::CertificateExpiresSoon { file, days: 5 };
    assert_eq!(found, (Check::Certificate, Outcome::Warning(fault)));
}

#[tokio::test]
async fn a_certificate_whose_key_is_another_one() {
    let pki = Pki::new();
    let (op, [files]) = over_tls(&pki).await;
    let other = pki.write("other", &pki.client(60));
    let file = files.cert.display().to_string();
    let pair = [CertificateFiles { cert: files.cert, key: other.key }];
    let findings = examined_with(&op, by_certificate(&pki, &pair)).await;
    failed(&findings, Check::Certificate, Fault::CertificateUnusable { file });
}

#[tokio::test]
async fn a_certificate_that_is_for_servers() {
    let pki = Pki::new();
    let (op, _) = over_tls(&pki).await;
    let now = ManualClock::at_present().now();
    let day = Duration::from_secs(24 * 3600);
    let server =
        pki.authority.issue_server(&["localhost"], now - day, now + day * 60).expect("a certificate");
    let files = [pki.write("server", &server)];
    let file = files[0].cert.display().to_string();
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    failed(&findings, Check::Certificate, Fault::CertificateUnusable { file });
    assert_eq!(op.count("metadata"), 0);
}

#[tokio::test]
async fn a_certificate_without_a_name() {
    let pki = Pki::new();
    let (op, _) = over_tls(&pki).await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec![]).expect("parameters");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let files = [pki.write(
        "nameless",
        &relais::crypto::pki::Issued {
            certificate: params.self_signed(&key).expect("signed").pem(),
            key: relais::domain::secret::Secret::new(key.serialize_pem()),
        },
    )];
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    let found = findings.iter().find(|finding| finding.check == Check::CommonName).expect("it is looked at");
    let fault = Fault::CommonNameDiffers { common_name: None, client_id: CLIENT_ID.to_owned() };
    assert_eq!(found.outcome, Outcome::Warning(fault));
}

#[tokio::test]
async fn roots_that_cannot_be_used() {
    let op = plain().await;
    let findings = examined_with(&op, |provider, _| provider.roots_pem = Some(b"no roots".to_vec())).await;
    failed(&findings, Check::Tls, Fault::RootsUnusable);
    assert_eq!(op.count("metadata"), 0);
}

#[tokio::test]
async fn a_signing_key_that_cannot_be_used() {
    let op = plain().await;
    let findings = examined_with(&op, |_, registration| {
        registration.credential =
            Credential::PrivateKeyJwt { audience: AssertionAudience::Issuer, typ: None };
        registration.signing = Some(Signing {
            alg: SigningAlg::Es256,
            key: "nowhere.pem".into(),
            published: Vec::new(),
            requests: false,
        });
    })
    .await;
    failed(&findings, Check::Authentication, Fault::SigningKeyUnusable);
    assert_eq!(not_reached(&findings), [Check::Ciba]);
    assert_eq!(op.count("backchannel"), 0);
}

#[tokio::test]
async fn a_certificate_in_another_name() {
    let pki = Pki::new();
    let (op, files) = over_tls(&pki).await;
    let findings = examined_with(&op, |provider, registration| {
        by_certificate(&pki, &files)(provider, registration);
        "other-client".clone_into(&mut registration.registration.client_id);
    })
    .await;
    let fault = Fault::CommonNameDiffers {
        common_name: Some(CLIENT_ID.to_owned()),
        client_id: "other-client".to_owned(),
    };
    warned(&findings, Check::CommonName, fault);
    assert_eq!(not_reached(&findings), []);
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let op = plain().await;
    let findings = examined_with(&op, |provider, _| {
        provider.provider.metadata_url = "http://localhost.invalid:1/metadata".parse().expect("a URL");
        provider.https_only = false;
    })
    .await;
    // Not loopback: plain http is for nobody else.
    let host = "localhost.invalid:1".to_owned();
    failed(&findings, Check::Dns, Fault::UrlNotAcceptable { host });

    let findings = examined_with(&op, |provider, _| {
        provider.provider.metadata_url = "https://op.invalid/metadata".parse().expect("a URL");
        provider.roots_pem = Some(authority().certificate().into_bytes());
    })
    .await;
    failed(&findings, Check::Dns, Fault::NameNotResolved { host: "op.invalid".to_owned() });
    let cut_off = [[Check::Connection, Check::Tls, Check::Metadata].as_slice(), &AFTER_METADATA].concat();
    assert_eq!(not_reached(&findings), cut_off);
}

#[tokio::test]
async fn an_address_that_may_not_be_called() {
    let op = plain().await;
    let findings = examined_with(&op, |provider, _| provider.allow_private_addresses = false).await;
    failed(&findings, Check::Dns, Fault::AddressRefused { host: "127.0.0.1".to_owned() });
    assert_eq!(op.count("metadata"), 0);
}

#[tokio::test]
async fn a_port_that_nobody_listens_at() {
    let op = plain().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let findings = examined_with(&op, |provider, _| {
        provider.provider.metadata_url = format!("http://{address}/metadata").parse().expect("a URL");
    })
    .await;
    failed(&findings, Check::Connection, Fault::NotConnected { host: address.to_string() });
}

#[tokio::test]
async fn rp_110_a_provider_of_an_unknown_authority() {
    let pki = Pki::new();
    let (op, files) = over_tls(&pki).await;
    let findings = examined_with(&op, |provider, registration| {
        by_certificate(&pki, &files)(provider, registration);
        provider.roots_pem = Some(authority().certificate().into_bytes());
    })
    .await;
    failed(&findings, Check::Tls, Fault::UntrustedCa { host: host(&op) });
    let cut_off = [[Check::ClientCertificate, Check::Metadata].as_slice(), &AFTER_METADATA].concat();
    assert_eq!(not_reached(&findings), cut_off);
}

#[tokio::test]
async fn rp_110_a_provider_under_another_name() {
    let pki = Pki::new();
    let op = listen(&pki, "op.example").await;
    let files = [pki.write("client", &pki.client(60))];
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    failed(&findings, Check::Tls, Fault::WrongHostName { host: host(&op) });
}

#[tokio::test]
async fn rp_110_a_provider_whose_certificate_is_out_of_date() {
    let pki = Pki::new();
    let now = ManualClock::at_present().now();
    let day = Duration::from_secs(24 * 3600);
    let op = super::tls::listen_between(&pki, "localhost", now - day * 2, now - day).await;
    let files = [pki.write("client", &pki.client(60))];
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    failed(&findings, Check::Tls, Fault::ServerCertificateOutOfDate { host: host(&op) });
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls() {
    let op = plain().await;
    let url = format!("https://{}/metadata", host(&op));
    let findings = examined_with(&op, |provider, _| {
        provider.provider.metadata_url = url.parse().expect("a URL");
        provider.roots_pem = Some(authority().certificate().into_bytes());
    })
    .await;
    failed(&findings, Check::Tls, Fault::TlsFailed { host: host(&op) });
}

#[tokio::test]
async fn a_certificate_that_the_provider_refuses_or_misses() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let (op, _) = over_tls(&pki).await;
    let files = [stranger.write("client", &stranger.client(60))];
    let findings = examined_with(&op, by_certificate(&pki, &files)).await;
    let (check, outcome) = only_fault(&findings);
    assert_eq!(check, Check::ClientCertificate);
    assert!(
        matches!(&outcome, Outcome::Failed(Fault::ClientCertificateRefused { host: at, .. }) if *at == host(&op)),
        "{outcome:?}"
    );
    let cut_off = [[Check::Metadata].as_slice(), &AFTER_METADATA].concat();
    assert_eq!(not_reached(&findings), cut_off);

    let findings = examined_with(&op, |provider, registration| {
        by_certificate(&pki, &[])(provider, registration);
        registration.credential = registration_settings().credential;
    })
    .await;
    failed(&findings, Check::ClientCertificate, Fault::ClientCertificateRequired { host: host(&op) });
    assert_eq!(op.count("metadata"), 0);
}

#[tokio::test]
async fn metadata_that_cannot_be_read() {
    let op = plain().await;
    op.stand("metadata", Reply::json(503, &json!({})));
    let status = Fault::UnexpectedStatus { host: host(&op), status: 503 };
    failed(&examined(&op).await, Check::Metadata, status);

    op.stand("metadata", Reply::raw(200, "text/html", "<html>"));
    failed(&examined(&op).await, Check::Metadata, Fault::MetadataMalformed);

    op.stand("metadata", Reply::Cut);
    failed(&examined(&op).await, Check::Metadata, Fault::NoAnswer { host: host(&op) });

    let without = |member: &str| {
        let mut document = op.metadata();
        document.as_object_mut().expect("an object").remove(member);
        document
    };
    op.stand("metadata", Reply::json(200, &without("backchannel_authentication_endpoint")));
    let member = "backchannel_authentication_endpoint";
    failed(&examined(&op).await, Check::Metadata, Fault::MetadataMember { member });

    let mut insecure = op.metadata();
    insecure["token_endpoint"] = json!("http://op.example/token");
    op.stand("metadata", Reply::json(200, &insecure));
    failed(&examined(&op).await, Check::Metadata, Fault::MetadataInsecure { member: "token_endpoint" });
    assert_eq!(op.count("backchannel"), 0);
}

#[tokio::test]
async fn rp_002_another_issuer() {
    let op = plain().await;
    let mut document = op.metadata();
    document["issuer"] = json!(format!("{}/", op.base));
    op.stand("metadata", Reply::json(200, &document));
    let findings = examined(&op).await;
    let fault = Fault::IssuerDiffers { found: Some(format!("{}/", op.base)), configured: op.base.clone() };
    failed(&findings, Check::Issuer, fault);
    assert_eq!(not_reached(&findings), [Check::Authentication, Check::Jwks, Check::SigningAlgs, Check::Ciba]);
    assert_eq!(op.count("backchannel"), 0, "a stranger gets no credentials");
}

#[tokio::test]
async fn clocks_that_differ() {
    let op = plain().await;
    let date_of = |seconds: i64| {
        let at = DateTime::from_timestamp(ManualClock::at_present().now().as_secs() + seconds, 0);
        at.expect("a date").format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    // Every answer has the same date: the least difference counts.
    let everywhere = |date: &str| {
        op.stand("metadata", Reply::json(200, &op.metadata()).with("date", date));
        let keys = json!({ "keys": [rsa_1().jwk()] });
        op.stand("jwks", Reply::json(200, &keys).with("date", date));
        op.stand("backchannel", no_hint().with("date", date));
    };
    let outcome = |findings: &[Finding]| {
        assert_eq!(not_reached(findings), []);
        findings.iter().find(|finding| finding.check == Check::Clock).expect("one").outcome.clone()
    };
    everywhere(&date_of(300));
    let found = outcome(&examined(&op).await);
    let Outcome::Failed(Fault::ClocksDiffer { seconds, ours_is_ahead: false }) = found else {
        unreachable!("{found:?}")
    };
    assert!((280..=300).contains(&seconds), "{seconds}");

    everywhere(&date_of(-45));
    let found = outcome(&examined(&op).await);
    let Outcome::Warning(Fault::ClocksDiffer { seconds, ours_is_ahead: true }) = found else {
        unreachable!("{found:?}")
    };
    assert!((30..60).contains(&seconds), "{seconds}");

    // A document from a cache is old, and says nothing about the clock.
    op.stand("backchannel", no_hint());
    let found = outcome(&examined(&op).await);
    assert!(matches!(found, Outcome::Well(Proof::Seconds(_))), "{found:?}");

    everywhere("yesterday");
    assert_eq!(outcome(&examined(&op).await), Outcome::Warning(Fault::NoDate));
}

#[tokio::test]
async fn rp_005_a_delivery_mode_that_the_provider_lacks() {
    let op = plain().await;
    let mut document = op.metadata();
    document["backchannel_token_delivery_modes_supported"] = json!(["push", "pigeon", "ping"]);
    op.stand("metadata", Reply::json(200, &document));
    let findings = examined(&op).await;
    let fault = Fault::DeliveryNotOffered { wanted: "poll", offered: vec!["ping", "push"] };
    failed(&findings, Check::Delivery, fault);
}

#[tokio::test]
async fn a_registration_that_is_told_names_a_token_in_its_request() {
    let op = plain().await;
    let mut document = op.metadata();
    document["backchannel_token_delivery_modes_supported"] = json!(["ping"]);
    op.stand("metadata", Reply::json(200, &document));
    let findings =
        examined_with(&op, |_, registration| registration.registration.delivery = Delivery::Ping).await;
    assert!(findings.iter().all(|finding| matches!(finding.outcome, Outcome::Well(_))), "{findings:?}");
    let tokens = op.seen("backchannel")[0].form("client_notification_token");
    assert_eq!(tokens.iter().map(String::len).collect::<Vec<_>>(), [53]);
}

#[tokio::test]
async fn keys_that_cannot_be_used() {
    let op = plain().await;
    op.stand("jwks", Reply::json(404, &json!({})));
    let status = Fault::UnexpectedStatus { host: host(&op), status: 404 };
    failed(&examined(&op).await, Check::Jwks, status);

    op.stand("jwks", Reply::json(200, &json!({"keys": 1})));
    failed(&examined(&op).await, Check::Jwks, Fault::KeysMalformed);

    op.publish(&[json!({"kty": "oct", "k": "c2VjcmV0"})]);
    failed(&examined(&op).await, Check::Jwks, Fault::NoUsableKey);

    op.stand("jwks", Reply::Hang);
    let mut document = op.metadata();
    document["jwks_uri"] = json!("http://localhost:1/jwks");
    op.stand("metadata", Reply::json(200, &document));
    let findings = examined(&op).await;
    failed(&findings, Check::Jwks, Fault::NotConnected { host: "localhost:1".to_owned() });
    assert_eq!(not_reached(&findings), [Check::SigningAlgs], "whether CIBA is enabled is seen all the same");
}

#[tokio::test]
async fn algorithms_that_do_not_fit() {
    let op = plain().await;
    let findings =
        examined_with(&op, |_, registration| registration.id_token_algs = vec![IdTokenAlg::Es256]).await;
    failed(&findings, Check::SigningAlgs, Fault::NoKeyFor { algs: vec!["ES256"] });

    let mut document = op.metadata();
    document["id_token_signing_alg_values_supported"] = json!(["PS256"]);
    op.stand("metadata", Reply::json(200, &document));
    warned(&examined(&op).await, Check::SigningAlgs, Fault::AlgsNotAdvertised { algs: vec!["RS256"] });
}

#[tokio::test]
async fn rp_026_a_method_that_the_provider_does_not_name() {
    let op = plain().await;
    let mut document = op.metadata();
    document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
    op.stand("metadata", Reply::json(200, &document));
    let findings = examined(&op).await;
    let member = "token_endpoint_auth_methods_supported";
    failed(&findings, Check::Authentication, Fault::NotOffered { member, wanted: "client_secret_basic" });
    assert_eq!(not_reached(&findings), [Check::Ciba]);
    assert_eq!(op.count("backchannel"), 0, "nothing is sent in another way");
}

#[tokio::test]
async fn what_the_provider_says_to_a_request_without_hint() {
    let op = plain().await;
    let outcome = async |status: u16, body: &Value| {
        op.stand("backchannel", Reply::json(status, body));
        let findings = examined(&op).await;
        let ciba = findings.last().expect("findings");
        assert_eq!(ciba.check, Check::Ciba);
        ciba.outcome.clone()
    };
    let error = |code: &str| json!({ "error": code });
    let well = Outcome::Well(Proof::Plain);
    let failed = Outcome::Failed;
    let refused = |code| Fault::CredentialsRefused { code };

    assert_eq!(outcome(400, &error("invalid_request")).await, well);
    assert_eq!(outcome(400, &error("unknown_user_id")).await, well);
    let about_the_hint = json!({"error": "invalid_request", "error_description": "No Hint was given"});
    assert_eq!(outcome(400, &about_the_hint).await, well);
    let about_scope = json!({"error": "invalid_request", "error_description": "scope is needed"});
    let otherwise = Outcome::Warning(Fault::RefusedOtherwise { code: "invalid_request" });
    assert_eq!(outcome(400, &about_scope).await, otherwise);

    let of_another_grant = "urn:openid:params:grant-type:ciba is not allowed for this client";
    let refusal = json!({"error": "invalid_request", "error_description": of_another_grant});
    let not_enabled = failed(Fault::CibaNotEnabled { code: "invalid_request" });
    assert_eq!(outcome(400, &refusal).await, not_enabled);
    for code in ["invalid_grant", "unauthorized_client"] {
        assert_eq!(outcome(400, &error(code)).await, failed(Fault::CibaNotEnabled { code }));
    }
    assert_eq!(outcome(401, &error("invalid_client")).await, failed(refused("invalid_client")));
    let keycloak = outcome(401, &error("unauthorized_client")).await;
    assert_eq!(keycloak, failed(refused("unauthorized_client")));
    assert_eq!(outcome(401, &json!({})).await, failed(refused("none")));
    let scope = failed(Fault::RefusedOtherwise { code: "invalid_scope" });
    assert_eq!(outcome(400, &error("invalid_scope")).await, scope);
    let unknown = failed(Fault::RefusedOtherwise { code: "other" });
    assert_eq!(outcome(400, &error("899700000001 is nobody")).await, unknown, "no free text is shown");
    let status = |status| failed(Fault::UnexpectedStatus { host: host(&op), status });
    assert_eq!(outcome(404, &json!({})).await, status(404));
    assert_eq!(outcome(302, &json!({})).await, status(302));
    let accepted = json!({"auth_req_id": "x", "expires_in": 120});
    assert_eq!(outcome(200, &accepted).await, failed(Fault::AcceptedWithoutHint));
}
