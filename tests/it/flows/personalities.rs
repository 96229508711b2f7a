//! Other providers than PSC: Keycloak as it comes, and one by the letter of CIBA, each with the profile of its name.

use std::time::Duration;

use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use crate::flows::pace::{INTERVAL, PACE, assert_ended};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

const OTHERS: [(Personality, Duration); 2] =
    // Keycloak counts from the arrival, so its profile waits a little longer.
    [(Personality::Keycloak, PACE), (Personality::Generic, INTERVAL)];

async fn start_with(stack: &Stack, name: &str, value: Value) -> Answer {
    let mut body = json!({ "login_hint": DOCTOR });
    body[name] = value;
    stack.desk().post("/v1/logins", body).await.expect(201)
}

async fn cancel(stack: &Stack, started: &Answer) {
    let (holder, path) = stack.holder(started);
    holder.delete(&path).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_keycloak_and_at_a_provider_by_the_letter() {
    for backend in BACKENDS {
        for (personality, pace) in OTHERS {
            let stack = Stack::on(backend).personality(personality).paced().start().await;
            let started = stack.start(DOCTOR).await.expect(201);
            stack.next_poll(pace).await;
            stack.next_poll(pace).await;
            stack.decide("approve", Value::Null).await;
            stack.next_poll(pace).await;
            assert_eq!(stack.outcome(&started).await.text("/status"), "approved", "{personality:?}");
            let picked_up = stack.pick_up(&started, Value::Null).await.expect(201);
            assert_eq!(picked_up.at("/subject/complete"), json!(true), "{personality:?}");
            assert!(!picked_up.text("/subject/family_name").is_empty());
            assert_eq!(picked_up.at("/subject/exercices"), json!([]));
            let session = stack.relais.bearer(&picked_up.text("/session_handle"));
            let userinfo = session.get("/v1/session/userinfo").await.expect(200);
            assert_eq!(userinfo.text("/preferred_username"), DOCTOR);
            stack.was_polite().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_033_nobody_is_nobody_whichever_words_the_provider_has_for_it() {
    for backend in BACKENDS {
        for (personality, _) in OTHERS {
            let stack = Stack::on(backend).personality(personality).paced().start().await;
            let failed = stack.start("unknown-42").await.expect(201);
            assert_ended(&failed, "failed", "user_unknown", &format!("{personality:?}"));
            stack.stays_silent().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_076_another_person_than_asked_for_is_refused_by_every_profile() {
    for backend in BACKENDS {
        for (personality, pace) in OTHERS {
            let stack = Stack::on(backend).personality(personality).paced().start().await;
            let started = stack.start(DOCTOR).await.expect(201);
            stack.decide("approve", json!({ "as": "899700000002" })).await;
            stack.next_poll(pace).await;
            let case = format!("{personality:?}");
            assert_ended(&stack.outcome(&started).await, "failed", "identity_mismatch", &case);
            stack.stays_silent().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_034_a_user_code_that_was_wrong_or_missing_is_brought_by_the_next_login() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).personality(Personality::Generic).paced().start().await;
        let missing =
            json!({"endpoint": "backchannel", "status": 400, "body": {"error": "missing_user_code"}});
        stack.fault(missing).await;
        assert_ended(&stack.start(DOCTOR).await.expect(201), "failed", "user_code_required", "missing");
        let wrong = start_with(&stack, "user_code", json!("9999")).await;
        assert_ended(&wrong, "failed", "user_code_invalid", "wrong");
        let right = start_with(&stack, "user_code", json!("0001")).await;
        assert_eq!(right.text("/status"), "pending");
        assert_eq!(stack.rings(DOCTOR).await, 1);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_020_a_user_code_is_forwarded_once_also_where_the_start_is_repeated() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).personality(Personality::Generic).paced().start().await;
        let key = "7d1f0c9e-3b5a-4c8d-9e2f-1a2b3c4d5e60";
        let desk = stack.desk().header("idempotency-key", key);
        let body = |code: &str| json!({ "login_hint": DOCTOR, "user_code": code });
        let first = desk.post("/v1/logins", body("0001")).await.expect(201);
        let again = desk.post("/v1/logins", body("0001")).await.expect(200);
        assert_eq!(again.text("/login_token"), first.text("/login_token"));
        desk.post("/v1/logins", body("0002")).await.expect_problem(422, "idempotency_key_reused");
        assert_eq!(stack.calls("backchannel").await, 1, "forwarded once");
        for answer in [first, again] {
            assert!(answer.json().get("user_code").is_none(), "{}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keycloak_takes_no_user_code_and_says_so() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).personality(Personality::Keycloak).paced().start().await;
        let refused = start_with(&stack, "user_code", json!("0001")).await;
        assert_ended(&refused, "failed", "provider_refused", "not supported");
        assert_eq!(stack.start(DOCTOR).await.expect(201).text("/status"), "pending", "the person is free");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_019_a_requested_expiry_counts_whatever_the_provider_acknowledges() {
    for backend in BACKENDS {
        for (personality, _) in OTHERS {
            let stack = Stack::on(backend).personality(personality).paced().start().await;
            let started = start_with(&stack, "requested_expiry", json!(30)).await;
            assert_eq!(started.at("/expires_in"), json!(30), "{personality:?}");
            cancel(&stack, &started).await;
        }
    }
}
