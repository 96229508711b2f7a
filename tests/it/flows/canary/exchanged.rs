//! Tokens exchanged for a target, or not: what the authorization server gives, refuses or says amiss is as secret as the
//! provider's tokens, and the target's callers never see it.

use serde_json::{Value, json};

use super::refreshed::session;
use super::{A_MOMENT, World};

const PATH: &str = "/v1/targets/api/Patient?name=x";

async fn order(world: &World, fault: Value) {
    world.witness.phone.post("/_sim/faults", fault).await.expect(201);
}

/// The next exchange is answered so, for a session that has no token yet.
async fn answered(world: &World, status: u16, body: Value, expected: (u16, &str)) {
    let session = session(world).await;
    order(world, json!({ "endpoint": "exchange", "status": status, "body": body })).await;
    world.keep(session.get(PATH).await).expect_problem(expected.0, expected.1);
    world.keep(session.get("/v1/session").await).expect(200);
}

fn answer(member: &str, value: &Value) -> Value {
    let mut body = json!({
        "access_token": "exchanged-and-of-no-use-0123456789", "token_type": "Bearer", "expires_in": 60,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "refresh_token": "nobody-wants-this-one-9876543210",
    });
    body[member] = value.clone();
    body
}

pub async fn all(world: &World) {
    let good = session(world).await;
    world.keep(good.get(PATH).await).expect(200);
    // A target that refuses what it is shown, then takes another one.
    order(world, json!({ "endpoint": "target", "status": 401, "body": "" })).await;
    world.keep(good.get(PATH).await).expect(200);
    let told = json!({ "error": "invalid_target", "error_description": "not for 899700000001" });
    answered(world, 400, told, (403, "exchange_refused")).await;
    answered(world, 503, json!("<html>"), (503, "exchange_unavailable")).await;
    for (member, value) in [
        ("token_type", json!("N_A")),
        ("issued_token_type", json!("urn:ietf:params:oauth:token-type:id_token")),
        ("expires_in", json!("soon")),
        ("access_token", json!("two words that are no token")),
    ] {
        answered(world, 200, answer(member, &value), (503, "exchange_unavailable")).await;
    }
    // The token comes when the session is over.
    let late = session(world).await;
    order(world, json!({ "endpoint": "exchange", "delay_ms": 3000 })).await;
    let call = tokio::spawn({
        let late = late.clone();
        async move { late.get(PATH).await }
    });
    let _ = tokio::time::timeout(A_MOMENT / 6, std::future::pending::<()>()).await;
    world.keep(late.delete("/v1/session").await).expect(204);
    world.keep(call.await.expect("no panic")).expect_problem(401, "session_ended");
    assert!(world.witness.heard.count("subject_token") >= 9, "what was shown is known");
}
