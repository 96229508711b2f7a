//! A pushed outcome is sent once: from the moment at which its token was found to be right it is not lost, whatever the
//! acknowledgement, the database and the node do meanwhile (row 96).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Told, answered, before_the_interval};
use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// Longer than the call of a start waits, shorter than the provider has time.
const LATE: Duration = Duration::from_secs(15);

/// How often an outcome that waits looks for its acknowledgement. Nobody else sleeps for just so long.
const LOOK: Duration = Duration::from_millis(700);

/// A login whose outcome has come, and waits, since its acknowledgement is late. The call of its start is under way.
async fn outcome_before_acknowledgement(backend: Backend) -> (Stack, JoinHandle<Answer>) {
    let stack = Stack::on(backend).paced().delivery("push").start().await;
    stack.fault(json!({ "endpoint": "backchannel", "delay_ms": 15_000 })).await;
    let desk = stack.desk();
    let start =
        tokio::spawn(
            async move { desk.post("/v1/logins", json!({ "login_hint": DOCTOR })).await.expect(201) },
        );
    stack.eventually("the phone rings", async || !stack.requests().await.is_empty()).await;
    stack.decide("approve", Value::Null).await;
    stack.clock.wake_after(LOOK).await;
    (stack, start)
}

async fn is_signed_in(stack: &Stack, started: &Answer) {
    let login = Told::of(stack, started).await;
    before_the_interval(stack, "approved", async || login.is("approved").await).await;
    stack.eventually("the push is answered", async || answered(stack).await == [204]).await;
    login.picks_up().await.expect(201);
    assert_eq!(stack.calls("token").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_push_waits_for_as_long_as_its_acknowledgement_may_take() {
    for backend in BACKENDS {
        let (stack, start) = outcome_before_acknowledgement(backend).await;
        stack.clock.wake_after(LATE.saturating_sub(LOOK)).await;
        is_signed_in(&stack, &start.await.expect("no panic")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_push_waits_for_a_database_that_does_not_answer() {
    for backend in BACKENDS {
        let (stack, start) = outcome_before_acknowledgement(backend).await;
        let mut database = Database::of(&stack.config).await;
        database.run("ALTER TABLE logins RENAME TO logins_elsewhere").await;
        stack.clock.wake_after(LATE.saturating_sub(LOOK)).await;
        // It has looked, in vain, and looks again.
        stack.clock.wake_after(LOOK).await;
        let started = start.await.expect("no panic");
        assert!(answered(&stack).await.is_empty(), "it is not given up");
        database.run("ALTER TABLE logins_elsewhere RENAME TO logins").await;
        // The acknowledgement is written first.
        stack.pass(Duration::from_secs(2)).await;
        is_signed_in(&stack, &started).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_push_that_waits_is_written_while_the_node_drains() {
    for backend in BACKENDS {
        let (mut stack, start) = outcome_before_acknowledgement(backend).await;
        let clock = stack.clock.clone();
        let acknowledgement = async {
            // A node that drains answers it at once.
            let started = start.await.expect("no panic");
            clock.wake_after(LATE.saturating_sub(LOOK)).await;
            started
        };
        let ((), started) = tokio::join!(stack.stop(), acknowledgement);
        stack.eventually("the push is answered", async || answered(&stack).await == [204]).await;
        stack.restart().await;
        is_signed_in(&stack, &started).await;
    }
}
