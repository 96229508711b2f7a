//! The control interface.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{DOCTOR, Lab, answer};

async fn status(lab: &Lab, index: usize) -> Value {
    lab.requests().await[index]["status"].clone()
}

#[tokio::test]
async fn requests_are_listed_oldest_first_with_what_became_of_them() {
    let lab = Lab::new();
    let mut ids = Vec::new();
    for hint in [DOCTOR, "899700000002", "899700000003", "899700000004"] {
        ids.push(lab.start(hint).await);
        lab.advance(1000);
    }
    lab.approve(&ids[0], Value::Null).await;
    lab.poll(&ids[0]).await;
    lab.approve(&ids[1], Value::Null).await;
    lab.deny(&ids[2]).await;
    let list = lab.requests().await;
    let expected = json!({
        "auth_req_id": ids[0], "login_hint": DOCTOR, "binding_message": "42", "channel": "CARD",
        "status": "redeemed", "polls": 1, "created_at": "2026-11-22T02:00:00.000Z",
    });
    assert_eq!(list[0], expected);
    let states: Vec<&Value> = list.iter().map(|request| &request["status"]).collect();
    assert_eq!(states, ["redeemed", "approved", "denied", "pending"]);
    lab.advance(120_000);
    assert_eq!(status(&lab, 1).await, "expired");
    assert_eq!(status(&lab, 2).await, "denied");
    assert_eq!(status(&lab, 3).await, "expired");
}

#[tokio::test]
async fn a_decision_is_taken_once_by_whom_the_request_waits_for() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let approve = format!("/_sim/requests/{id}/approve");
    let deny = format!("/_sim/requests/{id}/deny");
    for (path, body, expected) in [
        ("/_sim/requests/none/approve", Value::Null, 404),
        (&format!("/_sim/requests/{id}/forget"), Value::Null, 404),
        (&approve, json!({ "as": "unknown" }), 400),
        (&approve, json!({ "who": DOCTOR }), 400),
        (&approve, json!({ "amr": "pwd" }), 400),
        (&deny, Value::Null, 204),
        (&approve, Value::Null, 409),
        (&deny, Value::Null, 409),
    ] {
        let answer = lab.control(Method::POST, path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), expected, "{path} {body}");
    }
    let late = lab.start(DOCTOR).await;
    lab.advance(120_000);
    let answer = lab.control(Method::POST, &format!("/_sim/requests/{late}/approve"), Value::Null).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn settings_change_in_parts_and_all_or_nothing() {
    let lab = Lab::new();
    let answer = lab.settings(json!({ "interval": 2, "expires_in": 60 })).await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({
        "interval": 2,
        "expires_in": 60,
        "access_token_seconds": 120,
        "refresh_token_seconds": 1800,
        "refresh": "rotate",
        "auto": null,
    });
    assert_eq!(answer.json(), expected);
    for refused in [
        json!({ "interval": 0 }),
        json!({ "interval": 1.5 }),
        json!({ "expires_in": 3601 }),
        json!({ "interval": 9, "access_token_seconds": 86_401 }),
        json!({ "refresh": "sometimes" }),
        json!({ "auto": { "decision": "later", "after_ms": 0 } }),
        json!({ "auto": { "decision": "approve" } }),
        json!("x"),
    ] {
        assert_eq!(lab.settings(refused.clone()).await.status, StatusCode::BAD_REQUEST, "{refused}");
    }
    assert_eq!(lab.settings(json!({})).await.json(), expected);
}

#[tokio::test]
async fn a_request_may_decide_itself() {
    let lab = Lab::new();
    lab.settings(json!({ "auto": { "decision": "approve", "after_ms": 1500 } })).await;
    let approved = lab.start(DOCTOR).await;
    lab.advance(1499);
    assert_eq!(status(&lab, 0).await, "pending");
    lab.advance(1);
    assert_eq!(lab.poll_result(&approved).await, "ok");
    lab.settings(json!({ "auto": { "decision": "deny", "after_ms": 0 } })).await;
    let denied = lab.start(DOCTOR).await;
    assert_eq!(lab.poll_result(&denied).await, "access_denied");
    // Absent keeps, `null` clears.
    let kept = lab.settings(json!({ "interval": 5 })).await.json();
    assert_eq!(kept["auto"], json!({ "decision": "deny", "after_ms": 0 }));
    lab.settings(json!({ "auto": null })).await;
    let waiting = lab.start(DOCTOR).await;
    assert_eq!(lab.poll_result(&waiting).await, "authorization_pending");
}

#[tokio::test]
async fn nothing_is_decided_after_the_end() {
    let lab = Lab::new();
    lab.settings(json!({ "auto": { "decision": "deny", "after_ms": 120_000 } })).await;
    lab.start(DOCTOR).await;
    lab.advance(120_000);
    assert_eq!(status(&lab, 0).await, "expired");
}

#[tokio::test]
async fn the_process_may_order_approvals_as_the_control_interface_does() {
    let lab = Lab::new();
    lab.simulator.approve_by_itself(std::time::Duration::from_millis(300));
    let id = lab.start(DOCTOR).await;
    lab.advance(300);
    assert_eq!(lab.poll_result(&id).await, "ok");
    let in_force = lab.settings(json!({})).await.json();
    assert_eq!(in_force["auto"], json!({ "decision": "approve", "after_ms": 300 }));
}

#[tokio::test]
async fn a_decision_by_hand_comes_before_one_that_is_not_due() {
    let lab = Lab::new();
    lab.settings(json!({ "auto": { "decision": "approve", "after_ms": 5000 } })).await;
    let id = lab.start(DOCTOR).await;
    lab.deny(&id).await;
    lab.advance(6000);
    assert_eq!(lab.poll_result(&id).await, "access_denied");
}

#[tokio::test]
async fn stats_count_rings_and_refused_handshakes() {
    let lab = Lab::new();
    lab.start(DOCTOR).await;
    lab.start(DOCTOR).await;
    lab.start("899700000002").await;
    lab.start_with(&super::asked("unknown")).await;
    lab.simulator.handshake_refused("certificate_missing");
    lab.simulator.handshake_refused("certificate_missing");
    let expected = json!({
        "calls": { "backchannel": { "invalid_request": 1, "ok": 3 } },
        "early_polls": 0,
        "overlapping_polls": 0,
        "poll_delays": {},
        "refreshes": {},
        "rings": { DOCTOR: 2, "899700000002": 1 },
        "handshakes_refused": { "certificate_missing": 2 },
    });
    assert_eq!(lab.stats().await, expected);
}

#[tokio::test]
async fn a_page_of_another_site_decides_nothing() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    for path in [format!("/_sim/requests/{id}/approve"), format!("/phone/{id}/approve")] {
        let headers = [("host", "127.0.0.1:8082"), ("origin", "https://elsewhere.example")];
        let request = lab.request(Method::POST, &path, &headers, Body::empty());
        assert_eq!(answer(lab.control.clone(), request).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(status(&lab, 0).await, "pending");
    let headers = [("host", "127.0.0.1:8082"), ("origin", "http://127.0.0.1:8082")];
    let request = lab.request(Method::POST, &format!("/phone/{id}/approve"), &headers, Body::empty());
    assert_eq!(answer(lab.control.clone(), request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_is_refused_on_every_route() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let status_of = async |method: Method, path: &str, host: &str| {
        let request = lab.request(method, path, &[("host", host)], Body::empty());
        answer(lab.control.clone(), request).await.status
    };
    let routes = [
        (Method::GET, "/".to_owned()),
        (Method::POST, format!("/phone/{id}/approve")),
        (Method::GET, "/_sim/requests".to_owned()),
        (Method::POST, format!("/_sim/requests/{id}/approve")),
        (Method::POST, "/_sim/faults".to_owned()),
        (Method::DELETE, "/_sim/faults".to_owned()),
        (Method::PUT, "/_sim/settings".to_owned()),
        (Method::GET, "/_sim/stats".to_owned()),
        (Method::GET, "/_sim/people".to_owned()),
    ];
    for (method, path) in routes {
        for host in ["rebound.example:8082", "localhost.rebound.example", "127.0.0.1.rebound.example", "a b"]
        {
            let status = status_of(method.clone(), &path, host).await;
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path} at {host}");
        }
    }
    assert_eq!(status(&lab, 0).await, "pending");
    for host in ["localhost", "LOCALHOST:8082", "127.0.0.1:8082", "[::1]:8082", "[::1]", "192.0.2.7"] {
        assert_eq!(status_of(Method::GET, "/_sim/stats", host).await, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    use crate::domain::clock::Monotonic;
    use crate::domain::time::Timestamp;
    use crate::simulator::people;
    use crate::simulator::requests::{Approval, Asked, MOST_REQUESTS, Requests};
    use crate::simulator::settings::Decision;
    use std::time::Duration;

    let mut requests = Requests::default();
    let person = people::find(DOCTOR).expect("somebody");
    let ring = |requests: &mut Requests, id: String| {
        let asked = Asked {
            login_hint: DOCTOR.to_owned(),
            person: person.clone(),
            scope: "openid".to_owned(),
            binding_message: None,
            channel: 0,
            interval: Duration::from_secs(5),
            life: Duration::from_secs(120),
            auto: None,
            notification: None,
        };
        requests.ring(id, asked, Monotonic::default(), Timestamp::from_secs(0))
    };
    for number in 0..MOST_REQUESTS {
        assert!(ring(&mut requests, number.to_string()));
    }
    assert!(!ring(&mut requests, "one more".to_owned()), "all of them are under way");
    let now = Monotonic::default();
    requests.decide("5000", Decision::Deny, Approval::default(), now).expect("decided");
    assert!(ring(&mut requests, "one more".to_owned()), "an ended one makes room");
    assert!(requests.arrive("5000", now).is_none());
    assert_eq!(requests.list(now).count(), MOST_REQUESTS);
}
