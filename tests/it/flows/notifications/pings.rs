//! Pings: when the next poll is due, and nothing else.

use std::time::Duration;

use futures_util::future::join_all;
use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_notification_token;
use relais::simulator::personality::Personality;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::pace::{PACE, assert_ended};
use super::{ADDRESS, Told, answered, before_the_interval, notify, shape};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

async fn pinged(backend: Backend) -> Stack {
    Stack::on(backend).paced().delivery("ping").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_088_a_ping_is_followed_by_one_poll_at_once() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        assert_eq!(stack.calls("token").await, 0);
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        assert_eq!((answered(&stack).await, stack.calls("token").await), (vec![204], 1), "{backend:?}");
        let session = login.picks_up().await.expect(201);
        assert_eq!(session.text("/subject/national_id"), DOCTOR);
        stack.pass(PACE * 2).await;
        assert_eq!(stack.calls("token").await, 1, "nothing is asked twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_088_every_kind_of_provider_may_ping() {
    for personality in [Personality::Keycloak, Personality::Generic] {
        let stack =
            Stack::on(Backend::Sqlite).personality(personality).paced().delivery("ping").start().await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        assert_eq!((answered(&stack).await, stack.calls("token").await), (vec![204], 1), "{personality:?}");
        login.picks_up().await.expect(201);
        // It tells as well what was decided without a hand on the phone.
        stack.settings(json!({ "auto": { "decision": "deny", "after_ms": 1000 } })).await;
        let login = Told::start(&stack, "899700000002").await;
        stack.clock.wake_after(Duration::from_secs(1)).await;
        before_the_interval(&stack, "denied", async || login.is("denied").await).await;
        assert_eq!(stack.calls("token").await, 2, "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_088_the_provider_is_answered_before_it_is_asked() {
    let stack = pinged(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.fault(json!({ "endpoint": "token", "action": "hang" })).await;
    stack.decide("approve", Value::Null).await;
    before_the_interval(&stack, "the answer to the ping", async || answered(&stack).await == [204]).await;
    before_the_interval(&stack, "the poll", async || stack.calls("token").await == 1).await;
    assert!(login.is("pending").await);
}

/// Every way to come without the token of the login that is named.
async fn refused(stack: &Stack, login: &Told, other: &Told) -> Vec<(&'static str, Answer)> {
    let listener = stack.notified();
    let unknown = draw_notification_token(&SystemRandom).0.expose().to_owned();
    let mut altered = login.token.clone();
    altered.pop();
    let bare = listener.clone();
    let right = listener.bearer(&login.token);
    let ping = || login.ping();
    vec![
        ("no token", bare.post(ADDRESS, ping()).await),
        ("no scheme", bare.header("authorization", &login.token).post(ADDRESS, ping()).await),
        ("another scheme", bare.basic("relais", &login.token).post(ADDRESS, ping()).await),
        (
            "two tokens",
            right.also("authorization", &format!("Bearer {}", login.token)).post(ADDRESS, ping()).await,
        ),
        ("an empty token", bare.header("authorization", "Bearer ").post(ADDRESS, ping()).await),
        ("no token of ours", notify(&listener, "x", ping()).await),
        ("a cut token", notify(&listener, &altered, ping()).await),
        ("an unknown token", notify(&listener, &unknown, ping()).await),
        ("a login token", notify(&listener, &login.holder.token(), ping()).await),
        ("another login's token", notify(&listener, &other.token, ping()).await),
        ("an unknown request", right.post(ADDRESS, json!({ "auth_req_id": "nobody's" })).await),
        ("another login's request", right.post(ADDRESS, other.ping()).await),
        ("another registration", right.post("/providers/other/ciba", ping()).await),
        ("no name of a registration", right.post("/providers/%ff/ciba", ping()).await),
        ("an encoded name", right.post("/providers/psc%2Fx/ciba", ping()).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_089_090_whoever_is_not_that_provider_gets_one_answer_and_nothing_happens() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let other = Told::start(&stack, "899700000002").await;
        let login = Told::start(&stack, DOCTOR).await;
        let answers = refused(&stack, &login, &other).await;
        let expected = shape(&answers[0].1);
        assert_eq!((expected.0, expected.2.as_str()), (401, ""), "no oracle");
        for (case, answer) in &answers {
            assert_eq!(shape(answer), expected, "{case}");
        }
        stack.pass(PACE.saturating_sub(Duration::from_millis(250))).await;
        assert_eq!(stack.calls("token").await, 0, "{backend:?}");
        assert!(login.is("pending").await && other.is("pending").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_091_a_ping_of_a_login_that_is_over_is_received_and_changes_nothing() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("approve", Value::Null).await;
        before_the_interval(&stack, "approved", async || login.is("approved").await).await;
        let approved = login.read().await;
        let wrong = json!({ "auth_req_id": "nobody's" });
        for _ in 0..3 {
            login.notify(&stack, login.ping()).await.expect(204);
        }
        login.notify(&stack, wrong.clone()).await.expect(401);
        assert_eq!(login.read().await.at("/version"), approved.at("/version"));
        login.picks_up().await.expect(201);
        login.notify(&stack, login.ping()).await.expect(204);
        let cancelled = Told::start(&stack, "899700000002").await;
        cancelled.holder.delete(&cancelled.path).await.expect(204);
        cancelled.notify(&stack, cancelled.ping()).await.expect(204);
        cancelled.notify(&stack, wrong).await.expect(401);
        stack.pass(PACE * 2).await;
        assert_eq!(stack.calls("token").await, 1, "{backend:?}: redeemed once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_092_a_ping_that_comes_too_soon_leads_back_to_the_interval() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        login.notify(&stack, login.ping()).await.expect(204);
        before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
        stack.next_poll(PACE).await;
        assert!(login.is("pending").await, "{backend:?}");
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        stack.happens("approved", async || login.is("approved").await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_092_slow_down_after_a_ping_is_for_good() {
    let stack = pinged(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    stack.fault(json!({ "endpoint": "token", "status": 400, "body": { "error": "slow_down" } })).await;
    login.notify(&stack, login.ping()).await.expect(204);
    before_the_interval(&stack, "the poll", async || stack.calls("token").await == 1).await;
    stack.next_poll(PACE + Duration::from_secs(5)).await;
    stack.next_poll(PACE + Duration::from_secs(5)).await;
    assert!(login.is("pending").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_092_a_ping_while_the_provider_says_slow_down_does_not_outdo_it() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        let late = Duration::from_secs(1);
        let slow_down = json!({ "error": "slow_down" });
        stack.fault(json!({ "endpoint": "token", "status": 400, "body": slow_down, "delay_ms": 1000 })).await;
        stack.pass(PACE).await;
        stack.happens("the poll is under way", async || stack.calls("token").await == 1).await;
        login.notify(&stack, login.ping()).await.expect(204);
        stack.clock.wake_after(late).await;
        stack.next_poll(PACE + Duration::from_secs(5).saturating_sub(late)).await;
        assert!(login.is("pending").await, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_092_a_ping_does_not_keep_a_login_that_the_provider_holds_back_beyond_its_end() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().expires_in(12).delivery("ping").start().await;
        let login = Told::start(&stack, DOCTOR).await;
        let held_back = json!({ "endpoint": "token", "status": 503, "headers": { "retry-after": "300" } });
        stack.fault(held_back).await;
        stack.pass(PACE).await;
        stack.happens("the poll", async || stack.calls("token").await == 1).await;
        let is_told = async || login.read().await.json()["poll_after_ms"].as_u64() > Some(0);
        stack.happens("it is held back", is_told).await;
        login.notify(&stack, login.ping()).await.expect(204);
        stack.pass(Duration::from_secs(7)).await;
        before_the_interval(&stack, "expired", async || login.is("expired").await).await;
        assert_eq!(stack.calls("token").await, 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_093_a_ping_that_never_comes_is_not_waited_for() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().expires_in(12).delivery("ping").start().await;
        stack.fault(json!({ "endpoint": "notification", "action": "reset" })).await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.next_poll(PACE).await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        stack.happens("approved", async || login.is("approved").await).await;
        assert!(answered(&stack).await.is_empty(), "it was lost");
        // Nobody decides: polled until its end.
        let login = Told::start(&stack, "899700000002").await;
        stack.next_poll(PACE).await;
        stack.next_poll(PACE).await;
        stack.pass(PACE).await;
        stack.happens("expired", async || login.is("expired").await).await;
        assert_ended(&login.read().await, "expired", "expired", "no ping");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_094_a_denial_is_announced_too() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        stack.decide("deny", Value::Null).await;
        before_the_interval(&stack, "denied", async || login.is("denied").await).await;
        assert_ended(&login.read().await, "denied", "user_denied", "denied");
        assert_eq!((answered(&stack).await, stack.calls("token").await), (vec![204], 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_095_a_message_is_json_of_a_bounded_size_and_may_say_more() {
    let stack = pinged(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    let provider = stack.notified().bearer(&login.token);
    let ping = login.ping().to_string();
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        let answer = provider.send_text(Method::POST, ADDRESS, media, &ping).await;
        answer.expect_problem(415, "unsupported_media_type");
    }
    let large = format!("{}{ping}", " ".repeat(8193 - ping.len()));
    let answer = provider.send_text(Method::POST, ADDRESS, "application/json", &large).await;
    answer.expect_problem(413, "request_too_large");
    for bad in ["", "{", "[]", "{}", r#"{"auth_req_id":5}"#, r#"{"auth_req_id":"a","auth_req_id":"a"}"#] {
        let answer = provider.send_text(Method::POST, ADDRESS, "application/json", bad).await;
        answer.expect_problem(400, "invalid_request");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = provider.send(method, ADDRESS, None).await.expect_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    for path in
        ["/providers/psc/ciba/", "//providers/psc/ciba", "/providers//psc/ciba", "/providers/psc%2Fciba"]
    {
        let answer = provider.post(path, login.ping()).await.expect(404);
        assert!(answer.header("location").is_none(), "{path}");
    }
    assert_eq!(stack.calls("token").await, 0);
    let mut more = login.ping();
    more["new_member"] = json!({ "x": [1] });
    login.notify(&stack, more).await.expect(204);
    before_the_interval(&stack, "the poll", async || stack.calls("token").await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_097_a_flood_of_pings_causes_one_poll() {
    for backend in BACKENDS {
        let stack = pinged(backend).await;
        let login = Told::start(&stack, DOCTOR).await;
        let listener = stack.notified();
        let flood = (0..200).map(|number| {
            let token = if number % 4 == 3 { "rnt_nobody's" } else { login.token.as_str() };
            notify(&listener, token, login.ping())
        });
        for answer in join_all(flood).await {
            assert!(matches!(answer.status.as_u16(), 204 | 401), "{}", answer.body);
        }
        before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
        for _ in 0..20 {
            login.notify(&stack, login.ping()).await.expect(204);
        }
        // None before the interval has passed, and one then.
        stack.next_poll(PACE).await;
        login.notify(&stack, login.ping()).await.expect(204);
        stack.next_poll(PACE).await;
        assert_eq!(stack.calls("token").await, 3, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_104_tokens_in_a_ping_are_ignored() {
    let stack = pinged(Backend::Sqlite).await;
    let login = Told::start(&stack, DOCTOR).await;
    let mut tokens = login.ping();
    for (name, value) in
        [("access_token", "a"), ("id_token", "a.b.c"), ("token_type", "Bearer"), ("error", "x")]
    {
        tokens[name] = json!(value);
    }
    login.notify(&stack, tokens).await.expect(204);
    before_the_interval(&stack, "the poll", async || stack.polls().await == 1).await;
    assert!(login.is("pending").await, "what the provider says when asked counts");
}
