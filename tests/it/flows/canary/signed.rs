//! Logins of an application that signs, at a provider to which Relais posts its secret, then signs by itself.

use relais::app::clock::SystemClock;
use relais::domain::clock::Clock as _;
use relais::domain::random::uuid_v4;
use relais::simulator::{Method, Registered};
use serde_json::{Value, json};

use super::{SystemRandom, World};
use crate::support::http::{Answer, Caller};
use crate::support::jwt;

/// Both registrations; afterwards the provider knows the client as before.
pub async fn all(world: &World) {
    let keys = jwt::set(&[&world.own]);
    let posts = Registered { method: Some(Method::ClientSecretPost), ..Registered::default() };
    let signs =
        Registered { method: Some(Method::PrivateKeyJwt), keys, request_alg: Some("ES256".to_owned()) };
    for (registration, registered) in [("posted", posts), ("signed", signs)] {
        world.witness.simulator.register(registered);
        sign_in(world, registration).await;
    }
    world.witness.simulator.register(Registered::default());
    // The provider refuses both now.
    for registration in ["posted", "signed"] {
        let refused = start(world, registration, &world.somebody()).await.expect(201);
        assert_eq!(refused.text("/status"), "failed");
    }
    refused(world).await;
}

async fn sign_in(world: &World, registration: &str) {
    let hint = world.somebody();
    let started = start(world, registration, &hint).await.expect(201);
    world.decide(&hint, "approve", Value::Null).await;
    world.pick_up(&started, Value::Null).await.expect(201);
}

async fn start(world: &World, registration: &str, hint: &str) -> Answer {
    let body = json!({ "login_hint": hint, "registration": registration });
    world.keep(caller(world, |_| {}).post("/v1/logins", body).await)
}

/// Assertions that are refused, each for another reason, and one that comes twice.
async fn refused(world: &World) {
    let callers = [
        caller(world, |claims| claims["aud"] = json!(["x"])),
        caller(world, |claims| claims["exp"] = json!(1)),
        caller(world, |claims| claims["iss"] = json!("nobody")),
        caller(world, |_| {}).basic("desk", super::APPLICATION_SECRET),
        caller(world, |_| {}).bearer("rlt_x"),
    ];
    for caller in callers {
        world.keep(caller.get("/v1/application").await).expect(401);
    }
    let once = caller(world, |_| {});
    world.keep(once.get("/v1/application").await).expect(200);
    world.keep(once.get("/v1/application").await).expect(401);
}

/// A caller with an assertion of its own, which is a secret.
fn caller(world: &World, change: impl FnOnce(&mut Value)) -> Caller {
    let now = SystemClock::start().now().as_secs();
    let mut claims = json!({ "iss": "signer", "sub": "signer", "aud": world.served.relais.base(),
        "iat": now, "exp": now + 60, "jti": uuid_v4(&SystemRandom) });
    change(&mut claims);
    let assertion = world.signer.sign(&claims);
    world.secret("assertion", &assertion);
    world.served.relais.header("relais-client-assertion", &assertion)
}
