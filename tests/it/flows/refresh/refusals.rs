//! What ends a session at a refresh, at once and for good: `invalid_grant`, and an ID token of somebody else.

use relais::domain::clock::Clock as _;
use serde_json::json;

use super::{DUE, ended};
use crate::support::database::Database;
use crate::support::stack::{BACKENDS, Backend, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn rp_085_invalid_grant_ends_a_session_at_once_and_is_remembered() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        let body = json!({ "error": "invalid_grant", "error_description": "Session not active" });
        stack.fault(json!({ "endpoint": "token", "status": 400, "body": body })).await;
        let before = stack.calls("token").await;
        let mut events = session.open("/v1/session/events").await;
        session.get("/v1/session").await.expect(200);
        assert_eq!(stack.ends(&session).await, "reauth_required");
        let mut told = String::new();
        while let Some(chunk) = events.chunk().await.expect("a stream") {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(told.contains("\"reason\":\"reauth_required\""), "{told}");
        for _ in 0..3 {
            assert_eq!(ended(session.get("/v1/session").await), "reauth_required");
            assert_eq!(ended(session.get("/v1/session/userinfo").await), "reauth_required");
        }
        assert_eq!(ended(session.delete("/v1/session").await), "reauth_required");
        stack.restart().await;
        let session = stack.relais.bearer(&session.token());
        assert_eq!(ended(session.get("/v1/session").await), "reauth_required");
        assert_eq!(stack.calls("token").await, before + 1, "asked once, and never again");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_084_a_refreshed_id_token_of_somebody_else_or_of_another_authentication_ends_the_session() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let cases = [
            ("another issuer", json!({ "iss": "https://elsewhere.example/" })),
            ("another person", json!({ "sub": "somebody-else" })),
            ("another national identifier", json!({ "SubjectNameID": "899700000002" })),
            ("another audience", json!({ "aud": "somebody-else" })),
            ("two audiences", json!({ "aud": ["relais-demo", "somebody-else"] })),
            ("another authentication", json!({ "auth_time": stack.clock.now().as_secs() - 7 })),
            ("one bit turned", json!({ "signature": "bad" })),
            ("a foreign key under our name", json!({ "signature": "foreign_key" })),
            ("unsigned", json!({ "alg": "none" })),
            ("another access token's hash", json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" })),
        ];
        for (case, altered) in cases {
            let session = stack.signed_in().await;
            stack.clock.advance(DUE);
            stack.fault(json!({ "endpoint": "token", "token": altered })).await;
            let before = stack.calls("userinfo").await;
            session.get("/v1/session").await.expect(200);
            assert_eq!(stack.ends(&session).await, "reauth_required", "{case}");
            assert_eq!(stack.calls("userinfo").await, before, "{case}: nothing is done with the tokens");
        }
        let not_believed =
            "SELECT count(*) FROM audit WHERE event = 'session.token_invalid' AND actor = 'engine'";
        assert_eq!(Database::of(&stack.config).await.number(not_believed).await, 10, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_084_what_a_refreshed_id_token_may_leave_out_or_say_otherwise_ends_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let cases = [
            ("no time of authentication", json!({ "auth_time": null })),
            ("another level", json!({ "acr": "eidas0" })),
            ("no at_hash", json!({ "at_hash": null })),
            ("something new", json!({ "new": { "deeply": ["nested"] } })),
        ];
        for (case, altered) in cases {
            let session = stack.signed_in().await;
            let before = session.get("/v1/session").await.expect(200);
            stack.clock.advance(DUE);
            stack.fault(json!({ "endpoint": "token", "token": altered })).await;
            stack.refreshed_by_a_use(&session).await;
            let after = session.get("/v1/session").await.expect(200);
            for member in ["/acr", "/auth_time", "/amr", "/subject"] {
                assert_eq!(before.at(member), after.at(member), "{case}: who it is stays what it was");
            }
        }
    }
}

/// Grants that hold tokens.
async fn tokens_kept(stack: &Stack) -> i64 {
    let tokens = "SELECT count(*) FROM grants WHERE tokens IS NOT NULL";
    Database::of(&stack.config).await.number(tokens).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_03_a_logout_during_a_refresh_wins() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        stack.fault(json!({ "endpoint": "token", "delay_ms": 2000 })).await;
        let before = stack.calls("token").await;
        session.get("/v1/session").await.expect(200);
        stack.token_calls(before + 1).await;
        session.delete("/v1/session").await.expect(204);
        assert_eq!(ended(session.get("/v1/session").await), "logout");
        // The answer comes, with tokens that nobody wants any more.
        stack.clock.advance(std::time::Duration::from_secs(2));
        stack.settle().await;
        assert_eq!(ended(session.get("/v1/session").await), "logout");
        assert_eq!(stack.refreshes("ok").await, 1);
        assert_eq!(tokens_kept(&stack).await, 0, "{backend:?}");
        // The logout has had the old refresh token revoked, its access token had died. The new ones follow.
        let revoked = json!(["refresh_token", "refresh_token", "access_token"]);
        stack
            .happens("the new tokens are revoked", async || stack.sessions().await[0]["revoked"] == revoked)
            .await;
        let late = "SELECT count(*) FROM audit WHERE event = 'tokens.late' AND session_id IS NOT NULL";
        assert_eq!(Database::of(&stack.config).await.number(late).await, 1, "{backend:?}");
        stack.restart().await;
        let session = stack.relais.bearer(&session.token());
        assert_eq!(ended(session.get("/v1/session").await), "logout");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_03_of_many_logouts_that_race_a_refresh_none_is_undone() {
    let stack = Stack::on(Backend::Sqlite).paced().start().await;
    let mut sessions = Vec::new();
    for number in 0..12 {
        let picked_up = stack.session(&format!("8997{number:08}")).await;
        sessions.push(stack.relais.bearer(&picked_up.text("/session_handle")));
    }
    stack.clock.advance(DUE);
    let races = sessions.iter().enumerate().map(|(number, session)| async move {
        session.get("/v1/session").await.expect(200);
        let pause = std::time::Duration::from_millis(number as u64 * 3);
        let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
        session.delete("/v1/session").await.expect(204);
        assert_eq!(ended(session.get("/v1/session").await), "logout");
    });
    futures_util::future::join_all(races).await;
    stack.settle().await;
    for session in &sessions {
        assert_eq!(ended(session.get("/v1/session").await), "logout");
    }
    let refreshes = stack.stats().await["refreshes"].as_object().cloned().unwrap_or_default();
    assert!(refreshes.keys().all(|result| result == "ok"), "{refreshes:?}");
    assert_eq!(tokens_kept(&stack).await, 0);
}
