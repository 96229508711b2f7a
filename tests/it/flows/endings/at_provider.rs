//! What an end here comes to at the provider: tokens are revoked, the person is logged out there, whatever is down
//! meanwhile. The end itself never waits for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::PACE;
use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const NURSE: &str = "899700000002";

/// A further node has what providers call too.
const LISTENER: &str = "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

const ENTRIES: &str = "SELECT count(*) FROM outbox";

fn holder(stack: &Stack, picked_up: &Answer) -> Caller {
    stack.relais.bearer(&picked_up.text("/session_handle"))
}

impl Stack {
    /// Neither endpoint of the way out answers.
    async fn provider_is_deaf(&self) {
        for endpoint in ["revocation", "logout"] {
            self.fault(
                json!({ "endpoint": endpoint, "count": 100_000, "action": "reset", "when": "before" }),
            )
            .await;
        }
    }

    async fn is_told(&self, number: usize) {
        self.happens("the provider is told", async || self.sessions().await[number]["logged_out"] == true)
            .await;
        self.outbox_is_empty().await;
    }

    async fn outbox_is_empty(&self) {
        self.happens("nothing is left to tell", async || {
            Database::of(&self.config).await.number(ENTRIES).await == 0
        })
        .await;
    }

    /// The audit's events about what providers were told, with their reasons.
    async fn told(&self) -> [i64; 4] {
        let mut database = Database::of(&self.config).await;
        let mut counts = [0; 4];
        for (count, sql) in counts.iter_mut().zip([
            "SELECT count(*) FROM audit WHERE event = 'provider.told' AND reason IS NULL",
            "SELECT count(*) FROM audit WHERE event = 'provider.not_told' AND reason = 'refused'",
            "SELECT count(*) FROM audit WHERE event = 'provider.not_told' AND reason = 'given_up'",
            "SELECT count(*) FROM audit WHERE event = 'tokens.late'",
        ]) {
            *count = database.number(sql).await;
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_a_logout_revokes_both_tokens_and_ends_the_provider_s_session() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        session.get("/v1/session/userinfo").await.expect(200);
        let other = holder(&stack, &stack.session(NURSE).await);
        session.delete("/v1/session").await.expect(204);
        stack.is_told(0).await;
        let sessions = stack.sessions().await;
        assert_eq!(sessions[0]["revoked"], json!(["refresh_token", "access_token"]), "{backend:?}");
        assert_eq!(sessions[1]["revoked"], json!([]), "another's stays as it is");
        assert_eq!((&sessions[1]["ended_by"], &sessions[1]["logged_out"]), (&Value::Null, &json!(false)));
        other.get("/v1/session/userinfo").await.expect(200);
        assert_eq!((stack.calls("revocation").await, stack.calls("logout").await), (2, 1));
        assert_eq!(stack.told().await, [1, 0, 0, 0]);
        let metrics = stack.ops.get("/metrics").await.expect(200).body;
        assert!(metrics.contains("relais_outbox_total{provider=\"psc-sim\",result=\"told\"}"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_what_has_died_by_itself_is_not_revoked() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.clock.advance(Duration::from_secs(121));
        session.delete("/v1/session").await.expect(204);
        stack.is_told(0).await;
        assert_eq!(stack.sessions().await[0]["revoked"], json!(["refresh_token"]), "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_with_the_provider_down_the_end_is_at_once_and_the_provider_is_told_when_it_is_back() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let handle = session.token();
        stack.provider_is_deaf().await;
        session.delete("/v1/session").await.expect(204);
        session.get("/v1/session").await.expect_problem(401, "session_ended");
        stack.happens("it has been tried", async || stack.calls("revocation").await == 1).await;
        let mut database = Database::of(&stack.config).await;
        let tokens = "SELECT count(*) FROM grants WHERE tokens IS NOT NULL";
        assert_eq!((database.number(tokens).await, database.number(ENTRIES).await), (0, 1));
        // Ever more rarely: after 5 s, 10 s, 20 s.
        for (wait, calls) in [(4, 1), (2, 2), (8, 2), (3, 3), (17, 3), (5, 4)] {
            stack.pass(Duration::from_secs(wait)).await;
            stack.happens("it is tried", async || stack.calls("revocation").await >= calls).await;
            stack.settle().await;
            assert_eq!(stack.calls("revocation").await, calls, "{backend:?} after {wait} s");
        }
        assert_eq!(stack.calls("logout").await, 0, "one time-out is enough");
        // A restart in between.
        stack.restart().await;
        stack.relais.bearer(&handle).get("/v1/session").await.expect_problem(401, "session_ended");
        assert_eq!(database.number(ENTRIES).await, 1);
        stack.no_faults().await;
        stack.pass(Duration::from_secs(41)).await;
        stack.is_told(0).await;
        // Its access token has died meanwhile, and is revoked all the same: that is what was written down.
        assert_eq!(stack.sessions().await[0]["ended_by"], "revocation");
        assert_eq!(stack.told().await, [1, 0, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_a_node_that_drains_does_not_wait_for_a_provider_that_hangs() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.fault(json!({ "endpoint": "revocation", "action": "hang", "when": "before" })).await;
        session.delete("/v1/session").await.expect(204);
        stack.happens("it is being told", async || stack.calls("revocation").await == 1).await;
        let stopping = tokio::time::timeout(Duration::from_secs(8), stack.stop());
        stopping.await.expect("sooner than the call's time-out");
        stack.restart().await;
        stack.is_told(0).await;
        assert_eq!(
            stack.sessions().await[0]["revoked"],
            json!(["refresh_token", "access_token"]),
            "{backend:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_what_the_provider_has_heard_it_is_not_told_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let retry = json!({ "retry-after": "60" });
        stack.fault(json!({ "endpoint": "logout", "status": 503, "headers": retry })).await;
        session.delete("/v1/session").await.expect(204);
        stack.happens("it was busy", async || stack.calls("logout").await == 1).await;
        stack.pass(Duration::from_secs(58)).await;
        stack.settle().await;
        assert_eq!(stack.calls("logout").await, 1, "{backend:?}: it has said when to come again");
        stack.pass(Duration::from_secs(3)).await;
        stack.is_told(0).await;
        assert_eq!((stack.calls("revocation").await, stack.calls("logout").await), (2, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_a_refusal_is_final_and_written_down() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let body = json!({ "error": "unsupported_token_type" });
        stack.fault(json!({ "endpoint": "revocation", "status": 400, "body": body })).await;
        session.delete("/v1/session").await.expect(204);
        stack.is_told(0).await;
        assert_eq!(stack.sessions().await[0]["revoked"], json!(["access_token"]), "the rest is told");
        assert_eq!(stack.told().await, [0, 1, 0, 0], "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_087_after_a_day_it_is_given_up_and_nothing_sealed_is_left() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.provider_is_deaf().await;
        session.delete("/v1/session").await.expect(204);
        stack.happens("it has been tried", async || stack.calls("revocation").await == 1).await;
        stack.stop().await;
        stack.clock.advance(Duration::from_secs(24 * 3600 - 60));
        stack.restart().await;
        stack.happens("it is tried once more", async || stack.calls("revocation").await == 2).await;
        assert_eq!(stack.told().await, [0, 0, 0, 0]);
        stack.pass(Duration::from_secs(62)).await;
        stack.outbox_is_empty().await;
        assert_eq!(stack.told().await, [0, 0, 1, 0], "{backend:?}");
        let calls = stack.calls("revocation").await;
        stack.no_faults().await;
        stack.pass(Duration::from_secs(60)).await;
        assert_eq!(stack.calls("revocation").await, calls, "nothing is left to tell");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_nobody_picks_up_is_taken_back_at_the_provider() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let cancelled = stack.approved(DOCTOR).await;
        let (holder, path) = stack.holder(&cancelled);
        holder.delete(&path).await.expect(204);
        stack.is_told(0).await;
        // Another person than expected.
        let mismatch = stack.approved(NURSE).await;
        let body = json!({ "expected_subject": DOCTOR });
        stack.pick_up(&mismatch, body).await.expect_problem(409, "identity_mismatch");
        stack.is_told(1).await;
        // Nobody comes.
        let left = stack.approved("899700000003").await;
        stack.pass(Duration::from_secs(5 * 60 + 2)).await;
        stack.happens("it has expired", async || stack.read(&left).await.text("/status") == "expired").await;
        stack.is_told(2).await;
        let sessions = stack.sessions().await;
        assert!(sessions.iter().all(|session| session["revoked"][0] == "refresh_token"), "{sessions:?}");
        assert_eq!(stack.told().await, [3, 0, 0, 0], "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_provider_s_that_another_sign_in_lives_by_goes_on() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.settings(json!({ "shared_session": true })).await;
        // The workstation crashed after the approval; the person signs in again.
        let crashed = stack.approved(DOCTOR).await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        stack.pass(Duration::from_secs(5 * 60 + 2)).await;
        stack
            .happens("it has expired", async || stack.read(&crashed).await.text("/status") == "expired")
            .await;
        stack.outbox_is_empty().await;
        session.get("/v1/session").await.expect(200);
        let shared = stack.sessions().await.remove(0);
        assert_eq!(
            (&shared["ended_by"], &shared["logged_out"]),
            (&Value::Null, &json!(false)),
            "{backend:?}"
        );
        // The person's own word ends it.
        session.delete("/v1/session").await.expect(204);
        stack.is_told(0).await;
        assert_eq!(stack.sessions().await.len(), 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_a_person_s_sessions_outlives_those_that_give_way_to_it_at_the_provider_too() {
    for backend in BACKENDS {
        let lines = "session = { per_person = 1 }";
        let stack = Stack::on(backend).paced().application(lines).start().await;
        stack.settings(json!({ "shared_session": true })).await;
        let first = holder(&stack, &stack.session(DOCTOR).await);
        let second = holder(&stack, &stack.session(DOCTOR).await);
        first.get("/v1/session").await.expect_problem(401, "session_ended");
        stack.outbox_is_empty().await;
        second.get("/v1/session").await.expect(200);
        let shared = stack.sessions().await.remove(0);
        assert_eq!(shared["revoked"], json!(["access_token"]), "{backend:?}");
        assert_eq!((&shared["ended_by"], &shared["logged_out"]), (&Value::Null, &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ended_before_its_tokens_came_has_nothing_to_tell() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let denied = stack.start(DOCTOR).await.expect(201);
        stack.decide("deny", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&denied).await.text("/status"), "denied");
        let (holder, path) = stack.holder(&stack.start(NURSE).await.expect(201));
        holder.delete(&path).await.expect(204);
        stack.stays_silent().await;
        assert_eq!((stack.calls("revocation").await, stack.calls("logout").await), (0, 0));
        assert_eq!(Database::of(&stack.config).await.number(ENTRIES).await, 0, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_079_after_a_refused_id_token_nothing_is_revoked() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({ "endpoint": "token", "token": { "nonce": "x", "iss": "https://other" } })).await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&started).await.text("/reason"), "token_invalid");
        stack.stays_silent().await;
        assert_eq!((stack.calls("revocation").await, stack.calls("logout").await), (0, 0), "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_tell_each_end_once() {
    let stack = Stack::on(Backend::Postgres).manual_clock().sections(LISTENER).start().await;
    let node = stack.another_node().await;
    stack.provider_is_deaf().await;
    let mut handles = Vec::new();
    for number in 0..12 {
        handles.push(stack.sign_in(&format!("8997{number:08}")).await.text("/session_handle"));
    }
    for (number, handle) in handles.iter().enumerate() {
        let caller = if number % 2 == 0 { &stack.relais } else { &node.relais };
        caller.bearer(handle).delete("/v1/session").await.expect(204);
    }
    stack.happens("each was tried", async || stack.calls("revocation").await >= 12).await;
    stack.settle().await;
    stack.no_faults().await;
    let before = stack.calls("revocation").await;
    stack.pass(Duration::from_secs(60)).await;
    stack.outbox_is_empty().await;
    // Two tokens each: whatever was told, was told once.
    assert_eq!(stack.calls("revocation").await - before, 24);
    assert_eq!(stack.calls("logout").await, 12);
    assert_eq!(stack.told().await, [12, 0, 0, 0]);
    node.stop().await;
}
