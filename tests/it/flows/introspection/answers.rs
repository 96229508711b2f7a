//! What is told of a live handle, and that everything else is told alike.

use std::collections::BTreeSet;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::crypto::token::{draw_login_token, draw_session_handle};
use relais::domain::time::Timestamp;
use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use super::{INACTIVE, INTROSPECT, SECTIONS, application, introspect, session_of, stack};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const NURSE: &str = "899700000002";

fn seconds(answer: &Answer, pointer: &str) -> i64 {
    let time: Timestamp = serde_json::from_value(answer.at(pointer)).expect("a time");
    time.as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_handle_is_told_in_full_to_its_application_and_to_one_that_acts_for_it() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let desk = application(&stack, "desk");
        let picked_up = session_of(&stack, &desk, DOCTOR, &json!({"reference": "poste-12"})).await;
        let handle = picked_up.text("/session_handle");
        let exercice = picked_up.text("/subject/exercices/1/id");
        let holder = stack.relais.bearer(&handle);
        let first = introspect(&desk, &handle).await;
        assert!(first.json().get("exercice").is_none(), "none is chosen yet");
        let session = holder.put("/v1/session/exercice", json!({"id": exercice})).await.expect(200);
        stack.clock.advance(Duration::from_secs(7));
        let expected = json!({
            "active": true,
            "iss": session.at("/subject/iss"),
            "sub": session.at("/subject/sub"),
            "username": DOCTOR,
            "client_id": "desk",
            "scope": "openid scope_all",
            "token_type": "Bearer",
            "session_id": session.at("/session_id"),
            "registration": "psc",
            "environment": "test",
            "acr": "eidas1",
            "amr": session.at("/amr"),
            "auth_time": seconds(&session, "/auth_time"),
            "iat": seconds(&session, "/created_at"),
            "exp": seconds(&session, "/expires_at"),
            "idle_expires_in": 593,
            "exercice": exercice,
            "reference": "poste-12",
        });
        for name in ["desk", "hub"] {
            let answer = introspect(&application(&stack, name), &handle).await;
            assert_eq!(answer.json(), expected, "{name}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_does_not_say_is_not_there_and_the_username_is_the_hint_as_confirmed() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).personality(Personality::Keycloak).paced().start().await;
        let picked_up = stack.session("grace.hopper").await;
        let answer = introspect(&stack.desk(), &picked_up.text("/session_handle")).await;
        assert_eq!(answer.text("/username"), "grace.hopper");
        assert!(picked_up.json().pointer("/subject/national_id").is_none());
        let members: BTreeSet<String> =
            answer.json().as_object().expect("an object").keys().cloned().collect();
        for absent in ["exercice", "reference", "cnf", "name", "given_name", "national_id"] {
            assert!(!members.contains(absent), "{absent}");
        }
        assert!(answer.json().as_object().expect("an object").values().all(|it| !it.is_null()));
    }
}

/// Everything that is no live handle of the caller's.
async fn opens_nothing(stack: &Stack) -> Vec<(&'static str, String)> {
    let desk = application(stack, "desk");
    let known = session_of(stack, &desk, NURSE, &json!({})).await.text("/session_handle");
    let mut mistyped = known.clone();
    mistyped.replace_range(20..21, if &mistyped[20..21] == "A" { "B" } else { "A" });
    let ended = session_of(stack, &desk, NURSE, &json!({})).await.text("/session_handle");
    stack.relais.bearer(&ended).delete("/v1/session").await.expect(204);
    // An answer that was lost, and the one that replaced it.
    let started = stack.approved("899700000003").await;
    let killed = stack.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
    stack.pick_up(&started, Value::Null).await.expect(201);
    let idle = session_of(stack, &desk, "899700000004", &json!({})).await.text("/session_handle");
    let login = stack.start("899700000005").await.expect(201).text("/login_token");
    stack.clock.advance(Duration::from_secs(601));
    let foreign = session_of(stack, &application(stack, "stranger"), "899700000006", &json!({})).await;
    let of_the_hub = session_of(stack, &application(stack, "hub"), "899700000007", &json!({})).await;
    let elsewhere = session_of(stack, &application(stack, "elsewhere"), "899700000008", &json!({})).await;
    vec![
        ("nothing", String::new()),
        ("blanks", "  ".to_owned()),
        ("a word", "x".to_owned()),
        ("a prefix", "rsh_".to_owned()),
        ("mistyped", mistyped),
        ("longer", format!("{known}x")),
        ("far too long", "rsh_".repeat(2000)),
        ("no ASCII", "rsh_\u{e9}\u{0}".to_owned()),
        ("unknown", draw_session_handle(&SystemRandom).0.expose().to_owned()),
        ("an unknown login token", draw_login_token(&SystemRandom).0.expose().to_owned()),
        ("a login token", login),
        ("a JWT", "eyJhbGciOiJub25lIn0.e30.".to_owned()),
        ("killed by a repeated pick-up", killed),
        ("ended", ended),
        ("idle", idle),
        ("another application's", foreign.text("/session_handle")),
        ("of one that acts for the caller", of_the_hub.text("/session_handle")),
        ("another tenant's", elsewhere.text("/session_handle")),
    ]
}

/// What an answer says, but for what is every answer's own.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.body.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_06_unknown_foreign_ended_and_malformed_tokens_are_one_answer() {
    for backend in BACKENDS {
        let stack = stack(backend).await;
        let tokens = opens_nothing(&stack).await;
        let desk = application(&stack, "desk");
        let pattern = told(&introspect(&desk, "x").await);
        assert_eq!(pattern.2, INACTIVE);
        for (what, token) in &tokens {
            for touch in ["false", "true"] {
                let answer = desk.post_form(INTROSPECT, &[("token", token), ("touch", touch)]).await;
                assert_eq!(told(&answer), pattern, "{what}, touch={touch}, {backend:?}");
            }
        }
        // Each is live, or was, to somebody: nothing of the above has ended it.
        for name in ["stranger", "elsewhere"] {
            let caller = application(&stack, name);
            let mut live = Vec::new();
            for (what, token) in &tokens {
                if super::is_active(&caller, token).await {
                    live.push(*what);
                }
            }
            let own = if name == "stranger" { "another application's" } else { "another tenant's" };
            assert_eq!(live, [own]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acting_for_an_application_does_not_cross_tenants_and_is_not_mutual() {
    let claims_it = SECTIONS.replace(
        "tenant = \"hospital\"\nregistrations = [\"psc\"]",
        "tenant = \"practice\"\nregistrations = [\"psc\"]\nacts_for = [\"desk\"]",
    );
    let mut stack = Stack::on(Backend::Sqlite).sections(&claims_it).paced().start().await;
    let handle = stack.session(DOCTOR).await.text("/session_handle");
    assert!(super::is_active(&application(&stack, "elsewhere"), &handle).await);
    stack.config = stack.config.replace(
        "acts_for = [\"desk\"]\nauth = \"client_secret_basic\"\nsecret = \"a-secret-of-elsewhere\"",
        "auth = \"client_secret_basic\"\nsecret = \"a-secret-of-elsewhere\"",
    );
    stack.reload(&stack.config);
    assert!(!super::is_active(&application(&stack, "elsewhere"), &handle).await, "no longer");
    let hub =
        session_of(&stack, &application(&stack, "hub"), NURSE, &json!({})).await.text("/session_handle");
    assert!(super::is_active(&application(&stack, "hub"), &hub).await);
    assert!(!super::is_active(&application(&stack, "desk"), &hub).await, "not mutual");
    // The application moves to another tenant: its sessions of before stay with the old one.
    let moved = stack.config.replace("[applications.hub]\nkind = \"backend\"\ntenant = \"practice\"\nregistrations = [\"psc\"]\nacts_for = [\"desk\"]",
        "[applications.hub]\nkind = \"backend\"\ntenant = \"moved\"\nregistrations = [\"psc\"]");
    assert_ne!(moved, stack.config);
    stack.reload(&moved);
    assert!(!super::is_active(&application(&stack, "hub"), &hub).await, "of the tenant that it was in");
}
