//! Whether a question is a use, and which decisions are made at one.

use std::time::Duration;

use serde_json::{Value, json};

use super::{INTROSPECT, application, introspect, is_active, session_of, stack};
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, DOCTOR};

const MINUTE: Duration = Duration::from_mins(1);

async fn touch(caller: &Caller, token: &str) -> Answer {
    caller.post_form(INTROSPECT, &[("token", token), ("touch", "true")]).await.expect(200)
}

fn ended(answer: Answer, reason: &str) {
    assert_eq!(answer.expect_problem(401, "session_ended").text("/reason"), reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_is_no_use_unless_it_says_so() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let hub = application(&stack, "hub");
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        for left in [480, 360, 240] {
            stack.clock.advance(2 * MINUTE);
            assert_eq!(introspect(&hub, &handle).await.at("/idle_expires_in"), json!(left), "{backend:?}");
        }
        assert_eq!(touch(&hub, &handle).await.at("/idle_expires_in"), json!(600));
        stack.clock.advance(2 * MINUTE);
        let explicitly =
            hub.post_form(INTROSPECT, &[("token", &handle), ("touch", "false")]).await.expect(200);
        assert_eq!(explicitly.at("/idle_expires_in"), json!(480));
        stack.clock.advance(8 * MINUTE);
        assert!(!is_active(&hub, &handle).await, "idle");
        assert_eq!(touch(&hub, &handle).await.body, super::INACTIVE, "nothing revives it");
        ended(stack.relais.bearer(&handle).get("/v1/session").await, "idle");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_switches_off_is_inactive_at_once() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let hub = application(&stack, "hub");
        for section in ["[registrations.psc]", "[providers.psc-sim]", "[applications.desk]"] {
            let handle = session_of(&stack, &stack.desk(), DOCTOR, &json!({})).await.text("/session_handle");
            assert!(is_active(&hub, &handle).await);
            assert!(stack.config.contains(section));
            stack.reload(&stack.config.replace(section, &format!("{section}\nenabled = false")));
            assert!(!is_active(&hub, &handle).await, "{section}");
            assert_eq!(touch(&hub, &handle).await.body, super::INACTIVE, "{section}");
            let holder = stack.relais.bearer(&handle);
            assert!(holder.get("/v1/session").await.status.is_client_error(), "{section}");
            stack.reload(&stack.config);
            ended(holder.get("/v1/session").await, "revoked");
            assert!(!is_active(&hub, &handle).await, "{section}, switched on again");
        }
        let off = stack.config.replace("[applications.hub]", "[applications.hub]\nenabled = false");
        stack.reload(&off);
        let answer = hub.post_form(INTROSPECT, &[("token", "x")]).await;
        answer.expect_problem(403, "application_disabled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_07_the_first_question_is_the_first_use_of_a_handle_and_one_of_a_stranger_is_none() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let started = stack.approved(DOCTOR).await;
        let lost = stack.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
        assert!(!is_active(&application(&stack, "stranger"), &lost).await);
        let handle = stack.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
        assert!(!is_active(&application(&stack, "hub"), &lost).await, "killed");
        assert!(is_active(&application(&stack, "hub"), &handle).await);
        // Whoever was told that it is live relies on it.
        stack.pick_up(&started, Value::Null).await.expect_problem(409, "already_picked_up");
        assert!(is_active(&application(&stack, "desk"), &handle).await);
    }
}
