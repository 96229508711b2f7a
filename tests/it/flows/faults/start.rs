//! Faults of the backchannel endpoint: what became of the request, and whether the person is free.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FAULTS, at, person};
use crate::flows::pace::{PACE, assert_ended};
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// Outcome of each of [`FAULTS`], and whether the person is kept: the provider may have rung.
const OUTCOMES: [(&str, &str, bool); 10] = [
    ("500 without a body", "outcome_unknown", true),
    ("503 with an OAuth error", "provider_unavailable", false),
    ("429 with Retry-After", "provider_unavailable", false),
    ("200 with HTML", "provider_invalid_answer", true),
    ("200 with half of a JSON text", "provider_invalid_answer", true),
    ("200 with nothing", "provider_invalid_answer", true),
    ("302", "provider_invalid_answer", true),
    ("reset", "outcome_unknown", true),
    ("truncate", "outcome_unknown", true),
    ("stream", "outcome_unknown", true),
];

/// A login fails with `reason`, the person is kept or free, and nothing is sent afterwards.
async fn assert_fails(stack: &Stack, case: &str, hint: &str, fault: Value, (reason, kept): (&str, bool)) {
    stack.fault(at("backchannel", 1, &fault)).await;
    let before = stack.calls("backchannel").await;
    let failed = stack.start(hint).await.expect(201);
    assert_ended(&failed, "failed", reason, case);
    assert_eq!(stack.calls("backchannel").await, before + 1, "{case}: asked once");
    let again = stack.start(hint).await;
    if kept {
        let again = again.expect_problem(409, "already_pending");
        assert_eq!(again.at("/replaceable"), json!(false), "{case}");
        assert_eq!(again.at("/expires_in"), json!(120), "{case}");
        assert_eq!(stack.calls("backchannel").await, before + 1, "{case}: nobody is asked again");
    } else {
        let again = again.expect(201);
        assert_eq!(again.text("/status"), "pending", "{case}");
        let (holder, path) = stack.holder(&again);
        holder.delete(&path).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_backchannel_endpoint_has_its_outcome() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, fault)) in FAULTS.iter().enumerate() {
            let (_, reason, kept) = *OUTCOMES.iter().find(|(name, ..)| name == case).expect("an outcome");
            assert_fails(&stack, case, &person(number), fault(), (reason, kept)).await;
        }
        stack.stays_silent().await;
        assert_eq!(stack.calls("token").await, 0, "nothing is polled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_033_to_038_every_oauth_error_of_the_backchannel_endpoint_has_its_outcome() {
    let cases = [
        (400, "unknown_user_id", "user_unknown"),
        (401, "invalid_client", "provider_rejected_client"),
        (400, "unauthorized_client", "provider_rejected_client"),
        (400, "invalid_grant", "provider_rejected_client"),
        (400, "invalid_binding_message", "binding_message_invalid"),
        (400, "missing_user_code", "user_code_required"),
        (400, "invalid_user_code", "user_code_invalid"),
        (403, "access_denied", "provider_refused"),
        (400, "invalid_scope", "provider_refused"),
        (400, "invalid_request", "provider_refused"),
        (400, "something_new", "provider_refused"),
        (500, "server_error", "provider_unavailable"),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (status, error, reason)) in cases.into_iter().enumerate() {
            let body = json!({"error": error, "error_description": "said by the test"});
            let fault = json!({"status": status, "body": body});
            assert_fails(&stack, error, &person(number), fault, (reason, false)).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_029_030_a_2xx_that_is_no_acknowledgement_fails_and_keeps_the_person() {
    let cases = [
        ("no auth_req_id", json!({"expires_in": 120, "interval": 5})),
        ("an empty auth_req_id", json!({"auth_req_id": "", "expires_in": 120})),
        ("auth_req_id a number", json!({"auth_req_id": 7, "expires_in": 120})),
        ("no expires_in", json!({"auth_req_id": "x", "interval": 5})),
        ("expires_in of 0", json!({"auth_req_id": "x", "expires_in": 0})),
        ("expires_in below 0", json!({"auth_req_id": "x", "expires_in": -5})),
        ("a list", json!([{"auth_req_id": "x", "expires_in": 120}])),
        ("null", json!("null")),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, body)) in cases.iter().enumerate() {
            let fault = json!({"status": 200, "body": body});
            assert_fails(&stack, case, &person(number), fault, ("provider_invalid_answer", true)).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_040_an_answer_that_is_lost_after_the_phone_rang_never_rings_it_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, action) in ["reset", "truncate"].into_iter().enumerate() {
            let hint = person(number);
            assert_fails(&stack, action, &hint, json!({"action": action}), ("outcome_unknown", true)).await;
            assert_eq!(stack.rings(&hint).await, 1, "{action}");
        }
        stack.stays_silent().await;
        assert_eq!(stack.calls("token").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_acknowledgement_is_waited_for() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "backchannel", "delay_ms": 14_000})).await;
        let started = stack.slow_start(DOCTOR).await;
        assert_eq!(started.text("/status"), "starting");
        stack.pass(Duration::from_secs(4)).await;
        stack
            .happens("the acknowledgement", async || stack.read(&started).await.text("/status") == "pending")
            .await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE.saturating_sub(Duration::from_millis(750))).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.pick_up(&started, Value::Null).await.expect(201);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backchannel_endpoint_that_hangs_is_given_up_after_its_time_out() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "backchannel", "action": "hang"})).await;
        let started = stack.slow_start(DOCTOR).await;
        assert_eq!(started.text("/status"), "starting");
        // The time-out of I/O is real: 20 s.
        stack
            .in_real_time("the time-out", Duration::from_secs(30), async || {
                stack.read(&started).await.text("/status") == "failed"
            })
            .await;
        assert_ended(&stack.read(&started).await, "failed", "outcome_unknown", "hang");
        stack.start(DOCTOR).await.expect_problem(409, "already_pending");
        assert_eq!(stack.rings(DOCTOR).await, 1);
        stack.stays_silent().await;
    }
}
