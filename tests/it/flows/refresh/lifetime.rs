//! How long a session lives: four hours where it is used, half an hour where it is not.

use std::time::Duration;

use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use super::{DUE, MINUTE, ended};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_once_a_minute_lives_for_four_hours_and_not_a_second_more() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        let (begun, mut refreshed_at) = (stack.seconds(), stack.seconds());
        for minute in 1..240 {
            stack.clock.advance(MINUTE);
            if stack.seconds() - refreshed_at > 900 {
                stack.refreshed_by_a_use(&session).await;
                refreshed_at = stack.seconds();
            }
            let seen = session.get("/v1/session").await.expect(200);
            assert_eq!(
                seen.at("/expires_in"),
                json!(14_400 - 60 * minute),
                "no refresh moves the absolute end"
            );
            assert_eq!(seen.text("/upstream"), "live");
        }
        // Every sixteen minutes.
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 14 }), "{backend:?}");
        stack.clock.advance(Duration::from_secs(59));
        // Due once more, a second before the end.
        stack.refreshed_by_a_use(&session).await;
        assert_eq!(session.get("/v1/session").await.expect(200).at("/expires_in"), json!(1));
        stack.clock.advance(Duration::from_secs(1));
        assert_eq!(stack.seconds() - begun, 4 * 3600);
        assert_eq!(ended(session.get("/v1/session").await), "absolute");
        stack.stays_silent().await;
        assert_eq!(stack.refreshes("ok").await, 15);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_left_alone_ends_between_29_and_a_half_and_30_minutes_after_its_last_use() {
    for backend in BACKENDS {
        // No use but the pick-up; one that is not written; one that is.
        for last_use in [0, 29, 30] {
            let stack = Stack::on(backend).paced().start().await;
            let session = stack.signed_in().await;
            stack.clock.advance(Duration::from_secs(last_use));
            if last_use > 0 {
                session.get("/v1/session").await.expect(200);
            }
            let before = stack.calls("token").await;
            stack.minutes_pass(29).await;
            stack.clock.advance(Duration::from_secs(29));
            session.get("/v1/session?touch=false").await.expect(200);
            stack.clock.advance(Duration::from_secs(31));
            assert_eq!(ended(session.get("/v1/session?touch=false").await), "idle", "{last_use}");
            assert_eq!(stack.calls("token").await, before, "nobody refreshes what nobody uses");
            stack.stays_silent().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_05_after_the_last_use_nothing_is_refreshed() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        stack.refreshed_by_a_use(&session).await;
        let before = stack.calls("token").await;
        stack.minutes_pass(29).await;
        session.get("/v1/session?touch=false").await.expect(200);
        stack.minutes_pass(1).await;
        assert_eq!(stack.ends(&session).await, "idle");
        stack.minutes_pass(30).await;
        assert_eq!(stack.calls("token").await, before, "{backend:?}");
        assert_eq!(stack.refreshes("ok").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_use_starts_no_refresh_and_a_use_does_from_the_half_of_the_tokens_life_on() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        let before = stack.calls("token").await;
        // Used, but not due.
        stack.clock.advance(Duration::from_secs(900));
        session.get("/v1/session").await.expect(200);
        session.get("/v1/session/userinfo").await.expect(200);
        stack.settle().await;
        assert_eq!(stack.calls("token").await, before, "half of its life is left");
        // Due, but not used.
        stack.clock.advance(MINUTE);
        session.get("/v1/session?touch=false").await.expect(200);
        let exercices = session.get("/v1/session?touch=false").await.at("/subject/exercices");
        session.put("/v1/session/exercice", json!({ "id": exercices[0]["id"] })).await.expect(200);
        drop(session.open("/v1/session/events").await);
        stack.settle().await;
        assert_eq!(stack.calls("token").await, before, "nobody has used it");
        session.get("/v1/session/userinfo").await.expect(200);
        stack.token_calls(before + 1).await;
        stack.has_new_tokens(&session).await;
        assert_eq!(stack.refreshes("ok").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_never_shows_a_later_end_than_its_refresh_token() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("session = { idle = \"1h\" }").start().await;
        stack.settings(json!({ "refresh_token_seconds": 600 })).await;
        let picked_up = stack.session(DOCTOR).await;
        assert_eq!(picked_up.at("/idle_expires_in"), json!(600));
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        stack.clock.advance(Duration::from_secs(400));
        assert_eq!(session.get("/v1/session").await.expect(200).at("/idle_expires_in"), json!(200));
        stack.grant_ends_in(&session, 600).await;
        // From now on it lives longer than the session may be idle.
        stack.settings(json!({ "refresh_token_seconds": 7200 })).await;
        stack.clock.advance(Duration::from_secs(301));
        session.get("/v1/session").await.expect(200);
        stack.grant_ends_in(&session, 3600).await;
        assert_eq!(stack.refreshes("ok").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_083_each_refresh_uses_the_token_of_the_one_before_also_after_a_restart() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let mut session = stack.signed_in().await;
        for turn in 1..=4 {
            stack.clock.advance(DUE);
            stack.refreshed_by_a_use(&session).await;
            assert_eq!(stack.stats().await["refreshes"], json!({ "ok": turn }), "none was used twice");
            stack.restart().await;
            session = stack.relais.bearer(&session.token());
        }
        session.get("/v1/session").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_provider_refreshes_whatever_it_does_with_refresh_tokens() {
    for rotation in ["rotate", "keep", "grace"] {
        for personality in [Personality::Psc, Personality::Keycloak] {
            let stack = Stack::on(Backend::Sqlite).personality(personality).paced().start().await;
            stack.settings(json!({ "refresh": rotation })).await;
            let session = stack.signed_in().await;
            for _ in 0..3 {
                stack.clock.advance(DUE);
                stack.refreshed_by_a_use(&session).await;
            }
            assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 3 }), "{personality:?} {rotation}");
        }
    }
    // By the letter of CIBA nothing says how long a refresh token lives: no use prolongs anything.
    let stack = Stack::on(Backend::Sqlite).personality(Personality::Generic).paced().start().await;
    let started = stack.start(DOCTOR).await.expect(201);
    stack.decide("approve", Value::Null).await;
    stack.next_poll(crate::flows::pace::INTERVAL).await;
    assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
    let picked_up = stack.pick_up(&started, Value::Null).await.expect(201);
    let session = stack.relais.bearer(&picked_up.text("/session_handle"));
    for _ in 0..3 {
        stack.clock.advance(DUE);
        session.get("/v1/session").await.expect(200);
    }
    stack.settle().await;
    assert_eq!(stack.stats().await["refreshes"], json!({}));
}
