//! Two nodes over one PostgreSQL, and many callers at once: one refresh.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::DUE;
use crate::support::http::Caller;
use crate::support::stack::{BACKENDS, Backend, Stack};

/// Callers at each node.
const AT_ONCE: usize = 60;

/// Every further node tells where providers call it.
const FOR_PROVIDERS: &str =
    "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

async fn storm(callers: &[Caller]) {
    let uses = callers.iter().flat_map(|caller| (0..AT_ONCE).map(move |_| caller.get("/v1/session")));
    for answer in join_all(uses).await {
        answer.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_083_a_storm_of_uses_causes_one_refresh() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let session = stack.signed_in().await;
        for turn in 1..=3 {
            stack.clock.advance(DUE);
            storm(std::slice::from_ref(&session)).await;
            stack.has_new_tokens(&session).await;
            storm(std::slice::from_ref(&session)).await;
            stack.settle().await;
            assert_eq!(stack.stats().await["refreshes"], json!({ "ok": turn }), "{backend:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_083_a_storm_of_uses_on_two_nodes_causes_one_refresh_whose_tokens_both_have() {
    let stack = Stack::on(Backend::Postgres).sections(FOR_PROVIDERS).paced().start().await;
    let other = stack.another_node().await;
    let session = stack.signed_in().await;
    let there = other.relais.bearer(&session.token());
    for turn in 1..=3 {
        stack.clock.advance(DUE);
        // The answer takes its time, so that all of them come while it is under way.
        stack.fault(json!({ "endpoint": "token", "delay_ms": 1500 })).await;
        let before = stack.calls("token").await;
        storm(&[session.clone(), there.clone()]).await;
        stack.token_calls(before + 1).await;
        storm(&[session.clone(), there.clone()]).await;
        stack.clock.advance(Duration::from_millis(1500));
        stack.has_new_tokens(&there).await;
        storm(&[session.clone(), there.clone()]).await;
        stack.settle().await;
        assert_eq!(stack.stats().await["refreshes"], json!({ "ok": turn }));
        assert_eq!(stack.calls("token").await, before + 1);
    }
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_on_one_node_waits_for_the_refresh_that_another_sends() {
    let stack = Stack::on(Backend::Postgres).sections(FOR_PROVIDERS).paced().start().await;
    let other = stack.another_node().await;
    stack.fault(json!({ "endpoint": "userinfo", "status": 500, "body": "", "count": 1 })).await;
    let session = stack.signed_in().await;
    stack.settle().await;
    let there = other.relais.bearer(&session.token());
    stack.clock.advance(Duration::from_secs(130));
    stack.fault(json!({ "endpoint": "token", "delay_ms": 1000 })).await;
    let before = stack.calls("token").await;
    let here = session.clone();
    let first = tokio::spawn(async move { here.get("/v1/session/userinfo").await });
    stack.token_calls(before + 1).await;
    let second = tokio::spawn(async move { there.get("/v1/session/userinfo").await });
    stack.settle().await;
    stack.clock.advance(Duration::from_secs(1));
    for call in [first, second] {
        call.await.expect("no panic").expect(200);
    }
    assert_eq!(stack.stats().await["refreshes"], json!({ "ok": 1 }));
    other.stop().await;
}
