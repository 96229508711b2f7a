//! Rows 60–79: what an ID token must be. Every refusal ends the login, and nothing more is asked.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use relais::domain::time::Timestamp;
use relais::provider::IdTokenAlg;
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{APPROVED, AUTH_REQ_ID, CLIENT_ID, HINT, Setup, TOKEN_INVALID, token_answer, without};
use super::signing::{ec, ed, rsa_1, rsa_2, sign_hs256, unsigned};

#[tokio::test]
async fn rp_060_a_valid_answer_gives_tokens_and_claims() {
    let setup = Setup::new().await;
    let approved = setup.approved().await;
    let now = setup.now();
    assert_eq!(approved.tokens.access_token.expose(), super::setup::ACCESS_TOKEN);
    assert_eq!(approved.tokens.access_expires_at.map(Timestamp::as_secs), Some(now + 120));
    assert_eq!(approved.tokens.refresh_expires_at.map(Timestamp::as_secs), Some(now + 1800));
    let claims = &approved.claims;
    assert_eq!(claims.subject.iss, setup.op.base);
    assert_eq!(claims.subject.sub, "f:op:1");
    assert_eq!(claims.subject.national_id.as_deref(), Some(HINT));
    assert!(!claims.subject.complete);
    assert_eq!(claims.acr.as_deref(), Some("eidas1"));
    assert_eq!(claims.authenticated_by.as_deref(), Some("MOBILE"));
    assert_eq!(claims.sid.as_deref(), Some("sid-1"));
    assert_eq!(claims.scope, ["openid", "scope_all"]);
}

#[tokio::test]
async fn rp_060_claims_that_only_inform_may_be_of_any_type() {
    let setup = Setup::new().await;
    for (name, odd) in [
        ("amr", json!("pwd")),
        ("email_verified", json!("true")),
        ("address", json!("1 rue de la Paix")),
        ("updated_at", json!("yesterday")),
        ("nonce", json!(7)),
        ("c_hash", json!([])),
        ("locale", json!({})),
        ("given_name", json!(["Ada"])),
        ("jti", json!(1)),
    ] {
        let outcome = setup.outcome_of_claims(|claims| claims[name] = odd).await;
        assert_eq!(outcome, APPROVED, "{name}");
    }
}

#[tokio::test]
async fn rp_061_missing_scope_and_lives_are_no_fault() {
    let setup = Setup::new().await;
    let mut answer = token_answer(&rsa_1().sign(&setup.claims()));
    for name in ["scope", "expires_in", "refresh_expires_in", "refresh_token"] {
        without(&mut answer, name);
    }
    setup.op.next("token", Reply::json(200, &answer));
    let approved = setup.approved().await;
    assert_eq!(approved.claims.scope, ["openid", "scope_all"], "as requested");
    assert!(approved.tokens.access_expires_at.is_none());
}

#[tokio::test]
async fn rp_062_063_what_is_no_token_answer_ends_the_login() {
    let setup = Setup::new().await;
    for (name, value) in
        [("token_type", json!("mac")), ("id_token", json!(null)), ("access_token", json!(""))]
    {
        let mut answer = token_answer(&rsa_1().sign(&setup.claims()));
        answer[name] = value;
        setup.op.next("token", Reply::json(200, &answer));
        assert_eq!(setup.outcome().await, "failed provider_invalid_answer", "{name}");
    }
    let answer = token_answer(&rsa_1().sign(&setup.claims())).to_string();
    let twice = answer.replacen('{', r#"{"token_type":"Bearer","#, 1);
    setup.op.next("token", Reply::raw(200, "application/json", twice));
    assert_eq!(setup.outcome().await, "failed provider_invalid_answer", "a member twice");
    let deep = answer.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(40), "]".repeat(40)), 1);
    setup.op.next("token", Reply::raw(200, "application/json", deep));
    assert_eq!(setup.outcome().await, "failed provider_invalid_answer", "nested too deeply");
}

#[tokio::test]
async fn rp_064_wrong_issuer_is_refused() {
    let setup = Setup::new().await;
    for wrong in
        [json!(format!("{}1", setup.op.base)), json!(format!("{}/", setup.op.base)), json!(1), json!("")]
    {
        assert_eq!(setup.outcome_of_claims(|claims| claims["iss"] = wrong).await, TOKEN_INVALID);
    }
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "iss")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_065_the_audience_is_us_and_only_us() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome_of_claims(|claims| claims["aud"] = json!([CLIENT_ID])).await, APPROVED);
    for wrong in [json!("other"), json!([CLIENT_ID, "other"]), json!([]), json!(null), json!([[CLIENT_ID]])] {
        let outcome = setup.outcome_of_claims(|claims| claims["aud"] = wrong.clone()).await;
        assert_eq!(outcome, TOKEN_INVALID, "{wrong}");
    }
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "aud")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_066_another_authorized_party_is_refused() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome_of_claims(|claims| claims["azp"] = json!("other")).await, TOKEN_INVALID);
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "azp")).await, APPROVED);
}

#[tokio::test]
async fn rp_067_a_bad_signature_is_refused() {
    let setup = Setup::with(|_, registration| {
        registration.id_token_algs =
            vec![IdTokenAlg::Rs256, IdTokenAlg::Ps256, IdTokenAlg::Es256, IdTokenAlg::EdDsa];
    })
    .await;
    // The named key publishes no algorithm, so that it may sign by either.
    let mut either = rsa_1().jwk();
    without(&mut either, "alg");
    setup.op.publish(&[either, ec().jwk(), ed().jwk()]);
    for key in [rsa_1(), rsa_1().with_alg(Algorithm::PS256), ec(), ed()] {
        assert_eq!(setup.outcome_of_claims_by(&key, |_| {}).await, APPROVED, "{:?}", key.alg);
        let good = key.sign(&setup.claims());
        let mut other = setup.claims();
        other["jti"] = json!("other");
        let stolen = key.sign(&other);
        let (message, _) = good.rsplit_once('.').expect("three parts");
        let (_, signature) = stolen.rsplit_once('.').expect("three parts");
        assert_eq!(setup.outcome_of_token(&format!("{message}.{signature}")).await, TOKEN_INVALID);
        assert_eq!(setup.outcome_of_token(&format!("{message}.")).await, TOKEN_INVALID);
    }
    // Another key under a known name.
    let forged = rsa_2().sign_text(&rsa_1().header(), &setup.claims().to_string());
    assert_eq!(setup.outcome_of_token(&forged).await, TOKEN_INVALID);
    assert_eq!(setup.op.count("jwks"), 1, "a forged signature causes no fetch");
}

#[tokio::test]
async fn rp_068_only_the_pinned_algorithm_counts() {
    let setup = Setup::new().await;
    let claims = setup.claims();
    let none = format!("{}.", unsigned(&json!({"alg": "none"}), &claims.to_string()));
    assert_eq!(setup.outcome_of_token(&none).await, TOKEN_INVALID);
    let ps256 = rsa_1().with_alg(Algorithm::PS256).sign(&claims);
    assert_eq!(setup.outcome_of_token(&ps256).await, TOKEN_INVALID, "another algorithm of the same key");
    let public_key = rsa_1().jwk()["n"].as_str().expect("a modulus").to_owned();
    for secret in [b"client-secret-canary".to_vec(), public_key.clone().into_bytes(), {
        URL_SAFE_NO_PAD.decode(&public_key).expect("base64")
    }] {
        assert_eq!(setup.outcome_of_token(&sign_hs256(&claims, &secret)).await, TOKEN_INVALID);
    }
}

#[tokio::test]
async fn rp_068_a_key_that_could_sign_by_the_pinned_algorithm_signs_by_no_other() {
    let setup = Setup::with(|_, registration| registration.id_token_algs = vec![IdTokenAlg::Ps256]).await;
    let mut either = rsa_1().jwk();
    without(&mut either, "alg");
    setup.op.publish(&[either]);
    assert_eq!(setup.outcome_of_claims_by(&rsa_1(), |_| {}).await, TOKEN_INVALID, "RS256");
    let ps256 = rsa_1().with_alg(Algorithm::PS256);
    assert_eq!(setup.outcome_of_claims_by(&ps256, |_| {}).await, APPROVED);
    // A header that names the right algorithm above a signature by another.
    let mislabelled = rsa_1().sign_text(&ps256.header(), &setup.claims().to_string());
    assert_eq!(setup.outcome_of_token(&mislabelled).await, TOKEN_INVALID);
}

#[tokio::test]
async fn r_c_03_headers_that_bring_a_key_are_refused() {
    let setup = Setup::new().await;
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("jwk", rsa_2().jwk()),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("typ", json!("logout+jwt")),
    ] {
        let mut header = rsa_1().header();
        header[name] = value;
        let token = rsa_1().sign_text(&header, &setup.claims().to_string());
        assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID, "{name}");
    }
}

#[tokio::test]
async fn rp_069_expiry_is_required_and_has_thirty_seconds_of_leeway() {
    let setup = Setup::new().await;
    let now = setup.now();
    for (exp, expected) in [
        (json!(now - 29), APPROVED),
        (json!(now - 31), TOKEN_INVALID),
        (json!(now - 360), TOKEN_INVALID),
        (json!((now + 120).to_string()), TOKEN_INVALID),
        (json!(-1), TOKEN_INVALID),
        (json!(u64::MAX), TOKEN_INVALID),
        (json!(1e300), TOKEN_INVALID),
        (json!(null), TOKEN_INVALID),
    ] {
        assert_eq!(setup.outcome_of_claims(|claims| claims["exp"] = exp.clone()).await, expected, "{exp}");
    }
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "exp")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_070_issue_time_is_required_and_within_the_window() {
    let setup = Setup::new().await;
    let now = setup.now();
    let oldest = now - 120 - 300;
    for (iat, expected) in [
        (json!(oldest + 1), APPROVED),
        (json!(oldest - 1), TOKEN_INVALID),
        (json!(now - 7 * 86400), TOKEN_INVALID),
        (json!(now + 59), APPROVED),
        (json!(now + 62), TOKEN_INVALID),
        (json!(now.to_string()), TOKEN_INVALID),
    ] {
        assert_eq!(setup.outcome_of_claims(|claims| claims["iat"] = iat.clone()).await, expected, "{iat}");
    }
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "iat")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_071_not_before_counts() {
    let setup = Setup::new().await;
    let now = setup.now();
    assert_eq!(setup.outcome_of_claims(|claims| claims["nbf"] = json!(now + 29)).await, APPROVED);
    assert_eq!(setup.outcome_of_claims(|claims| claims["nbf"] = json!(now + 32)).await, TOKEN_INVALID);
    assert_eq!(setup.outcome_of_claims(|claims| claims["nbf"] = json!("0")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_072_a_subject_is_required() {
    let setup = Setup::new().await;
    for bad in [json!(""), json!(null), json!(7), json!("x".repeat(256)), json!("é")] {
        assert_eq!(setup.outcome_of_claims(|claims| claims["sub"] = bad).await, TOKEN_INVALID);
    }
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "sub")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn rp_073_at_hash_is_the_access_tokens_where_it_is_there() {
    let setup = Setup::new().await;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, super::setup::ACCESS_TOKEN.as_bytes());
    let right = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]);
    assert_eq!(setup.outcome_of_claims(|claims| claims["at_hash"] = json!(right)).await, APPROVED);
    for wrong in [json!("Wt0kVFXMacqvnHeyU0001w"), json!(""), json!(1)] {
        assert_eq!(setup.outcome_of_claims(|claims| claims["at_hash"] = wrong).await, TOKEN_INVALID);
    }
}

#[tokio::test]
async fn rp_074_another_level_than_asked_for_is_refused() {
    let setup = Setup::new().await;
    let insufficient = "failed acr_insufficient";
    assert_eq!(setup.outcome_of_claims(|claims| claims["acr"] = json!("0")).await, insufficient);
    assert_eq!(setup.outcome_of_claims(|claims| without(claims, "acr")).await, insufficient);
}

#[tokio::test]
async fn rp_075_the_time_of_authentication_may_be_old_but_not_to_come() {
    let setup = Setup::new().await;
    let now = setup.now();
    let old = setup.outcome_of_claims(|claims| claims["auth_time"] = json!(now - 14_000)).await;
    assert_eq!(old, APPROVED, "single sign-on");
    for bad in [json!(now + 100), json!("now"), json!(-5)] {
        assert_eq!(setup.outcome_of_claims(|claims| claims["auth_time"] = bad).await, TOKEN_INVALID);
    }
}

#[tokio::test]
async fn rp_075_a_registration_may_say_how_old_an_authentication_may_be() {
    let setup = Setup::with(|_, registration| {
        registration.registration.max_age = Some(Duration::from_secs(3600));
    })
    .await;
    let now = setup.now();
    for (auth_time, expected) in [
        (now, APPROVED),
        (now - 3600 - 29, APPROVED),
        (now - 3600 - 31, TOKEN_INVALID),
        (now - 14_000, TOKEN_INVALID),
        (now + 100, TOKEN_INVALID),
    ] {
        let outcome = setup.outcome_of_claims(|claims| claims["auth_time"] = json!(auth_time)).await;
        assert_eq!(outcome, expected, "{} s ago", now - auth_time);
    }
    let silent = setup.outcome_of_claims(|claims| without(claims, "auth_time")).await;
    assert_eq!(silent, TOKEN_INVALID, "nobody says how old it is");
}

#[tokio::test]
async fn rp_078_a_token_without_the_claims_that_name_the_person_is_refused() {
    let setup = Setup::new().await;
    for absent in [None, Some(json!(null)), Some(json!(""))] {
        let outcome = setup
            .outcome_of_claims(|claims| {
                for name in ["SubjectNameID", "preferred_username"] {
                    match &absent {
                        None => without(claims, name),
                        Some(value) => claims[name] = value.clone(),
                    }
                }
            })
            .await;
        assert_eq!(outcome, "failed identity_mismatch", "{absent:?}");
    }
    for odd in [json!(899_700_000_001_i64), json!([HINT]), json!({ "value": HINT })] {
        let outcome = setup.outcome_of_claims(|claims| claims["SubjectNameID"] = odd.clone()).await;
        assert_eq!(outcome, "failed identity_mismatch", "{odd}");
    }
}

#[tokio::test]
async fn rp_076_another_person_is_refused() {
    let setup = Setup::new().await;
    let mismatch = "failed identity_mismatch";
    assert_eq!(
        setup.outcome_of_claims(|claims| claims["SubjectNameID"] = json!("899700000002")).await,
        mismatch
    );
    let fallback = setup
        .outcome_of_claims(|claims| {
            without(claims, "SubjectNameID");
            claims["preferred_username"] = json!("899700000002");
        })
        .await;
    assert_eq!(fallback, mismatch);
    assert_eq!(setup.outcome_of_claims(|claims| claims["SubjectNameID"] = json!("")).await, APPROVED);
}

#[tokio::test]
async fn rp_077_the_token_of_another_request_is_refused() {
    let setup = Setup::new().await;
    let name = "urn:openid:params:jwt:claim:auth_req_id";
    assert_eq!(setup.outcome_of_claims(|claims| claims[name] = json!(AUTH_REQ_ID)).await, APPROVED);
    for wrong in [json!("other"), json!(null), json!("")] {
        assert_eq!(setup.outcome_of_claims(|claims| claims[name] = wrong).await, TOKEN_INVALID);
    }
}

#[tokio::test]
async fn rp_079_nothing_is_asked_after_a_refusal() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome_of_claims(|claims| claims["iss"] = json!("x")).await, TOKEN_INVALID);
    assert_eq!(setup.op.count("token"), 1);
    assert_eq!(setup.op.count("userinfo") + setup.op.count("revocation"), 0);
}

#[tokio::test]
async fn a_claim_that_stands_there_twice_is_refused() {
    let setup = Setup::new().await;
    let payload = setup.claims().to_string().replacen('{', r#"{"sub":"somebody else","#, 1);
    let token = rsa_1().sign_text(&rsa_1().header(), &payload);
    assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID);
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_panic() {
    let setup = Setup::new().await;
    let long = format!("{}.x.y", "a".repeat(33 * 1024));
    for bad in ["x", "a.b", "a.b.c", "..", "{}", "eyJhbGciOiJSUzI1NiJ9..", "é.é.é"] {
        assert_eq!(setup.outcome_of_token(bad).await, TOKEN_INVALID, "{bad}");
    }
    assert_eq!(setup.outcome_of_token(&long).await, "failed provider_invalid_answer");
    let odd = [Value::Null, json!([]), json!("x")];
    for payload in odd {
        let token = rsa_1().sign_text(&rsa_1().header(), &payload.to_string());
        assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID, "{payload}");
    }
}
