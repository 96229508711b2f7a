//! How many sessions a person has at an application (R-E-10), and what an operator's switches end by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use super::sessions::{assert_ended, disabled, holder, stuck_sessions};
use crate::support::database::Database;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const OTHER: &str = r#"
[applications.other]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-the-other"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn r_e_10_the_oldest_session_of_a_person_gives_way_to_one_too_many() {
    for backend in BACKENDS {
        let lines = "session = { per_person = 2 }";
        let stack = Stack::on(backend).paced().application(lines).sections(OTHER).start().await;
        let first = holder(&stack, &stack.session(DOCTOR).await);
        let second = holder(&stack, &stack.session(DOCTOR).await);
        // Neither another person nor another application counts.
        let nurse = holder(&stack, &stack.session("899700000002").await);
        let other = stack.relais.basic("other", "a-secret-of-the-other");
        let elsewhere = stack.sign_in_as(&other, DOCTOR).await;
        let elsewhere = stack.relais.bearer(&elsewhere.text("/session_handle"));
        let mut events = first.open("/v1/session/events").await;
        let third = holder(&stack, &stack.session(DOCTOR).await);
        assert_ended(first.get("/v1/session").await, "superseded");
        for live in [&second, &nurse, &elsewhere, &third] {
            live.get("/v1/session").await.expect(200);
        }
        let mut told = String::new();
        while let Some(chunk) = events.chunk().await.expect("a stream") {
            told.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(told.contains("\"reason\":\"superseded\""), "{told}");
        stack.happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true).await;
        let live = stack.sessions().await.iter().filter(|session| session["logged_out"] == false).count();
        assert_eq!(live, 4, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_by_itself_does_not_count() {
    for backend in BACKENDS {
        let lines = "session = { per_person = 1, idle = \"10m\" }";
        let stack = Stack::on(backend).paced().application(lines).start().await;
        let first = holder(&stack, &stack.session(DOCTOR).await);
        first.delete("/v1/session").await.expect(204);
        let second = holder(&stack, &stack.session(DOCTOR).await);
        second.get("/v1/session").await.expect(200);
        assert_ended(first.get("/v1/session").await, "logout");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_turned_off_ends_sessions_that_nobody_uses_and_no_other() {
    for backend in BACKENDS {
        for section in ["[applications.desk]", "[registrations.psc]", "[providers.psc-sim]"] {
            let stack = Stack::on(backend).paced().sections(OTHER).start().await;
            let mine = stack.session(DOCTOR).await;
            let other = stack.relais.basic("other", "a-secret-of-the-other");
            let theirs = stack.sign_in_as(&other, "899700000002").await.text("/session_handle");
            stack.reload(&disabled(&stack.config, section));
            let ended = "SELECT count(*) FROM sessions WHERE status = 'ended' AND reason = 'revoked'";
            let expected = if section == "[applications.desk]" { 1 } else { 2 };
            stack
                .happens("they have ended", async || {
                    Database::of(&stack.config).await.number(ended).await == expected
                })
                .await;
            stack
                .happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true)
                .await;
            let told = "SELECT count(*) FROM audit WHERE event = 'session.ended' AND reason = 'revoked'
                            AND actor = 'engine'";
            assert_eq!(Database::of(&stack.config).await.number(told).await, expected, "{section}");
            // Back again: what has ended stays so.
            stack.reload(&stack.config);
            assert_ended(holder(&stack, &mine).get("/v1/session").await, "revoked");
            let other = stack.relais.bearer(&theirs).get("/v1/session").await;
            if expected == 1 {
                other.expect(200);
            } else {
                assert_ended(other, "revoked");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_switched_off_while_the_server_was_down_ends_when_it_starts() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let picked_up = stack.session(DOCTOR).await;
        stack.stop().await;
        let config = stack.config.clone();
        stack.config = disabled(&config, "[registrations.psc]");
        stack.restart().await;
        stack.pass(Duration::from_secs(2)).await;
        let ended = "SELECT count(*) FROM sessions WHERE status = 'ended' AND reason = 'revoked'";
        stack
            .happens("it has ended", async || Database::of(&stack.config).await.number(ended).await == 1)
            .await;
        stack.happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true).await;
        assert_ended(holder(&stack, &picked_up).get("/v1/session").await, "revoked");
        assert_eq!(stack.sessions().await[0]["revoked"], json!(["refresh_token", "access_token"]));
        stack.start(DOCTOR).await.expect_problem(403, "registration_not_allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_end_that_cannot_be_written_keeps_neither_the_others_nor_housekeeping_from_their_turn() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        let mut database = Database::of(&stack.config).await;
        database.run("UPDATE sessions SET reference = 'stuck'").await;
        stack.session("899700000002").await;
        database.run(stuck_sessions(backend)).await;
        database
            .run(match backend {
                Backend::Sqlite => {
                    "INSERT INTO logout_tokens (provider, jti, attempt, taken_at, until)
                    VALUES ('p', x'00', x'00000000000000000000000000000000', 0, 0)"
                }
                Backend::Postgres => {
                    r"INSERT INTO logout_tokens (provider, jti, attempt, taken_at, until)
                    VALUES ('p', '\x00', '00000000-0000-0000-0000-000000000000', 0, 0)"
                }
            })
            .await;
        stack.stop().await;
        stack.config = disabled(&stack.config, "[registrations.psc]");
        // The first pass of a process does it all.
        stack.restart().await;
        stack.pass(Duration::from_secs(2)).await;
        let ended = "SELECT count(*) FROM sessions WHERE status = 'ended' AND reason = 'revoked'";
        stack
            .happens("the other has ended", async || {
                Database::of(&stack.config).await.number(ended).await == 1
            })
            .await;
        let kept = "SELECT count(*) FROM logout_tokens";
        stack
            .happens("old rows go", async || Database::of(&stack.config).await.number(kept).await == 0)
            .await;
        assert_eq!(database.number(ended).await, 1, "{backend:?}");
        database
            .run(match backend {
                Backend::Sqlite => "DROP TRIGGER in_the_way",
                Backend::Postgres => "ALTER TABLE sessions DROP CONSTRAINT in_the_way",
            })
            .await;
        assert_ended(stack.relais.bearer(&handle).get("/v1/session").await, "revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_what_is_switched_off_is_handed_to_nobody() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let approved = stack.approved(DOCTOR).await;
        stack.reload(&disabled(&stack.config, "[registrations.psc]"));
        stack.pick_up(&approved, Value::Null).await.expect_problem(403, "policy_not_met");
        stack.happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_through_a_registration_that_the_application_may_use_no_longer_is_handed_to_nobody() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let approved = stack.approved(DOCTOR).await;
        let (before, rest) = stack.config.split_once("[registrations.psc]").expect("a registration");
        let (registration, after) = rest.split_once("[applications.desk]").expect("an application");
        let after = after.replace("registrations = [\"psc\"]", "registrations = [\"other\"]");
        stack.reload(&format!(
            "{before}[registrations.psc]{registration}[registrations.other]{registration}[applications.desk]{after}"
        ));
        stack.pick_up(&approved, Value::Null).await.expect_problem(403, "policy_not_met");
        let failed = stack.read(&approved).await;
        crate::flows::pace::assert_ended(&failed, "failed", "policy_not_met", &format!("{backend:?}"));
    }
}
