//! The simulated downstream API: which tokens count there, over which connection, and what it says.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab, certificate};
use crate::simulator::jose::base64url;

impl Lab {
    /// A token that was exchanged with this `cnf`, and the one that it was exchanged for.
    async fn token_for_target(&self, cnf: Option<&str>) -> (String, String) {
        let tokens = self.tokens(DOCTOR, Value::Null).await;
        let subject = tokens["access_token"].as_str().expect("a token").to_owned();
        let mut pairs = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_id", "relais-demo"),
            ("subject_token", subject.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        let cnf = cnf.map(|thumbprint| json!({ "x5t#S256": thumbprint }).to_string());
        pairs.extend(cnf.as_deref().map(|cnf| ("cnf", cnf)));
        let path = format!("{}/as/token", self.simulator.inner.path);
        let answer = self.send(self.form(&path, &[], &pairs)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        (answer.json()["access_token"].as_str().expect("a token").to_owned(), subject)
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: &'static str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("x-custom", "1")];
        self.send(self.request(method, path, &headers, Body::from(body))).await
    }

    /// What a refusal says.
    async fn refusal(&self, token: &str) -> String {
        let answer = self.call(token, Method::GET, "/target/x", "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        answer.headers[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned()
    }
}

#[tokio::test]
async fn it_says_what_it_was_asked_and_keeps_the_token_to_itself() {
    let lab = Lab::new();
    let (token, _) = lab.token_for_target(None).await;
    let told = lab.call(&token, Method::PUT, "/target/a%20b/c?d=e%2F", "hello").await.json();
    assert_eq!((&told["method"], &told["path"]), (&json!("PUT"), &json!("/target/a%20b/c")));
    assert_eq!(told["query"], "d=e%2F");
    assert_eq!(told["headers"]["x-custom"], json!(["1"]));
    assert_eq!(told["headers"]["authorization"], json!(["Bearer …"]));
    assert_eq!(told["body"]["bytes"], 5);
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(told["body"]["sha256"], sha256);
    assert_eq!(told["token"]["preferred_username"], DOCTOR);
    for path in ["/target", "/target/"] {
        assert_eq!(lab.call(&token, Method::GET, path, "").await.json()["path"], path);
    }
    let bytes = lab.call(&token, Method::GET, "/target/_bytes/100001", "").await;
    assert_eq!(
        (bytes.body.len(), &bytes.headers[header::CONTENT_LENGTH]),
        (100_001, &"100001".parse().expect("a value"))
    );
}

#[tokio::test]
async fn only_an_exchanged_token_counts_and_only_while_it_lives() {
    let lab = Lab::new();
    let (token, subject) = lab.token_for_target(None).await;
    let without = lab.send(lab.request(Method::GET, "/target/x", &[], Body::empty())).await;
    assert_eq!(without.status, StatusCode::UNAUTHORIZED);
    for other in [subject.as_str(), "nonsense", &format!("{token}x")] {
        assert!(lab.refusal(other).await.contains("does not count"), "{other}");
    }
    assert_eq!(lab.call(&token, Method::GET, "/target/x", "").await.status, StatusCode::OK);
    lab.advance(301_000);
    assert!(lab.refusal(&token).await.contains("does not count"));
}

#[tokio::test]
async fn a_bound_token_counts_over_its_certificate_only_in_both_encodings() {
    let mut lab = Lab::new();
    let own = lab.certificate.clone().expect("a certificate");
    let in_hex = own.thumbprint.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    for thumbprint in [base64url(&own.thumbprint), STANDARD.encode(in_hex)] {
        let (token, _) = lab.token_for_target(Some(&thumbprint)).await;
        assert_eq!(lab.call(&token, Method::GET, "/target/x", "").await.status, StatusCode::OK);
        lab.certificate = Some(certificate("relais-demo"));
        assert!(lab.refusal(&token).await.contains("another certificate"), "{thumbprint}");
        lab.certificate = None;
        assert!(lab.refusal(&token).await.contains("there is none"), "{thumbprint}");
        lab.certificate = Some(own.clone());
    }
}

#[tokio::test]
async fn it_misbehaves_on_demand_and_is_counted() {
    let lab = Lab::new();
    let (token, _) = lab.token_for_target(None).await;
    lab.fault(json!({ "endpoint": "target", "status": 418, "body": "short" })).await;
    lab.fault(json!({ "endpoint": "target", "headers": { "x-more": "1" } })).await;
    let replaced = lab.call(&token, Method::GET, "/target/x", "").await;
    assert_eq!((replaced.status.as_u16(), replaced.text()), (418, "short".to_owned()));
    let more = lab.call(&token, Method::GET, "/target/x", "").await;
    assert_eq!(
        (&more.headers["x-more"], more.json()["method"].clone()),
        (&"1".parse().expect("a value"), json!("GET"))
    );
    lab.refusal("nonsense").await;
    lab.call(&token, Method::GET, "/target/x", "").await;
    assert_eq!(lab.stats().await["calls"]["target"], json!({ "fault": 2, "invalid_token": 1, "ok": 1 }));
}
