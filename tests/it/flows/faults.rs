//! What goes wrong at the provider: every endpoint, every fault of the simulator's control interface, each with its
//! own outcome at the client.

mod discovery;
mod id_token;
mod polling;
mod start;
mod userinfo;

use serde_json::{Value, json};

/// A fault without its endpoint.
pub type Fault = (&'static str, fn() -> Value);

/// What may go wrong with any answer; the ways that take an I/O time-out are tested apart.
pub const FAULTS: [Fault; 10] = [
    ("500 without a body", || json!({"status": 500, "body": ""})),
    ("503 with an OAuth error", || json!({"status": 503, "body": {"error": "temporarily_unavailable"}})),
    ("429 with Retry-After", || json!({"status": 429, "headers": {"Retry-After": "7"}, "body": ""})),
    (
        "200 with HTML",
        || json!({"status": 200, "headers": {"content-type": "text/html"}, "body": "<html>maintenance</html>"}),
    ),
    ("200 with half of a JSON text", || json!({"status": 200, "body": "{\"auth_req_id\": \"x"})),
    ("200 with nothing", || json!({"status": 200, "body": ""})),
    ("302", || json!({"status": 302, "headers": {"location": "https://elsewhere.example/"}, "body": ""})),
    ("reset", || json!({"action": "reset", "when": "before"})),
    ("truncate", || json!({"action": "truncate", "when": "before", "status": 200, "body": {"error": "cut"}})),
    ("stream", || json!({"action": "stream", "when": "before", "status": 200, "body": {}})),
];

/// The fault at an endpoint, for `count` calls.
pub fn at(endpoint: &str, count: u32, fault: &Value) -> Value {
    let mut fault = fault.clone();
    fault["endpoint"] = json!(endpoint);
    fault["count"] = json!(count);
    fault
}

/// A person of each test case's own: a person slot that one case keeps is not in the way of the next.
fn person(case: usize) -> String {
    format!("8997{case:08}")
}
