//! A session ends: by its holder, for want of use, at its absolute end, with its grant, by its operator.

use std::time::Duration;

use serde_json::json;

use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const MINUTE: Duration = Duration::from_mins(1);

pub fn holder(stack: &Stack, picked_up: &Answer) -> Caller {
    stack.relais.bearer(&picked_up.text("/session_handle"))
}

#[track_caller]
pub fn assert_ended(answer: Answer, reason: &str) {
    let answer = answer.expect_problem(401, "session_ended");
    assert_eq!(answer.text("/reason"), reason);
    assert!(answer.header("www-authenticate").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_used_ends_idle() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("session = { idle = \"10m\" }").start().await;
        let picked_up = stack.session(DOCTOR).await;
        assert_eq!(picked_up.at("/idle_expires_in"), json!(600));
        let session = holder(&stack, &picked_up);
        stack.clock.advance(Duration::from_secs(599));
        assert_eq!(session.get("/v1/session").await.expect(200).at("/idle_expires_in"), json!(600));
        stack.clock.advance(10 * MINUTE);
        assert_ended(session.get("/v1/session").await, "idle");
        assert_ended(session.get("/v1/session/userinfo").await, "idle");
        assert_ended(session.delete("/v1/session").await, "idle");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_without_touching_does_not_prolong_a_session() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("session = { idle = \"10m\" }").start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        for left in [480, 360, 240, 120] {
            stack.clock.advance(2 * MINUTE);
            let seen = session.get("/v1/session?touch=false").await.expect(200);
            assert_eq!(seen.at("/idle_expires_in"), json!(left));
        }
        stack.clock.advance(2 * MINUTE);
        assert_ended(session.get("/v1/session?touch=false").await, "idle");
        assert_ended(session.get("/v1/session").await, "idle");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_asks_about_is_written_down_all_the_same() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("session = { idle = \"10m\" }").start().await;
        let picked_up = stack.session(DOCTOR).await;
        let session = holder(&stack, &picked_up);
        let mut events = session.open("/v1/session/events").await;
        stack.clock.advance(10 * MINUTE);
        let mut told = String::new();
        while let Some(chunk) = {
            stack.pass(Duration::from_millis(500)).await;
            events.chunk().await.expect("a stream")
        } {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(told.contains("\"reason\":\"idle\""), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_absolute_end_counts_from_the_tokens_and_no_use_moves_it() {
    for backend in BACKENDS {
        let lines = "session = { idle = \"5m\", absolute = \"12m\" }";
        let stack = Stack::on(backend).paced().application(lines).start().await;
        let started = stack.approved(DOCTOR).await;
        stack.clock.advance(2 * MINUTE);
        let picked_up = stack.pick_up(&started, serde_json::Value::Null).await.expect(201);
        assert_eq!(picked_up.at("/expires_in"), json!(600));
        let session = holder(&stack, &picked_up);
        for left in [420, 240, 60] {
            stack.clock.advance(3 * MINUTE);
            let seen = session.get("/v1/session").await.expect(200);
            assert_eq!(seen.at("/expires_in"), json!(left));
            assert_eq!(seen.at("/idle_expires_in"), json!(left.min(300)));
        }
        stack.clock.advance(MINUTE);
        assert_ended(session.get("/v1/session").await, "absolute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_refreshed_lives_as_long_as_its_grant_and_never_shows_a_later_end() {
    for backend in BACKENDS {
        let lines = "session = { idle = \"15m\", absolute = \"4h\" }";
        let stack = Stack::on(backend).paced().application(lines).start().await;
        let picked_up = stack.session(DOCTOR).await;
        stack.fault(json!({ "endpoint": "token", "count": 1000, "status": 503, "body": "" })).await;
        assert_eq!(picked_up.at("/idle_expires_in"), json!(900));
        let session = holder(&stack, &picked_up);
        // The provider's refresh token lives for 1800 s.
        for (seconds, left) in [(899, 900), (300, 601), (300, 301)] {
            stack.clock.advance(Duration::from_secs(seconds));
            let seen = session.get("/v1/session").await.expect(200);
            assert_eq!(seen.at("/idle_expires_in"), json!(left));
        }
        stack.clock.advance(Duration::from_secs(301));
        assert_ended(session.get("/v1/session").await, "reauth_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_time_longer_than_the_grant_is_not_shown() {
    for backend in BACKENDS {
        let lines = "session = { idle = \"1h\", absolute = \"4h\" }";
        let stack = Stack::on(backend).paced().application(lines).start().await;
        let picked_up = stack.session(DOCTOR).await;
        assert_eq!(picked_up.at("/idle_expires_in"), json!(1800));
        let session = holder(&stack, &picked_up);
        stack.clock.advance(Duration::from_secs(1799));
        let seen = session.get("/v1/session?touch=false").await.expect(200);
        assert_eq!(seen.at("/idle_expires_in"), json!(1));
        stack.clock.advance(Duration::from_secs(1));
        assert_ended(session.get("/v1/session").await, "reauth_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_its_holder_ended_says_so_for_a_day_and_then_opens_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        session.delete("/v1/session").await.expect(204);
        assert_ended(session.get("/v1/session").await, "logout");
        assert_ended(session.put("/v1/session/exercice", json!({"id": "x"})).await, "logout");
        stack.clock.advance(Duration::from_secs(86_399));
        assert_ended(session.get("/v1/session").await, "logout");
        stack.clock.advance(Duration::from_secs(1));
        let gone = session.get("/v1/session").await.expect_problem(401, "handle_invalid");
        assert!(gone.header("www-authenticate").is_some());
        // And after the housekeeping.
        stack.pass(2 * MINUTE).await;
        session.get("/v1/session").await.expect_problem(401, "handle_invalid");
        stack.stays_silent().await;
    }
}

/// The configuration with a switch turned off in one of its sections.
/// Of these sessions no end can be written.
pub const fn stuck_sessions(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "CREATE TRIGGER in_the_way BEFORE UPDATE OF status ON sessions WHEN OLD.reference = 'stuck'
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        Backend::Postgres => {
            "ALTER TABLE sessions ADD CONSTRAINT in_the_way
             CHECK (status <> 'ended' OR coalesce(reference, '') <> 'stuck')"
        }
    }
}

pub fn disabled(config: &str, section: &str) -> String {
    assert!(config.contains(section), "{section}");
    config.replace(section, &format!("{section}\nenabled = false"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_registration_or_provider_starts_nothing_hands_nothing_over_and_ends_its_sessions() {
    for backend in BACKENDS {
        for section in ["[registrations.psc]", "[providers.psc-sim]"] {
            let stack = Stack::on(backend).paced().start().await;
            let session = holder(&stack, &stack.session(DOCTOR).await);
            let approved = stack.approved("899700000002").await;
            stack.reload(&disabled(&stack.config, section));
            assert_ended(session.get("/v1/session").await, "revoked");
            stack.pick_up(&approved, serde_json::Value::Null).await.expect_problem(403, "policy_not_met");
            let failed = stack.read(&approved).await;
            crate::flows::pace::assert_ended(&failed, "failed", "policy_not_met", section);
            stack.start("899700000003").await.expect_problem(403, "registration_not_allowed");
            stack.reload(&stack.config);
            assert_ended(session.get("/v1/session").await, "revoked");
            stack.start("899700000003").await.expect(201);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_application_is_told_so_on_every_call() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let approved = stack.approved("899700000002").await;
        stack.reload(&disabled(&stack.config, "[applications.desk]"));
        stack.start(DOCTOR).await.expect_problem(403, "application_disabled");
        let (caller, path) = stack.holder(&approved);
        caller.get(&path).await.expect_problem(403, "application_disabled");
        stack.pick_up(&approved, serde_json::Value::Null).await.expect_problem(403, "application_disabled");
        session.get("/v1/session").await.expect_problem(403, "application_disabled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_a_disabled_application_have_ended_when_it_is_enabled_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.reload(&disabled(&stack.config, "[applications.desk]"));
        session.get("/v1/session").await.expect_problem(403, "application_disabled");
        stack.reload(&stack.config);
        assert_ended(session.get("/v1/session").await, "revoked");
    }
}
