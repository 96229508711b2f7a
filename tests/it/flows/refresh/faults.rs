//! What goes wrong at a refresh and may pass: the session goes on, says that it is retrying, and a later use tries again.

use std::time::Duration;

use serde_json::{Value, json};

use super::{DUE, MINUTE, ended};
use crate::flows::faults::{FAULTS, at};
use crate::support::stack::{BACKENDS, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn rp_085_no_fault_at_the_provider_ends_a_session_and_the_next_use_tries_again() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (case, fault) in FAULTS {
            let session = stack.signed_in().await;
            stack.clock.advance(DUE);
            stack.fault(at("token", 1, &fault())).await;
            let before = stack.calls("token").await;
            assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "live", "{case}");
            stack.token_calls(before + 1).await;
            stack.shows(&session, "/upstream", &json!("retrying")).await;
            // A use too soon after the failure tries nothing.
            assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "retrying", "{case}");
            stack.settle().await;
            assert_eq!(stack.calls("token").await, before + 1, "{case}");
            stack.clock.advance(Duration::from_secs(10));
            stack.refreshed_by_a_use(&session).await;
            stack.shows(&session, "/upstream", &json!("live")).await;
            session.delete("/v1/session").await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_085_a_provider_that_stays_down_is_asked_ever_more_rarely_and_the_session_outlives_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        let before = stack.calls("token").await;
        stack.fault(json!({ "endpoint": "token", "count": 1000, "status": 503, "body": "" })).await;
        // Used every second for two minutes: after 0, 5, 15, 35, 75 s, and then once a minute at most.
        let mut failures = 0;
        for second in 0..120 {
            session.get("/v1/session").await.expect(200);
            if [0, 5, 15, 35, 75].contains(&second) {
                failures += 1;
                stack.failures(failures).await;
            }
            stack.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(stack.calls("token").await, before + 5, "{backend:?}");
        assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "retrying");
        stack.no_faults().await;
        stack.clock.advance(MINUTE);
        stack.refreshed_by_a_use(&session).await;
        assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_085_a_provider_that_names_a_time_is_not_asked_before() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        let headers = json!({ "Retry-After": "90" });
        stack.fault(json!({ "endpoint": "token", "status": 429, "headers": headers, "body": "" })).await;
        let before = stack.calls("token").await;
        session.get("/v1/session").await.expect(200);
        stack.shows(&session, "/upstream", &json!("retrying")).await;
        stack.clock.advance(Duration::from_secs(89));
        session.get("/v1/session").await.expect(200);
        stack.settle().await;
        assert_eq!(stack.calls("token").await, before + 1, "{backend:?}");
        stack.clock.advance(Duration::from_secs(1));
        stack.refreshed_by_a_use(&session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_085_a_provider_that_does_not_answer_in_time_keeps_nobody_waiting_and_ends_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        // The request is given up before it was looked at.
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        stack.fault(json!({ "endpoint": "token", "action": "hang", "when": "before" })).await;
        let before = stack.calls("token").await;
        session.get("/v1/session").await.expect(200);
        stack.token_calls(before + 1).await;
        assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "live");
        let limit = Duration::from_secs(60);
        stack
            .in_real_time("the refresh is given up", limit, async || {
                session.get("/v1/session?touch=false").await.expect(200).text("/upstream") == "retrying"
            })
            .await;
        stack.clock.advance(Duration::from_secs(5));
        stack.refreshed_by_a_use(&session).await;
    }
}

/// The provider has rotated the tokens, and its answer got lost.
fn lost_answer() -> Value {
    json!({ "endpoint": "token", "action": "reset", "when": "after" })
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_04_a_lost_answer_is_asked_for_once_more_and_a_forgiving_provider_gives_it() {
    for backend in BACKENDS {
        for rotation in ["grace", "keep"] {
            let stack = Stack::on(backend).paced().start().await;
            stack.settings(json!({ "refresh": rotation })).await;
            let session = stack.signed_in().await;
            stack.clock.advance(DUE);
            stack.fault(lost_answer()).await;
            session.get("/v1/session").await.expect(200);
            stack.shows(&session, "/upstream", &json!("retrying")).await;
            stack.clock.advance(Duration::from_secs(5));
            stack.refreshed_by_a_use(&session).await;
            assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 2 }), "{backend:?} {rotation}");
            stack.clock.advance(DUE);
            stack.refreshed_by_a_use(&session).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_04_a_lost_answer_of_a_strict_provider_ends_the_session_once_and_clearly() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        stack.fault(lost_answer()).await;
        session.get("/v1/session").await.expect(200);
        stack.shows(&session, "/upstream", &json!("retrying")).await;
        stack.clock.advance(Duration::from_secs(5));
        session.get("/v1/session").await.expect(200);
        assert_eq!(stack.ends(&session).await, "reauth_required");
        assert_eq!(stack.stats().await["refreshes"], json!({ "invalid_grant": 1, "ok": 1 }));
        let before = stack.calls("token").await;
        assert_eq!(ended(session.get("/v1/session").await), "reauth_required");
        stack.stays_silent().await;
        assert_eq!(stack.calls("token").await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_04_a_refresh_token_is_never_sent_a_third_time_without_an_answer() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        stack.clock.advance(DUE);
        let unanswered = json!({ "endpoint": "token", "count": 1000, "action": "reset", "when": "before" });
        stack.fault(unanswered).await;
        let before = stack.calls("token").await;
        for turn in 1..=2 {
            session.get("/v1/session").await.expect(200);
            stack.failures(turn).await;
            stack.clock.advance(MINUTE);
        }
        // It is used for as long as its refresh token is known to live.
        for _ in 0..12 {
            assert_eq!(session.get("/v1/session").await.expect(200).text("/upstream"), "retrying");
            stack.clock.advance(MINUTE);
        }
        stack.settle().await;
        assert_eq!(stack.calls("token").await, before + 2, "{backend:?}");
        stack.clock.advance(MINUTE);
        assert_eq!(ended(session.get("/v1/session").await), "reauth_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_086_tokens_that_are_bound_to_a_certificate_are_refreshed_with_it_or_not_at_all() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        let (in_use, another) = ("certs/client.pem", "certs/another.pem");
        stack.another_certificate("another");
        let line = format!("{{ cert = \"{in_use}\", key = \"certs/client.key\" }}");
        let newer = format!("{{ cert = \"{another}\", key = \"certs/another.key\" }}");
        assert!(stack.config.contains(&line));
        // The new one for new logins, the old one for what is bound to it.
        stack.config = stack.config.replace(&line, &format!("{newer}, {line}"));
        stack.restart().await;
        let session = stack.relais.bearer(&session.token());
        stack.clock.advance(DUE);
        stack.refreshed_by_a_use(&session).await;
        let userinfo = stack.calls("userinfo").await;
        // The old one is gone: with another one nothing is sent.
        stack.config = stack.config.replace(&format!("{newer}, {line}"), &newer);
        stack.restart().await;
        let session = stack.relais.bearer(&session.token());
        stack.clock.advance(DUE);
        let before = stack.calls("token").await;
        session.get("/v1/session").await.expect(200);
        stack.shows(&session, "/upstream", &json!("retrying")).await;
        assert_eq!((stack.calls("token").await, stack.calls("userinfo").await), (before, userinfo));
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }), "{backend:?}");
    }
}
