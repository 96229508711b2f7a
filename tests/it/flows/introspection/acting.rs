//! `Relais-Session`: a back end acts with a session by its own credential (design §4.1, last row).

use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_session_handle;
use serde_json::{Value, json};

use super::{application, introspect, session_of, stack};
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, DOCTOR};

const USERINFO: &str = "/v1/session/userinfo";

async fn userinfo(caller: &Caller, handle: &str) -> Answer {
    caller.header("relais-session", handle).get(USERINFO).await
}

/// What a refusal says, but for what is every answer's own.
fn told(answer: &Answer) -> Value {
    let mut body = answer.json();
    for own in ["request_id", "support_code"] {
        body.as_object_mut().expect("an object").remove(own);
    }
    json!([answer.status.as_u16(), answer.header("www-authenticate"), body])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_reads_userinfo_of_its_own_sessions_and_of_those_it_acts_for() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let (desk, hub) = (application(&stack, "desk"), application(&stack, "hub"));
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        let held = stack.relais.bearer(&handle).get(USERINFO).await.expect(200);
        for caller in [&desk, &hub] {
            let acting = userinfo(caller, &handle).await.expect(200);
            assert_eq!(acting.body, held.body, "{backend:?}");
            assert_eq!(acting.header("cache-control"), Some("no-store"));
        }
        // A use like any other.
        stack.clock.advance(Duration::from_secs(300));
        assert_eq!(introspect(&hub, &handle).await.at("/idle_expires_in"), json!(300));
        userinfo(&hub, &handle).await.expect(200);
        assert_eq!(introspect(&hub, &handle).await.at("/idle_expires_in"), json!(600));
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_06_a_foreign_session_is_one_that_does_not_exist() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        let unknown = draw_session_handle(&SystemRandom).0.expose().to_owned();
        for name in ["stranger", "elsewhere"] {
            let caller = application(&stack, name);
            let pattern = told(&userinfo(&caller, &unknown).await.expect_problem(401, "handle_invalid"));
            for foreign in [handle.as_str(), "rsh_x", "x", ""] {
                assert_eq!(told(&userinfo(&caller, foreign).await), pattern, "{name}");
            }
        }
        // Of one that has ended too: why it ended is told to those whose it was.
        stack.relais.bearer(&handle).delete("/v1/session").await.expect(204);
        for name in ["desk", "hub"] {
            let answer = userinfo(&application(&stack, name), &handle).await;
            assert_eq!(answer.expect_problem(401, "session_ended").text("/reason"), "logout", "{name}");
        }
        userinfo(&application(&stack, "stranger"), &handle).await.expect_problem(401, "handle_invalid");
        // A look of a stranger has used no handle up.
        let started = stack.approved("899700000002").await;
        let lost = stack.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
        userinfo(&application(&stack, "stranger"), &lost).await.expect_problem(401, "handle_invalid");
        stack.pick_up(&started, Value::Null).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_a_session_is_opened_by_one_credential_and_never_by_two() {
    let stack = stack(Backend::Sqlite).await;
    let hub = application(&stack, "hub");
    let handle = stack.session(DOCTOR).await.text("/session_handle");
    let refused = |answer: Answer| {
        let answer = answer.expect_problem(401, "application_unauthenticated");
        assert!(answer.header("www-authenticate").is_some());
    };
    refused(userinfo(&stack.relais.bearer(&handle), &handle).await);
    refused(userinfo(&hub.header("relais-client-assertion", "x"), &handle).await);
    refused(userinfo(&stack.relais.basic("hub", "wrong"), &handle).await);
    refused(hub.also("relais-session", &handle).also("relais-session", &handle).get(USERINFO).await);
    let missing = userinfo(&stack.relais, &handle).await.expect_problem(401, "credential_missing");
    assert!(missing.header("www-authenticate").is_some_and(|it| it.starts_with("Basic realm=")));
    hub.get(USERINFO).await.expect_problem(401, "credential_missing");
    let login = stack.start("899700000002").await.expect(201).text("/login_token");
    userinfo(&hub, &login).await.expect_problem(401, "wrong_token_kind");
    userinfo(&hub, "rlt_x").await.expect_problem(401, "wrong_token_kind");
    // Only the calls that say so take it.
    for path in ["/v1/session", "/v1/session/events", "/v1/application"] {
        refused(hub.header("relais-session", &handle).get(path).await);
    }
    refused(hub.header("relais-session", &handle).delete("/v1/session").await);
    refused(hub.header("relais-session", &handle).post_form("/v1/introspect", &[("token", &handle)]).await);
    userinfo(&hub, &handle).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_opens_nothing_to_a_back_end_either() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let hub = application(&stack, "hub");
        let off = |section: &str| stack.config.replace(section, &format!("{section}\nenabled = false"));
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        stack.reload(&off("[applications.hub]"));
        userinfo(&hub, &handle).await.expect_problem(403, "application_disabled");
        stack.reload(&stack.config);
        userinfo(&hub, &handle).await.expect(200);
        stack.reload(&off("[registrations.psc]"));
        let answer = userinfo(&hub, &handle).await.expect_problem(401, "session_ended");
        assert_eq!(answer.text("/reason"), "revoked");
        stack.reload(&stack.config);
        let handle = session_of(&stack, &stack.desk(), DOCTOR, &json!({})).await.text("/session_handle");
        stack.reload(&off("[applications.desk]"));
        userinfo(&hub, &handle).await.expect_problem(403, "application_disabled");
    }
}
