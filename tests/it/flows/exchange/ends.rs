//! Exchanged tokens end with their session, wherever it ends.

use std::time::Duration;

use relais::engine::exchange::ExchangeError;
use relais::engine::session::SessionError;
use serde_json::json;

use super::{BACKENDS, Backend, DOCTOR, fails, with_targets};

/// Every further node tells where providers call it.
const FOR_PROVIDERS: &str =
    "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

#[track_caller]
fn is_ended(error: &ExchangeError) {
    assert!(matches!(error, ExchangeError::Session(SessionError::Ended { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_dropped_with_its_session_and_none_is_asked_for_afterwards() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        user.token("dmp").await.expect("a token");
        // Somebody has read the session a moment before it ends.
        let view = user.used().await;
        user.session.delete("/v1/session").await.expect(204);
        for target in ["dmp", "mss"] {
            let target = user.target(target);
            is_ended(&fails(user.engine.exchange(&view, &target, None).await, "session"));
        }
        assert_eq!(stack.calls("exchange").await, 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_comes_after_the_end_is_given_to_nobody() {
    for backend in BACKENDS {
        let stack = with_targets(backend).start().await;
        let user = stack.user(DOCTOR).await;
        stack.fault(json!({ "endpoint": "exchange", "delay_ms": 1000 })).await;
        let waiting = user.clone();
        let waiting = tokio::spawn(async move { waiting.token("dmp").await });
        stack.happens("it is asked", async || stack.calls("exchange").await == 1).await;
        let view = user.used().await;
        user.session.delete("/v1/session").await.expect(204);
        stack.clock.advance(Duration::from_secs(1));
        is_ended(&fails(waiting.await.expect("no panic"), "session"));
        is_ended(&fails(user.engine.exchange(&view, &user.target("dmp"), None).await, "session"));
        assert_eq!(stack.exchanged().await, 1, "{backend:?}: it came, and was not kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_on_one_node_drops_the_tokens_of_another() {
    let stack = with_targets(Backend::Postgres).sections(FOR_PROVIDERS).start().await;
    let node = stack.another_node().await;
    let user = stack.user(DOCTOR).await;
    let there = user.at(node.engine());
    there.token("dmp").await.expect("a token");
    user.token("dmp").await.expect("a token");
    assert_eq!(stack.exchanged().await, 2, "each node has its own");
    let view = there.used().await;
    user.session.delete("/v1/session").await.expect(204);
    stack
        .happens("the other node hears of it", async || {
            there.engine.exchange(&view, &there.target("dmp"), None).await.is_err()
        })
        .await;
    is_ended(&fails(there.engine.exchange(&view, &there.target("dmp"), None).await, "session"));
    assert_eq!(stack.calls("exchange").await, 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_a_target_keeps_the_session_alive() {
    for backend in BACKENDS {
        let stack = with_targets(backend).application("session = { idle = \"10m\" }").start().await;
        let user = stack.user(DOCTOR).await;
        for _ in 0..3 {
            stack.clock.advance(Duration::from_secs(500));
            user.token("dmp").await.expect("a token");
        }
        let seen = user.session.get("/v1/session?touch=false").await.expect(200);
        assert_eq!(seen.at("/idle_expires_in"), json!(600), "{backend:?}");
    }
}
