//! The pick-up: once, again where its answer was lost, never again once the handle was used.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::assert_ended;
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

fn exercices(session: &Answer) -> Vec<String> {
    let list = session.at("/subject/exercices");
    list.as_array().expect("a list").iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_and_the_lost_handle_opens_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let lost = stack.pick_up(&started, Value::Null).await.expect(201);
        let login = stack.read(&started).await;
        assert_eq!(login.text("/status"), "picked_up");
        assert_eq!(login.text("/session_id"), lost.text("/session_id"));
        assert_eq!(login.at("/repeatable_for"), json!(60));
        stack.clock.advance(Duration::from_secs(59));
        let again = stack.pick_up(&started, Value::Null).await.expect(201);
        assert_eq!(again.text("/session_id"), lost.text("/session_id"));
        assert_ne!(again.text("/session_handle"), lost.text("/session_handle"));
        let dead = stack.relais.bearer(&lost.text("/session_handle"));
        let refused = dead.get("/v1/session").await.expect_problem(401, "handle_invalid");
        assert!(refused.header("www-authenticate").is_some());
        let live = stack.relais.bearer(&again.text("/session_handle"));
        live.get("/v1/session").await.expect(200);
        dead.get("/v1/session").await.expect_problem(401, "handle_invalid");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_has_been_used_in_any_way_is_never_replaced() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for path in ["/v1/session", "/v1/session?touch=false", "/v1/session/userinfo"] {
            let hint = format!("8997{:08}", path.len());
            let started = stack.approved(&hint).await;
            let first = stack.pick_up(&started, Value::Null).await.expect(201);
            let session = stack.relais.bearer(&first.text("/session_handle"));
            session.get(path).await.expect(200);
            stack.pick_up(&started, Value::Null).await.expect_problem(409, "already_picked_up");
            session.get("/v1/session").await.expect(200);
        }
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_time_to_repeat_a_pick_up_is_over_even_where_its_handle_was_never_used() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let first = stack.pick_up(&started, Value::Null).await.expect(201);
        stack.clock.advance(Duration::from_secs(40));
        let second = stack.pick_up(&started, Value::Null).await.expect(201);
        // Counted from the first one.
        stack.clock.advance(Duration::from_millis(20_001));
        stack.pick_up(&started, Value::Null).await.expect_problem(409, "already_picked_up");
        assert_eq!(stack.read(&started).await.at("/repeatable_for"), json!(0));
        stack.relais.bearer(&second.text("/session_handle")).get("/v1/session").await.expect(200);
        let dead = stack.relais.bearer(&first.text("/session_handle"));
        dead.get("/v1/session").await.expect_problem(401, "handle_invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_repeat_is_what_the_application_says() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("pick_up_repeat = \"5s\"").start().await;
        let started = stack.approved(DOCTOR).await;
        stack.pick_up(&started, Value::Null).await.expect(201);
        stack.clock.advance(Duration::from_millis(5_001));
        stack.pick_up(&started, Value::Null).await.expect_problem(409, "already_picked_up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_12_another_person_than_expected_fails_the_login() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let wrong = json!({"expected_subject": "899700000002"});
        stack.pick_up(&started, wrong.clone()).await.expect_problem(409, "identity_mismatch");
        assert_ended(&stack.read(&started).await, "failed", "identity_mismatch", "another person");
        for body in [json!({"expected_subject": DOCTOR}), wrong, Value::Null] {
            let refused = stack.pick_up(&started, body).await.expect_problem(409, "not_approved");
            assert_eq!(refused.text("/reason"), "identity_mismatch");
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_12_the_expected_person_is_named_by_national_id_or_by_sub() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let first = stack.pick_up(&started, json!({"expected_subject": DOCTOR})).await.expect(201);
        let sub = first.text("/subject/sub");
        assert_ne!(sub, DOCTOR);
        stack.pick_up(&started, json!({"expected_subject": sub})).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_12_a_repeated_pick_up_is_compared_as_well() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        stack.pick_up(&started, Value::Null).await.expect(201);
        let wrong = json!({"expected_subject": "899700000002"});
        stack.pick_up(&started, wrong).await.expect_problem(409, "identity_mismatch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercice_is_chosen_at_the_pick_up_and_an_unknown_one_leaves_the_login_approved() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let nonsense = json!({"exercice": "no-such-place"});
        stack.pick_up(&started, nonsense).await.expect_problem(409, "exercice_unknown");
        assert_eq!(stack.read(&started).await.text("/status"), "approved");
        let session = stack.pick_up(&started, Value::Null).await.expect(201);
        assert_eq!(session.at("/exercice"), Value::Null);
        let ids = exercices(&session);
        assert!(ids.len() > 1, "{ids:?}");
        // The same ids at the next login.
        let next = stack.approved(DOCTOR).await;
        let chosen = stack.pick_up(&next, json!({"exercice": ids[1]})).await.expect(201);
        assert_eq!(chosen.text("/exercice"), ids[1]);
        assert_eq!(exercices(&chosen), ids);
        // Asked for again as the first answer was lost: still chosen.
        let again = stack.pick_up(&next, Value::Null).await.expect(201);
        assert_eq!(again.text("/exercice"), ids[1]);
        let session = stack.relais.bearer(&again.text("/session_handle"));
        assert_eq!(session.get("/v1/session").await.expect(200).text("/exercice"), ids[1]);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercice_that_a_repeated_pick_up_names_is_the_chosen_one() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let ids = exercices(&stack.pick_up(&started, Value::Null).await.expect(201));
        let chosen = stack.pick_up(&started, json!({"exercice": ids[1]})).await.expect(201);
        assert_eq!(chosen.at("/exercice"), json!(ids[1]));
        let session = stack.relais.bearer(&chosen.text("/session_handle"));
        assert_eq!(session.get("/v1/session").await.expect(200).at("/exercice"), json!(ids[1]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercice_is_chosen_later_and_again_and_an_unknown_one_changes_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let picked_up = stack.session(DOCTOR).await;
        let ids = exercices(&picked_up);
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        for id in &ids {
            let chosen = session.put("/v1/session/exercice", json!({ "id": id })).await.expect(200);
            assert_eq!(chosen.text("/exercice"), *id);
            assert_eq!(session.get("/v1/session").await.expect(200).text("/exercice"), *id);
        }
        let unknown = session.put("/v1/session/exercice", json!({"id": "no-such-place"})).await;
        unknown.expect_problem(409, "exercice_unknown");
        let kept = session.get("/v1/session").await.expect(200);
        assert_eq!(kept.text("/exercice"), *ids.last().expect("an exercice"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pick_up_that_waits_gets_the_session_or_the_login_that_is_still_open() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let refused = stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(refused.text("/login_status"), "pending");
        let (holder, path) = stack.holder(&started);
        let path = format!("{path}/session");
        let waiting = holder.header("prefer", "wait=3");
        let parked = tokio::spawn({
            let path = path.clone();
            async move { waiting.post(&path, Value::Null).await }
        });
        let pending = loop {
            if parked.is_finished() {
                break parked.await.expect("no panic").expect(202);
            }
            stack.pass(Duration::from_millis(750)).await;
        };
        assert_eq!(pending.text("/status"), "pending");
        assert!(pending.json().get("session_handle").is_none());
        assert_eq!(pending.header("preference-applied"), Some("wait=3"));
        stack.decide("approve", Value::Null).await;
        let waiting = holder.header("prefer", "wait=30");
        let parked = tokio::spawn(async move { waiting.post(&path, Value::Null).await });
        while !parked.is_finished() {
            stack.pass(Duration::from_millis(250)).await;
        }
        let session = parked.await.expect("no panic").expect(201);
        assert_eq!(session.text("/subject/national_id"), DOCTOR);
    }
}
