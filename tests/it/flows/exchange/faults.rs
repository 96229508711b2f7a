//! The authorization server of a target refuses, breaks or is silent: its own callers are told, and nobody else.

use std::time::Duration;

use relais::engine::exchange::ExchangeError;
use relais::engine::session::SessionError;
use serde_json::{Value, json};

use super::{DOCTOR, fails, with_targets};
use crate::support::stack::{BACKENDS, Backend, Stack};

/// How long a failure is everybody's answer.
const COOL_DOWN: Duration = Duration::from_secs(5);

fn refusal(error: &str) -> Value {
    json!({ "endpoint": "exchange", "status": 400, "body": { "error": error } })
}

fn broken(status: u16) -> Value {
    json!({ "endpoint": "exchange", "status": status, "body": "" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_ends_nothing_and_is_not_asked_for_again_at_once() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        for error in ["invalid_grant", "invalid_target", "invalid_scope", "access_denied", "invalid_client"] {
            let before = stack.calls("exchange").await;
            stack.fault(refusal(error)).await;
            let support_code = user.session.get("/v1/session").await.expect(200).text("/support_code");
            let ExchangeError::Refused(told) = fails(user.token("dmp").await, "refused") else {
                unreachable!()
            };
            assert_eq!(told.to_string(), support_code);
            fails(user.token("dmp").await, "refused");
            assert_eq!(stack.calls("exchange").await, before + 1, "{backend:?} {error}");
            user.token("mss").await.expect("another target has its token");
            stack.clock.advance(COOL_DOWN);
            user.token("dmp").await.expect("so has this one, later");
            // Both come to their end before the next error.
            stack.clock.advance(Duration::from_secs(300));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_told_apart_from_a_refusal_and_says_when_to_come_again() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        let cut = json!({ "endpoint": "exchange", "action": "reset" });
        let garbage = json!({ "endpoint": "exchange", "status": 200, "body": "<html>" });
        let na = json!({ "access_token": "a", "token_type": "N_A",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token" });
        let not_a_bearer = json!({ "endpoint": "exchange", "status": 200, "body": na });
        for fault in [broken(500), broken(503), broken(302), broken(404), cut, garbage, not_a_bearer] {
            let before = stack.calls("exchange").await;
            stack.fault(fault.clone()).await;
            let error = fails(user.token("dmp").await, "unavailable");
            let ExchangeError::Unavailable { retry_after, .. } = error else { unreachable!() };
            assert_eq!(retry_after, COOL_DOWN, "{fault}");
            stack.clock.advance(Duration::from_secs(2));
            let error = fails(user.token("dmp").await, "unavailable");
            let ExchangeError::Unavailable { retry_after, .. } = error else { unreachable!() };
            assert_eq!(retry_after, Duration::from_secs(3));
            assert_eq!(stack.calls("exchange").await, before + 1, "{backend:?}: nobody is asked meanwhile");
            stack.clock.advance(COOL_DOWN);
        }
        stack.fault(json!({ "endpoint": "exchange", "status": 429, "headers": { "retry-after": "30" }, "body": "" })).await;
        let error = fails(user.token("dmp").await, "unavailable");
        let ExchangeError::Unavailable { retry_after, .. } = error else { unreachable!() };
        assert_eq!(retry_after, Duration::from_secs(30));
        stack.clock.advance(Duration::from_secs(29));
        fails(user.token("dmp").await, "unavailable");
        stack.clock.advance(Duration::from_secs(1));
        user.token("dmp").await.expect("a token");
        user.session.get("/v1/session").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever_for_a_server_that_is_silent() {
    let stack = with_targets(Backend::Sqlite).start().await;
    let user = stack.user(DOCTOR).await;
    stack.fault(json!({ "endpoint": "exchange", "action": "hang" })).await;
    let silent = user.clone();
    let silent = tokio::spawn(async move { fails(silent.token("dmp").await, "unavailable") });
    stack.happens("it is asked", async || stack.calls("exchange").await == 1).await;
    user.token("mss").await.expect("a token");
    stack.desk().get("/v1/application").await.expect(200);
    // Its time-out is real time.
    stack.in_real_time("the time-out", Duration::from_secs(40), async || silent.is_finished()).await;
    silent.await.expect("no panic");
    user.session.get("/v1/session").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_go_on_while_no_target_can_be_had() {
    let stack = with_targets(Backend::Sqlite).start().await;
    let user = stack.user(DOCTOR).await;
    stack.fault(json!({ "endpoint": "exchange", "count": 1000, "status": 503, "body": "" })).await;
    fails(user.token("dmp").await, "unavailable");
    let status = stack.desk().get("/v1/application").await.expect(200);
    assert_eq!(status.text("/registrations/0/provider_status"), "ok", "the provider is another server");
    stack.user("899700000003").await.used().await;
}

/// Whoever has come with a dead access token.
async fn with_a_dead_token(stack: &Stack) -> super::User {
    let user = stack.user(DOCTOR).await;
    stack.clock.advance(Duration::from_secs(130));
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_refused_ends_the_session_and_no_token_is_sent() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = with_a_dead_token(&stack).await;
        let body = json!({ "error": "invalid_grant" });
        stack.fault(json!({ "endpoint": "token", "status": 400, "body": body })).await;
        let error = fails(user.token("dmp").await, "session");
        assert!(matches!(error, ExchangeError::Session(SessionError::Ended { .. })), "{backend:?}");
        assert_eq!(stack.calls("exchange").await, 0);
        let ended = user.session.get("/v1/session").await.expect_problem(401, "session_ended");
        assert_eq!(ended.text("/reason"), "reauth_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_leaves_what_is_left_of_the_token_and_the_session() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        stack.clock.advance(Duration::from_secs(110));
        stack.fault(json!({ "endpoint": "token", "status": 503, "body": "" })).await;
        user.token("dmp").await.expect("ten seconds of it are left");
        stack.clock.advance(Duration::from_secs(20));
        stack.fault(json!({ "endpoint": "token", "count": 10, "status": 503, "body": "" })).await;
        fails(user.token("mss").await, "unavailable");
        assert_eq!(stack.exchanged().await, 1, "{backend:?}: a dead token is not sent");
        user.session.get("/v1/session").await.expect(200);
        user.token("dmp").await.expect("that one is held");
        stack.no_faults().await;
        stack.clock.advance(Duration::from_secs(60));
        user.token("mss").await.expect("a token");
    }
}
