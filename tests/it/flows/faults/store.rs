//! A database that takes nothing while an outcome comes: the outcome is written once it does. Tokens come once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::{PACE, assert_ended};
use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::log;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// A login whose outcome has come, and for this long could not be written.
async fn decided(backend: Backend, decision: &str, application: &str, frozen: Duration) -> (Stack, Answer) {
    let stack = Stack::on(backend).paced().expires_in(120).application(application).start().await;
    let started = stack.start(DOCTOR).await.expect(201);
    let mut database = Database::of(&stack.config).await;
    stack.decide(decision, Value::Null).await;
    database.freeze().await;
    stack.next_poll(PACE).await;
    stack.pass(frozen).await;
    assert_eq!(stack.read(&started).await.text("/status"), "pending");
    database.thaw().await;
    stack.pass(Duration::from_millis(500)).await;
    (stack, started)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_written_are_kept_until_they_can() {
    for backend in BACKENDS {
        let (stack, started) = decided(backend, "approve", "", Duration::from_secs(30)).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.pick_up(&started, Value::Null).await.expect(201);
        assert_eq!(stack.polls().await, 1, "{backend:?}");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_kept_for_as_long_as_the_login_could_still_have_been_picked_up() {
    for backend in BACKENDS {
        let window = "pick_up_window = \"10s\"";
        let (stack, started) = decided(backend, "approve", window, Duration::from_secs(60)).await;
        // Approved a minute ago, and nobody can have picked it up since.
        assert_ended(&stack.outcome(&started).await, "expired", "pick_up_expired", &format!("{backend:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_whose_approval_is_given_up_are_taken_back_at_the_provider() {
    for backend in BACKENDS {
        let window = "pick_up_window = \"10s\"";
        // Longer than the login's two minutes and that window.
        let (stack, started) = decided(backend, "approve", window, Duration::from_secs(140)).await;
        stack.happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true).await;
        // The access token has died meanwhile.
        assert_eq!(stack.sessions().await[0]["revoked"], json!(["refresh_token"]), "{backend:?}");
        let mut database = Database::of(&stack.config).await;
        assert_eq!(database.number("SELECT count(*) FROM audit WHERE event = 'tokens.late'").await, 1);
        let kept = "SELECT count(*) FROM grants WHERE tokens IS NOT NULL";
        assert_eq!(database.number(kept).await, 0, "{backend:?}");
        stack.pass(Duration::from_secs(30)).await;
        stack.happens("its end", async || stack.read(&started).await.text("/status") != "pending").await;
        assert_ended(&stack.read(&started).await, "expired", "expired", &format!("{backend:?}"));
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_cannot_be_written_is_kept_until_it_can() {
    for backend in BACKENDS {
        let (stack, started) = decided(backend, "deny", "", Duration::from_secs(30)).await;
        assert_ended(&stack.outcome(&started).await, "denied", "user_denied", &format!("{backend:?}"));
        assert_eq!(stack.polls().await, 1, "{backend:?}");
        stack.stays_silent().await;
    }
}

#[tokio::test]
async fn a_pace_that_has_not_changed_is_not_written_again() {
    let log = log::capture();
    let unwritten = || log.text().matches("a polling pace was not written").count();
    let stack = Stack::on(Backend::Sqlite).paced().start().await;
    let started = stack.start(DOCTOR).await.expect(201);
    let headers = json!({ "Retry-After": "31" });
    stack.fault(json!({ "endpoint": "token", "status": 503, "headers": headers, "body": "" })).await;
    stack.next_poll(PACE).await;
    let mut database = Database::of(&stack.config).await;
    let mut looks = 0;
    while database.number("SELECT count(*) FROM logins WHERE not_before IS NOT NULL").await == 0 {
        looks += 1;
        assert!(looks < 100, "what the provider said is never written");
        stack.settle().await;
    }
    let frozen = "CREATE TRIGGER frozen BEFORE UPDATE ON logins BEGIN SELECT RAISE(ABORT, 'frozen'); END";
    database.run(frozen).await;
    // A time that has passed holds nothing back any more; that is nothing new.
    stack.next_poll(Duration::from_secs(31)).await;
    stack.next_poll(PACE).await;
    stack.settle().await;
    assert_eq!(unwritten(), 0);
    stack.fault(json!({ "endpoint": "token", "status": 400, "body": { "error": "slow_down" } })).await;
    stack.next_poll(PACE).await;
    stack.happens("what has changed is written", async || unwritten() == 1).await;
    assert_eq!(stack.read(&started).await.text("/status"), "pending");
}
