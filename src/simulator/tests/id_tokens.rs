//! ID tokens, true and altered, as a verifier sees them through the published keys.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use super::{BASE, DOCTOR, EPOCH, ISSUER, Lab, claims, jose_header};
use crate::simulator::jose::{base64url, sha256};

async fn keys(lab: &Lab) -> JwkSet {
    serde_json::from_value(lab.get(&format!("{BASE}/certs")).await.json()).expect("a key set")
}

/// The claims, if the token is signed by the published key of its `kid` with `algorithm`.
async fn verified(lab: &Lab, token: &Value, algorithm: Algorithm) -> Option<Value> {
    let keys = keys(lab).await;
    let key = keys.find(jose_header(token)["kid"].as_str()?)?;
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(&["relais-demo"]);
    let key = DecodingKey::from_jwk(key).expect("a key");
    decode::<Value>(token.as_str()?, &key, &validation).ok().map(|data| data.claims)
}

async fn altered(lab: &Lab, members: Value) -> Value {
    lab.fault(json!({ "endpoint": "token", "token": members })).await;
    lab.tokens(DOCTOR, Value::Null).await["id_token"].clone()
}

#[tokio::test]
async fn the_claims_are_those_of_2026() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    let id = verified(&lab, &tokens["id_token"], Algorithm::RS256).await.expect("a true signature");
    assert_eq!(jose_header(&tokens["id_token"])["alg"], "RS256");
    assert_eq!(id["iss"], ISSUER);
    assert_eq!(id["aud"], "relais-demo");
    assert_eq!(id["azp"], "relais-demo");
    assert_eq!(id["iat"], json!(EPOCH));
    assert_eq!(id["auth_time"], json!(EPOCH));
    assert_eq!(id["exp"], json!(EPOCH + 120));
    assert_eq!(id["SubjectNameID"], DOCTOR);
    assert_eq!(id["preferred_username"], DOCTOR);
    assert_eq!(id["PSISubjectNameID"], "");
    assert_eq!(id["otherIds"], json!([{ "identifiant": DOCTOR, "origine": "RPPS", "qualite": 1 }]));
    assert_eq!(id["acr"], "eidas1");
    assert_eq!(id["authMode"], "CARD");
    assert_eq!(id["typ"], "ID");
    assert_eq!(id["sid"], tokens["session_state"]);
    assert!(id.get("nonce").is_none());
    let access = tokens["access_token"].as_str().expect("a token");
    assert_eq!(id["at_hash"], base64url(&sha256(access.as_bytes())[..16]));
    let sub = uuid::Uuid::parse_str(id["sub"].as_str().expect("a text")).expect("a UUID");
    assert!(!sub.to_string().contains(DOCTOR));
}

#[tokio::test]
async fn sub_belongs_to_the_person_and_everything_else_to_the_login() {
    let lab = Lab::new();
    let (first, second) = (lab.tokens(DOCTOR, Value::Null).await, lab.tokens(DOCTOR, Value::Null).await);
    let other = lab.tokens("899700000002", Value::Null).await;
    let (first, second) = (claims(&first["id_token"]), claims(&second["id_token"]));
    assert_eq!(first["sub"], second["sub"]);
    assert_ne!(first["sub"], claims(&other["id_token"])["sub"]);
    assert_ne!(first["jti"], second["jti"]);
    assert_ne!(first["sid"], second["sid"]);
}

#[tokio::test]
async fn an_approval_may_say_who_and_how() {
    let lab = Lab::new();
    let said = json!({ "as": "899700000002", "acr": "eidas3", "amr": ["pwd"] });
    let tokens = lab.tokens(DOCTOR, said).await;
    let id = claims(&tokens["id_token"]);
    assert_eq!(id["SubjectNameID"], "899700000002");
    assert_eq!(id["acr"], "eidas3");
    assert_eq!(id["amr"], json!(["pwd"]));
    let info = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await.json();
    assert_eq!(info["SubjectNameID"], "899700000002");
    assert_eq!(info["sub"], id["sub"]);
}

#[tokio::test]
async fn the_access_token_is_bound_and_the_refresh_token_is_nobody_s_business() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    let access = claims(&tokens["access_token"]);
    let certificate = lab.certificate.as_ref().expect("a certificate");
    assert_eq!(access["cnf"], json!({ "x5t#S256": base64url(&certificate.thumbprint) }));
    assert_eq!(access["typ"], "Bearer");
    assert_eq!(access["scope"], "openid scope_all");
    assert!(access["jti"].as_str().is_some_and(|jti| jti.starts_with("onrtci:")));
    assert_eq!(jose_header(&tokens["refresh_token"])["alg"], "HS512");
    assert_eq!(claims(&tokens["refresh_token"])["exp"], json!(EPOCH + 1800));
}

#[tokio::test]
async fn claims_can_be_altered_and_removed_below_a_true_signature() {
    let lab = Lab::new();
    let token = altered(&lab, json!({ "aud": ["x", "relais-demo"], "acr": "eidas0", "azp": null })).await;
    let id = verified(&lab, &token, Algorithm::RS256).await.expect("a true signature");
    assert_eq!(id["aud"], json!(["x", "relais-demo"]));
    assert_eq!(id["acr"], "eidas0");
    assert!(id.get("azp").is_none());
    assert_eq!(id["SubjectNameID"], DOCTOR, "the rest is as ever");
}

#[tokio::test]
async fn header_members_can_be_altered_and_removed() {
    let lab = Lab::new();
    let token = altered(&lab, json!({ "kid": "other", "typ": null })).await;
    assert_eq!(jose_header(&token), json!({ "alg": "RS256", "kid": "other" }));
    assert_eq!(claims(&token)["typ"], "ID");
}

#[tokio::test]
async fn an_algorithm_that_was_asked_for_is_truly_used() {
    let lab = Lab::new();
    for (name, algorithm) in
        [("RS512", Algorithm::RS512), ("PS256", Algorithm::PS256), ("RS384", Algorithm::RS384)]
    {
        let token = altered(&lab, json!({ "alg": name })).await;
        assert_eq!(jose_header(&token)["alg"], name);
        assert!(verified(&lab, &token, algorithm).await.is_some(), "{name}");
    }
    let unsigned = altered(&lab, json!({ "alg": "none" })).await;
    assert!(unsigned.as_str().is_some_and(|token| token.ends_with('.')));
    let by_secret = altered(&lab, json!({ "alg": "HS256" })).await;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.set_audience(&["relais-demo"]);
    let secret = DecodingKey::from_secret(b"relais-demo-secret");
    assert!(decode::<Value>(by_secret.as_str().expect("a token"), &secret, &validation).is_ok());
}

#[tokio::test]
async fn signatures_can_be_false_in_three_ways() {
    let lab = Lab::new();
    for signature in ["bad", "foreign_key"] {
        let token = altered(&lab, json!({ "signature": signature })).await;
        assert!(verified(&lab, &token, Algorithm::RS256).await.is_none(), "{signature}");
        let header = jose_header(&token);
        assert_eq!(header["alg"], "RS256");
        assert!(keys(&lab).await.find(header["kid"].as_str().expect("a kid")).is_some());
    }
    let confused = altered(&lab, json!({ "signature": "public_key_hmac" })).await;
    assert_eq!(jose_header(&confused)["alg"], "HS256");
    let pem = lab.simulator.inner.signing_key.public_pem();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.set_audience(&["relais-demo"]);
    let secret = DecodingKey::from_secret(pem.as_bytes());
    assert!(decode::<Value>(confused.as_str().expect("a token"), &secret, &validation).is_ok());
    assert!(DecodingKey::from_rsa_pem(pem.as_bytes()).is_ok(), "the text is a PEM of the key");
}

#[tokio::test]
async fn an_alteration_waits_for_a_token_and_hits_no_more_than_ordered() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "token", "after": 1, "count": 2, "token": { "acr": "x" } })).await;
    let id = lab.start(DOCTOR).await;
    lab.poll(&id).await;
    let mut acrs = Vec::new();
    for _ in 0..4 {
        let tokens = lab.tokens(DOCTOR, Value::Null).await;
        acrs.push(claims(&tokens["id_token"])["acr"].as_str().expect("a text").to_owned());
    }
    assert_eq!(acrs, ["eidas1", "x", "x", "eidas1"]);
}
