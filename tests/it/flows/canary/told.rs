//! Notifications: their token is a secret like any other, and what a caller says about a login is repeated to nobody.

use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::support::http::Caller;

/// One login that is pinged, rightly and in every wrong way.
pub async fn all(world: &World) {
    let base = world.config.split("[listeners.providers]").nth(1).and_then(|rest| rest.split('"').nth(3));
    let address = "/providers/told/ciba";
    let listener = Caller::new(base.expect("a listener"));
    let delivery = json!({ "mode": "ping", "endpoint": format!("{}{address}", listener.base()) });
    world.witness.phone.put("/_sim/settings", json!({ "delivery": delivery })).await.expect(200);
    let hint = world.somebody();
    let started = world.start(json!({ "login_hint": hint, "registration": "told" })).await.expect(201);
    assert_eq!(started.text("/status"), "pending", "{}", started.body);
    let requests = world.witness.phone.get("/_sim/requests").await.expect(200).json();
    let request = requests.as_array().expect("a list").last().expect("a request").clone();
    let text = |name: &str| request[name].as_str().expect(name).to_owned();
    let (token, id) = (text("client_notification_token"), text("auth_req_id"));
    world.secret("notification token", &token);
    let wrong = "rnt_wrong-token-that-nobody-may-see-in-a-log-of-ours_";
    world.secret("wrong notification token", wrong);
    world.secret("what a caller says", "said-by-a-caller-that-nobody-knows");
    let said = json!({ "auth_req_id": "said-by-a-caller-that-nobody-knows" });
    world.keep(listener.bearer(wrong).post(address, json!({ "auth_req_id": id })).await).expect(401);
    let provider = listener.bearer(&token);
    world.keep(provider.post(address, said).await).expect(401);
    for body in [format!("{{\"auth_req_id\":\"{id}\""), format!("[\"{token}\"]")] {
        let answer = provider.send_text(Method::POST, address, "application/json", &body).await;
        world.keep(answer).expect(400);
    }
    world.keep(provider.get(&format!("{address}?token={token}&id={id}")).await).expect(405);
    world.decide(&hint, "approve", Value::Null).await;
    world.keep(provider.post(address, json!({ "auth_req_id": id, "access_token": token })).await).expect(204);
    world.pick_up(&started, Value::Null).await.expect(201);
    world.keep(provider.post(address, json!({ "auth_req_id": id })).await).expect(204);
    world.witness.phone.put("/_sim/settings", json!({ "delivery": null })).await.expect(200);
}
