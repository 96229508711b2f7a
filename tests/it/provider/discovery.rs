//! Rows 1–14: metadata and keys.

use std::sync::Arc;
use std::time::Duration;

use relais::domain::registration::Delivery;
use relais::domain::secret::Secret;
use relais::engine::ports::{Heard, ProviderStatus, Providers, Revoked};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::op::{Op, Reply};
use super::setup::{APPROVED, Setup, TOKEN_INVALID, without};
use super::signing::{rsa_1, rsa_2};

impl Setup {
    async fn has_metadata(&self) -> bool {
        self.clients.ensure_metadata(&self.registration).await.is_ok()
    }

    fn status(&self) -> ProviderStatus {
        self.clients.status(&"op".parse().expect("a name"))
    }

    /// Lets the background work run; it ends with the test.
    fn run(&self) -> CancellationToken {
        let shutdown = CancellationToken::new();
        let (clients, until) = (Arc::clone(&self.clients), shutdown.clone());
        tokio::spawn(async move { clients.run(until).await });
        shutdown
    }
}

/// Real time for real sockets, until `condition` holds.
#[expect(clippy::disallowed_methods, reason = "real sockets need real time to answer")]
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(condition(), "never came true: {what}");
}

#[tokio::test]
async fn rp_001_endpoints_come_from_the_document_and_it_is_fetched_once() {
    let setup = Setup::new().await;
    assert_eq!(setup.status(), ProviderStatus::Degraded, "nothing is known yet");
    assert!(setup.has_metadata().await && setup.has_metadata().await);
    assert!(setup.start().await.is_ok());
    assert_eq!(setup.outcome().await, APPROVED);
    assert_eq!(setup.op.count("metadata"), 1);
    assert_eq!(setup.op.count("jwks"), 1);
    assert_eq!(setup.status(), ProviderStatus::Ok);
}

#[tokio::test]
async fn rp_002_another_issuer_makes_the_provider_unusable() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    document["issuer"] = json!(format!("{}/", setup.op.base));
    setup.op.stand("metadata", Reply::json(200, &document));
    assert!(!setup.has_metadata().await);
    assert!(setup.start().await.is_err());
    assert_eq!(setup.op.count("backchannel"), 0, "no phone rings");
    assert_eq!(setup.status(), ProviderStatus::Degraded);
}

#[tokio::test]
async fn rp_003_a_document_that_knows_nothing_but_ciba_is_enough() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    without(&mut document, "userinfo_endpoint");
    without(&mut document, "backchannel_token_delivery_modes_supported");
    setup.op.stand("metadata", Reply::json(200, &document));
    assert!(setup.has_metadata().await);
}

#[tokio::test]
async fn rp_004_the_document_stands_at_the_full_url_that_is_configured() {
    let setup = Setup::with(|provider, _| {
        let url =
            provider.provider.metadata_url.as_str().replace("/metadata", "/wallet-openid-configuration");
        provider.provider.metadata_url = url.parse().expect("a URL");
    })
    .await;
    assert!(!setup.has_metadata().await);
    setup.op.stand("wallet-openid-configuration", Reply::json(200, &setup.op.metadata()));
    assert!(setup.has_metadata().await);
    assert_eq!(setup.op.count("metadata"), 0);
}

#[tokio::test]
async fn rp_005_a_provider_that_does_not_poll_is_not_usable() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    document["backchannel_token_delivery_modes_supported"] = json!(["push"]);
    setup.op.stand("metadata", Reply::json(200, &document));
    assert!(!setup.has_metadata().await);
}

#[tokio::test]
async fn rp_005_a_registration_needs_its_delivery_mode_and_no_other() {
    for (delivery, offered, usable) in [
        (Delivery::Ping, json!(["ping"]), true),
        (Delivery::Ping, json!(["poll"]), false),
        (Delivery::Push, json!(["poll", "ping", "push"]), true),
        (Delivery::Push, json!(["poll", "ping"]), false),
        (Delivery::Push, json!(null), true),
    ] {
        let setup = Setup::with(|_, registration| registration.registration.delivery = delivery).await;
        let mut document = setup.op.metadata();
        document["backchannel_token_delivery_modes_supported"] = offered.clone();
        setup.op.stand("metadata", Reply::json(200, &document));
        assert_eq!(setup.has_metadata().await, usable, "{delivery:?} {offered}");
    }
}

#[tokio::test]
async fn rp_007_plain_http_is_refused_unless_it_is_loopback_in_development() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    document["token_endpoint"] = json!("http://op.example/token");
    setup.op.stand("metadata", Reply::json(200, &document));
    assert!(!setup.has_metadata().await);
    let strict = Setup::with(|provider, _| provider.https_only = true).await;
    assert!(!strict.has_metadata().await);
    assert_eq!(strict.op.count("metadata"), 0, "not even asked");
}

#[tokio::test]
async fn rp_008_what_was_good_stays_while_the_provider_is_down_and_is_fetched_again() {
    let setup = Setup::new().await;
    let _running = setup.run();
    eventually("the provider is well", || setup.status() == ProviderStatus::Ok).await;
    eventually("its keys are fetched too", || setup.op.count("jwks") == 1).await;
    for endpoint in ["metadata", "jwks"] {
        setup.op.stand(endpoint, Reply::raw(503, "text/html", "down"));
    }
    setup.clock.wake_after(Duration::from_mins(10)).await;
    eventually("the provider is asked again", || setup.op.count("jwks") == 2).await;
    eventually("its trouble is seen", || setup.status() == ProviderStatus::Degraded).await;
    assert!(setup.has_metadata().await);
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED, "with the keys of before");
    setup.op.stand("metadata", Reply::json(200, &setup.op.metadata()));
    setup.op.publish(&[rsa_1().jwk()]);
    setup.clock.wake_after(Duration::from_secs(1)).await;
    eventually("it is well again", || setup.status() == ProviderStatus::Ok).await;
}

#[tokio::test]
async fn a_provider_that_is_down_at_first_is_asked_again_ever_more_seldom() {
    let setup = Setup::new().await;
    setup.op.stand("metadata", Reply::raw(200, "application/json", "{"));
    let _running = setup.run();
    eventually("the first attempt", || setup.op.count("metadata") == 1).await;
    for (wait, attempts) in [(1, 2), (2, 3), (4, 4)] {
        setup.clock.wake_after(Duration::from_secs(wait)).await;
        eventually("one more attempt", || setup.op.count("metadata") == attempts).await;
    }
    setup.op.stand("metadata", Reply::json(200, &setup.op.metadata()));
    setup.clock.wake_after(Duration::from_secs(8)).await;
    eventually("it has come up", || setup.op.count("jwks") == 1).await;
}

#[tokio::test]
async fn simultaneous_logins_share_one_attempt_at_metadata() {
    let setup = Setup::new().await;
    let attempts = (0..50).map(|_| setup.has_metadata());
    let all = futures_util::future::join_all(attempts).await;
    assert!(all.into_iter().all(|has| has));
    assert_eq!(setup.op.count("metadata"), 1);
    let down = Setup::new().await;
    down.op.stand("metadata", Reply::raw(500, "text/plain", "no"));
    let all = futures_util::future::join_all((0..50).map(|_| down.has_metadata())).await;
    assert!(all.into_iter().all(|has| !has));
    assert_eq!(down.op.count("metadata"), 1);
    assert!(!down.has_metadata().await, "a later one makes its own attempt");
    assert_eq!(down.op.count("metadata"), 2);
}

#[tokio::test]
async fn r_c_11_an_endpoint_that_moves_to_another_host_is_not_followed() {
    let setup = Setup::new().await;
    let other = Op::listen().await;
    let _running = setup.run();
    eventually("the first fetch", || setup.status() == ProviderStatus::Ok).await;
    let mut moved = setup.op.metadata();
    moved["token_endpoint"] = json!(other.url("token"));
    setup.op.stand("metadata", Reply::json(200, &moved));
    setup.clock.wake_after(Duration::from_mins(10)).await;
    eventually("the second fetch", || setup.op.count("metadata") == 2).await;
    eventually("it is seen", || setup.status() == ProviderStatus::Degraded).await;
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
    assert_eq!(other.count("token"), 0);
}

#[tokio::test]
async fn r_c_11_an_endpoint_of_the_way_out_that_moves_keeps_nothing_else_from_being_taken_over() {
    let setup = Setup::new().await;
    let other = Op::listen().await;
    let mut document = setup.op.metadata();
    document["revocation_endpoint"] = json!(setup.op.url("revoke"));
    document["end_session_endpoint"] = json!(setup.op.url("logout"));
    setup.op.stand("metadata", Reply::json(200, &document));
    setup.op.stand("revoke", Reply::raw(200, "text/plain", ""));
    let _running = setup.run();
    eventually("the first fetch", || setup.status() == ProviderStatus::Ok).await;
    document["revocation_endpoint"] = json!(other.url("revoke"));
    document["token_endpoint"] = json!(setup.op.url("newer"));
    setup.op.stand("metadata", Reply::json(200, &document));
    setup.clock.wake_after(Duration::from_mins(10)).await;
    eventually("the second fetch", || setup.op.count("metadata") == 2).await;
    let revoke = async || {
        let token = Secret::new("a token");
        setup.clients.revoke(&setup.registration, None, Revoked::AccessToken, &token).await
    };
    // What was fetched is taken over a moment after it was asked for.
    for _ in 0..500 {
        if revoke().await == Heard::NotOffered {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(revoke().await, Heard::NotOffered);
    assert_eq!(other.count("revoke"), 0);
    assert_eq!(setup.status(), ProviderStatus::Ok, "the rest is taken over");
    setup.op.stand("newer", Reply::error(400, "authorization_pending"));
    setup.poll().await;
    assert_eq!((setup.op.count("newer"), setup.op.count("token")), (1, 0));
}

#[tokio::test]
async fn rp_009_010_a_rotated_key_is_found_by_one_fetch() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome().await, APPROVED);
    setup.op.publish(&[rsa_2().jwk()]);
    assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, APPROVED);
    assert_eq!(setup.op.count("jwks"), 2);
    assert_eq!(setup.outcome().await, TOKEN_INVALID, "the withdrawn key counts no more");
}

#[tokio::test]
async fn rp_011_unknown_names_cause_one_fetch_a_minute() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome().await, APPROVED);
    for _ in 0..5 {
        assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, TOKEN_INVALID);
    }
    assert_eq!(setup.op.count("jwks"), 2);
    setup.clock.advance(Duration::from_secs(61));
    setup.op.publish(&[rsa_1().jwk(), rsa_2().jwk()]);
    assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, APPROVED);
    assert_eq!(setup.op.count("jwks"), 3);
}

#[tokio::test]
async fn rp_012_a_token_without_key_name_is_accepted_with_the_one_key() {
    let setup = Setup::new().await;
    let mut header = rsa_1().header();
    without(&mut header, "kid");
    let token = rsa_1().sign_text(&header, &setup.claims().to_string());
    assert_eq!(setup.outcome_of_token(&token).await, APPROVED);
}

#[tokio::test]
async fn rp_009_012_a_rotated_key_without_a_name_is_found_by_one_fetch() {
    let setup = Setup::new().await;
    let mut header = rsa_1().header();
    without(&mut header, "kid");
    let claims = setup.claims().to_string();
    setup.op.publish(&[rsa_1().anonymous_jwk()]);
    assert_eq!(setup.outcome_of_token(&rsa_1().sign_text(&header, &claims)).await, APPROVED);
    setup.op.publish(&[rsa_2().anonymous_jwk()]);
    assert_eq!(setup.outcome_of_token(&rsa_2().sign_text(&header, &claims)).await, APPROVED);
    assert_eq!(setup.op.count("jwks"), 2);
}

#[tokio::test]
async fn rp_013_several_keys_of_the_same_name_or_of_none_are_tried_in_turn() {
    let setup = Setup::new().await;
    let mut namesake = rsa_2().jwk();
    namesake["kid"] = json!("rsa-1");
    setup.op.publish(&[namesake, rsa_1().jwk()]);
    assert_eq!(setup.outcome().await, APPROVED);
    let nameless = Setup::new().await;
    nameless.op.publish(&[rsa_2().anonymous_jwk(), rsa_1().anonymous_jwk()]);
    let mut header = rsa_1().header();
    without(&mut header, "kid");
    let token = rsa_1().sign_text(&header, &nameless.claims().to_string());
    assert_eq!(nameless.outcome_of_token(&token).await, APPROVED);
}

#[tokio::test]
async fn rp_014_unusable_keys_beside_the_right_one_are_no_fault() {
    let setup = Setup::new().await;
    setup.op.publish(&[
        json!({"kty": "RSA", "use": "enc", "kid": "rsa-1", "n": "AQAB", "e": "AQAB", "alg": "RSA-OAEP"}),
        json!({"kty": "new", "kid": "x"}),
        json!({"kty": "EC", "crv": "P-521", "x": 1}),
        rsa_1().jwk(),
    ]);
    assert_eq!(setup.outcome().await, APPROVED);
}

#[tokio::test]
async fn no_signing_key_to_be_had_makes_the_token_invalid() {
    for reply in [
        Reply::raw(500, "text/plain", "no"),
        Reply::raw(200, "application/json", "{}"),
        Reply::raw(200, "application/json", r#"{"keys":[]}"#),
        Reply::raw(200, "application/json", format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(70_000))),
        Reply::Cut,
    ] {
        let setup = Setup::new().await;
        setup.op.stand("jwks", reply);
        assert_eq!(setup.outcome().await, TOKEN_INVALID);
        setup.op.publish(&[rsa_1().jwk()]);
        setup.clock.advance(Duration::from_secs(5));
        assert_eq!(setup.outcome().await, APPROVED, "a later login asks again");
    }
}

#[tokio::test]
async fn r_c_10_keys_that_nobody_confirms_for_a_day_are_no_longer_believed() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
    setup.op.stand("jwks", Reply::raw(503, "text/plain", "down"));
    setup.clock.advance(Duration::from_hours(23));
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
    setup.clock.advance(Duration::from_hours(2));
    assert_eq!(setup.outcome_of_claims(|_| {}).await, TOKEN_INVALID);
    setup.op.publish(&[rsa_1().jwk()]);
    setup.clock.advance(Duration::from_secs(5));
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
}

#[tokio::test]
async fn simultaneous_logins_share_one_failed_fetch_of_keys() {
    let setup = Setup::new().await;
    setup.op.stand("jwks", Reply::raw(503, "text/plain", "down"));
    let all = futures_util::future::join_all((0..20).map(|_| setup.outcome())).await;
    assert!(all.iter().all(|outcome| outcome == TOKEN_INVALID), "{all:?}");
    assert_eq!(setup.op.count("jwks"), 1);
    setup.op.publish(&[rsa_1().jwk()]);
    setup.clock.advance(Duration::from_secs(4));
    assert_eq!(setup.outcome().await, TOKEN_INVALID, "not asked again at once");
    assert_eq!(setup.op.count("jwks"), 1);
    setup.clock.advance(Duration::from_secs(1));
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
}

#[tokio::test]
async fn rp_011_a_failed_fetch_for_an_unknown_name_does_not_cost_a_minute() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome().await, APPROVED);
    setup.op.stand("jwks", Reply::raw(503, "text/plain", "down"));
    assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, TOKEN_INVALID);
    setup.op.publish(&[rsa_2().jwk()]);
    setup.clock.advance(Duration::from_secs(5));
    assert_eq!(setup.outcome_of_claims_by(&rsa_2(), |_| {}).await, APPROVED);
}

#[tokio::test]
async fn a_failed_call_shows_in_the_status_until_one_succeeds() {
    let setup = Setup::new().await;
    assert!(setup.start().await.is_ok());
    assert_eq!(setup.status(), ProviderStatus::Ok);
    for reply in [Reply::Hang, Reply::raw(503, "text/plain", "")] {
        setup.op.next("token", reply);
        let _ = setup.outcome().await;
        assert_eq!(setup.status(), ProviderStatus::Degraded);
        setup.op.next("token", Reply::error(400, "authorization_pending"));
        let _ = setup.outcome().await;
        assert_eq!(setup.status(), ProviderStatus::Ok, "an OAuth error is an answer");
    }
    let unknown = "somebody-else".parse().expect("a name");
    assert_eq!(setup.clients.status(&unknown), ProviderStatus::Degraded);
}
