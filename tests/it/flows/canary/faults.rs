//! A provider that repeats what it was told, and what it gave, in the wrong places.

use serde_json::{Value, json};

use super::World;

/// One after the other: a login for somebody new meets each.
pub async fn all(world: &World) {
    for (number, (endpoint, fault)) in at_the_start().into_iter().chain(while_polling()).enumerate() {
        let hint = world.somebody();
        let token = format!("eyJhbGciOiJSUzI1NiJ9.echoed-secret-number-{number}.echoed-signature-{number}");
        world.secret("echoed token", &token);
        let mut order = filled(&fault, &hint, &token);
        order["endpoint"] = json!(endpoint);
        world.witness.phone.post("/_sim/faults", order).await.expect(201);
        let started = world.start(json!({ "login_hint": hint })).await.expect(201);
        if started.text("/status") == "pending" {
            world.decide(&hint, "approve", Value::Null).await;
            let answer = world.pick_up(&started, Value::Null).await;
            if answer.status.as_u16() == 201 {
                let session = world.served.relais.bearer(&answer.text("/session_handle"));
                world.keep(session.get("/v1/session/userinfo").await);
            }
        }
        world.witness.phone.delete("/_sim/faults").await.expect(204);
    }
}

/// Puts the hint and the token in.
fn filled(value: &Value, hint: &str, token: &str) -> Value {
    let text = value.to_string().replace("HINT", hint).replace("TOKEN", token);
    serde_json::from_str(&text).expect("still JSON")
}

fn at_the_start() -> Vec<(&'static str, Value)> {
    let described = json!({ "error": "access_denied", "error_description": "HINT has sent TOKEN" });
    vec![
        ("backchannel", json!({ "status": 400, "body": described })),
        (
            "backchannel",
            json!({ "status": 400, "body": { "error": "TOKEN", "error_uri": "https://x/HINT" } }),
        ),
        (
            "backchannel",
            json!({ "status": 200, "body": { "auth_req_id": 5, "expires_in": "TOKEN", "x": "HINT" } }),
        ),
        ("backchannel", json!({ "status": 200, "body": { "auth_req_id": "TOKEN", "expires_in": "HINT" } })),
        ("backchannel", json!({ "status": 200, "body": "TOKEN HINT is no JSON" })),
        ("backchannel", json!({ "status": 500, "body": "<h1>login_hint=HINT, TOKEN</h1>" })),
        (
            "backchannel",
            json!({ "status": 302, "headers": { "location": "https://localhost:1/?t=TOKEN&h=HINT" } }),
        ),
        (
            "backchannel",
            json!({ "status": 401, "headers": { "www-authenticate": "Basic realm=\"TOKEN HINT\"" } }),
        ),
        ("backchannel", json!({ "status": 429, "headers": { "retry-after": "TOKEN" }, "body": "HINT" })),
    ]
}

fn while_polling() -> Vec<(&'static str, Value)> {
    vec![
        (
            "token",
            json!({ "status": 400, "body": { "error": "invalid_grant", "error_description": "TOKEN HINT" } }),
        ),
        ("token", json!({ "status": 400, "body": { "error": "TOKEN" } })),
        ("token", json!({ "status": 503, "headers": { "retry-after": "TOKEN" }, "body": "HINT" })),
        ("token", json!({ "status": 200, "body": { "access_token": { "TOKEN": 1 }, "expires_in": "HINT" } })),
        (
            "token",
            json!({ "status": 200, "body": {
            "access_token": "TOKEN", "token_type": "HINT", "expires_in": 60, "id_token": "TOKEN" } }),
        ),
        (
            "token",
            json!({ "status": 200, "body": {
            "access_token": "TOKEN", "token_type": "Bearer", "expires_in": 60, "id_token": "TOKEN" } }),
        ),
        ("token", json!({ "status": 200, "body": "{\"access_token\":\"TOKEN\",\"access_token\":\"HINT\"" })),
        ("token", json!({ "token": { "kid": "TOKEN" } })),
        ("token", json!({ "token": { "alg": "TOKEN" } })),
        ("token", json!({ "token": { "iss": "https://x/TOKEN" } })),
        ("token", json!({ "token": { "aud": ["TOKEN"], "azp": "HINT" } })),
        ("token", json!({ "token": { "acr": "TOKEN" } })),
        ("token", json!({ "token": { "exp": "TOKEN" } })),
        ("token", json!({ "token": { "SubjectNameID": "TOKEN", "preferred_username": "HINT" } })),
        ("token", json!({ "token": { "signature": "bad" } })),
        ("userinfo", json!({ "status": 200, "body": { "sub": "TOKEN", "SubjectNameID": "HINT" } })),
        ("userinfo", json!({ "status": 200, "body": { "sub": { "TOKEN": "HINT" } } })),
        ("userinfo", json!({ "status": 200, "body": "TOKEN HINT" })),
        ("userinfo", json!({ "status": 401, "headers": { "www-authenticate": "Bearer error=\"TOKEN\"" } })),
        ("userinfo", json!({ "status": 500, "body": "TOKEN HINT" })),
    ]
}
