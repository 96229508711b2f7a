//! The token endpoint: the order of checks, and the mechanics of `slow_down`.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{BASE, CIBA, DOCTOR, Lab, certificate};

#[tokio::test]
async fn tokens_come_once_and_in_psc_s_shape() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    assert_eq!(
        lab.poll(&id).await.error(),
        (
            400,
            "authorization_pending".to_owned(),
            "The authorization request is still pending as the end-user hasn't yet been authenticated."
                .to_owned()
        )
    );
    lab.approve(&id, Value::Null).await;
    lab.advance(5000);
    let answer = lab.poll(&id).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["expires_in"], json!(120));
    assert_eq!(tokens["refresh_expires_in"], json!(1800));
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["not-before-policy"], json!(0));
    assert_eq!(tokens["scope"], "openid scope_all");
    for name in ["access_token", "id_token", "refresh_token", "session_state"] {
        assert!(tokens[name].is_string(), "{name}");
    }
    for _ in 0..2 {
        lab.advance(5000);
        assert_eq!(
            lab.poll(&id).await.error(),
            (400, "invalid_grant".to_owned(), "Invalid auth_req_id".to_owned())
        );
    }
}

#[tokio::test]
async fn slow_down_comes_before_the_decision_and_prolongs_nothing() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    assert_eq!(lab.poll_result(&id).await, "authorization_pending", "the first poll is never too early");
    lab.approve(&id, Value::Null).await;
    lab.advance(3000);
    assert_eq!(lab.poll(&id).await.error(), (400, "slow_down".to_owned(), "too early to access".to_owned()));
    lab.advance(1999);
    assert_eq!(lab.poll_result(&id).await, "slow_down");
    // 5 s after the accepted poll, although the last early one was 1 ms ago.
    lab.advance(1);
    assert_eq!(lab.poll_result(&id).await, "ok");
    assert_eq!(lab.stats().await["early_polls"], json!(3));
}

#[tokio::test]
async fn a_denial_stays_a_denial() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.poll(&id).await;
    lab.deny(&id).await;
    lab.advance(1000);
    assert_eq!(lab.poll_result(&id).await, "slow_down");
    for _ in 0..2 {
        lab.advance(5000);
        assert_eq!(
            lab.poll(&id).await.error(),
            (400, "access_denied".to_owned(), "not authorized".to_owned())
        );
    }
}

#[tokio::test]
async fn expiry_beats_the_decision_and_is_forgotten_an_interval_and_ten_seconds_later() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.deny(&id).await;
    lab.advance(120_000);
    for _ in 0..2 {
        // Twice at once: an expired request is never told to slow down.
        assert_eq!(
            lab.poll(&id).await.error(),
            (400, "expired_token".to_owned(), "authentication timed out".to_owned())
        );
    }
    lab.advance(14_999);
    assert_eq!(lab.poll_result(&id).await, "expired_token");
    lab.advance(1);
    assert_eq!(
        lab.poll(&id).await.error(),
        (400, "invalid_grant".to_owned(), "Invalid auth_req_id".to_owned())
    );
}

#[tokio::test]
async fn an_approval_that_nobody_fetched_expires() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.approve(&id, Value::Null).await;
    lab.advance(120_000);
    assert_eq!(lab.poll_result(&id).await, "expired_token");
}

#[tokio::test]
async fn an_id_that_was_never_given_out_is_told_from_one_that_is_no_more() {
    let lab = Lab::new();
    let mut id = lab.start(DOCTOR).await;
    let garbage = (400, "invalid_grant".to_owned(), "Invalid Auth Req ID".to_owned());
    assert_eq!(lab.poll("garbage").await.error(), garbage);
    let foreign = Lab::new().start(DOCTOR).await;
    assert_eq!(lab.poll(&foreign).await.error(), garbage);
    let replacement = if id.ends_with('A') { 'Q' } else { 'A' };
    id.pop();
    id.push(replacement);
    assert_eq!(lab.poll(&id).await.error(), garbage);
}

#[tokio::test]
async fn the_form_is_looked_at_first_then_the_client() {
    let mut lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let path = format!("{BASE}/token");
    let client = ("client_id", "relais-demo");
    let grant = ("grant_type", CIBA);
    let twice = ("auth_req_id", id.as_str());
    let cases = [
        (vec![client], "invalid_request", "Missing form parameter: grant_type"),
        (vec![client, ("grant_type", "password")], "unsupported_grant_type", "Unsupported grant_type"),
        (vec![client, grant], "invalid_request", "Missing parameter: auth_req_id"),
        (vec![client, grant, twice, twice], "invalid_request", "duplicated parameter"),
    ];
    for (pairs, error, description) in cases {
        let answer = lab.send(lab.form(&path, &[], &pairs)).await;
        assert_eq!(answer.error(), (400, error.to_owned(), description.to_owned()));
    }
    lab.certificate = Some(certificate("somebody-else"));
    assert_eq!(lab.poll("garbage").await.error().0, 401);
    assert_eq!(lab.poll(&id).await.error().1, "unauthorized_client");
}

#[tokio::test]
async fn a_poll_by_somebody_else_spends_nothing() {
    let mut lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.approve(&id, Value::Null).await;
    let right = lab.certificate.take();
    assert_eq!(lab.poll(&id).await.status, StatusCode::UNAUTHORIZED);
    lab.certificate = right;
    assert_eq!(lab.poll_result(&id).await, "ok");
}

#[tokio::test]
async fn a_changed_interval_counts_for_the_requests_that_follow() {
    let lab = Lab::new();
    let before = lab.start(DOCTOR).await;
    assert_eq!(lab.settings(json!({ "interval": 10 })).await.status, StatusCode::OK);
    let after = lab.start(DOCTOR).await;
    lab.poll(&before).await;
    lab.poll(&after).await;
    lab.advance(5000);
    assert_eq!(lab.poll_result(&before).await, "authorization_pending");
    assert_eq!(lab.poll_result(&after).await, "slow_down");
}

#[tokio::test]
async fn polls_are_counted_whatever_their_answer() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.fault(json!({ "endpoint": "token", "status": 503 })).await;
    for _ in 0..3 {
        lab.poll(&id).await;
    }
    lab.advance(120_000);
    lab.poll(&id).await;
    assert_eq!(lab.requests().await[0]["polls"], json!(4));
    assert_eq!(lab.requests().await[0]["status"], "expired");
    let calls = lab.stats().await["calls"]["token"].clone();
    assert_eq!(calls, json!({ "authorization_pending": 1, "expired_token": 1, "fault": 1, "slow_down": 1 }));
}

#[tokio::test]
async fn polls_are_counted_by_how_long_after_their_interval_they_come() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    for wait in [5250, 5000, 4999, 5250, 60_000] {
        lab.advance(wait);
        lab.poll(&id).await;
    }
    let stats = lab.stats().await;
    assert_eq!(stats["poll_delays"], json!({ "0": 1, "250": 2, "10000": 1 }));
    assert_eq!(stats["early_polls"], json!(1));
}

#[tokio::test]
async fn polls_that_overlap_are_counted() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.fault(json!({ "endpoint": "token", "action": "hang" })).await;
    let provider = lab.provider.clone();
    let hanging = tokio::spawn(super::answer(provider, lab.poll_request(&id)));
    while lab.requests().await[0]["polls"] != json!(1) {
        tokio::task::yield_now().await;
    }
    lab.advance(5000);
    lab.poll(&id).await;
    assert_eq!(lab.stats().await["overlapping_polls"], json!(1));
    hanging.abort();
    assert!(hanging.await.is_err());
    lab.advance(5000);
    lab.poll(&id).await;
    let stats = lab.stats().await;
    assert_eq!(stats["overlapping_polls"], json!(1), "a poll that was given up is no longer under way");
    assert_eq!(stats["early_polls"], json!(0));
}

#[tokio::test]
async fn ended_requests_are_dropped_ten_minutes_later() {
    let lab = Lab::new();
    let redeemed = lab.start(DOCTOR).await;
    lab.approve(&redeemed, Value::Null).await;
    lab.poll(&redeemed).await;
    lab.start(DOCTOR).await;
    lab.advance(599_999);
    assert_eq!(lab.requests().await.len(), 2);
    lab.advance(1000);
    assert_eq!(lab.requests().await.len(), 1, "the other one ended two minutes later");
    lab.advance(120_000);
    assert!(lab.requests().await.is_empty());
    let path = format!("/_sim/requests/{redeemed}/approve");
    assert_eq!(lab.control(Method::POST, &path, Value::Null).await.status, StatusCode::NOT_FOUND);
}
