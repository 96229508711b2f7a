//! What providers send by themselves: the listener `providers`, over real sockets.

use reqwest::Certificate;
use serde_json::Value;

use crate::support::http::Caller;
use crate::support::stack::{Backend, Stack};

fn over_tls(stack: &Stack) -> Caller {
    let address = stack.app().for_providers().expect("a listener");
    let ca = std::fs::read(stack.folder.join("certs/ca.pem")).expect("roots");
    let root = Certificate::from_pem(&ca).expect("a root");
    Caller::with(format!("https://{address}"), |builder| builder.tls_certs_only([root]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_of_providers_speaks_tls_and_is_not_the_client_api() {
    let section = r#"
[listeners.providers]
bind = "127.0.0.1:0"
public_url = "https://127.0.0.1:0"
tls = [{ cert = "certs/server.pem", key = "certs/server.key" }]
"#;
    let stack = Stack::on(Backend::Sqlite).sections(section).start().await;
    let caller = over_tls(&stack);
    caller.get("/v1/application").await.expect_problem(404, "not_found");
    caller.get("/health/live").await.expect_problem(404, "not_found");
    caller.post("/providers/psc/ciba/", Value::Null).await.expect_problem(404, "not_found");
    let metrics = stack.ops.get("/metrics").await.expect(200).body;
    let end = metrics
        .lines()
        .find_map(|line| {
            line.strip_prefix("relais_certificate_expiry_timestamp_seconds{name=\"listeners-providers\"} ")
        })
        .and_then(|value| value.parse::<f64>().ok())
        .expect("its certificate is watched");
    assert!(end > 1.7e9, "{end}");
    let without = Stack::on(Backend::Sqlite).start().await;
    assert_eq!(without.app().for_providers(), None);
}
