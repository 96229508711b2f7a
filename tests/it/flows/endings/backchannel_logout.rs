//! A provider says that somebody has left (rows 105–109): the simulated provider really sends it, and where a token must be
//! wrong it is told to make it so.

mod renamed;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::sessions::{assert_ended, holder, stuck_sessions};
use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, Builder, DOCTOR, Stack};

const NURSE: &str = "899700000002";
const ADDRESS: &str = "/providers/psc/backchannel-logout";
const LISTENER: &str = "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

impl Builder {
    async fn heard(self) -> Stack {
        let stack = self.sections(LISTENER).start().await;
        stack.hears().await;
        stack
    }
}

impl Stack {
    /// The simulated provider tells this stack who has left.
    async fn hears(&self) {
        let uri = format!("{}{ADDRESS}", self.notified().base());
        self.settings(json!({ "backchannel_logout_uri": uri })).await;
    }

    /// Somebody leaves at the provider; what it sent, and what Relais answered.
    async fn leaves(&self, order: Value) -> Value {
        self.phone.post("/_sim/logouts", order).await.expect(200).json()
    }
}

/// The same form again, by hand.
async fn present(listener: &Caller, form: &str) -> Answer {
    listener.send_text(Method::POST, ADDRESS, "application/x-www-form-urlencoded", form).await
}

fn form(token: &Value) -> String {
    let token = token.as_str().expect("a token");
    url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_by_sid_one_session_ends_and_by_sub_all_of_a_person() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let first = stack.session(DOCTOR).await;
        let mut sessions = vec![holder(&stack, &first)];
        for _ in 0..3 {
            sessions.push(holder(&stack, &stack.session(DOCTOR).await));
        }
        let nurse = holder(&stack, &stack.session(NURSE).await);
        let mut events = sessions[3].open("/v1/session/events").await;
        let sids: Vec<Value> = stack.sessions().await.iter().map(|session| session["sid"].clone()).collect();
        for (number, by) in [(3, "sid"), (1, "both")] {
            let told = stack.leaves(json!({ "sid": sids[number], "by": by })).await;
            assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("")), "{told}");
            assert_eq!(told["cache_control"], "no-store");
            assert_ended(sessions[number].get("/v1/session").await, "idp_logout");
        }
        let mut said = String::new();
        while let Some(chunk) = events.chunk().await.expect("a stream") {
            said.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(said.contains("\"reason\":\"idp_logout\""), "{said}");
        for live in [&sessions[0], &sessions[2], &nurse] {
            live.get("/v1/session").await.expect(200);
        }
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "by": "sub" })).await;
        assert_eq!(told["status"], 200, "{told}");
        for session in &sessions {
            assert_ended(session.get("/v1/session").await, "idp_logout");
        }
        nurse.get("/v1/session").await.expect(200);
        let mut database = Database::of(&stack.config).await;
        let written = "SELECT count(*) FROM audit WHERE event = 'session.ended' AND reason = 'idp_logout'
                           AND actor = 'provider' AND address = '127.0.0.1' AND request_id IS NOT NULL";
        assert_eq!(database.number(written).await, 4, "{backend:?}");
        // Whoever said it is not told: only what could still be used is revoked.
        stack
            .happens("nothing is left to tell", async || {
                Database::of(&stack.config).await.number("SELECT count(*) FROM outbox").await == 0
            })
            .await;
        assert_eq!(stack.calls("logout").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_an_approval_that_nobody_has_picked_up_ends_too() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let approved = stack.approved(DOCTOR).await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR })).await;
        assert_eq!(told["status"], 200);
        let refused = stack.pick_up(&approved, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(
            (refused.text("/login_status"), refused.text("/reason")),
            ("failed".into(), "provider_refused".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_who_leaves_before_his_approval_is_here_is_not_signed_in() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let started = stack.start(DOCTOR).await.expect(201);
        // The tokens are on their way.
        stack.fault(json!({ "endpoint": "token", "delay_ms": 2000 })).await;
        stack.decide("approve", Value::Null).await;
        stack.clock.advance(crate::flows::pace::PACE);
        stack.happens("they are", async || !stack.sessions().await.is_empty()).await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR })).await;
        assert_eq!(told["status"], 200);
        stack.clock.advance(Duration::from_secs(2));
        stack.happens("they come", async || stack.read(&started).await.text("/status") != "pending").await;
        let read = stack.read(&started).await;
        assert_eq!((read.text("/status"), read.text("/reason")), ("failed".into(), "token_invalid".into()));
        let revoked = json!(["refresh_token", "access_token"]);
        stack.happens("they are revoked", async || stack.sessions().await[0]["revoked"] == revoked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_other_parameters_are_ignored_and_any_node_hears_it() {
    let stack = Stack::on(Backend::Postgres).manual_clock().heard().await;
    let session = stack.sign_in(DOCTOR).await;
    let session = holder(&stack, &session);
    let node = stack.another_node().await;
    let mut events = session.open("/v1/session/events").await;
    events.chunk().await.expect("the first");
    // The provider's own message is lost; another node gets it.
    stack.fault(json!({ "endpoint": "backchannel_logout", "action": "hang" })).await;
    let told = stack.leaves(json!({ "login_hint": DOCTOR })).await;
    assert_eq!(told["status"], Value::Null);
    session.get("/v1/session").await.expect(200);
    let body = format!("ignored_parameter=1&{}&state=x", form(&told["logout_token"]));
    let answer = present(&node.notified, &body).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let chunk = events.chunk().await.expect("a stream").expect("an event");
    assert!(String::from_utf8_lossy(&chunk).contains("idp_logout"));
    assert_ended(session.get("/v1/session").await, "idp_logout");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_106_who_has_left_already_or_was_never_here_is_no_error() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        session.delete("/v1/session").await.expect(204);
        // The logout at the provider makes it tell everybody, Relais too.
        stack.happens("it has told", async || stack.calls("backchannel_logout").await == 1).await;
        assert_ended(session.get("/v1/session").await, "logout");
        let unknown = json!({ "sid": "01a216e3-0000-0000-0000-000000000000" });
        for token in [json!({}), unknown, json!({ "sid": null, "sub": "nobody" })] {
            let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": token })).await;
            assert_eq!(told["status"], 200, "{backend:?} {told}");
        }
        let stats = stack.stats().await;
        assert_eq!(stats["calls"]["backchannel_logout"], json!({ "ok": 4 }), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_105_somebody_else_s_session_does_not_end_though_its_name_is_known() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let doctor = holder(&stack, &stack.session(DOCTOR).await);
        let nurse = holder(&stack, &stack.session(NURSE).await);
        let sid = stack.sessions().await[0]["sid"].clone();
        let told = stack.leaves(json!({ "login_hint": NURSE, "token": { "sid": sid } })).await;
        assert_eq!(told["status"], 200, "the doctor's session, and the nurse's name");
        doctor.get("/v1/session").await.expect(200);
        nurse.get("/v1/session").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_107_a_token_that_proves_nothing_ends_nothing_and_every_refusal_looks_alike() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let mut bodies = Vec::new();
        for token in [
            json!({ "alg": "none" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "RS512" }),
            json!({ "signature": "bad" }),
            json!({ "signature": "foreign_key" }),
            json!({ "signature": "public_key_hmac" }),
            json!({ "typ": "at+jwt" }),
            json!({ "kid": "unknown" }),
            json!({ "aud": "relais-demo1" }),
            json!({ "aud": ["relais-demo", "other"] }),
            json!({ "iss": "https://localhost/other" }),
            json!({ "events": null }),
            json!({ "events": {} }),
            json!({ "events": { "http://schemas.openid.net/event/other": {} } }),
            json!({ "events": { event: null } }),
            json!({ "nonce": "n" }),
            json!({ "iat": null }),
            json!({ "iat": 4_000_000_000_i64 }),
            json!({ "exp": 1_000_000_000 }),
            json!({ "exp": 4_000_000_000_i64 }),
            json!({ "jti": null }),
            json!({ "sid": null, "sub": null }),
            json!({ "sid": 7 }),
        ] {
            let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": token })).await;
            assert_eq!(
                (&told["status"], &told["cache_control"]),
                (&json!(400), &json!("no-store")),
                "{token}"
            );
            bodies.push(told["body"].as_str().expect("a body").to_owned());
        }
        for bad in ["", "logout_token=", "logout_token=x", "token=x", "logout_token=a.b.c&logout_token=a.b.c"]
        {
            bodies.push(present(&stack.notified(), bad).await.expect(400).body);
        }
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": { "nonce": "n" } })).await;
        let elsewhere = "/providers/other/backchannel-logout";
        let content_type = "application/x-www-form-urlencoded";
        let form = form(&told["logout_token"]);
        let other = stack.notified().send_text(Method::POST, elsewhere, content_type, &form).await;
        bodies.push(other.expect(400).body);
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert_eq!(serde_json::from_str::<Value>(&bodies[0]).expect("JSON")["error"], "invalid_request");
        session.get("/v1/session").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_108_a_token_that_comes_again_ends_nothing_that_has_begun_since() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let first = holder(&stack, &stack.session(DOCTOR).await);
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "by": "sub" })).await;
        assert_eq!(told["status"], 200);
        assert_ended(first.get("/v1/session").await, "idp_logout");
        let second = holder(&stack, &stack.session(DOCTOR).await);
        let approved = stack.approved(DOCTOR).await;
        present(&stack.notified(), &form(&told["logout_token"])).await.expect(200);
        second.get("/v1/session").await.expect(200);
        stack.pick_up(&approved, Value::Null).await.expect(201);
        let replays = "SELECT count(*) FROM audit WHERE event = 'logout_token_replay' AND actor = 'provider'
                           AND address = '127.0.0.1'";
        assert_eq!(Database::of(&stack.config).await.number(replays).await, 1, "{backend:?}");
        // A new one does.
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "by": "sub" })).await;
        assert_eq!(told["status"], 200, "{backend:?}");
        assert_ended(second.get("/v1/session").await, "idp_logout");
        // And when it has expired it is none at all.
        stack.clock.advance(Duration::from_secs(151));
        present(&stack.notified(), &form(&told["logout_token"])).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_108_what_was_approved_then_ends_though_it_was_picked_up_between_two_deliveries() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let approved = stack.approved(DOCTOR).await;
        let mut database = Database::of(&stack.config).await;
        database
            .run(match backend {
                Backend::Sqlite => {
                    "CREATE TRIGGER in_the_way BEFORE UPDATE OF status ON logins WHEN NEW.status = 'failed'
                     BEGIN SELECT RAISE(ABORT, 'no'); END"
                }
                Backend::Postgres => {
                    "ALTER TABLE logins ADD CONSTRAINT in_the_way CHECK (status <> 'failed')"
                }
            })
            .await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR })).await;
        assert_eq!(told["status"], 503, "{told}");
        database
            .run(match backend {
                Backend::Sqlite => "DROP TRIGGER in_the_way",
                Backend::Postgres => "ALTER TABLE logins DROP CONSTRAINT in_the_way",
            })
            .await;
        stack.clock.advance(Duration::from_secs(2));
        let session = holder(&stack, &stack.pick_up(&approved, Value::Null).await.expect(201));
        session.get("/v1/session?touch=false").await.expect(200);
        present(&stack.notified(), &form(&told["logout_token"])).await.expect(200);
        assert_ended(session.get("/v1/session").await, "idp_logout");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_108_many_who_present_one_token_at_once_end_each_session_once() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        for _ in 0..3 {
            stack.session(DOCTOR).await;
        }
        stack.fault(json!({ "endpoint": "backchannel_logout", "action": "hang" })).await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "by": "sub" })).await;
        let (listener, form) = (stack.notified(), form(&told["logout_token"]));
        let answers = futures_util::future::join_all((0..10).map(|_| present(&listener, &form))).await;
        for answer in answers {
            answer.expect(200);
        }
        let written = "SELECT count(*) FROM audit WHERE event = 'session.ended'";
        assert_eq!(Database::of(&stack.config).await.number(written).await, 3, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_109_an_id_token_is_no_logout_token_and_a_logout_token_is_no_id_token() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        // In everything but its claims a logout token: an ID token's.
        let id_token = json!({ "events": null, "typ": "JWT", "at_hash": "x", "auth_time": 1_800_000_000, "acr": "eidas1",
            "SubjectNameID": DOCTOR, "preferred_username": DOCTOR });
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "token": id_token })).await;
        assert_eq!(told["status"], 400);
        session.get("/v1/session").await.expect(200);
        // An ID token with the event in it, or of that type.
        let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        for token in [json!({ "events": event }), json!({ "typ": "logout+jwt" })] {
            let started = stack.start(NURSE).await.expect(201);
            stack.fault(json!({ "endpoint": "token", "token": token })).await;
            stack.decide("approve", Value::Null).await;
            stack.next_poll(crate::flows::pace::PACE).await;
            assert_eq!(stack.outcome(&started).await.text("/reason"), "token_invalid", "{backend:?} {token}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_now_may_be_told_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().heard().await;
        let session = holder(&stack, &stack.session(DOCTOR).await);
        let mut database = Database::of(&stack.config).await;
        // The first half of the work is done, the second fails: for one session.
        database.run("UPDATE sessions SET reference = 'stuck'").await;
        let others = [stack.session(DOCTOR).await, stack.session(DOCTOR).await];
        database.run(stuck_sessions(backend)).await;
        let told = stack.leaves(json!({ "login_hint": DOCTOR, "by": "sub" })).await;
        assert_eq!(told["status"], 503, "{told}");
        database
            .run(match backend {
                Backend::Sqlite => "DROP TRIGGER in_the_way",
                Backend::Postgres => "ALTER TABLE sessions DROP CONSTRAINT in_the_way",
            })
            .await;
        for other in &others {
            assert_ended(holder(&stack, other).get("/v1/session").await, "idp_logout");
        }
        session.get("/v1/session").await.expect(200);
        present(&stack.notified(), &form(&told["logout_token"])).await.expect(200);
        assert_ended(session.get("/v1/session").await, "idp_logout");
    }
}
