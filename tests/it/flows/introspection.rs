//! Back ends that were shown a handle: what they are told of it (RFC 7662), and what they may do with it (`acts_for`).

mod acting;
mod answers;
mod callers;
mod uses;

use serde_json::{Value, json};

use crate::support::http::{Answer, Caller};
use crate::support::stack::{Backend, SECRET, Stack};

const INTROSPECT: &str = "/v1/introspect";

/// What a token is that opens nothing to the caller, byte for byte.
const INACTIVE: &str = r#"{"active":false}"#;

/// Beside `desk`: `hub` acts for it, `stranger` for nobody, `elsewhere` belongs to another tenant.
const SECTIONS: &str = r#"
[applications.hub]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
acts_for = ["desk"]
auth = "client_secret_basic"
secret = "a-secret-of-the-hub"
[applications.stranger]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-the-stranger"
[applications.elsewhere]
kind = "backend"
tenant = "hospital"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-elsewhere"
"#;

async fn stack(backend: Backend) -> Stack {
    let idle = "session = { idle = \"10m\" }";
    Stack::on(backend).application(idle).sections(SECTIONS).paced().start().await
}

fn application(stack: &Stack, name: &str) -> Caller {
    let secret = match name {
        "desk" => SECRET,
        "hub" => "a-secret-of-the-hub",
        "stranger" => "a-secret-of-the-stranger",
        _ => "a-secret-of-elsewhere",
    };
    stack.relais.basic(name, secret)
}

async fn introspect(caller: &Caller, token: &str) -> Answer {
    caller.post_form(INTROSPECT, &[("token", token)]).await.expect(200)
}

async fn is_active(caller: &Caller, token: &str) -> bool {
    let answer = introspect(caller, token).await;
    let is_active = answer.at("/active") == json!(true);
    assert!(is_active || answer.body == INACTIVE, "{}", answer.body);
    is_active
}

/// Signs a person in at an application: the pick-up's answer.
async fn session_of(stack: &Stack, application: &Caller, hint: &str, more: &Value) -> Answer {
    let mut body = json!({ "login_hint": hint });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let started = application.post("/v1/logins", body).await.expect(201);
    stack.decide("approve", Value::Null).await;
    stack.next_poll(crate::flows::pace::PACE).await;
    stack.outcome(&started).await;
    stack.pick_up(&started, Value::Null).await.expect(201)
}
