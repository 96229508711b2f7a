//! Pushes: the outcome itself, believed only where the ID token covers all of it. The provider is never asked.

use std::time::Duration;

use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use super::super::pace::assert_ended;
use super::{Told, answered, before_the_interval, notify};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const REQUEST: &str = "urn:openid:params:jwt:claim:auth_req_id";
const REFRESH: &str = "urn:openid:params:jwt:claim:rt_hash";

async fn pushed(backend: Backend) -> Stack {
    Stack::on(backend).paced().delivery("push").start().await
}

/// The last message of the simulated provider.
async fn last_message(stack: &Stack) -> Value {
    let sent = stack.phone.get("/_sim/notifications").await.expect(200).json();
    sent.as_array().expect("a list").last().expect("a message")["body"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_098_102_a_push_signs_the_person_in_and_nothing_is_asked() {
    for backend in BACKENDS {
        let stack = pushed(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        stack.eventually("the answer", async || answered(&stack).await == [204]).await;
        let session = login.picks_up().await.expect(201);
        assert_eq!(session.text("/subject/national_id"), DOCTOR);
        assert_eq!(session.text("/acr"), "eidas1");
        let holder = stack.relais.bearer(&session.text("/session_handle"));
        let userinfo = holder.get("/v1/session/userinfo").await.expect(200);
        assert_eq!(userinfo.text("/SubjectNameID"), DOCTOR, "the access token works");
        stack.pass(Duration::from_secs(20)).await;
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_098_a_provider_by_the_letter_pushes_too() {
    let generic = Stack::on(Backend::Sqlite).personality(Personality::Generic);
    let stack = generic.paced().delivery("push").start().await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.decide("approve", Value::Null).await;
    before_the_interval(&stack, "approved", async || login.is("approved").await).await;
    stack.eventually("the answer", async || answered(&stack).await == [204]).await;
    login.picks_up().await.expect(201);
    let login = Told::start(&stack, "899700000002").await;
    stack.decide("deny", Value::Null).await;
    before_the_interval(&stack, "denied", async || login.is("denied").await).await;
    assert_eq!(stack.calls("token").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_099_a_push_without_the_token_of_its_request_is_nobody_s() {
    let stack = pushed(Backend::Sqlite).await;
    let other = Told::start(&stack, "899700000002").await;
    let login = Told::start(&stack, DOCTOR).await;
    let denied = |id: &str| json!({ "auth_req_id": id, "error": "access_denied" });
    let listener = stack.notified();
    listener.post(super::ADDRESS, denied(&login.auth_req_id)).await.expect(401);
    notify(&listener, "rnt_nobody's", denied(&login.auth_req_id)).await.expect(401);
    notify(&listener, &other.token, denied(&login.auth_req_id)).await.expect(401);
    notify(&listener, &login.token, denied(&other.auth_req_id)).await.expect(401);
    notify(&listener, &login.token, denied("nobody's")).await.expect(401);
    assert!(login.is("pending").await && other.is("pending").await);
    notify(&listener, &login.token, denied(&login.auth_req_id)).await.expect(204);
    assert!(login.is("denied").await && other.is("pending").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_100_a_push_that_its_id_token_does_not_cover_is_refused() {
    for backend in BACKENDS {
        let stack = pushed(backend).await;
        let bad = [
            json!({ "at_hash": null }),
            json!({ "at_hash": "Wt0kVFXMacqvnHeyU0001w" }),
            json!({ REFRESH: null }),
            json!({ REFRESH: "sHahCuSpXCRg5mkDDvvr4w" }),
            json!({ REQUEST: null }),
            json!({ REQUEST: "another" }),
            json!({ "signature": "bad" }),
            json!({ "signature": "foreign_key" }),
            json!({ "alg": "none" }),
            json!({ "aud": "another" }),
        ];
        for (refused, altered) in (1..).zip(bad) {
            let login = Told::start(&stack, DOCTOR).await;
            stack.fault(json!({ "endpoint": "token", "token": altered })).await;
            stack.decide("approve", Value::Null).await;
            before_the_interval(&stack, "failed", async || login.is("failed").await).await;
            assert_ended(&login.read().await, "failed", "token_invalid", &altered.to_string());
            stack.eventually("the answer", async || answered(&stack).await == vec![400; refused]).await;
            login.picks_up().await.expect_problem(409, "not_approved");
        }
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_100_another_person_is_not_let_in_by_a_push() {
    let stack = pushed(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.decide("approve", json!({ "as": "899700000002" })).await;
    before_the_interval(&stack, "failed", async || login.is("failed").await).await;
    assert_ended(&login.read().await, "failed", "identity_mismatch", "another person");
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_101_a_pushed_error_ends_the_login() {
    for backend in BACKENDS {
        let stack = pushed(backend).await;
        for (error, status, reason) in [
            ("access_denied", "denied", "user_denied"),
            ("expired_token", "expired", "expired"),
            ("transaction_failed", "failed", "provider_refused"),
            ("something_new", "failed", "provider_refused"),
        ] {
            let login = Told::start(&stack, DOCTOR).await;
            let message =
                json!({ "auth_req_id": login.auth_req_id, "error": error, "error_description": "…" });
            login.notify(&stack, message.clone()).await.expect(204);
            assert_ended(&login.read().await, status, reason, error);
            let version = login.read().await.at("/version");
            login.notify(&stack, message).await.expect(204);
            assert_eq!(login.read().await.at("/version"), version, "{error}");
        }
        // The real one says no as well.
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("deny", Value::Null).await;
        before_the_interval(&stack, "denied", async || login.is("denied").await).await;
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_102_a_push_that_never_comes_ends_with_its_time_and_nothing_is_asked() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().expires_in(12).delivery("push").start().await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.pass(Duration::from_secs(11)).await;
        assert!(login.is("pending").await);
        stack.pass(Duration::from_secs(2)).await;
        stack.happens("expired", async || login.is("expired").await).await;
        assert_ended(&login.read().await, "expired", "expired", "no push");
        // Adopted by the next process, which does not ask either.
        let left = Told::start(&stack, "899700000002").await;
        stack.restart().await;
        let left = Told { holder: stack.relais.bearer(&left.holder.token()), ..left };
        stack.pass(Duration::from_secs(15)).await;
        stack.happens("expired", async || left.is("expired").await).await;
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_103_a_replayed_push_changes_nothing() {
    for backend in BACKENDS {
        let stack = pushed(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        stack.eventually("the answer", async || answered(&stack).await == [204]).await;
        let (message, version) = (last_message(&stack).await, login.read().await.at("/version"));
        login.notify(&stack, message.clone()).await.expect(204);
        let denied = json!({ "auth_req_id": login.auth_req_id, "error": "access_denied" });
        login.notify(&stack, denied).await.expect(204);
        let after = login.read().await;
        assert_eq!((after.text("/status").as_str(), after.at("/version")), ("approved", version));
        login.picks_up().await.expect(201);
        login.notify(&stack, message.clone()).await.expect(204);
        // Another login does not take it.
        let other = Told::start(&stack, DOCTOR).await;
        other.notify(&stack, message.clone()).await.expect(401);
        let mut renamed = message;
        renamed["auth_req_id"] = json!(other.auth_req_id);
        other.notify(&stack, renamed).await.expect_problem(400, "invalid_request");
        assert_ended(&other.read().await, "failed", "token_invalid", "tokens of another request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_104_a_ping_is_no_push() {
    let stack = pushed(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    login.notify(&stack, login.ping()).await.expect_problem(400, "invalid_request");
    stack.pass(Duration::from_secs(6)).await;
    assert!(login.is("pending").await);
    assert_eq!(stack.calls("token").await, 0);
}
