//! Rows 41–59, as far as one poll goes; when polls are sent is the engine's part.

use std::time::Duration;

use relais::domain::time::Timestamp;
use relais::provider::Credential;
use serde_json::json;

use super::op::Reply;
use super::setup::{ACCESS_TOKEN, APPROVED, AUTH_REQ_ID, Setup};

#[tokio::test]
async fn the_request_carries_grant_type_and_identifier_and_our_name() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome().await, APPROVED);
    let seen = setup.op.seen("token").remove(0);
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.form("grant_type"), ["urn:openid:params:grant-type:ciba"]);
    assert_eq!(seen.form("auth_req_id"), [AUTH_REQ_ID]);
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert!(seen.form("client_id").is_empty());
}

#[tokio::test]
async fn rp_042_043_056_pending_and_slow_down_whatever_the_status() {
    let setup = Setup::new().await;
    for status in [400, 401, 403] {
        setup.op.next("token", Reply::error(status, "authorization_pending"));
        assert_eq!(setup.outcome().await, "pending");
    }
    setup.op.next("token", Reply::error(400, "slow_down").with("retry-after", "20"));
    assert_eq!(setup.outcome().await, "slow_down 20");
    assert_eq!(setup.op.count("token"), 4, "one request a poll");
}

#[tokio::test]
async fn rp_046_no_answer_and_no_connection_are_polled_on() {
    let setup = Setup::new().await;
    for reply in [Reply::Hang, Reply::Cut] {
        setup.op.next("token", reply);
        assert_eq!(setup.outcome().await, "unreachable");
    }
    assert_eq!(setup.op.count("token"), 2, "one request a poll");
}

#[tokio::test]
async fn rp_048_retry_after_is_heard() {
    let setup = Setup::new().await;
    let at = Timestamp::from_secs(setup.now() + 1) + Duration::from_secs(39);
    for (text, expected) in [
        ("30".to_owned(), "unreachable 30"),
        (http_date(at), "unreachable 40"),
        (http_date(at - Duration::from_hours(2)), "unreachable"),
        ("garbage".to_owned(), "unreachable"),
        ("100000".to_owned(), "unreachable 3600"),
    ] {
        setup.op.next("token", Reply::raw(503, "text/html", "").with("retry-after", &text));
        assert_eq!(setup.outcome().await, expected, "{text}");
    }
}

fn http_date(at: Timestamp) -> String {
    chrono::DateTime::<chrono::Utc>::from(at).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn rp_049_to_052_ends() {
    let setup = Setup::new().await;
    for (code, expected) in [
        ("access_denied", "denied user_denied"),
        ("expired_token", "expired expired"),
        ("invalid_request", "failed provider_refused"),
        ("invalid_grant", "failed answer_lost"),
        ("invalid_client", "failed provider_rejected_client"),
        ("unauthorized_client", "failed provider_rejected_client"),
        ("invalid_scope", "failed provider_refused"),
    ] {
        setup.op.next("token", Reply::error(400, code));
        assert_eq!(setup.outcome().await, expected, "{code}");
    }
}

#[tokio::test]
async fn a_success_that_is_no_token_answer_ends_the_login() {
    let setup = Setup::new().await;
    let huge = format!(r#"{{"x":"{}"}}"#, "x".repeat(300_000));
    for body in ["", "{", "[]", "<html>", r#"{"error":"authorization_pending"}"#, &huge] {
        setup.op.next("token", Reply::raw(200, "application/json", body));
        assert_eq!(setup.outcome().await, "failed provider_invalid_answer");
    }
}

#[tokio::test]
async fn rp_027_a_redirect_is_not_followed() {
    let setup = Setup::new().await;
    let elsewhere = setup.op.url("elsewhere");
    setup.op.next("token", Reply::raw(302, "text/html", "").with("location", &elsewhere));
    assert_eq!(setup.outcome().await, "unreachable");
    assert_eq!(setup.op.count("elsewhere"), 0);
}

#[tokio::test]
async fn the_long_page_of_a_gateway_is_polled_on() {
    let setup = Setup::new().await;
    let page = "x".repeat(300_000);
    for status in [403, 404, 500, 502] {
        setup.op.next("token", Reply::raw(status, "text/html", page.as_str()));
        assert_eq!(setup.outcome().await, "unreachable", "{status}");
    }
}

#[tokio::test]
async fn rp_111_neither_tokens_nor_persons_reach_a_log() {
    let log = crate::support::log::capture();
    let setup = Setup::new().await;
    assert_eq!(
        setup.outcome_of_claims(|claims| claims["SubjectNameID"] = json!("1")).await,
        "failed identity_mismatch"
    );
    assert_eq!(setup.outcome_of_claims(|claims| claims["iss"] = json!("1")).await, "failed token_invalid");
    setup.op.next("token", Reply::error(400, "invalid_grant"));
    assert_eq!(setup.outcome().await, "failed answer_lost");
    let text = log.text();
    for rule in ["rule=\"identity\"", "rule=\"iss\"", "invalid_grant"] {
        assert!(text.contains(rule), "{rule} in {text}");
    }
    for secret in [ACCESS_TOKEN, "canary", AUTH_REQ_ID, "899700000001", "f:op:1", "eyJ"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_static_parameter_cannot_replace_one_of_the_protocol() {
    relais::net::install_provider();
    let setup = Setup::new().await;
    let mut registration = super::setup::registration_settings();
    registration.extra_parameters = vec![("login_hint".to_owned(), "x".to_owned())];
    let provider = super::setup::provider_settings(&setup.op);
    let clock = std::sync::Arc::new(setup.clock.clone());
    let random = std::sync::Arc::new(relais::crypto::random::SystemRandom);
    let made = relais::provider::Clients::new(
        vec![provider.clone()],
        vec![registration],
        clock.clone(),
        random.clone(),
    );
    assert!(matches!(made, Err(relais::provider::SettingsError::ReservedParameter { .. })));
    let mut bare = super::setup::registration_settings();
    bare.credential = Credential::TlsClientAuth;
    let made = relais::provider::Clients::new(vec![provider], vec![bare], clock, random);
    assert!(matches!(made, Err(relais::provider::SettingsError::NoCertificate { .. })));
}
