//! Sessions that are refreshed, or not: new tokens are as secret as the first, also where they come too late or must not
//! be believed.

#![expect(clippy::panic, reason = "a helper of a test fails the test")]

use serde_json::{Value, json};

use super::{A_MOMENT, World};
use crate::support::database::Database;
use crate::support::http::Caller;

/// From now on a use finds its refresh token more than half over.
async fn due(world: &World) {
    Database::of(&world.config).await.run("UPDATE sessions SET refresh_due_at = 0").await;
}

pub async fn session(world: &World) -> Caller {
    let started = world.approved(&world.somebody(), json!({})).await;
    let handle = world.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
    world.served.relais.bearer(&handle)
}

/// Uses the session until it is answered so.
async fn until(world: &World, session: &Caller, status: u16, upstream: Option<&str>) {
    for _ in 0..200 {
        let answer = world.keep(session.get("/v1/session").await);
        let shown = upstream.is_none_or(|upstream| answer.text("/upstream") == upstream);
        if answer.status.as_u16() == status && shown {
            return;
        }
        let _ = tokio::time::timeout(A_MOMENT / 10, std::future::pending::<()>()).await;
    }
    panic!("never answered {status} {upstream:?}");
}

async fn refreshes(world: &World) -> u64 {
    let stats = world.witness.phone.get("/_sim/stats").await.expect(200).json();
    stats["refreshes"]["ok"].as_u64().unwrap_or(0)
}

/// Logins that are still pending are polled meanwhile: the fault lasts until it is taken back.
async fn while_faulty(world: &World, mut fault: Value, then: impl AsyncFnOnce()) {
    fault["endpoint"] = json!("token");
    fault["count"] = json!(1000);
    world.witness.phone.post("/_sim/faults", fault).await.expect(201);
    due(world).await;
    then().await;
    world.witness.phone.delete("/_sim/faults").await.expect(204);
}

pub async fn all(world: &World) {
    let good = session(world).await;
    due(world).await;
    let before = refreshes(world).await;
    while refreshes(world).await == before {
        until(world, &good, 200, Some("live")).await;
    }
    let down = session(world).await;
    let fault = json!({ "status": 503, "body": { "error": "server_error" } });
    while_faulty(world, fault, async || until(world, &down, 200, Some("retrying")).await).await;
    let lost = session(world).await;
    let fault = json!({ "action": "reset", "when": "after" });
    while_faulty(world, fault, async || until(world, &lost, 200, Some("retrying")).await).await;
    let refused = session(world).await;
    let body = json!({ "error": "invalid_grant", "error_description": "899700000001" });
    let fault = json!({ "status": 400, "body": body });
    while_faulty(world, fault, async || until(world, &refused, 401, None).await).await;
    let foreign = session(world).await;
    let fault = json!({ "token": { "sub": "somebody-else" } });
    while_faulty(world, fault, async || until(world, &foreign, 401, None).await).await;
    // The tokens come when the session is over.
    let late = session(world).await;
    while_faulty(world, json!({ "delay_ms": 500 }), async || {
        world.keep(late.get("/v1/session").await).expect(200);
        world.keep(late.delete("/v1/session").await).expect(204);
    })
    .await;
    let _ = tokio::time::timeout(A_MOMENT, std::future::pending::<()>()).await;
}
