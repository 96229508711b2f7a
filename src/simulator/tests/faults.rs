//! Faults, as far as they show above the socket.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{BASE, DOCTOR, Lab, asked};

const JWKS: &str = "/auth/realms/esante-wallet/protocol/openid-connect/certs";

#[tokio::test]
async fn a_replaced_answer_is_not_processed() {
    let lab = Lab::new();
    let order = json!({
        "endpoint": "backchannel", "status": 503, "headers": { "Retry-After": "7" },
        "body": { "error": "server_error" },
    });
    lab.fault(order).await;
    let answer = lab.start_with(&asked(DOCTOR)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[header::RETRY_AFTER], "7");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.json(), json!({ "error": "server_error" }));
    assert!(lab.requests().await.is_empty(), "nobody's phone rang");
    assert_eq!(lab.stats().await["calls"]["backchannel"], json!({ "fault": 1 }));
}

#[tokio::test]
async fn when_after_replaces_the_answer_of_a_call_that_was_processed() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "backchannel", "when": "after", "body": "<html>" })).await;
    let answer = lab.start_with(&asked(DOCTOR)).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "<html>"));
    assert_eq!(lab.requests().await.len(), 1, "the phone rang");
}

#[tokio::test]
async fn headers_alone_are_set_on_the_true_answer() {
    let lab = Lab::new();
    let order = json!({ "endpoint": "jwks", "headers": { "content-type": "text/plain", "x-more": "1" } });
    lab.fault(order).await;
    let answer = lab.get(JWKS).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain");
    assert_eq!(answer.headers["x-more"], "1");
    assert!(answer.json()["keys"].is_array());
}

#[tokio::test]
async fn a_fault_lets_pass_hits_and_gives_way_to_the_next() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "jwks", "after": 1, "count": 2, "status": 500 })).await;
    lab.fault(json!({ "endpoint": "jwks", "status": 404 })).await;
    lab.fault(json!({ "endpoint": "metadata", "status": 502 })).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(lab.get(JWKS).await.status.as_u16());
    }
    assert_eq!(seen, [200, 500, 500, 404, 200]);
    assert_eq!(lab.get("/auth/realms/esante-wallet/.well-known/openid-configuration").await.status, 502);
}

#[tokio::test]
async fn clearing_forgets_every_fault() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "jwks", "count": 9, "status": 500 })).await;
    assert_eq!(lab.get(JWKS).await.status, 500);
    let cleared = lab.control(Method::DELETE, "/_sim/faults", Value::Null).await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);
    assert_eq!(lab.get(JWKS).await.status, 200);
}

#[tokio::test]
async fn a_delay_runs_on_the_clock_after_the_phone_rang() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "backchannel", "delay_ms": 4000 })).await;
    let mut pairs = asked(DOCTOR).to_vec();
    pairs.push(("client_id", "relais-demo"));
    let request = lab.form(&format!("{BASE}/ext/ciba/auth"), &[], &pairs);
    let waiting = tokio::spawn(super::answer(lab.provider.clone(), request));
    while lab.requests().await.is_empty() {
        tokio::task::yield_now().await;
    }
    lab.advance(3999);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    lab.advance(1);
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(lab.stats().await["calls"]["backchannel"], json!({ "ok": 1 }), "late, but true");
}

#[tokio::test]
async fn a_reset_ends_the_connection_s_task_after_processing() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.approve(&id, Value::Null).await;
    lab.fault(json!({ "endpoint": "token", "action": "reset" })).await;
    let outcome = tokio::spawn(super::answer(lab.provider.clone(), lab.poll_request(&id))).await;
    assert!(outcome.is_err_and(|error| error.is_panic()));
    assert_eq!(lab.requests().await[0]["status"], "redeemed", "the tokens are spent");
    lab.advance(5000);
    assert_eq!(lab.poll_result(&id).await, "invalid_grant");
    assert_eq!(lab.stats().await["overlapping_polls"], json!(0));
}

#[tokio::test]
async fn when_before_spares_the_processing() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.approve(&id, Value::Null).await;
    lab.fault(json!({ "endpoint": "token", "action": "reset", "when": "before" })).await;
    assert!(tokio::spawn(super::answer(lab.provider.clone(), lab.poll_request(&id))).await.is_err());
    assert_eq!(lab.poll_result(&id).await, "ok");
}

#[tokio::test]
async fn a_truncated_answer_promises_more_than_comes() {
    let lab = Lab::new();
    let whole = lab.get(JWKS).await.body.len();
    lab.fault(json!({ "endpoint": "jwks", "action": "truncate" })).await;
    let request = lab.request(Method::GET, JWKS, &[], Body::empty());
    let response = lab.provider.clone().oneshot(request).await.expect("infallible");
    let promised: usize =
        response.headers()[header::CONTENT_LENGTH].to_str().expect("a text").parse().expect("a number");
    assert!(promised > whole);
    let mut body = response.into_body().into_data_stream();
    assert_eq!(body.next().await.expect("a part").expect("bytes").len(), whole.div_ceil(2));
    assert!(body.next().await.expect("an end").is_err());
}

#[tokio::test]
async fn a_streamed_answer_has_no_end() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "jwks", "action": "stream" })).await;
    let request = lab.request(Method::GET, JWKS, &[], Body::empty());
    let response = lab.provider.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let mut length = 0;
    while length < 4 << 20 {
        length += body.next().await.expect("more").expect("bytes").len();
    }
}

#[tokio::test]
async fn a_hanging_answer_never_comes() {
    let lab = Lab::new();
    lab.fault(json!({ "endpoint": "jwks", "action": "hang" })).await;
    let waiting = lab.get(JWKS);
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    assert_eq!(lab.get(JWKS).await.status, 200);
}

#[tokio::test]
async fn what_makes_no_fault_is_refused_whole() {
    let lab = Lab::new();
    for order in [
        json!({ "endpoint": "jwks" }),
        json!({ "endpoint": "introspection", "status": 500 }),
        json!({ "endpoint": "jwks", "status": 500, "count": 0 }),
        json!({ "endpoint": "jwks", "status": 101 }),
        json!({ "endpoint": "jwks", "status": 600 }),
        json!({ "endpoint": "jwks", "headers": { "a b": "c" } }),
        json!({ "endpoint": "jwks", "action": "explode" }),
        json!({ "endpoint": "jwks", "delay_ms": 3_600_001 }),
        json!({ "endpoint": "jwks", "token": { "acr": "x" } }),
        json!({ "endpoint": "token", "token": { "acr": "x" }, "status": 500 }),
        json!({ "endpoint": "jwks", "status": 500, "colour": "red" }),
        json!([]),
    ] {
        let answer = lab.control(Method::POST, "/_sim/faults", order.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{order}");
    }
    assert_eq!(lab.get(JWKS).await.status, 200);
}
