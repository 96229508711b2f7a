//! Faults of userinfo fail nothing: the session is incomplete until a later use completes it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FAULTS, at, person};
use crate::flows::pace::PACE;
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// A session whose userinfo met `fault` (as often as `count`).
async fn session_despite(stack: &Stack, hint: &str, count: u32, fault: &Value) -> Answer {
    stack.fault(at("userinfo", count, fault)).await;
    let before = stack.calls("userinfo").await;
    let started = stack.approved(hint).await;
    stack.happens("userinfo is asked for", async || stack.calls("userinfo").await > before).await;
    stack.settle().await;
    stack.pick_up(&started, Value::Null).await.expect(201)
}

#[track_caller]
fn assert_incomplete(session: &Answer, hint: &str, case: &str) {
    assert_eq!(session.at("/subject/complete"), json!(false), "{case}");
    assert_eq!(session.at("/subject/exercices"), json!([]), "{case}");
    assert_eq!(session.text("/subject/national_id"), hint, "{case}: the ID token says who it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_userinfo_leaves_the_session_incomplete_and_the_next_use_completes_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, fault)) in FAULTS.iter().enumerate() {
            let hint = person(number);
            let picked_up = session_despite(&stack, &hint, 1, &fault()).await;
            assert_incomplete(&picked_up, &hint, case);
            let session = stack.relais.bearer(&picked_up.text("/session_handle"));
            // What has just failed is not tried again at every call.
            stack.pass(Duration::from_secs(10)).await;
            let used = session.get("/v1/session").await.expect(200);
            assert_eq!(used.at("/subject/complete"), json!(true), "{case}");
            assert_eq!(used.text("/subject/sub"), picked_up.text("/subject/sub"));
            let userinfo = session.get("/v1/session/userinfo").await.expect(200);
            assert_eq!(userinfo.text("/SubjectNameID"), hint, "{case}");
        }
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_endpoint_that_stays_down_is_told_where_userinfo_is_asked_for_and_nowhere_else() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let picked_up = session_despite(&stack, DOCTOR, 100, &json!({"status": 500, "body": ""})).await;
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        for _ in 0..3 {
            stack.pass(Duration::from_secs(11)).await;
            assert_incomplete(&session.get("/v1/session").await.expect(200), DOCTOR, "down");
            session.get("/v1/session/userinfo").await.expect_problem(503, "provider_unavailable");
        }
        // The first read and one for each use after the cool-down; a call within it causes none.
        assert_eq!(stack.calls("userinfo").await, 4);
        stack.no_faults().await;
        stack.pass(Duration::from_secs(11)).await;
        session.get("/v1/session/userinfo").await.expect(200);
        assert_eq!(session.get("/v1/session").await.expect(200).at("/subject/complete"), json!(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_c_07_userinfo_of_another_person_is_discarded() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let genuine = stack.session(DOCTOR).await;
        let sub = genuine.text("/subject/sub");
        let documents = [
            (
                "another sub",
                json!({"sub": "somebody-else", "SubjectNameID": DOCTOR, "family_name": "INTRUDER"}),
            ),
            ("no sub", json!({"SubjectNameID": DOCTOR, "family_name": "INTRUDER"})),
            ("sub a number", json!({"sub": 7, "family_name": "INTRUDER"})),
            (
                "another national id",
                json!({"sub": sub, "SubjectNameID": "899700000002", "family_name": "INTRUDER"}),
            ),
        ];
        for (case, document) in documents {
            let fault = json!({"status": 200, "body": document});
            let picked_up = session_despite(&stack, DOCTOR, 1, &fault).await;
            assert_incomplete(&picked_up, DOCTOR, case);
            assert!(!picked_up.body.contains("INTRUDER"), "{case}");
            stack.pass(Duration::from_secs(10)).await;
            let session = stack.relais.bearer(&picked_up.text("/session_handle"));
            let used = session.get("/v1/session").await.expect(200);
            assert_eq!(used.at("/subject/complete"), json!(true), "{case}");
            assert!(!used.body.contains("INTRUDER"), "{case}");
        }
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pick_up_waits_for_slow_userinfo_three_seconds_at_most() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (delay, complete)) in [(2000, true), (4000, false)].into_iter().enumerate() {
            stack.fault(json!({"endpoint": "userinfo", "delay_ms": delay})).await;
            let started = stack.approved(&person(number)).await;
            let (holder, path) = stack.holder(&started);
            let call =
                tokio::spawn(async move { holder.post(&format!("{path}/session"), Value::Null).await });
            stack.settle().await;
            stack.pass(Duration::from_millis(1999)).await;
            assert!(!call.is_finished(), "it waits");
            stack.pass(Duration::from_millis(if complete { 1 } else { 1001 })).await;
            let picked_up = call.await.expect("no panic").expect(201);
            assert_eq!(picked_up.at("/subject/complete"), json!(complete), "after {delay} ms");
            stack.pass(Duration::from_secs(2)).await;
            stack.settle().await;
            let session = stack.relais.bearer(&picked_up.text("/session_handle"));
            stack
                .happens("it is complete", async || {
                    session.get("/v1/session").await.expect(200).at("/subject/complete") == json!(true)
                })
                .await;
        }
        assert_eq!(stack.calls("userinfo").await, 2, "each is read once");
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_endpoint_that_hangs_holds_a_pick_up_for_three_seconds_and_no_login() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "userinfo", "action": "hang"})).await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved", "approval does not wait");
        let (holder, path) = stack.holder(&started);
        let call = tokio::spawn(async move { holder.post(&format!("{path}/session"), Value::Null).await });
        stack.settle().await;
        stack.pass(Duration::from_secs(3)).await;
        let picked_up = call.await.expect("no panic").expect(201);
        assert_incomplete(&picked_up, DOCTOR, "hang");
        stack.was_polite().await;
    }
}
