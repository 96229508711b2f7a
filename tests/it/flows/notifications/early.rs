//! Announcements that come before the acknowledgement is here, and those that come to another node (row 96).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::pace::PACE;
use super::{Told, answered, before_the_interval, notify};
use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const LATE: Duration = Duration::from_secs(2);

/// Starts a login whose acknowledgement is late; `meanwhile` happens once the phone has rung.
async fn with_late_acknowledgement(stack: &Stack, meanwhile: impl AsyncFnOnce()) -> Answer {
    stack.fault(json!({ "endpoint": "backchannel", "delay_ms": 2000 })).await;
    let rung = stack.requests().await.len();
    let starting = stack.start(DOCTOR);
    let then = async {
        stack.eventually("the phone rings", async || stack.requests().await.len() > rung).await;
        meanwhile().await;
        stack.clock.wake_after(LATE).await;
    };
    let (started, ()) = tokio::join!(starting, then);
    started.expect(201)
}

async fn newest(stack: &Stack, name: &str) -> String {
    stack.requests().await.last().expect("a request")[name].as_str().expect(name).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_ping_before_the_acknowledgement_makes_the_first_poll_due_at_once() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("ping").start().await;
        let started = with_late_acknowledgement(&stack, async || {
            stack.decide("approve", Value::Null).await;
            stack.eventually("the ping is received", async || answered(&stack).await == [204]).await;
            assert_eq!(stack.calls("token").await, 0);
        })
        .await;
        let login = Told::of(&stack, &started).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        assert_eq!(stack.calls("token").await, 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_an_early_ping_that_names_another_request_makes_nothing_due() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("ping").start().await;
        let started = with_late_acknowledgement(&stack, async || {
            let token = newest(&stack, "client_notification_token").await;
            let ping = json!({ "auth_req_id": newest(&stack, "auth_req_id").await });
            notify(&stack.notified(), "rnt_nobody's", ping).await.expect(401);
            // What the request is called is not known yet; that it is not this turns out later.
            notify(&stack.notified(), &token, json!({ "auth_req_id": "another" })).await.expect(204);
        })
        .await;
        let login = Told::of(&stack, &started).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.calls("token").await, 1, "{backend:?}");
        // The right one still counts.
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_ping_that_another_node_receives_makes_the_owner_poll() {
    let stack = Stack::on(Backend::Postgres).paced().delivery("ping").start().await;
    let other = stack.another_node().await;
    stack.tells("ping", &other.notified).await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.decide("approve", Value::Null).await;
    before_the_interval(&stack, "approved", async || login.is("approved").await).await;
    assert_eq!((answered(&stack).await, stack.calls("token").await), (vec![204], 1));
    // Early, and there.
    let login = {
        let started = with_late_acknowledgement(&stack, async || {
            stack.decide("deny", Value::Null).await;
            stack.eventually("the ping is received", async || answered(&stack).await.len() == 2).await;
        });
        login.picks_up().await.expect(201);
        Told::of(&stack, &started.await).await
    };
    before_the_interval(&stack, "denied", async || login.is("denied").await).await;
    // Whoever has no business there gets the same answer everywhere.
    notify(&other.notified, "rnt_nobody's", login.ping()).await.expect(401);
    notify(&other.notified, &login.token, login.ping()).await.expect(204);
    assert_eq!(stack.calls("token").await, 2);
    other.stop().await;
}

/// What is left of a ping whose receiver could tell nobody.
const ANNOUNCED: &str = "UPDATE logins SET announced_at = created_at WHERE status = 'pending'";

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_repeated_ping_is_heard_where_the_first_one_was_not() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("ping").start().await;
        let login = Told::start(&stack, DOCTOR).await;
        Database::of(&stack.config).await.run(ANNOUNCED).await;
        login.notify(&stack, login.ping()).await.expect(204);
        before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
        // Once, however often it comes.
        for _ in 0..5 {
            login.notify(&stack, login.ping()).await.expect(204);
        }
        stack.next_poll(PACE).await;
        assert_eq!(stack.calls("token").await, 2, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_what_was_announced_while_nobody_polled_is_asked_for_by_who_takes_over() {
    let mut stack = Stack::on(Backend::Postgres).paced().delivery("ping").start().await;
    let survivor = stack.another_node().await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.stop().await;
    Database::of(&stack.config).await.run(ANNOUNCED).await;
    assert_eq!(stack.calls("token").await, 0);
    // It looks for orphans as often as it renews its lease.
    stack.pass(Duration::from_secs(2)).await;
    before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
    let holder = survivor.relais.bearer(&login.holder.token());
    assert_eq!(holder.get(&login.path).await.expect(200).text("/status"), "pending");
    survivor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_what_was_announced_while_a_node_was_cut_off_is_asked_for_once_it_hears_again() {
    let stack = Stack::on(Backend::Postgres).paced().delivery("ping").start().await;
    let login = Told::start(&stack, DOCTOR).await;
    let mut database = Database::of(&stack.config).await;
    database.run(ANNOUNCED).await;
    assert_eq!(stack.calls("token").await, 0);
    database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
    assert!(login.is("pending").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_096_a_push_before_the_acknowledgement_waits_for_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("push").start().await;
        let started = with_late_acknowledgement(&stack, async || {
            stack.decide("approve", Value::Null).await;
        })
        .await;
        let login = Told::of(&stack, &started).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        stack.eventually("the push is received", async || answered(&stack).await == [204]).await;
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
    }
}
