//! One login per person: who is refused, who gives way, and for how long.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::{PACE, assert_ended};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

const OTHER: &str = r#"
[applications.ward]
kind = "backend"
tenant = "hospital"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-the-ward"
"#;

/// The refusal says for how long and whether replacing helps, and nothing about the other login.
#[track_caller]
fn assert_already_pending(answer: Answer, expires_in: u64, replaceable: bool) {
    let answer = answer.expect_problem(409, "already_pending");
    assert_eq!(answer.at("/expires_in"), json!(expires_in));
    assert_eq!(answer.at("/replaceable"), json!(replaceable));
    assert_eq!(answer.header("retry-after"), Some(expires_in.to_string().as_str()));
    for untold in ["login_id", "login_status", "reference", "application", "binding_message", "login_hint"] {
        assert!(answer.json().get(untold).is_none(), "{untold} in {}", answer.body);
    }
}

fn replacing(hint: &str) -> Value {
    json!({"login_hint": hint, "if_pending": "replace"})
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_114_a_second_login_for_a_person_is_refused_until_the_first_has_ended() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let body = json!({"login_hint": DOCTOR, "reference": "the first one"});
        let first = stack.desk().post("/v1/logins", body).await.expect(201);
        stack.pass(Duration::from_secs(2)).await;
        let spelt = format!(" {} {} ", &DOCTOR[..6], &DOCTOR[6..]);
        for hint in [DOCTOR, spelt.as_str()] {
            assert_already_pending(stack.start(hint).await, 118, true);
        }
        assert_eq!(stack.rings(DOCTOR).await, 1);
        let (holder, path) = stack.holder(&first);
        holder.delete(&path).await.expect(204);
        stack.start(DOCTOR).await.expect(201);
        assert_eq!(stack.rings(DOCTOR).await, 2);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_ends_the_old_login_tells_its_holder_and_starts_anew() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let old = stack.start(DOCTOR).await.expect(201);
        stack.next_poll(PACE).await;
        let (holder, path) = stack.holder(&old);
        let waiting = holder.header("prefer", "wait=30");
        let parked = tokio::spawn(async move { waiting.get(&path).await });
        let new = stack.desk().post("/v1/logins", replacing(DOCTOR)).await.expect(201);
        assert_eq!(new.text("/status"), "pending");
        assert_ne!(new.text("/login_id"), old.text("/login_id"));
        let told = parked.await.expect("no panic").expect(200);
        assert_ended(&told, "cancelled", "superseded", "the old holder");
        assert_ended(&stack.read(&old).await, "cancelled", "superseded", "the old login");
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&new).await.text("/status"), "approved");
        stack.pick_up(&new, Value::Null).await.expect(201);
        assert_ended(&stack.read(&old).await, "cancelled", "superseded", "afterwards");
        assert_eq!(stack.requests().await[0]["polls"], json!(1), "the replaced request is left alone");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_of_another_application_is_neither_told_about_nor_replaced() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().sections(OTHER).start().await;
        let mine = stack.start(DOCTOR).await.expect(201);
        let ward = stack.relais.basic("ward", "a-secret-of-the-ward");
        for body in [json!({"login_hint": DOCTOR}), replacing(DOCTOR)] {
            let refused = ward.post("/v1/logins", body).await.expect_problem(409, "already_pending");
            assert_eq!(refused.at("/replaceable"), json!(false));
        }
        assert_eq!(stack.read(&mine).await.text("/status"), "pending");
        assert_eq!(stack.rings(DOCTOR).await, 1);
        let (holder, path) = stack.holder(&mine);
        holder.delete(&path).await.expect(204);
        ward.post("/v1/logins", json!({"login_hint": DOCTOR})).await.expect(201);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_still_starting_is_not_replaced() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "backchannel", "delay_ms": 12_000})).await;
        let started = stack.slow_start(DOCTOR).await;
        assert_eq!(started.text("/status"), "starting");
        for body in [json!({"login_hint": DOCTOR}), replacing(DOCTOR)] {
            let refused = stack.desk().post("/v1/logins", body).await.expect_problem(409, "already_pending");
            assert_eq!(refused.at("/replaceable"), json!(false));
        }
        stack.pass(Duration::from_secs(3)).await;
        stack
            .happens("the acknowledgement", async || stack.read(&started).await.text("/status") == "pending")
            .await;
        assert_eq!(stack.rings(DOCTOR).await, 1);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_keeps_the_person_for_the_life_of_a_request_and_no_longer() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "backchannel", "status": 500, "body": ""})).await;
        let failed = stack.start(DOCTOR).await.expect(201);
        assert_ended(&failed, "failed", "outcome_unknown", "500 without a body");
        assert_already_pending(stack.start(DOCTOR).await, 120, false);
        let replacement = stack.desk().post("/v1/logins", replacing(DOCTOR)).await;
        assert_already_pending(replacement, 120, false);
        stack.clock.advance(Duration::from_secs(119));
        assert_already_pending(stack.start(DOCTOR).await, 1, false);
        stack.clock.advance(Duration::from_secs(1));
        assert_eq!(stack.start(DOCTOR).await.expect(201).text("/status"), "pending");
        assert_eq!(stack.rings(DOCTOR).await, 1);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_of_requests_that_is_configured_is_how_long_an_unknown_outcome_keeps_the_person() {
    for backend in BACKENDS {
        let lines = "request_lifetime = \"300s\"";
        let stack = Stack::on(backend).paced().registration(lines).start().await;
        stack.fault(json!({"endpoint": "backchannel", "action": "reset"})).await;
        assert_ended(&stack.start(DOCTOR).await.expect(201), "failed", "outcome_unknown", "reset");
        assert_already_pending(stack.start(DOCTOR).await, 300, false);
    }
}
