//! Rows 98–101: what a pushed outcome must be. The signature covers both tokens and names the request.

use std::time::Duration;

use relais::domain::secret::{Secret, SecretBytes};
use relais::engine::ports::{Providers, PushVerdict, PushedOutcome};
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{AUTH_REQ_ID, Setup, without};
use super::signing::{rsa_1, rsa_2};
use crate::support::log;

/// The example of CIBA §10.3.1.
const ACCESS_TOKEN: &str = "G5kXH2wHvUra0sHlDy1iTkDJgsgUO1bN";
const AT_HASH: &str = "Wt0kVFXMacqvnHeyU0001w";
const REFRESH_TOKEN: &str = "4bwc0ESC_IAhflf-ACC_vjD_ltc11ne-8gFPfA2Kx16";
const RT_HASH: &str = "sHahCuSpXCRg5mkDDvvr4w";

const REQUEST: &str = "urn:openid:params:jwt:claim:auth_req_id";
const REFRESH: &str = "urn:openid:params:jwt:claim:rt_hash";

fn covering(setup: &Setup) -> Value {
    let mut claims = setup.claims();
    claims["at_hash"] = json!(AT_HASH);
    claims[REFRESH] = json!(RT_HASH);
    claims[REQUEST] = json!(AUTH_REQ_ID);
    claims
}

fn message(id_token: &str) -> Value {
    json!({ "auth_req_id": AUTH_REQ_ID, "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN,
        "token_type": "Bearer", "expires_in": 120, "id_token": id_token })
}

async fn verdict(setup: &Setup, message: &Value) -> String {
    let pushed = PushedOutcome {
        x5t: None,
        auth_req_id: Secret::new(AUTH_REQ_ID),
        message: SecretBytes::new(message.to_string().into_bytes()),
        expectation: setup.poll_request().expectation,
    };
    match setup.clients.judge_pushed(&setup.registration, pushed).await {
        PushVerdict::Ended { status, reason } => format!("{} {}", status.status().as_str(), reason.as_str()),
        PushVerdict::Refused { reason } => format!("refused {}", reason.as_str()),
        PushVerdict::Approved(approved) => {
            assert_eq!(approved.tokens.access_token.expose(), ACCESS_TOKEN);
            "approved".to_owned()
        }
        PushVerdict::NotNow => "not now".to_owned(),
    }
}

#[tokio::test]
async fn rp_098_the_example_of_the_specification_is_accepted() {
    let setup = Setup::new().await;
    assert_eq!(verdict(&setup, &message(&rsa_1().sign(&covering(&setup)))).await, "approved");
    assert_eq!(setup.op.count("token"), 0, "rp_102: nothing is asked but for keys");
    let mut claims = covering(&setup);
    without(&mut claims, REFRESH);
    let mut alone = message(&rsa_1().sign(&claims));
    without(&mut alone, "refresh_token");
    assert_eq!(verdict(&setup, &alone).await, "approved", "no refresh token, no hash of one");
}

#[tokio::test]
async fn rp_100_what_the_signature_does_not_cover_is_refused() {
    let setup = Setup::new().await;
    for name in ["at_hash", REFRESH, REQUEST] {
        for wrong in [json!(null), json!("x"), json!(1), json!("")] {
            let mut claims = covering(&setup);
            claims[name] = wrong.clone();
            let told = verdict(&setup, &message(&rsa_1().sign(&claims))).await;
            assert_eq!(told, "refused token_invalid", "{name} = {wrong}");
        }
        let mut claims = covering(&setup);
        without(&mut claims, name);
        let told = verdict(&setup, &message(&rsa_1().sign(&claims))).await;
        assert_eq!(told, "refused token_invalid", "without {name}");
    }
    let good = rsa_1().sign(&covering(&setup));
    for (name, other) in [("access_token", "another"), ("refresh_token", "another")] {
        let mut swapped = message(&good);
        swapped[name] = json!(other);
        let told = verdict(&setup, &swapped).await;
        assert_eq!(told, "refused token_invalid", "another {name}");
    }
    let forged = rsa_2().sign(&covering(&setup));
    assert_eq!(verdict(&setup, &message(&forged)).await, "refused token_invalid", "another key");
    for name in ["access_token", "id_token", "token_type"] {
        let mut lacking = message(&good);
        without(&mut lacking, name);
        assert_eq!(verdict(&setup, &lacking).await, "refused token_invalid", "no {name}");
    }
}

#[tokio::test]
async fn rp_100_person_level_and_time_are_checked_as_when_polled() {
    let setup = Setup::new().await;
    for (name, wrong, told) in [
        ("SubjectNameID", json!("another"), "refused identity_mismatch"),
        ("acr", json!("eidas0"), "refused acr_insufficient"),
        ("iss", json!("https://other"), "refused token_invalid"),
        ("aud", json!("other"), "refused token_invalid"),
        ("exp", json!(1), "refused token_invalid"),
        ("iat", json!(1), "refused token_invalid"),
    ] {
        let mut claims = covering(&setup);
        claims[name] = wrong;
        assert_eq!(verdict(&setup, &message(&rsa_1().sign(&claims))).await, told, "{name}");
    }
}

#[tokio::test]
async fn rp_098_a_push_is_not_refused_for_want_of_the_provider_s_keys() {
    let setup = Setup::new().await;
    setup.op.stand("jwks", Reply::json(503, &json!({})));
    let good = message(&rsa_1().sign(&covering(&setup)));
    assert_eq!(verdict(&setup, &good).await, "not now");
    let denied = json!({ "auth_req_id": AUTH_REQ_ID, "error": "access_denied" });
    assert_eq!(verdict(&setup, &denied).await, "denied user_denied", "no key is needed for that");
    setup.op.publish(&[rsa_1().jwk()]);
    setup.clock.advance(Duration::from_secs(60));
    assert_eq!(verdict(&setup, &good).await, "approved");
}

#[tokio::test]
async fn rp_101_an_error_is_an_end_whatever_comes_along() {
    let log = log::capture();
    let warnings = || log.text().matches("the provider answered with an error").count();
    let setup = Setup::new().await;
    let mut both = message(&rsa_1().sign(&covering(&setup)));
    for (error, told, is_a_warning) in [
        ("access_denied", "denied user_denied", false),
        ("expired_token", "expired expired", false),
        ("transaction_failed", "failed provider_refused", true),
        ("new", "failed provider_refused", true),
    ] {
        let before = warnings();
        both["error"] = json!(error);
        assert_eq!(verdict(&setup, &both).await, told);
        assert_eq!(warnings() - before, usize::from(is_a_warning), "{error}");
    }
}
