//! The backchannel authentication endpoint.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use base64::Engine as _;
use serde_json::json;

use super::{BASE, DOCTOR, Lab, asked, certificate};

fn without<'a>(pairs: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    pairs.iter().copied().filter(|(key, _)| *key != name).collect()
}

fn with<'a>(pairs: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut pairs = without(pairs, name);
    pairs.push((name, value));
    pairs
}

fn refused(error: &str, description: &str) -> (u16, String, String) {
    (400, error.to_owned(), description.to_owned())
}

#[tokio::test]
async fn an_acknowledgement_has_a_long_id_that_is_never_the_same() {
    let lab = Lab::new();
    let answer = lab.start_with(&asked(DOCTOR)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let body = answer.json();
    assert_eq!(body["expires_in"], json!(120));
    assert_eq!(body["interval"], json!(5));
    let id = body["auth_req_id"].as_str().expect("a text");
    assert!(id.len() >= 800, "{}", id.len());
    assert_eq!(id.split('.').count(), 5);
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    assert_ne!(lab.start(DOCTOR).await, id);
}

#[tokio::test]
async fn the_hint_is_looked_at_before_the_scope() {
    let lab = Lab::new();
    let all = asked(DOCTOR);
    let no_scope = without(&all, "scope");
    let cases = [
        (without(&no_scope, "login_hint"), refused("invalid_request", "missing parameter : login_hint")),
        (with(&no_scope, "login_hint", "unknown-42"), refused("invalid_request", "invalid user")),
        (no_scope.clone(), refused("invalid_request", "missing parameter : scope")),
        (with(&all, "scope", "openid nonsense"), refused("invalid_scope", "Invalid scopes: openid nonsense")),
        (with(&all, "scope", "scope_all"), refused("invalid_scope", "Invalid scopes: scope_all")),
        (with(&all, "channel", "SMS"), refused("invalid_request", "invalid channel")),
        (with(&all, "channel", ""), refused("invalid_request", "invalid channel")),
        (with(&all, "user_code", "1234"), refused("invalid_request", "User code not supported")),
        (
            with(&all, "requested_expiry", "0"),
            refused("invalid_request", "invalid parameter : requested_expiry"),
        ),
        (
            with(&all, "requested_expiry", "soon"),
            refused("invalid_request", "invalid parameter : requested_expiry"),
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(lab.start_with(&pairs).await.error(), expected);
    }
    assert!(lab.requests().await.is_empty(), "a refused request rings nobody");
    assert_eq!(lab.stats().await["rings"], json!({}));
}

#[tokio::test]
async fn a_binding_message_is_short_and_plain() {
    let lab = Lab::new();
    let fifty = "a".repeat(50);
    for good in ["00", "A-b._+/!?#9", fifty.as_str()] {
        assert_eq!(
            lab.start_with(&with(&asked(DOCTOR), "binding_message", good)).await.status,
            200,
            "{good}"
        );
    }
    let long = "a".repeat(51);
    for bad in ["", "4 2", "é", "42\n", long.as_str()] {
        let answer = lab.start_with(&with(&asked(DOCTOR), "binding_message", bad)).await;
        assert_eq!(answer.error().1, "invalid_binding_message", "{bad:?}");
    }
    assert_eq!(lab.start_with(&without(&asked(DOCTOR), "binding_message")).await.status, 200);
}

#[tokio::test]
async fn without_a_channel_the_mobile_rings() {
    let lab = Lab::new();
    lab.start_with(&without(&asked(DOCTOR), "channel")).await;
    lab.start(DOCTOR).await;
    let requests = lab.requests().await;
    assert_eq!(requests[0]["channel"], "MOBILE");
    assert_eq!(requests[1]["channel"], "CARD");
}

#[tokio::test]
async fn a_requested_expiry_shortens_the_life_but_not_what_is_acknowledged() {
    let lab = Lab::new();
    let answer = lab.start_with(&with(&asked(DOCTOR), "requested_expiry", "30")).await.json();
    assert_eq!(answer["expires_in"], json!(120));
    let id = answer["auth_req_id"].as_str().expect("a text");
    lab.advance(29_999);
    assert_eq!(lab.poll_result(id).await, "authorization_pending");
    lab.advance(1);
    assert_eq!(lab.poll_result(id).await, "expired_token");
}

#[tokio::test]
async fn duplicate_parameters_are_refused() {
    let lab = Lab::new();
    let mut pairs = asked(DOCTOR).to_vec();
    pairs.push(("scope", "openid"));
    assert_eq!(lab.start_with(&pairs).await.error(), refused("invalid_request", "duplicated parameter"));
}

#[tokio::test]
async fn only_forms_are_read() {
    let lab = Lab::new();
    let path = format!("{BASE}/ext/ciba/auth");
    let headers = [("content-type", "application/json")];
    let answer = lab.send(lab.request(Method::POST, &path, &headers, Body::from("{}"))).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(lab.get(&path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let huge = vec![b'a'; 65 * 1024];
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = lab.send(lab.request(Method::POST, &path, &headers, Body::from(huge))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}")))
}

async fn start_by_secret(lab: &Lab, authorization: &str, more: &[(&str, &str)]) -> (u16, String) {
    let pairs: Vec<_> = asked(DOCTOR).iter().chain(more).copied().collect();
    let request = lab.form(&format!("{BASE}/ext/ciba/auth"), &[("authorization", authorization)], &pairs);
    let answer = lab.send(request).await;
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), error)
}

#[tokio::test]
async fn the_client_may_use_its_secret_form_encoded_or_not() {
    let lab = Lab::new();
    let right = basic("relais-demo", "relais-demo-secret");
    assert_eq!(start_by_secret(&lab, &right, &[]).await, (200, String::new()));
    let encoded = basic("relais%2Ddemo", "relais-demo%2Dsecret");
    assert_eq!(start_by_secret(&lab, &encoded, &[]).await, (200, String::new()));
    let wrong = |error: &str| (401, error.to_owned());
    assert_eq!(start_by_secret(&lab, &basic("relais-demo", "x"), &[]).await, wrong("unauthorized_client"));
    assert_eq!(
        start_by_secret(&lab, &basic("other", "relais-demo-secret"), &[]).await,
        wrong("invalid_client")
    );
    assert_eq!(start_by_secret(&lab, "Bearer x", &[]).await, wrong("invalid_client"));
}

#[tokio::test]
async fn two_ways_of_authentication_at_once_are_refused() {
    let lab = Lab::new();
    let right = basic("relais-demo", "relais-demo-secret");
    for more in
        [("client_id", "relais-demo"), ("client_secret", "relais-demo-secret"), ("client_assertion", "x")]
    {
        assert_eq!(start_by_secret(&lab, &right, &[more]).await, (400, "invalid_request".to_owned()));
    }
}

#[tokio::test]
async fn the_certificate_must_be_the_client_s_and_lead_to_the_authority() {
    let mut lab = Lab::new();
    let text = "Invalid client or Invalid client credentials".to_owned();
    let refused = (401, "unauthorized_client".to_owned(), text.clone());
    for certificate in [None, Some(certificate("somebody-else"))] {
        lab.certificate = certificate;
        assert_eq!(lab.start_with(&asked(DOCTOR)).await.error(), refused);
    }
    let mut unchained = (*certificate("relais-demo")).clone();
    unchained.chained = false;
    lab.certificate = Some(unchained.into());
    assert_eq!(lab.start_with(&asked(DOCTOR)).await.error(), refused);
    lab.certificate = Some(certificate("relais-demo"));
    let mut with_secret = asked(DOCTOR).to_vec();
    with_secret.push(("client_secret", "x"));
    assert_eq!(lab.start_with(&with_secret).await.error(), refused);
    let nobody = lab.form(&format!("{BASE}/ext/ciba/auth"), &[], &asked(DOCTOR));
    assert_eq!(lab.send(nobody).await.error(), (401, "invalid_client".to_owned(), text));
}
