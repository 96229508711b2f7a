//! What an authentication request says, what is refused before one is sent, and what never comes back out of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::flows::pace::{INTERVAL, PACE, assert_ended};
use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// A start that must not reach the provider.
async fn unsent(stack: &Stack, body: Value, (status, code): (u16, &str)) -> Answer {
    let answer = stack.desk().post("/v1/logins", body).await.expect_problem(status, code);
    assert_eq!(stack.calls("backchannel").await, 0, "something was sent: {}", answer.body);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_017_a_start_names_one_person_or_nothing_is_sent() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for none in [json!({}), json!({ "login_hint": null })] {
            let refused = unsent(&stack, none, (400, "invalid_request")).await;
            assert_eq!(refused.at("/errors/0/pointer"), "/login_hint");
            assert_eq!(refused.at("/errors/0/rule"), "required");
        }
        for blank in ["", "   "] {
            unsent(&stack, json!({ "login_hint": blank }), (400, "login_hint_malformed")).await;
        }
        for second in ["login_hint_token", "id_token_hint"] {
            let mut two = json!({ "login_hint": DOCTOR });
            two[second] = json!("eyJhbGciOiJub25lIn0.e30.");
            let refused = unsent(&stack, two, (400, "invalid_request")).await;
            assert_eq!(refused.at("/errors/0/pointer"), json!(format!("/{second}")));
        }
        let twice = format!(r#"{{"login_hint":"{DOCTOR}","login_hint":"{DOCTOR}"}}"#);
        let refused =
            stack.desk().send_text(reqwest::Method::POST, "/v1/logins", "application/json", &twice).await;
        refused.expect_problem(400, "invalid_request");
        assert_eq!(stack.calls("backchannel").await, 0);
        assert_eq!(stack.stats().await["rings"], json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_018_both_screens_show_one_message_and_none_is_sent_that_would_be_refused() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("binding_message = \"client\"").start().await;
        for bad in ["", "1", "123", "4 2", "é2", "a\u{0}"] {
            let body = json!({ "login_hint": DOCTOR, "binding_message": bad });
            unsent(&stack, body, (400, "binding_message_malformed")).await;
        }
        let own = json!({ "login_hint": DOCTOR, "binding_message": "07" });
        for body in [own, json!({ "login_hint": DOCTOR })] {
            let started = stack.desk().post("/v1/logins", body).await.expect(201);
            let shown = started.text("/binding_message");
            assert!(shown.len() == 2 && shown.bytes().all(|byte| byte.is_ascii_digit()), "{shown}");
            assert_eq!(stack.requests().await.last().expect("a request")["binding_message"], json!(shown));
            assert!(started.text("/user_message").contains(&shown));
            assert_eq!(stack.read(&started).await.text("/binding_message"), shown);
            let (holder, path) = stack.holder(&started);
            holder.delete(&path).await.expect(204);
        }
        let requests = stack.requests().await;
        assert_eq!(requests[0]["binding_message"], "07", "the application's own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_019_what_a_registration_does_not_have_is_refused_before_anything_is_sent() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let with = |name: &str, value: Value| {
            let mut body = json!({ "login_hint": DOCTOR });
            body[name] = value;
            body
        };
        for acr in ["eidas3", "eidas1 eidas3", ""] {
            unsent(&stack, with("acr_values", json!(acr)), (403, "acr_not_allowed")).await;
        }
        unsent(&stack, with("scope", json!("openid everything")), (403, "scope_not_allowed")).await;
        unsent(&stack, with("channel", json!("PIGEON")), (403, "channel_not_allowed")).await;
        for odd in [json!(0), json!(-1), json!(1.5), json!("90"), json!(1e300), json!(u64::MAX), json!([90])]
        {
            let refused = unsent(&stack, with("requested_expiry", odd), (400, "invalid_request")).await;
            assert_eq!(refused.at("/errors/0/pointer"), "/requested_expiry");
        }
        let fitting = with("requested_expiry", json!(30));
        let started = stack.desk().post("/v1/logins", fitting).await.expect(201);
        assert_eq!(started.at("/expires_in"), json!(30));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_044_an_answer_that_was_held_open_beyond_the_interval_is_followed_by_the_next_poll_at_once() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.fault(json!({"endpoint": "token", "delay_ms": 30_000})).await;
        stack.next_poll(PACE).await;
        stack.pass(Duration::from_millis(29_999)).await;
        stack.settle().await;
        assert_eq!(stack.polls().await, 1, "one is still under way");
        stack.decide("approve", Value::Null).await;
        stack.clock.advance(Duration::from_millis(1));
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        assert_eq!(stack.polls().await, 2);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_054_tokens_that_come_after_a_cancellation_are_dropped_and_revoked() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.decide("approve", Value::Null).await;
        // The provider has given the tokens out; they are on their way while the login is cancelled.
        stack.fault(json!({"endpoint": "token", "delay_ms": 3000})).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.requests().await[0]["status"], "redeemed");
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        stack.pass(Duration::from_secs(3)).await;
        stack.happens("the provider is told", async || stack.sessions().await[0]["logged_out"] == true).await;
        assert_eq!(stack.calls("token").await, 1);
        assert_eq!(stack.sessions().await[0]["revoked"], json!(["refresh_token", "access_token"]));
        let recorded = "SELECT count(*) FROM audit WHERE event = 'login.tokens_dropped'";
        assert_eq!(Database::of(&stack.config).await.number(recorded).await, 1, "{backend:?}");
        assert_ended(&stack.read(&started).await, "cancelled", "cancelled", "with tokens behind it");
        stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        stack.stays_silent().await;
        assert_eq!(stack.calls("userinfo").await, 0, "nobody asks with a token that nobody wants");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_058_logins_that_a_node_left_behind_are_polled_one_after_the_other() {
    const LOGINS: u32 = 5;
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        for number in 0..LOGINS {
            stack.start(&format!("8997{number:08}")).await.expect(201);
        }
        stack.restart().await;
        // A full interval for the first; the others one by one within the next.
        stack.pass(PACE.saturating_sub(Duration::from_millis(1))).await;
        stack.settle().await;
        assert_eq!(stack.calls("token").await, 0, "sooner than an interval after the restart");
        stack.clock.advance(Duration::from_millis(1));
        for polled in 1..=u64::from(LOGINS) {
            stack.happens("one more poll", async || stack.calls("token").await == polled).await;
            stack.settle().await;
            assert_eq!(stack.calls("token").await, polled, "two at once");
            stack.pass(INTERVAL / LOGINS).await;
        }
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_113_what_the_provider_calls_a_request_stays_inside() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let auth_req_id = stack.requests().await[0]["auth_req_id"].as_str().expect("a text").to_owned();
        let mut told = vec![started.clone(), stack.read(&started).await];
        told.push(stack.start(DOCTOR).await.expect_problem(409, "already_pending"));
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        told.push(stack.outcome(&started).await);
        let picked_up = stack.pick_up(&started, Value::Null).await.expect(201);
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        told.extend([picked_up.clone(), session.get("/v1/session").await.expect(200)]);
        told.push(session.get("/v1/session/userinfo").await.expect(200));
        told.push(stack.read(&started).await);
        // Its parts too: a part of it is as telling as the whole. The second one is empty, the first the same in all.
        for part in auth_req_id.split('.').skip(2).chain([auth_req_id.as_str()]) {
            for answer in &told {
                let headers = format!("{:?}", answer.headers);
                assert!(!answer.body.contains(part) && !headers.contains(part), "{}", answer.body);
            }
        }
        // It opens nothing here either.
        let forger = stack.relais.bearer(&auth_req_id);
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        forger.get(&path).await.expect_problem(404, "login_not_found");
        forger.get("/v1/session").await.expect_problem(401, "handle_invalid");
    }
}
