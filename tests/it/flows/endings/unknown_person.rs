//! A hint that names nobody: told at once, or to nobody. Where it is hidden, every answer must be the one that a
//! person who does not react would have caused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::{PACE, assert_ended};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const NOBODY: &str = "unknown-1";
/// As long as [`NOBODY`], so that only what is said can differ.
const SOMEBODY: &str = "ANS000001";

const HIDE: &str = "reveal_unknown_person = false";

/// What may differ between two answers about two logins.
const OWN: [&str; 9] = [
    "login_id",
    "login_token",
    "login_hint",
    "binding_message",
    "support_code",
    "request_id",
    "expires_at",
    "user_message",
    "reference",
];

type Comparable = (u16, Vec<String>, BTreeMap<String, Value>);

/// An answer without what is the login's own: status, headers' names, members and values.
fn comparable(answer: &Answer) -> Comparable {
    let mut members: BTreeMap<String, Value> =
        answer.json().as_object().expect("an object").clone().into_iter().collect();
    for name in OWN {
        if let Some(value) = members.get_mut(name) {
            *value = json!("(its own)");
        }
    }
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort();
    (answer.status.as_u16(), headers, members)
}

#[track_caller]
fn assert_alike(nobody: &Answer, somebody: &Answer, case: &str) {
    assert_eq!(comparable(nobody), comparable(somebody), "{case}");
}

/// Two ends are not at the same moment.
fn without_expiry(mut answer: Comparable) -> Comparable {
    answer.2.remove("expires_in");
    answer
}

/// Without digits: they are drawn.
fn words(answer: &Answer) -> String {
    answer.text("/user_message").replace(|c: char| c.is_ascii_digit(), "#")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_person_is_told_at_once_and_keeps_nobody_waiting() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(NOBODY).await.expect(201);
        assert_ended(&started, "failed", "user_unknown", "revealed");
        assert_eq!(started.text("/hint"), "user_unknown");
        assert_ended(&stack.start(NOBODY).await.expect(201), "failed", "user_unknown", "again at once");
        assert!(stack.requests().await.is_empty(), "no phone rang");
        let refused = stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(refused.text("/reason"), "user_unknown");
        stack.stays_silent().await;
    }
}

/// Two logins side by side: of nobody, and of somebody who does not react.
async fn side_by_side(backend: Backend) -> (Stack, Answer, Answer) {
    let stack = Stack::on(backend).paced().application(HIDE).start().await;
    let nobody = stack.start(NOBODY).await.expect(201);
    let somebody = stack.start(SOMEBODY).await.expect(201);
    assert_eq!(stack.requests().await.len(), 1, "nobody's phone rang");
    (stack, nobody, somebody)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_unknown_person_looks_like_one_who_does_not_react() {
    for backend in BACKENDS {
        let (stack, nobody, somebody) = side_by_side(backend).await;
        assert_alike(&nobody, &somebody, "start");
        assert_eq!(words(&nobody), words(&somebody));
        assert_eq!(nobody.text("/status"), "pending");
        stack.pass(Duration::from_secs(7)).await;
        let (theirs, ours) = (stack.read(&nobody).await, stack.read(&somebody).await);
        assert_alike(&theirs, &ours, "read");
        let pick_ups =
            (stack.pick_up(&nobody, Value::Null).await, stack.pick_up(&somebody, Value::Null).await);
        assert_alike(&pick_ups.0, &pick_ups.1, "pick-up");
        pick_ups.0.expect_problem(409, "not_approved");
        assert_alike(&stack.start(NOBODY).await, &stack.start(SOMEBODY).await, "a second start");
        stack.start(NOBODY).await.expect_problem(409, "already_pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_unknown_person_expires_as_one_who_did_not_react() {
    for backend in BACKENDS {
        // One poll, the last one.
        let stack = Stack::on(backend).manual_clock().interval(120).application(HIDE).start().await;
        let nobody = stack.start(NOBODY).await.expect(201);
        let somebody = stack.start(SOMEBODY).await.expect(201);
        let (holder, path) = stack.holder(&nobody);
        let waiting = holder.header("prefer", "wait=30");
        stack.pass(Duration::from_secs(119)).await;
        assert_eq!(stack.read(&nobody).await.text("/status"), "pending");
        let parked = tokio::spawn(async move { waiting.get(&path).await });
        // A real login ends with its last poll, up to an interval after the deadline.
        stack.pass(Duration::from_secs(1) + PACE).await;
        let told = parked.await.expect("no panic").expect(200);
        assert_ended(&told, "expired", "expired", "a waiting holder");
        let (theirs, ours) = (stack.read(&nobody).await, stack.outcome(&somebody).await);
        assert_eq!(words(&theirs), words(&ours));
        for ended in [&theirs, &ours] {
            let readable = ended.at("/expires_in").as_u64().expect("seconds");
            assert!((590..=600).contains(&readable), "{readable}");
        }
        let (theirs, ours) = (comparable(&theirs), comparable(&ours));
        assert_eq!(without_expiry(theirs), without_expiry(ours), "expired");
        assert_alike(
            &stack.pick_up(&nobody, Value::Null).await,
            &stack.pick_up(&somebody, Value::Null).await,
            "pick-up",
        );
        assert_eq!(stack.start(NOBODY).await.text("/status"), "pending", "the person is free again");
        assert_eq!(stack.calls("token").await, 1, "nobody's login is never polled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_unknown_person_is_cancelled_as_a_pending_login_is() {
    for backend in BACKENDS {
        let (stack, nobody, somebody) = side_by_side(backend).await;
        for started in [&nobody, &somebody] {
            let (holder, path) = stack.holder(started);
            holder.delete(&path).await.expect(204);
        }
        let (theirs, ours) = (stack.read(&nobody).await, stack.read(&somebody).await);
        assert_ended(&theirs, "cancelled", "cancelled", "nobody");
        assert_alike(&theirs, &ours, "cancelled");
        stack.pass(Duration::from_secs(130)).await;
        assert_ended(&stack.read(&nobody).await, "cancelled", "cancelled", "it stays so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancellation_a_hidden_unknown_person_is_as_free_as_any() {
    for backend in BACKENDS {
        let (stack, nobody, somebody) = side_by_side(backend).await;
        for started in [&nobody, &somebody] {
            let (holder, path) = stack.holder(started);
            holder.delete(&path).await.expect(204);
        }
        assert_alike(
            &stack.start(NOBODY).await,
            &stack.start(SOMEBODY).await,
            "a start after the cancellation",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_unknown_person_is_replaced_as_a_pending_login_is() {
    for backend in BACKENDS {
        let (stack, nobody, somebody) = side_by_side(backend).await;
        let replace = |hint: &str| {
            let (desk, body) = (stack.desk(), json!({"login_hint": hint, "if_pending": "replace"}));
            async move { desk.post("/v1/logins", body).await }
        };
        assert_alike(&replace(NOBODY).await, &replace(SOMEBODY).await, "replace");
        let (theirs, ours) = (stack.read(&nobody).await, stack.read(&somebody).await);
        assert_alike(&theirs, &ours, "the replaced login");
        assert_ended(&theirs, "cancelled", "superseded", "the replaced login");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_expiry_counts_for_a_hidden_unknown_person_too() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application(HIDE).start().await;
        let start = |hint: &str| {
            let (desk, body) = (stack.desk(), json!({"login_hint": hint, "requested_expiry": 40}));
            async move { desk.post("/v1/logins", body).await.expect(201) }
        };
        let (nobody, somebody) = (start(NOBODY).await, start(DOCTOR).await);
        assert_alike(&nobody, &somebody, "start");
        assert_eq!(nobody.at("/expires_in"), json!(40));
        stack.clock.advance(Duration::from_secs(39));
        assert_eq!(stack.read(&nobody).await.text("/status"), "pending");
        stack.clock.advance(Duration::from_secs(1) + PACE);
        assert_ended(&stack.read(&nobody).await, "expired", "expired", "after 40 s and a last poll");
    }
}
