//! The token endpoint of a target's authorization server: who may come, with which token, and what is given out.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, DOCTOR, ISSUER, Lab, certificate, claims};
use crate::simulator::jose::base64url;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

impl Lab {
    async fn access_token(&self) -> String {
        self.tokens(DOCTOR, Value::Null).await["access_token"].as_str().expect("a token").to_owned()
    }

    /// A request for this token. A pair without value takes a parameter away.
    async fn exchange(&self, subject_token: &str, pairs: &[(&str, &str)]) -> Answer {
        let usual = [
            ("grant_type", GRANT),
            ("client_id", "relais-demo"),
            ("subject_token", subject_token),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        let replaced = |name: &str| pairs.iter().any(|(other, _)| *other == name);
        let kept = usual.into_iter().filter(|(name, _)| !replaced(name));
        let all: Vec<_> = kept.chain(pairs.iter().copied()).filter(|(_, value)| !value.is_empty()).collect();
        let path = format!("{}/as/token", self.simulator.inner.path);
        self.send(self.form(&path, &[], &all)).await
    }

    async fn refuses_exchange(&self, subject_token: &str, pairs: &[(&str, &str)]) -> String {
        let (status, error, _) = self.exchange(subject_token, pairs).await.error();
        assert!((400..500).contains(&status));
        error
    }

    fn thumbprint(&self) -> [u8; 32] {
        self.certificate.as_ref().expect("a certificate").thumbprint
    }
}

/// As the CI-SIS guide shows it.
fn in_hex(thumbprint: [u8; 32]) -> String {
    STANDARD.encode(thumbprint.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[tokio::test]
async fn a_token_is_about_the_person_and_for_the_target() {
    let lab = Lab::new();
    let token = lab.access_token().await;
    let answer = lab.exchange(&token, &[("audience", "dmp"), ("scope", "dmp.read dmp.write")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.error());
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let body = answer.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(body["scope"], "dmp.read dmp.write");
    let said = claims(&body["access_token"]);
    assert_eq!((&said["aud"], &said["scope"]), (&json!("dmp"), &json!("dmp.read dmp.write")));
    assert_eq!(said["iss"], format!("{ISSUER}/as"));
    assert_eq!((&said["SubjectNameID"], &said["azp"]), (&json!(DOCTOR), &json!("relais-demo")));
    assert_eq!(said["exp"].as_i64(), said["iat"].as_i64().map(|iat| iat + 300));
    assert!(said.get("cnf").is_none() && said.get("act").is_none());
    // It is for the target, not for the provider, and nothing to exchange once more.
    let exchanged = body["access_token"].as_str().expect("a token");
    assert_eq!(lab.userinfo(exchanged).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(lab.refuses_exchange(exchanged, &[]).await, "invalid_request");
    let resource =
        lab.exchange(&token, &[("resource", "https://api.example/"), ("subject_token_type", JWT)]).await;
    assert_eq!(claims(&resource.json()["access_token"])["aud"], "https://api.example/");
    assert_eq!(lab.stats().await["calls"]["exchange"], json!({ "ok": 2, "invalid_request": 1 }));
}

#[tokio::test]
async fn a_token_is_bound_in_the_encoding_of_the_request() {
    let lab = Lab::new();
    let token = lab.access_token().await;
    for text in [base64url(&lab.thumbprint()), in_hex(lab.thumbprint())] {
        let cnf = json!({ "x5t#S256": text }).to_string();
        let answer = lab.exchange(&token, &[("cnf", &cnf)]).await;
        assert_eq!(claims(&answer.json()["access_token"])["cnf"], json!({ "x5t#S256": text }));
    }
    let foreign = certificate("somebody-else").thumbprint;
    for text in [base64url(&foreign), in_hex(foreign), "x".to_owned()] {
        let cnf = json!({ "x5t#S256": text }).to_string();
        assert_eq!(lab.refuses_exchange(&token, &[("cnf", &cnf)]).await, "invalid_request");
    }
    for cnf in ["no JSON", "{}", "[]", r#"{"x5t#S256":1}"#] {
        assert_eq!(lab.refuses_exchange(&token, &[("cnf", cnf)]).await, "invalid_request");
    }
}

#[tokio::test]
async fn only_the_client_comes_with_a_token_that_is_alive_and_its_own() {
    let mut lab = Lab::new();
    let token = lab.access_token().await;
    for (expected, pairs) in [
        ("invalid_request", vec![("grant_type", "")]),
        ("unsupported_grant_type", vec![("grant_type", "refresh_token")]),
        ("invalid_request", vec![("subject_token", "")]),
        ("invalid_request", vec![("subject_token", "garbage")]),
        ("invalid_request", vec![("subject_token_type", "")]),
        ("invalid_request", vec![("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")]),
        ("invalid_request", vec![("audience", "a"), ("audience", "b")]),
        ("invalid_scope", vec![("scope", "a\"b")]),
        ("invalid_target", vec![("resource", "https://api.example/#part")]),
        ("invalid_target", vec![("resource", "relative")]),
        ("invalid_client", vec![("client_id", "somebody-else")]),
        ("invalid_request", vec![("actor_token", "a.b.c")]),
        ("invalid_request", vec![("actor_token_type", JWT)]),
        ("invalid_request", vec![("actor_token", "a.b.c"), ("actor_token_type", JWT)]),
    ] {
        assert_eq!(lab.refuses_exchange(&token, &pairs).await, expected, "{pairs:?}");
    }
    let known = lab.certificate.replace(certificate("relais-demo"));
    assert_eq!(lab.refuses_exchange(&token, &[]).await, "invalid_request", "another certificate");
    lab.certificate = Some(certificate("somebody-else"));
    assert_eq!(lab.refuses_exchange(&token, &[]).await, "unauthorized_client", "another client");
    lab.certificate = known;
    lab.advance(119_000);
    assert_eq!(lab.exchange(&token, &[]).await.status, StatusCode::OK);
    lab.advance(1_000);
    assert_eq!(lab.refuses_exchange(&token, &[]).await, "invalid_request", "it is over");
}

#[tokio::test]
async fn faults_hit_the_exchange_and_nothing_else() {
    let lab = Lab::new();
    let token = lab.access_token().await;
    lab.fault(json!({ "endpoint": "exchange", "status": 400, "body": { "error": "invalid_target" } })).await;
    assert_eq!(lab.userinfo(&token).await.status, StatusCode::OK);
    assert_eq!(lab.refuses_exchange(&token, &[]).await, "invalid_target");
    assert_eq!(lab.exchange(&token, &[]).await.status, StatusCode::OK);
    assert_eq!(lab.stats().await["calls"]["exchange"], json!({ "fault": 1, "ok": 1 }));
}
