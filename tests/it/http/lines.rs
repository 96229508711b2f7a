//! What the log says of requests, and what it never says.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::world::{LOGICIEL, PERSON, World, bearer};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lock").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn r_l_05_one_line_a_request_with_its_ids_and_without_its_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new("relais=trace"))
        .with_writer(move || writer.clone())
        .finish();
    // While a process has one subscriber, whichever thread meets a log statement first decides whether it is ever
    // asked; with a second one every statement is asked each time, whatever other tests do.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let named = [("x-request-id", "request-0001")];
    let body = format!("{{\"login_hint\":\"{PERSON}\"}}");
    let start = world.start_with(LOGICIEL, &named, &body).await.json();
    let login_id = start["login_id"].as_str().expect("id");
    let token = start["login_token"].as_str().expect("token");
    let path = format!("/v1/logins/{login_id}");
    assert_eq!(world.get(&format!("{path}?canary-query=1"), token).await.status.as_u16(), 400);
    let bearer = bearer(token);
    world.call(http::Method::DELETE, &path, &[("authorization", &bearer)], "").await;
    let (_, handle) = world.session().await;
    world.get("/v1/session/userinfo", &handle).await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().expect("lock").clone()).expect("UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["target"] == "relais::request").collect();
    let started = requests.iter().find(|line| line["request_id"] == "request-0001").expect("a line");
    assert_eq!(started["method"], "POST");
    assert_eq!(started["route"], "/v1/logins");
    assert_eq!(started["status"], 201);
    assert_eq!(started["application"], "logiciel");
    assert_eq!(started["login.id"], login_id);
    assert_eq!(started["support_code"], start["support_code"]);
    assert!(started["duration_ms"].is_u64());
    let refused = requests.iter().find(|line| line["code"] == "invalid_request").expect("a line");
    assert_eq!(refused["route"], "/v1/logins/{login_id}");
    // The provider's acknowledgement, in another task, still belongs to the request that asked for it.
    let acknowledged = lines
        .iter()
        .find(|line| line["login.id"] == login_id && line["target"] == "relais::engine::begin_login")
        .expect("a line");
    assert_eq!(acknowledged["span"]["request_id"], "request-0001");
    for secret in
        [token, &handle, PERSON, "canary", "logiciel:secret", "access-token", "id-token", "auth-req-id"]
    {
        assert!(!text.contains(secret), "{secret}");
    }
}
