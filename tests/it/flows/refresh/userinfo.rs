//! Userinfo that a session still lacks is read with an access token that is alive: refreshed for it, once.

use std::time::Duration;

use serde_json::{Value, json};

use super::ended;
use crate::support::http::Caller;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// Longer than a failed read holds others back.
const LATER: Duration = Duration::from_secs(11);

/// A session without userinfo: the endpoint was down when the person approved.
async fn incomplete(stack: &Stack) -> Caller {
    stack.fault(json!({ "endpoint": "userinfo", "status": 500, "body": "" })).await;
    let started = stack.approved(DOCTOR).await;
    stack.happens("userinfo is asked for", async || stack.calls("userinfo").await > 0).await;
    stack.settle().await;
    let picked_up = stack.pick_up(&started, Value::Null).await.expect(201);
    assert_eq!(picked_up.at("/subject/complete"), json!(false));
    stack.relais.bearer(&picked_up.text("/session_handle"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_082_a_use_that_needs_an_expired_access_token_has_it_refreshed_first() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = incomplete(&stack).await;
        let asked = stack.calls("userinfo").await;
        // Two minutes: the access token is over, the refresh token is not even half over.
        stack.clock.advance(Duration::from_secs(120));
        let seen = session.get("/v1/session?touch=false").await.expect(200);
        assert_eq!(seen.at("/subject/complete"), json!(false), "looking refreshes nothing");
        assert_eq!(stack.stats().await["refreshes"], json!({}));
        let used = session.get("/v1/session").await.expect(200);
        assert_eq!(used.at("/subject/complete"), json!(true), "{backend:?}");
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }));
        assert_eq!(stack.calls("userinfo").await, asked + 1);
        session.get("/v1/session/userinfo").await.expect(200);
        // What has been read is not read again.
        stack.clock.advance(Duration::from_secs(240));
        session.get("/v1/session/userinfo").await.expect(200);
        assert_eq!(stack.calls("userinfo").await, asked + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_082_an_access_token_that_is_refused_is_refreshed_once_and_tried_once_more() {
    let refused = |count| {
        let body = json!({ "error": "invalid_token", "error_description": "Token verification failed" });
        json!({ "endpoint": "userinfo", "count": count, "status": 401, "body": body })
    };
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = incomplete(&stack).await;
        let asked = stack.calls("userinfo").await;
        stack.clock.advance(LATER);
        stack.fault(refused(2)).await;
        let used = session.get("/v1/session").await.expect(200);
        assert_eq!(used.at("/subject/complete"), json!(false), "{backend:?}: refused twice");
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }));
        assert_eq!(stack.calls("userinfo").await, asked + 2);
        // Once is enough: it is only read again, with what there is.
        stack.clock.advance(LATER);
        let used = session.get("/v1/session").await.expect(200);
        assert_eq!(used.at("/subject/complete"), json!(true), "{backend:?}");
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }));
        assert_eq!(stack.calls("userinfo").await, asked + 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_endpoint_that_refuses_every_token_wears_no_refresh_token_out() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = incomplete(&stack).await;
        let body = json!({ "error": "invalid_token" });
        stack.fault(json!({ "endpoint": "userinfo", "count": 1000, "status": 401, "body": body })).await;
        // Longer than its access token lives, too.
        for _ in 0..20 {
            stack.clock.advance(LATER);
            session.get("/v1/session").await.expect(200);
        }
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }), "{backend:?}");
        // A refresh that is due by itself brings another token, and new hope.
        stack.no_faults().await;
        stack.clock.advance(super::DUE);
        stack.refreshed_by_a_use(&session).await;
        stack.clock.advance(LATER);
        session.get("/v1/session").await.expect(200);
        stack.shows(&session, "/subject/complete", &json!(true)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_uses_that_need_the_same_token_cause_one_refresh_and_one_reading() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = incomplete(&stack).await;
        let asked = stack.calls("userinfo").await;
        stack.clock.advance(Duration::from_secs(130));
        let uses = (0..50).map(|_| session.get("/v1/session/userinfo"));
        for answer in futures_util::future::join_all(uses).await {
            assert_eq!(answer.expect(200).text("/SubjectNameID"), DOCTOR);
        }
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }), "{backend:?}");
        assert_eq!(stack.calls("userinfo").await, asked + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_that_waits_for_a_refresh_which_is_refused_is_told_that_the_session_has_ended() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for path in ["/v1/session", "/v1/session/userinfo"] {
            let session = incomplete(&stack).await;
            stack.clock.advance(Duration::from_secs(130));
            let body = json!({ "error": "invalid_grant" });
            stack.fault(json!({ "endpoint": "token", "status": 400, "body": body })).await;
            assert_eq!(ended(session.get(path).await), "reauth_required", "{backend:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_does_not_wait_longer_than_three_seconds_for_a_slow_refresh() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = incomplete(&stack).await;
        stack.clock.advance(Duration::from_secs(130));
        stack.fault(json!({ "endpoint": "token", "delay_ms": 5000 })).await;
        let before = stack.calls("token").await;
        let using = session.clone();
        let call = tokio::spawn(async move { using.get("/v1/session").await });
        stack.token_calls(before + 1).await;
        stack.settle().await;
        stack.pass(Duration::from_millis(2999)).await;
        assert!(!call.is_finished(), "it waits");
        stack.pass(Duration::from_millis(1)).await;
        let used = call.await.expect("no panic").expect(200);
        assert_eq!(used.at("/subject/complete"), json!(false), "{backend:?}");
        stack.pass(Duration::from_secs(2)).await;
        stack.shows(&session, "/subject/complete", &json!(true)).await;
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }));
    }
}
