//! What providers tell is recorded as their doing, and what looks like an attack or a mistake is a warning.

use serde_json::{Value, json};

use super::{ADDRESS, Told, answered, before_the_interval, notify};
use crate::support::database::Database;
use crate::support::log;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// The request of the provider's call.
const CALL: &str = "provider-call-0001";

const ANNOUNCED: &str = "SELECT count(*) FROM audit WHERE event = 'login.announced' AND actor = 'provider'
    AND address = '127.0.0.1' AND port > 0 AND request_id = 'provider-call-0001'";
const ANNOUNCEMENTS: &str = "SELECT count(*) FROM audit WHERE event = 'login.announced'";
const DENIED: &str = "SELECT count(*) FROM audit WHERE event = 'login.denied' AND actor = 'provider'
    AND address = '127.0.0.1' AND port > 0 AND request_id = 'provider-call-0001' AND reason = 'user_denied'";
const REFUSED: &str = "SELECT count(*) FROM audit WHERE event = 'login.failed' AND actor = 'provider'
    AND address = '127.0.0.1' AND port > 0 AND request_id IS NOT NULL AND reason = 'token_invalid'";
const APPROVED: &str = "SELECT count(*) FROM audit WHERE event = 'login.approved' AND actor = 'provider'
    AND address = '127.0.0.1' AND port > 0 AND request_id IS NOT NULL";
const DROPPED: &str = "SELECT count(*) FROM audit WHERE event = 'login.tokens_dropped' AND actor = 'provider'
    AND address = '127.0.0.1' AND port > 0 AND request_id IS NOT NULL";

#[tokio::test(flavor = "multi_thread")]
async fn r_l_04_a_ping_is_recorded_once_with_who_sent_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("ping").start().await;
        let login = Told::start(&stack, DOCTOR).await;
        let provider = stack.notified().bearer(&login.token).header("x-request-id", CALL);
        for _ in 0..3 {
            provider.post(ADDRESS, login.ping()).await.expect(204);
        }
        let mut database = Database::of(&stack.config).await;
        assert_eq!((database.number(ANNOUNCED).await, database.number(ANNOUNCEMENTS).await), (1, 1));
        // What it is then asked for is the answer to a question of ours.
        stack.decide("approve", Value::Null).await;
        stack.pass(super::super::pace::PACE * 2).await;
        stack.happens("approved", async || login.is("approved").await).await;
        assert_eq!(database.number(APPROVED).await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_l_04_a_pushed_outcome_is_recorded_with_who_sent_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("push").start().await;
        let mut database = Database::of(&stack.config).await;
        let login = Told::start(&stack, DOCTOR).await;
        let provider = stack.notified().bearer(&login.token).header("x-request-id", CALL);
        let denied = json!({ "auth_req_id": login.auth_req_id, "error": "access_denied" });
        provider.post(ADDRESS, denied).await.expect(204);
        assert_eq!(database.number(DENIED).await, 1, "{backend:?}");
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        assert_eq!(database.number(APPROVED).await, 1, "{backend:?}");
        let login = Told::start(&stack, DOCTOR).await;
        stack.fault(json!({ "endpoint": "token", "token": { "signature": "bad" } })).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "failed", async || login.is("failed").await).await;
        assert_eq!(database.number(REFUSED).await, 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_l_04_tokens_that_are_pushed_for_a_login_that_has_ended_are_recorded() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("push").start().await;
        let mut database = Database::of(&stack.config).await;
        let cancelled = Told::start(&stack, "899700000002").await;
        cancelled.holder.delete(&cancelled.path).await.expect(204);
        // Not tokens.
        let denied = json!({ "auth_req_id": cancelled.auth_req_id, "error": "access_denied" });
        cancelled.notify(&stack, denied).await.expect(204);
        assert_eq!(database.number(DROPPED).await, 0, "{backend:?}");
        stack.decide("approve", Value::Null).await;
        stack.eventually("the push is answered", async || answered(&stack).await == [204]).await;
        assert_eq!(database.number(DROPPED).await, 1, "{backend:?}");
        assert!(cancelled.is("cancelled").await);
        stack.happens("they are revoked", async || stack.calls("revocation").await > 0).await;

        let superseded = Told::start(&stack, DOCTOR).await;
        let again = json!({ "login_hint": DOCTOR, "if_pending": "replace" });
        let started = stack.desk().post("/v1/logins", again).await.expect(201);
        let path = format!("/_sim/requests/{}/approve", superseded.auth_req_id);
        stack.phone.post(&path, Value::Null).await.expect(204);
        stack.eventually("the push is answered", async || answered(&stack).await == [204, 204]).await;
        assert_eq!(database.number(DROPPED).await, 2, "{backend:?}");

        let failed = Told::of(&stack, &started).await;
        let wrong = json!({ "auth_req_id": failed.auth_req_id, "access_token": "a", "id_token": "a.b.c",
            "token_type": "Bearer" });
        failed.notify(&stack, wrong.clone()).await.expect(400);
        assert!(failed.is("failed").await);
        assert_eq!(database.number(DROPPED).await, 2, "that it failed is recorded");
        stack.decide("approve", Value::Null).await;
        stack.eventually("the push is answered", async || answered(&stack).await.len() == 3).await;
        failed.notify(&stack, wrong).await.expect(204);
        assert_eq!(database.number(DROPPED).await, 3, "once for each login");

        // Not everything that a pushed approval must have.
        let cancelled = Told::start(&stack, "899700000003").await;
        cancelled.holder.delete(&cancelled.path).await.expect(204);
        let alone = json!({ "auth_req_id": cancelled.auth_req_id, "access_token": "a" });
        cancelled.notify(&stack, alone).await.expect(204);
        assert_eq!(database.number(DROPPED).await, 4, "{backend:?}");

        // The same message twice is no loss.
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        stack.eventually("the push is answered", async || answered(&stack).await.len() == 4).await;
        let sent = stack.phone.get("/_sim/notifications").await.expect(200).json();
        let message = sent.as_array().expect("a list").last().expect("a message")["body"].clone();
        login.notify(&stack, message).await.expect(204);
        assert_eq!(database.number(DROPPED).await, 4, "{backend:?}");
    }
}

#[tokio::test]
async fn r_l_07_the_right_token_with_the_wrong_request_or_registration_and_tokens_too_late_are_warnings() {
    let log = log::capture();
    let stack = Stack::on(Backend::Sqlite).paced().delivery("push").start().await;
    let login = Told::start(&stack, DOCTOR).await;
    let warned = |rest: &str| {
        let text = log.text();
        text.lines().filter(|line| line.contains(" WARN ") && line.contains(rest)).count()
    };
    notify(&stack.notified(), "rnt_nobody's", login.ping()).await.expect(401);
    assert_eq!(warned("a notification is refused"), 0, "anybody can send one");
    login.notify(&stack, json!({ "auth_req_id": "another", "error": "access_denied" })).await.expect(401);
    assert_eq!(warned("a notification is refused"), 1);
    assert_eq!(warned("rule=\"auth_req_id\""), 1);
    stack.notified().bearer(&login.token).post("/providers/other/ciba", login.ping()).await.expect(401);
    assert_eq!(warned("rule=\"registration\""), 1);
    login.holder.delete(&login.path).await.expect(204);
    stack.decide("approve", Value::Null).await;
    stack.eventually("the push is answered", async || answered(&stack).await == [204]).await;
    assert_eq!(warned("tokens came for a login that had ended; they are dropped"), 1);
}

#[tokio::test]
async fn r_l_04_an_announcement_is_logged_once_however_often_it_comes() {
    let log = log::capture();
    let stack = Stack::on(Backend::Sqlite).paced().delivery("ping").start().await;
    let login = Told::start(&stack, DOCTOR).await;
    for _ in 0..3 {
        login.notify(&stack, login.ping()).await.expect(204);
    }
    assert_eq!(log.text().matches("the provider has announced an outcome").count(), 1);
}
