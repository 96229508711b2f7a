//! Rows 105 and 107: whose signature a logout token must carry, and what somebody who makes tokens up costs.

use std::time::Duration;

use relais::domain::secret::Secret;
use relais::engine::ports::{LogoutVerdict, Providers};
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{APPROVED, CLIENT_ID, Setup};
use super::signing::{ec, rsa_1, rsa_2, sign_hs256, unsigned};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn left(setup: &Setup) -> Value {
    let now = setup.now();
    json!({
        "iss": setup.op.base, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": "one", "sid": "sid-1",
        "events": { EVENT: {} },
    })
}

async fn verdict(setup: &Setup, token: &str) -> &'static str {
    match setup.clients.judge_logout(&setup.registration, &Secret::new(token)).await {
        LogoutVerdict::Valid(told) => {
            assert_eq!((told.jti.as_str(), told.sid.as_deref(), told.sub), ("one", Some("sid-1"), None));
            assert_eq!(told.until.as_secs(), setup.now() + 150);
            "valid"
        }
        LogoutVerdict::Refused => "refused",
        LogoutVerdict::NotNow => "not now",
    }
}

#[tokio::test]
async fn rp_105_a_token_counts_by_its_signature_whichever_of_its_types_it_names() {
    let setup = Setup::new().await;
    assert_eq!(verdict(&setup, &rsa_1().sign(&left(&setup))).await, "valid");
    for typ in [json!("logout+jwt"), json!("application/logout+jwt"), json!("LOGOUT+JWT"), Value::Null] {
        let mut header = rsa_1().header();
        if typ.is_null() {
            super::setup::without(&mut header, "typ");
        } else {
            header["typ"] = typ.clone();
        }
        let token = rsa_1().sign_text(&header, &left(&setup).to_string());
        assert_eq!(verdict(&setup, &token).await, "valid", "{typ}");
    }
}

#[tokio::test]
async fn rp_107_a_token_of_another_key_algorithm_or_type_is_refused() {
    let setup = Setup::new().await;
    let claims = left(&setup);
    let mut forged = rsa_2().header();
    forged["kid"] = json!("rsa-1");
    let mut typed = rsa_1().header();
    let mut of_type = |typ: &str| {
        typed["typ"] = json!(typ);
        rsa_1().sign_text(&typed, &claims.to_string())
    };
    for token in [
        rsa_2().sign_text(&forged, &claims.to_string()),
        ec().sign(&claims),
        sign_hs256(&claims, b"client-secret-canary"),
        format!("{}.", unsigned(&json!({"alg": "none"}), &claims.to_string())),
        of_type("at+jwt"),
        of_type("id_token+jwt"),
        of_type("userinfo+jwt"),
        String::new(),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(verdict(&setup, &token).await, "refused", "{token}");
    }
    assert_eq!(setup.op.count("token"), 0);
}

#[tokio::test]
async fn rp_107_what_says_wrong_things_of_itself_costs_no_fetch() {
    let setup = Setup::new().await;
    for (name, wrong) in
        [("aud", json!("other")), ("nonce", json!("n")), ("events", json!({})), ("exp", json!(1))]
    {
        let mut claims = left(&setup);
        claims[name] = wrong;
        assert_eq!(verdict(&setup, &rsa_1().sign(&claims)).await, "refused", "{name}");
    }
    assert_eq!(verdict(&setup, "a.b.c").await, "refused");
    assert_eq!(setup.op.count("jwks"), 0, "no key was needed for that");
    assert_eq!(setup.op.count("metadata"), 0, "nor to know where they are");
}

#[tokio::test]
async fn a_rotated_key_is_found_and_whoever_makes_names_up_keeps_no_login_from_it() {
    let setup = Setup::new().await;
    assert_eq!(verdict(&setup, &rsa_1().sign(&left(&setup))).await, "valid");
    assert_eq!(setup.op.count("jwks"), 1);
    // A stranger's names cause one fetch a minute. Until the next one nobody can tell whose they are.
    assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "refused");
    for _ in 0..5 {
        assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "not now");
    }
    assert_eq!(setup.op.count("jwks"), 2);
    // The provider rotates: a login finds the new key at once.
    setup.op.publish(&[rsa_2().jwk()]);
    assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, APPROVED);
    assert_eq!(setup.op.count("jwks"), 3);
    assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "valid", "and so does everybody");
    setup.clock.advance(Duration::from_secs(61));
    setup.op.publish(&[rsa_1().jwk(), rsa_2().jwk()]);
    assert_eq!(verdict(&setup, &rsa_1().sign(&left(&setup))).await, "valid");
    assert_eq!(setup.op.count("jwks"), 4);
}

#[tokio::test]
async fn without_a_key_to_be_had_nobody_can_tell() {
    let setup = Setup::new().await;
    setup.op.stand("jwks", Reply::json(503, &json!({})));
    assert_eq!(verdict(&setup, &rsa_1().sign(&left(&setup))).await, "not now");
    setup.op.publish(&[rsa_1().jwk()]);
    setup.clock.advance(Duration::from_secs(6));
    assert_eq!(verdict(&setup, &rsa_1().sign(&left(&setup))).await, "valid");
    // The provider signs with a new key, and does not publish it just now.
    setup.op.stand("jwks", Reply::json(503, &json!({})));
    assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "not now");
    setup.op.publish(&[rsa_1().jwk(), rsa_2().jwk()]);
    assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "not now", "it was asked just now");
    setup.clock.advance(Duration::from_secs(61));
    assert_eq!(verdict(&setup, &rsa_2().sign(&left(&setup))).await, "valid");
}
