//! Callers that put secrets where they do not belong. Each is refused or ignored, and nothing of it is repeated.

use serde_json::{Value, json};

use super::{A_MOMENT, World, method};
use crate::support::http::Caller;

/// With the token of a login and the handle of a session that live.
pub async fn all(world: &World) {
    let started = world.approved(&world.somebody(), json!({})).await;
    let handle = world.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
    let token = world.start(json!({ "login_hint": world.somebody() })).await.expect(201).text("/login_token");
    let hint = world.somebody();
    for secret in [&token, &handle, &hint, &super::APPLICATION_SECRET.to_owned()] {
        for caller in [world.served.relais.clone(), world.desk(), world.served.relais.bearer(&handle)] {
            in_the_target(world, &caller, secret).await;
            in_headers(world, &caller, secret).await;
            in_bodies(world, &caller, secret).await;
            in_forms(world, &caller, secret).await;
        }
    }
    // What is written after an answer is written by now.
    world.witness.phone.get("/_sim/stats").await;
    tokio::time::timeout(A_MOMENT, std::future::pending::<()>()).await.expect_err("a moment has passed");
}

async fn in_the_target(world: &World, caller: &Caller, secret: &str) {
    for path in [
        format!("/{secret}"),
        format!("/v1/session/{secret}"),
        format!("/v1/logins/{secret}"),
        format!("/v1/logins/{secret}/events"),
        format!("/v1/logins/{secret}/session"),
        format!("/v1/logins/..%2f{secret}"),
        format!("/v1/session?access_token={secret}"),
        format!("/v1/session?touch={secret}"),
        format!("/v1/application?x={secret}&x={secret}"),
        format!("/v1/logins/01890a5d-ac96-774b-bcce-b302099a8057?wait={secret}&after={secret}"),
        format!("/v1/session?{}={secret}", "x".repeat(2100)),
    ] {
        world.keep(caller.get(&path).await);
    }
    let name = format!("X{}", secret.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    world.keep(caller.send(method(&name), "/v1/session", None).await);
}

async fn in_headers(world: &World, caller: &Caller, secret: &str) {
    for name in [
        "cookie",
        "user-agent",
        "referer",
        "accept-language",
        "traceparent",
        "tracestate",
        "prefer",
        "forwarded",
        "if-none-match",
        "last-event-id",
        "idempotency-key",
        "relais-session",
        "relais-client-assertion",
        "dpop",
        "x-forwarded-for",
        "origin",
    ] {
        world.keep(caller.header(name, secret).get("/v1/session").await);
        world.keep(caller.header(name, secret).post("/v1/logins", json!({})).await);
    }
    for value in
        [secret.to_owned(), format!("{secret} x"), format!("Token {secret}"), format!("DPoP {secret}")]
    {
        world.keep(caller.header("authorization", &value).get("/v1/session").await);
        world.keep(caller.header("authorization", &value).get("/v1/application").await);
    }
    world.keep(world.served.relais.basic(secret, secret).get("/v1/application").await);
    world.keep(world.served.relais.basic("desk", secret).get("/v1/application").await);
}

async fn in_forms(world: &World, caller: &Caller, secret: &str) {
    for name in ["token", "touch", "client_id", "client_assertion", "more"] {
        world.keep(caller.post_form("/v1/introspect", &[("token", "x"), (name, secret)]).await);
        world.keep(caller.post_form("/v1/introspect", &[(name, secret), (name, secret)]).await);
        world.keep(caller.post_form("/v1/introspect", &[(name, secret)]).await);
    }
    let text = format!("token={secret}&{{\"token\":\"{secret}\"}}");
    for kind in ["application/x-www-form-urlencoded", "application/json", secret] {
        world.keep(caller.send_text(method("POST"), "/v1/introspect", kind, &text).await);
    }
    world.keep(caller.get(&format!("/v1/introspect?token={secret}")).await);
    world.keep(caller.header("relais-session", secret).get("/v1/session/userinfo").await);
}

async fn in_bodies(world: &World, caller: &Caller, secret: &str) {
    for body in [
        json!({ "login_hint": { "x": secret } }),
        json!({ "token": secret }),
        json!({ "login_hint": 1, "channel": secret, "registration": secret, "if_pending": secret }),
        json!({ "login_hint": "899700000009", "channel": secret }),
        json!({ "login_hint": "899700000009", "registration": secret }),
        json!({ "login_hint": "899700000009", "scope": secret, "acr_values": secret }),
        json!({ "login_hint": "899700000009", "binding_message": secret }),
        json!([secret]),
        json!(secret),
    ] {
        world.keep(caller.post("/v1/logins", body.clone()).await);
        world.keep(caller.put("/v1/session/exercice", body).await);
    }
    world.keep(caller.put("/v1/session/exercice", json!({ "id": secret })).await);
    let twice = format!("{{\"login_hint\":\"{secret}\",\"login_hint\":\"{secret}\"");
    for kind in ["application/json", secret, "text/plain"] {
        world.keep(caller.send_text(method("POST"), "/v1/logins", kind, &twice).await);
        world.keep(caller.send_text(method("POST"), "/v1/logins", kind, secret).await);
    }
}
