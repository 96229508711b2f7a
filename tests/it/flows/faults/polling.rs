//! Faults of the token endpoint while a login is polled: polled on, or ended at once; and at which pace.

use std::time::Duration;

use relais::domain::clock::Clock as _;
use serde_json::{Value, json};

use super::{FAULTS, at, person};
use crate::flows::pace::{INTERVAL, PACE, assert_ended};
use crate::support::database::Database;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// Faults that say nothing about the login: it is polled on.
const PASSING: [&str; 6] =
    ["500 without a body", "503 with an OAuth error", "429 with Retry-After", "302", "reset", "truncate"];

#[tokio::test(flavor = "multi_thread")]
async fn every_passing_fault_of_the_token_endpoint_is_polled_through() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, fault)) in FAULTS.iter().enumerate().filter(|(_, (it, _))| PASSING.contains(it)) {
            let started = stack.start(&person(number)).await.expect(201);
            stack.fault(at("token", 1, &fault())).await;
            stack.next_poll(PACE).await;
            stack.decide("approve", Value::Null).await;
            let wait = if case.contains("Retry-After") { Duration::from_secs(7) } else { PACE };
            stack.next_poll(wait).await;
            assert_eq!(stack.outcome(&started).await.text("/status"), "approved", "{case}");
            stack.pick_up(&started, Value::Null).await.expect(201);
            assert_eq!(stack.polls().await, 2, "{case}");
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_fault_of_the_token_endpoint_ends_the_login_at_once() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, fault)) in FAULTS.iter().enumerate().filter(|(_, (it, _))| !PASSING.contains(it))
        {
            assert_ends(&stack, case, &person(number), &fault(), ("failed", "provider_invalid_answer")).await;
        }
        stack.stays_silent().await;
    }
}

/// One poll meets the fault and ends the login; the person is free.
async fn assert_ends(stack: &Stack, case: &str, hint: &str, fault: &Value, (status, reason): (&str, &str)) {
    let started = stack.start(hint).await.expect(201);
    stack.fault(at("token", 1, fault)).await;
    stack.next_poll(PACE).await;
    assert_ended(&stack.outcome(&started).await, status, reason, case);
    let again = stack.start(hint).await.expect(201);
    let (holder, path) = stack.holder(&again);
    holder.delete(&path).await.expect(204);
    let polls: Vec<_> = stack.requests().await.iter().rev().take(2).map(|it| it["polls"].clone()).collect();
    assert_eq!(polls, [json!(0), json!(1)], "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_049_to_052_056_every_oauth_error_of_the_token_endpoint_has_its_outcome() {
    let cases = [
        (400, "access_denied", ("denied", "user_denied")),
        (400, "expired_token", ("expired", "expired")),
        (400, "invalid_grant", ("failed", "answer_lost")),
        (401, "invalid_client", ("failed", "provider_rejected_client")),
        (400, "unauthorized_client", ("failed", "provider_rejected_client")),
        (400, "invalid_request", ("failed", "provider_refused")),
        (400, "unsupported_grant_type", ("failed", "provider_refused")),
        (400, "transaction_failed", ("failed", "provider_refused")),
        (400, "something_new", ("failed", "provider_refused")),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (status, error, outcome)) in cases.into_iter().enumerate() {
            let fault = json!({"status": status, "body": {"error": error}});
            assert_ends(&stack, error, &person(number), &fault, outcome).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_063_a_2xx_that_is_no_token_answer_ends_the_login() {
    let whole = json!({"access_token": "a", "id_token": "a.b.c", "token_type": "Bearer"});
    let without = |name: &str| {
        let mut body = whole.clone();
        body[name] = Value::Null;
        body
    };
    let cases = [
        ("no access_token", without("access_token"), "provider_invalid_answer"),
        ("no id_token", without("id_token"), "provider_invalid_answer"),
        ("no token_type", without("token_type"), "provider_invalid_answer"),
        ("an error with 200", json!({"error": "authorization_pending"}), "provider_invalid_answer"),
        ("an id_token that is none", whole.clone(), "token_invalid"),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, body, reason)) in cases.iter().enumerate() {
            let fault = json!({"status": 200, "body": body});
            assert_ends(&stack, case, &person(number), &fault, ("failed", reason)).await;
        }
        stack.stays_silent().await;
        assert_eq!(stack.calls("userinfo").await, 0, "a token that is not believed is not used");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_057_tokens_that_were_lost_on_the_way_are_told_as_a_lost_answer() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, action) in ["reset", "truncate"].into_iter().enumerate() {
            let started = stack.start(&person(number)).await.expect(201);
            stack.decide("approve", Value::Null).await;
            stack.fault(json!({"endpoint": "token", "action": action})).await;
            stack.next_poll(PACE).await;
            assert_eq!(stack.read(&started).await.text("/status"), "pending", "{action}");
            stack.next_poll(PACE).await;
            assert_ended(&stack.outcome(&started).await, "failed", "answer_lost", action);
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_043_slow_down_is_for_good_and_adds_up() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let body = json!({"error": "slow_down"});
        stack.fault(json!({"endpoint": "token", "count": 2, "status": 400, "body": body})).await;
        stack.next_poll(PACE).await;
        stack.next_poll(PACE + INTERVAL).await;
        for _ in 0..2 {
            stack.next_poll(PACE + INTERVAL + INTERVAL).await;
        }
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE + INTERVAL + INTERVAL).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_059_setting_the_clock_moves_no_poll() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.next_poll(PACE).await;
        // Somebody sets the clock 90 s on: the next poll still waits for its interval of monotonic time.
        stack.clock.jump_wall(stack.clock.now() + Duration::from_secs(90));
        stack.next_poll(PACE).await;
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        assert_eq!(stack.stats().await["early_polls"], json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_043_a_slow_down_of_one_login_is_none_of_another() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let slowed = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({"endpoint": "token", "status": 400, "body": {"error": "slow_down"}})).await;
        stack.next_poll(PACE).await;
        let other = stack.start(&person(2)).await.expect(201);
        stack.next_poll(PACE).await;
        stack.next_poll(PACE).await;
        for started in [&slowed, &other] {
            assert_eq!(stack.read(started).await.text("/status"), "pending");
        }
        stack.happens("both polls have come", async || stack.calls("token").await == 4).await;
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_048_retry_after_is_honoured_whatever_it_comes_with() {
    let answers = [
        json!({"status": 429, "body": ""}),
        json!({"status": 503, "body": ""}),
        json!({"status": 503, "body": {"error": "temporarily_unavailable"}}),
        json!({"status": 400, "body": {"error": "authorization_pending"}}),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, answer) in answers.iter().enumerate() {
            let started = stack.start(&person(number)).await.expect(201);
            let mut fault = at("token", 1, answer);
            fault["headers"] = json!({"Retry-After": "31"});
            stack.fault(fault).await;
            stack.next_poll(PACE).await;
            stack.decide("approve", Value::Null).await;
            stack.next_poll(Duration::from_secs(31)).await;
            assert_eq!(stack.outcome(&started).await.text("/status"), "approved", "{answer}");
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_048_retry_after_is_honoured_by_who_takes_over() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let headers = json!({"Retry-After": "31"});
        stack.fault(json!({"endpoint": "token", "status": 503, "headers": headers, "body": ""})).await;
        stack.next_poll(PACE).await;
        let mut database = Database::of(&stack.config).await;
        while database.number("SELECT count(*) FROM logins WHERE not_before IS NOT NULL").await == 0 {
            stack.settle().await;
        }
        stack.decide("approve", Value::Null).await;
        stack.restart().await;
        stack.pass(Duration::from_secs(30)).await;
        stack.settle().await;
        assert_eq!(stack.calls("token").await, 1, "{backend:?}");
        stack.pass(INTERVAL).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved", "{backend:?}");
        stack.pick_up(&started, Value::Null).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_048_a_retry_after_beyond_the_deadline_leaves_the_login_to_expire_in_time() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().expires_in(30).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let headers = json!({"Retry-After": "3000"});
        stack.fault(json!({"endpoint": "token", "status": 503, "headers": headers, "body": ""})).await;
        stack.next_poll(PACE).await;
        stack.pass(Duration::from_secs(30).saturating_sub(PACE)).await;
        assert_ended(&stack.outcome(&started).await, "expired", "expired", "at the deadline");
        assert_eq!(stack.polls().await, 1, "the provider asked not to be polled so soon");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_046_a_provider_that_is_down_while_polling_is_asked_less_often_and_the_login_outlives_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({"endpoint": "token", "count": 3, "action": "reset", "when": "before"})).await;
        stack.next_poll(PACE).await;
        stack.next_poll(PACE).await;
        stack
            .happens("the person is told", async || {
                stack.read(&started).await.text("/hint") == "provider_slow"
            })
            .await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE + INTERVAL).await;
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        stack.next_poll(PACE + 3 * INTERVAL).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.pick_up(&started, Value::Null).await.expect(201);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_stays_down_lets_the_login_expire_at_its_deadline() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().expires_in(90).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.provider_goes_away().await;
        stack.pass(Duration::from_secs(85)).await;
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        // The last poll keeps its interval; however rare the polls have become, it is no later than that. One
        // second is for a machine that is slow.
        stack.pass(Duration::from_secs(6) + PACE).await;
        stack.settle().await;
        assert_ended(&stack.read(&started).await, "expired", "expired", "nobody there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_047_a_poll_that_hangs_is_given_up_alone_and_the_login_goes_on() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({"endpoint": "token", "action": "hang", "when": "before"})).await;
        stack.next_poll(PACE).await;
        stack.decide("approve", Value::Null).await;
        // However long it hangs on the clock, there is never a second one beside it.
        stack.pass(3 * PACE).await;
        assert_eq!(stack.polls().await, 1);
        // The time-out of I/O is real: 8 s.
        stack.in_real_time("the next poll", Duration::from_secs(15), async || stack.polls().await > 1).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_045_the_interval_counts_from_the_sending_and_a_slow_answer_does_not_lengthen_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({"endpoint": "token", "delay_ms": 3000})).await;
        stack.next_poll(PACE).await;
        stack.pass(Duration::from_secs(3)).await;
        stack.happens("the slow answer is counted", async || stack.calls("token").await == 1).await;
        stack.settle().await;
        stack.next_poll(PACE.saturating_sub(Duration::from_secs(3))).await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_041_an_interval_that_the_provider_names_is_the_one_that_is_kept() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.settings(json!({"interval": 31})).await;
        let started = stack.start(DOCTOR).await.expect(201);
        for _ in 0..3 {
            stack.next_poll(Duration::from_millis(31_250)).await;
        }
        assert_eq!(stack.read(&started).await.text("/status"), "pending");
        stack.was_polite().await;
    }
}
