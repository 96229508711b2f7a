//! Endings: what a provider is told carries tokens, what it may say carries names.

use reqwest::Method;
use serde_json::{Value, json};

use super::{A_MOMENT, World};
use crate::support::http::Caller;

/// One logout that the provider hears, one that stays to be told, and logout tokens that are none.
pub async fn all(world: &World) {
    for deaf in [false, true] {
        if deaf {
            for endpoint in ["revocation", "logout"] {
                let fault = json!({ "endpoint": endpoint, "count": 1000, "status": 503 });
                world.witness.phone.post("/_sim/faults", fault).await.expect(201);
            }
        }
        let started = world.approved(&world.somebody(), json!({})).await;
        let handle = world.pick_up(&started, Value::Null).await.expect(201).text("/session_handle");
        world.keep(world.served.relais.bearer(&handle).delete("/v1/session").await).expect(204);
        tokio::time::timeout(A_MOMENT, std::future::pending::<()>()).await.expect_err("a moment has passed");
        misplaced(world, &handle).await;
        misplaced(world, &world.somebody()).await;
    }
}

async fn misplaced(world: &World, secret: &str) {
    let base = world.config.split("[listeners.providers]").nth(1).and_then(|rest| rest.split('"').nth(3));
    let listener = Caller::new(base.expect("a listener"));
    let made_up = |part: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part)
    };
    let token = format!(
        "{}.{}.c2ln",
        made_up(&json!({ "alg": "RS256", "kid": secret, "typ": "logout+jwt" }).to_string()),
        made_up(&json!({ "iss": secret, "sub": secret, "sid": secret, "jti": secret }).to_string())
    );
    world.secret("logout token", &token);
    for (registration, token) in [("psc", secret), ("psc", &token), (secret, &token)] {
        let address = format!("/providers/{registration}/backchannel-logout");
        let form = format!("logout_token={token}&{secret}={secret}");
        let kind = "application/x-www-form-urlencoded";
        world.keep(listener.send_text(Method::POST, &address, kind, &form).await).expect(400);
    }
}
