//! A login is denied, expires, or is cancelled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::{PACE, assert_ended};
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn rp_049_a_denied_login_says_so_at_the_next_poll_and_is_never_polled_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.decide("deny", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_ended(&stack.outcome(&started).await, "denied", "user_denied", "denied");
        let refused = stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(refused.text("/login_status"), "denied");
        assert_eq!(refused.text("/reason"), "user_denied");
        stack.stays_silent().await;
        assert_eq!(stack.polls().await, 1);
        stack.start(DOCTOR).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_050_a_login_that_the_provider_has_let_expire_says_so_before_its_own_deadline() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let body = json!({"error": "expired_token", "error_description": "auth_req_id expired"});
        stack.fault(json!({"endpoint": "token", "status": 400, "body": body})).await;
        stack.next_poll(PACE).await;
        assert_ended(&stack.outcome(&started).await, "expired", "expired", "expired");
        stack.stays_silent().await;
        assert_eq!(stack.polls().await, 1);
        stack.start(DOCTOR).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_053_a_login_expires_at_its_own_deadline_after_one_last_poll() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().expires_in(18).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        assert_eq!(started.at("/expires_in"), json!(18));
        stack.never_decided().await;
        for _ in 0..3 {
            stack.next_poll(PACE).await;
        }
        let almost = Duration::from_secs(2);
        stack.pass(almost).await;
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        // The last poll keeps its interval as every other one does.
        stack.next_poll(PACE.saturating_sub(almost)).await;
        assert_ended(&stack.outcome(&started).await, "expired", "expired", "at its own deadline");
        stack.stays_silent().await;
        assert_eq!(stack.polls().await, 4);
        stack.start(DOCTOR).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_053_the_last_poll_is_the_only_one_where_the_interval_is_as_long_as_the_life() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().interval(30).expires_in(30).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.never_decided().await;
        stack.next_poll(Duration::from_millis(30_250)).await;
        assert_ended(&stack.outcome(&started).await, "expired", "expired", "at its own deadline");
        stack.stays_silent().await;
        assert_eq!(stack.polls().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_053_an_approval_just_before_the_deadline_is_not_lost() {
    for backend in BACKENDS {
        // Two polls, and a third at the end. The second may be late where this machine is, but not by seconds.
        let stack = Stack::on(backend).paced().expires_in(14).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.next_poll(PACE).await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.pick_up(&started, Value::Null).await.expect(201);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_expiry_ends_a_login_sooner() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let body = json!({"login_hint": DOCTOR, "requested_expiry": 7});
        let started = stack.desk().post("/v1/logins", body).await.expect(201);
        assert_eq!(started.at("/expires_in"), json!(7));
        stack.next_poll(PACE).await;
        stack.pass(Duration::from_millis(7_000 - 5_250 - 1)).await;
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        stack.pass(PACE).await;
        assert_ended(&stack.outcome(&started).await, "expired", "expired", "requested_expiry");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_cancelled_while_starting_keeps_the_person_until_the_late_answer_and_is_never_polled() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "backchannel", "delay_ms": 15_000})).await;
        let started = stack.slow_start(DOCTOR).await;
        assert_eq!(started.text("/status"), "starting");
        assert_eq!(started.text("/hint"), "contacting_provider");
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "while starting");
        let kept = stack.start(DOCTOR).await.expect_problem(409, "already_pending");
        assert_eq!(kept.at("/replaceable"), json!(false));
        // The provider answers at last: the person is free, the request is left alone.
        stack.pass(Duration::from_secs(6)).await;
        stack.happens("the person is free", async || stack.start(DOCTOR).await.status == 201).await;
        assert_eq!(stack.requests().await.len(), 2);
        stack.next_poll(PACE).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.requests().await[0]["polls"], json!(0));
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "after the late answer");
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_054_a_pending_login_is_cancelled_and_the_person_is_free_before_the_answer() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.next_poll(PACE).await;
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "while pending");
        holder.delete(&path).await.expect(204);
        let again = stack.start(DOCTOR).await.expect(201);
        assert_ne!(again.text("/login_id"), started.text("/login_id"));
        let (holder, path) = stack.holder(&again);
        holder.delete(&path).await.expect(204);
        stack.stays_silent().await;
        let polls: Vec<_> = stack.requests().await.iter().map(|it| it["polls"].clone()).collect();
        assert_eq!(polls, [json!(1), json!(0)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_login_is_cancelled_and_cannot_be_picked_up() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.approved(DOCTOR).await;
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "approved");
        let refused = stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(refused.text("/login_status"), "cancelled");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_after_the_end_changes_nothing_and_after_the_pick_up_is_refused() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let denied = stack.start(DOCTOR).await.expect(201);
        stack.decide("deny", Value::Null).await;
        stack.next_poll(PACE).await;
        stack.outcome(&denied).await;
        let (holder, path) = stack.holder(&denied);
        holder.delete(&path).await.expect(204);
        assert_ended(&stack.read(&denied).await, "denied", "user_denied", "cancelled after the end");
        let picked_up = stack.approved(DOCTOR).await;
        let session = stack.pick_up(&picked_up, Value::Null).await.expect(201);
        let (holder, path) = stack.holder(&picked_up);
        holder.delete(&path).await.expect_problem(409, "already_picked_up");
        let session = stack.relais.bearer(&session.text("/session_handle"));
        session.get("/v1/session").await.expect(200);
        assert_eq!(stack.read(&picked_up).await.text("/status"), "picked_up");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_login_that_nobody_picks_up_expires_with_its_window() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("pick_up_window = \"2m\"").start().await;
        let started = stack.approved(DOCTOR).await;
        assert_eq!(stack.read(&started).await.at("/expires_in"), json!(120));
        stack.clock.advance(Duration::from_secs(119));
        assert_eq!(stack.read(&started).await.text("/status"), "approved");
        stack.clock.advance(Duration::from_secs(1));
        assert_ended(&stack.read(&started).await, "expired", "pick_up_expired", "at the window's end");
        let refused = stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(refused.text("/reason"), "pick_up_expired");
        stack.stays_silent().await;
        assert_ended(&stack.read(&started).await, "expired", "pick_up_expired", "later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_token_reads_its_login_until_ten_minutes_after_its_end() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        stack.clock.advance(Duration::from_secs(599));
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "after 599 s");
        stack.clock.advance(Duration::from_secs(1));
        holder.get(&path).await.expect_problem(404, "login_not_found");
    }
}
