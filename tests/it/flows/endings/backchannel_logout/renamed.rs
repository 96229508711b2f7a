//! A provider calls a session of its own otherwise when it renews the tokens: from then on it is that name that counts.

use std::time::Duration;

use serde_json::json;

use super::super::sessions::{assert_ended, holder};
use crate::support::database::Database;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// What the provider calls the session by then.
const NEW: &str = "01a216e3-0000-4000-8000-000000000001";

/// After this long a use starts a refresh.
const DUE: Duration = Duration::from_secs(901);

impl Stack {
    /// The next ID token names the session so.
    async fn renames(&self) {
        self.fault(json!({ "endpoint": "token", "token": { "sid": NEW } })).await;
    }

    async fn recorded(&self, event: &'static str) {
        let count = "SELECT count(*) FROM audit WHERE event = ";
        let sql: &'static str = Box::leak(format!("{count}'{event}'").into_boxed_str());
        self.happens(event, async || Database::of(&self.config).await.number(sql).await == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_a_session_that_was_renamed_ends_by_its_new_name_and_not_by_the_old_one() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let old = stack.sessions().await[0]["sid"].clone();
        stack.renames().await;
        stack.clock.advance(DUE);
        session.get("/v1/session").await.expect(200);
        stack.recorded("session.refreshed").await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": { "sid": old } })).await;
        assert_eq!(told["status"], 200, "{told}");
        session.get("/v1/session?touch=false").await.expect(200);
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": { "sid": NEW } })).await;
        assert_eq!(told["status"], 200, "{told}");
        assert_ended(session.get("/v1/session").await, "idp_logout");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_who_leaves_before_his_new_tokens_are_here_stays_signed_out() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.renames().await;
        stack.fault(json!({ "endpoint": "token", "delay_ms": 2000 })).await;
        stack.clock.advance(DUE);
        let before = stack.calls("token").await;
        session.get("/v1/session").await.expect(200);
        stack.happens("it is asked", async || stack.calls("token").await > before).await;
        // Nobody here knows the session by that name yet.
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": { "sid": NEW } })).await;
        assert_eq!(told["status"], 200, "{told}");
        session.get("/v1/session?touch=false").await.expect(200);
        stack.clock.advance(Duration::from_secs(2));
        stack
            .happens("the tokens are here", async || {
                session.get("/v1/session?touch=false").await.status.as_u16() == 401
            })
            .await;
        assert_ended(session.get("/v1/session").await, "idp_logout");
        // Those that came are revoked, and the refresh token that brought them.
        stack.recorded("tokens.late").await;
        stack
            .happens("they are revoked", async || {
                let revoked = stack.sessions().await[0]["revoked"].clone();
                let count =
                    |kind: &str| revoked.as_array().into_iter().flatten().filter(|it| **it == kind).count();
                (count("refresh_token"), count("access_token")) == (2, 1)
            })
            .await;
        let refreshed = "SELECT count(*) FROM audit WHERE event = 'session.refreshed'";
        assert_eq!(Database::of(&stack.config).await.number(refreshed).await, 0, "{backend:?}");
    }
}
