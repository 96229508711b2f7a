//! When polls go out: a bounded number at once (row 58), and an interval after the one before (row 42). And what comes of
//! an answer that has been given before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use http::Method;
use relais::domain::clock::Clock as _;
use relais::domain::profile::{Profile, ProfileName};
use serde_json::json;

use super::world::{LOGICIEL, World, bearer};
use crate::provider::eventually;

const AT_ONCE: usize = 3;
const LOGINS: usize = 10;

/// Starts the logins, and lets the first polls go out, none of which is answered. The tokens, by login.
async fn polled() -> (World, Vec<(String, String)>) {
    let few = Profile { polls_at_once: AT_ONCE, ..*ProfileName::Psc.profile() };
    let world = World::with(Box::leak(Box::new(few))).await;
    world.provider.holds_polls.send_replace(true);
    let mut logins = Vec::new();
    for number in 0..LOGINS {
        let body = json!({ "login_hint": format!("8997{number:08}") }).to_string();
        let started = world.start_with(LOGICIEL, &[], &body).await;
        assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
        let object = started.json();
        let text = |name: &str| object[name].as_str().expect("a text").to_owned();
        logins.push((text("login_id"), text("login_token")));
    }
    world.clock.advance_slowly(Duration::from_millis(5250), Duration::from_millis(750)).await;
    world.happens("the first polls", || world.provider.polling.load(Ordering::SeqCst) == AT_ONCE).await;
    (world, logins)
}

fn polls(world: &World) -> usize {
    world.provider.polls.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_058_a_provider_is_sent_a_bounded_number_of_polls_at_once_and_every_login_has_its_turn() {
    let (world, _logins) = polled().await;
    world.clock.advance_slowly(Duration::from_secs(3), Duration::from_millis(100)).await;
    assert_eq!(polls(&world), AT_ONCE, "more at once than the profile says");
    world.provider.holds_polls.send_replace(false);
    world.happens("the others", || polls(&world) == LOGINS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_058_a_login_that_was_cancelled_while_it_waited_for_its_turn_is_not_polled() {
    let (world, logins) = polled().await;
    for (login_id, token) in &logins {
        let path = format!("/v1/logins/{login_id}");
        let answer = world.call(Method::DELETE, &path, &[("authorization", &bearer(token))], "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
    world.provider.holds_polls.send_replace(false);
    eventually("those under way have ended", || world.provider.polling.load(Ordering::SeqCst) == 0).await;
    world.clock.advance_slowly(Duration::from_secs(12), Duration::from_millis(250)).await;
    assert_eq!(polls(&world), AT_ONCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_c_06_an_id_token_that_has_signed_in_before_fails_the_login() {
    let world = World::new().await;
    world.provider.repeats_id_token.store(true, Ordering::SeqCst);
    let (_, handle) = world.session().await;
    let again = world.start(LOGICIEL).await;
    world.until(&again, "failed").await;
    let login = world.get(&format!("/v1/logins/{}", again.id), &again.token).await.json();
    assert_eq!(login["reason"], "token_invalid");
    let first = world.get("/v1/session", &handle).await;
    assert_eq!(first.status, StatusCode::OK, "the first one stays: {}", first.text);
    world.provider.repeats_id_token.store(false, Ordering::SeqCst);
    world.session().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_042_the_interval_counts_from_when_the_poll_went_out_and_not_from_when_it_wanted_to() {
    let pace = Duration::from_millis(5250);
    let world = World::new().await;
    world.provider.holds_polls.send_replace(true);
    world.start(LOGICIEL).await;
    world.clock.wake_after(pace).await;
    world.happens("the first poll", || world.provider.polling.load(Ordering::SeqCst) == 1).await;
    // It has waited for a connection for three seconds.
    world.clock.advance(Duration::from_secs(3));
    *world.provider.sent.lock().expect("lock") = Some(world.clock.monotonic());
    world.provider.holds_polls.send_replace(false);
    // Whoever sends the next one sleeps for all of an interval from then on.
    world.clock.wake_after(pace).await;
    world.happens("the second poll", || polls(&world) == 2).await;
}
