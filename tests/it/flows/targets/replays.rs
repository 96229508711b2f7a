//! A target's 401: one token more, one repetition where the call may be repeated, and never the end of the session.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{API, calls, signed_in};
use crate::support::stack::BACKENDS;

/// How long a call waits for another token where the one before will do. Nobody else sleeps for just so long.
const SHORT_PATIENCE: Duration = Duration::from_millis(1900);

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_replaced_and_a_call_that_may_be_is_repeated() {
    let body = "x".repeat(60 * 1024);
    for backend in BACKENDS {
        for (method, body) in [
            (Method::GET, ""),
            (Method::HEAD, ""),
            (Method::OPTIONS, ""),
            (Method::DELETE, ""),
            (Method::PUT, ""),
            (Method::PUT, body.as_str()),
        ] {
            let (stack, session) = signed_in(backend, API).await;
            session.get("/v1/targets/api/x").await.expect(200);
            stack.fault(json!({ "endpoint": "target", "status": 401 })).await;
            let answer = session.send_text(method.clone(), "/v1/targets/api/x", "text/plain", body).await;
            assert_eq!(answer.status.as_u16(), 200, "{method}");
            if method != Method::HEAD {
                assert_eq!(answer.json()["body"]["bytes"], body.len(), "{method}");
            }
            assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (3, 2), "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_repeated_is_not_and_the_next_call_has_another_token() {
    let long = "x".repeat(65 * 1024);
    for backend in BACKENDS {
        for (method, body) in
            [(Method::POST, "x"), (Method::POST, ""), (Method::PATCH, "x"), (Method::PUT, long.as_str())]
        {
            let (stack, session) = signed_in(backend, API).await;
            session.get("/v1/targets/api/x").await.expect(200);
            let challenge = json!({ "www-authenticate": "Bearer realm=\"of the target\"" });
            stack
                .fault(json!({ "endpoint": "target", "status": 401, "headers": challenge, "body": "no",
                    "when": "after" }))
                .await;
            let answer = session.send_text(method.clone(), "/v1/targets/api/x", "text/plain", body).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, "no"), "{method}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"of the target\""));
            assert_eq!(answer.header("relais-answer"), Some("target"));
            assert_eq!(calls(&stack, "target").await, 2, "{method}");
            // Nobody has waited for it.
            stack.eventually("another token", async || calls(&stack, "exchange").await == 2).await;
            session.send_text(method.clone(), "/v1/targets/api/x", "text/plain", body).await.expect(200);
            assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (3, 2), "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_every_token_is_asked_twice_and_the_session_lives_on() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, API).await;
        stack.fault(json!({ "endpoint": "target", "status": 401, "count": 100 })).await;
        let answer = session.get("/v1/targets/api/x").await.expect(401);
        assert_eq!(answer.header("relais-answer"), Some("target"));
        assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (2, 2));
        // The token is new: another one is not fetched for it at once.
        session.get("/v1/targets/api/x").await.expect(401);
        assert_eq!(calls(&stack, "exchange").await, 2);
        assert_eq!(session.get("/v1/session").await.expect(200).text("/status"), "active");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_goes_on_where_no_other_token_can_be_had() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, API).await;
        session.get("/v1/targets/api/x").await.expect(200);
        stack.fault(json!({ "endpoint": "exchange", "status": 503, "count": 100 })).await;
        stack.fault(json!({ "endpoint": "target", "status": 401 })).await;
        let answer = session.get("/v1/targets/api/x").await.expect(401);
        assert_eq!(answer.header("relais-answer"), Some("target"));
        session.get("/v1/session").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_token_does_not_come_the_refused_one_does_for_other_calls() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, API).await;
        session.get("/v1/targets/api/x").await.expect(200);
        stack.fault(json!({ "endpoint": "exchange", "action": "hang" })).await;
        stack.fault(json!({ "endpoint": "target", "status": 401 })).await;
        session.post("/v1/targets/api/refused", json!({})).await.expect(401);
        stack.eventually("another token is asked for", async || calls(&stack, "exchange").await == 2).await;
        let other = async { session.get("/v1/targets/api/another").await };
        let (answer, ()) = tokio::join!(other, stack.clock.wake_after(SHORT_PATIENCE));
        answer.expect(200);
        assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (3, 2), "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_repeated() {
    let (stack, session) = signed_in(crate::support::stack::Backend::Sqlite, API).await;
    for status in [400, 403, 404, 409, 429, 500, 502, 503] {
        stack.fault(json!({ "endpoint": "target", "status": status, "body": { "of": "the target" } })).await;
        let before = calls(&stack, "target").await;
        let answer = session.get("/v1/targets/api/x").await.expect(status);
        assert_eq!(answer.header("relais-answer"), Some("target"));
        assert_eq!(answer.json(), json!({ "of": "the target" }));
        assert_eq!(calls(&stack, "target").await, before + 1, "{status}");
    }
}
