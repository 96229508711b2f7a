//! Rows 15–40: the authentication request and its acknowledgement.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_notification_token;
use relais::domain::login::LoginReason;
use relais::domain::secret::Secret;
use relais::engine::ports::Providers;
use serde_json::json;

use super::op::Reply;
use super::setup::{AUTH_REQ_ID, HINT, Setup, acknowledgement, without};

#[tokio::test]
async fn rp_015_016_020_024_the_request_says_what_was_asked_and_no_more() {
    let setup = Setup::with(|_, registration| {
        registration.extra_parameters = vec![("ui_locales".to_owned(), "fr é&=".to_owned())];
    })
    .await;
    let mut request = setup.request();
    request.login_hint = Secret::new("500000001815646/CPAT00045 é+&=");
    request.requested_expiry = Some(90);
    request.user_code = Some(Secret::new("user-code-canary"));
    assert!(setup.clients.start(&setup.registration, request).await.is_ok());
    let seen = setup.op.seen("backchannel").remove(0);
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("accept-encoding"), None, "no compressed bomb is asked for");
    for (name, value) in [
        ("scope", "openid scope_all"),
        ("acr_values", "eidas1"),
        ("login_hint", "500000001815646/CPAT00045 é+&="),
        ("binding_message", "42"),
        ("channel", "MOBILE"),
        ("requested_expiry", "90"),
        ("user_code", "user-code-canary"),
        ("ui_locales", "fr é&="),
    ] {
        assert_eq!(seen.form(name), [value], "{name}");
    }
    for absent in
        ["client_id", "client_secret", "client_notification_token", "login_hint_token", "id_token_hint"]
    {
        assert!(seen.form(absent).is_empty(), "{absent}");
    }
    assert!(seen.body.is_ascii(), "percent-encoded");
}

#[tokio::test]
async fn rp_021_the_notification_token_goes_out_where_there_is_one() {
    let setup = Setup::new().await;
    let mut request = setup.request();
    let token = draw_notification_token(&SystemRandom);
    request.notification_token = Some(token.clone());
    assert!(setup.clients.start(&setup.registration, request).await.is_ok());
    let seen = setup.op.seen("backchannel").remove(0);
    assert_eq!(seen.form("client_notification_token"), [token.0.expose()]);
}

#[tokio::test]
async fn rp_019_the_context_goes_along_where_the_registration_says_so() {
    let context = r#"{"software":{"name":"Médecin +","version":"4.2"},"seat":"accueil"}"#;
    for told in [true, false] {
        let setup = Setup::with(|_, registration| registration.registration.request_context = told).await;
        for (given, sent) in [(Some(context), told.then_some(context)), (None, None)] {
            let mut request = setup.request();
            request.client_context = given.map(str::to_owned);
            assert!(setup.clients.start(&setup.registration, request).await.is_ok());
            let seen = setup.op.seen("backchannel").pop().expect("a request");
            assert_eq!(seen.form("request_context"), sent.into_iter().collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn what_was_not_asked_is_not_sent() {
    let setup = Setup::new().await;
    let mut request = setup.request();
    request.acr_values.clear();
    request.channel = None;
    assert!(setup.clients.start(&setup.registration, request).await.is_ok());
    let seen = setup.op.seen("backchannel").remove(0);
    for absent in ["acr_values", "channel", "requested_expiry", "user_code"] {
        assert!(seen.form(absent).is_empty(), "{absent}");
    }
}

#[tokio::test]
async fn rp_022_the_secret_is_in_the_header_only() {
    let setup = Setup::new().await;
    assert!(setup.start().await.is_ok());
    let seen = setup.op.seen("backchannel").remove(0);
    let value = seen.header("authorization").expect("a header");
    let decoded = STANDARD.decode(value.strip_prefix("Basic ").expect("Basic")).expect("base64");
    assert_eq!(decoded, b"relais-test:client-secret-canary");
    assert!(!seen.body.contains("canary"));
}

#[tokio::test]
async fn rp_027_a_redirect_is_not_followed() {
    let setup = Setup::new().await;
    let elsewhere = setup.op.url("elsewhere");
    setup.op.stand("backchannel", Reply::raw(307, "text/html", "").with("location", &elsewhere));
    assert_eq!(setup.start_failure().await, (LoginReason::ProviderInvalidAnswer, true));
    assert_eq!(setup.op.count("elsewhere"), 0);
}

#[tokio::test]
async fn rp_028_032_an_acknowledgement_is_kept_byte_for_byte() {
    let setup = Setup::new().await;
    let Ok(acknowledged) = setup.start().await else { panic!("refused") };
    assert_eq!(acknowledged.auth_req_id.expose(), AUTH_REQ_ID);
    assert_eq!(acknowledged.expires_in, Duration::from_secs(120));
    assert_eq!(acknowledged.interval, Duration::from_secs(5));
    let _ = setup.outcome().await;
    assert_eq!(setup.op.seen("token")[0].form("auth_req_id"), [AUTH_REQ_ID]);
}

#[tokio::test]
async fn rp_029_030_039_what_is_no_acknowledgement_may_still_ring_a_phone() {
    let setup = Setup::new().await;
    let mut bodies = vec![String::new(), "{".to_owned(), "<html>".to_owned(), "[]".to_owned()];
    for name in ["auth_req_id", "expires_in"] {
        let mut body = acknowledgement();
        without(&mut body, name);
        bodies.push(body.to_string());
    }
    bodies.push(json!({"error": "invalid_request"}).to_string());
    bodies.push(acknowledgement().to_string().replacen("120", "\"120\"", 1));
    bodies.push(format!("{}x", acknowledgement()));
    for body in bodies {
        setup.op.next("backchannel", Reply::raw(200, "application/json", body.clone()));
        assert_eq!(setup.start_failure().await, (LoginReason::ProviderInvalidAnswer, true), "{body}");
    }
    let page = Reply::raw(200, "text/html", acknowledgement().to_string());
    setup.op.next("backchannel", page);
    assert_eq!(
        setup.start_failure().await,
        (LoginReason::ProviderInvalidAnswer, true),
        "it says it is a page"
    );
    setup.op.next("backchannel", Reply::raw(204, "text/plain", ""));
    assert_eq!(setup.start_failure().await, (LoginReason::ProviderInvalidAnswer, true));
}

#[tokio::test]
async fn rp_033_to_038_errors_are_told_apart() {
    let setup = Setup::new().await;
    let keycloak = json!({"error": "invalid_request", "error_description": "invalid user"});
    for (reply, reason) in [
        (Reply::error(400, "unknown_user_id"), LoginReason::UserUnknown),
        (Reply::json(400, &keycloak), LoginReason::UserUnknown),
        (Reply::error(400, "invalid_request"), LoginReason::ProviderRefused),
        (Reply::error(401, "invalid_client"), LoginReason::ProviderRejectedClient),
        (Reply::error(401, "invalid_grant"), LoginReason::ProviderRejectedClient),
        (Reply::error(400, "invalid_binding_message"), LoginReason::BindingMessageInvalid),
        (Reply::error(400, "missing_user_code"), LoginReason::UserCodeRequired),
        (Reply::error(400, "invalid_user_code"), LoginReason::UserCodeInvalid),
        (Reply::error(400, "unauthorized_client"), LoginReason::ProviderRejectedClient),
        (Reply::error(400, "invalid_scope"), LoginReason::ProviderRefused),
        (Reply::error(400, "expired_login_hint_token"), LoginReason::ProviderRefused),
        (Reply::error(400, "of_the_future"), LoginReason::ProviderRefused),
        (Reply::error(403, "access_denied"), LoginReason::ProviderRefused),
        (Reply::error(503, "server_error"), LoginReason::ProviderUnavailable),
        (Reply::raw(429, "text/plain", ""), LoginReason::ProviderUnavailable),
        (Reply::raw(404, "text/html", "<html>"), LoginReason::ProviderRefused),
    ] {
        let before = setup.op.count("backchannel");
        setup.op.next("backchannel", reply);
        assert_eq!(setup.start_failure().await, (reason, false));
        assert_eq!(setup.op.count("backchannel"), before + 1);
    }
}

#[tokio::test]
async fn rp_037_040_where_nobody_knows_the_outcome_nothing_is_sent_again() {
    let setup = Setup::new().await;
    for reply in [Reply::Hang, Reply::Cut, Reply::raw(502, "text/html", "<html>")] {
        let before = setup.op.count("backchannel");
        setup.op.next("backchannel", reply);
        assert_eq!(setup.start_failure().await, (LoginReason::OutcomeUnknown, true));
        assert_eq!(setup.op.count("backchannel"), before + 1, "no second request");
    }
}

#[tokio::test]
async fn rp_039_an_endless_answer_is_not_read_to_its_end() {
    let setup = Setup::new().await;
    let huge = format!(r#"{{"auth_req_id":"{}"}}"#, "x".repeat(100_000));
    setup.op.next("backchannel", Reply::raw(200, "application/json", huge));
    assert_eq!(setup.start_failure().await, (LoginReason::OutcomeUnknown, true));
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_has_accepted_nothing() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    // Nobody listens on port 1.
    document["backchannel_authentication_endpoint"] = json!("http://127.0.0.1:1/ciba");
    setup.op.stand("metadata", Reply::json(200, &document));
    assert_eq!(setup.start_failure().await, (LoginReason::ProviderUnavailable, false));
}

#[tokio::test]
async fn a_hint_reaches_the_provider_and_no_log() {
    let log = crate::support::log::capture();
    let setup = Setup::new().await;
    for reply in [
        Reply::json(400, &json!({"error": HINT, "error_description": HINT})),
        Reply::raw(400, "text/html", HINT),
        Reply::raw(200, "application/json", HINT),
        Reply::Hang,
    ] {
        setup.op.next("backchannel", reply);
        assert!(setup.start().await.is_err());
    }
    let text = log.text();
    assert!(text.contains("backchannel") && text.contains("lps") && text.contains("timeout"), "{text}");
    for secret in [HINT, "canary", AUTH_REQ_ID] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
