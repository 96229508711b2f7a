//! What providers send by themselves (rows 21, 88–104): the simulated provider really sends it, over real sockets, and
//! where a message must be wrong it is sent by hand. Time stands still, so that what comes before the interval has
//! passed was not asked for at an interval.

mod early;
mod lasting;
mod pings;
mod pushes;
mod records;
mod tokens;

use reqwest::Certificate;
use serde_json::{Value, json};

use super::pace::INTERVAL;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{Backend, Stack};

/// A login that the provider will tell about.
struct Told {
    holder: Caller,
    path: String,
    /// What the provider comes with.
    token: String,
    auth_req_id: String,
}

impl Told {
    async fn start(stack: &Stack, hint: &str) -> Self {
        let started = stack.start(hint).await.expect(201);
        assert_eq!(started.text("/status"), "pending", "{}", started.body);
        Self::of(stack, &started).await
    }

    /// The login of a start's answer, which is the newest.
    async fn of(stack: &Stack, started: &Answer) -> Self {
        let (holder, path) = stack.holder(started);
        let request = stack.requests().await.last().expect("a request").clone();
        let text = |name: &str| request[name].as_str().expect(name).to_owned();
        Self { holder, path, token: text("client_notification_token"), auth_req_id: text("auth_req_id") }
    }

    async fn read(&self) -> Answer {
        self.holder.get(&self.path).await.expect(200)
    }

    async fn is(&self, status: &str) -> bool {
        self.read().await.text("/status") == status
    }

    fn ping(&self) -> Value {
        json!({ "auth_req_id": self.auth_req_id })
    }

    /// What a provider sends, by hand.
    async fn notify(&self, stack: &Stack, message: Value) -> Answer {
        notify(&stack.notified(), &self.token, message).await
    }

    async fn picks_up(&self) -> Answer {
        self.holder.post(&format!("{}/session", self.path), Value::Null).await
    }
}

const ADDRESS: &str = "/providers/psc/ciba";

async fn notify(listener: &Caller, token: &str, message: Value) -> Answer {
    listener.bearer(token).post(ADDRESS, message).await
}

/// The statuses with which the messages of the simulated provider were answered.
async fn answered(stack: &Stack) -> Vec<u64> {
    let sent = stack.phone.get("/_sim/notifications").await.expect(200).json();
    sent.as_array().expect("a list").iter().filter_map(|it| it["status"].as_u64()).collect()
}

/// Waits for an outcome that comes before any poll at an interval would.
async fn before_the_interval<F: Future<Output = bool>>(stack: &Stack, what: &str, done: impl FnMut() -> F) {
    use relais::domain::clock::Clock as _;
    let begun = stack.clock.monotonic();
    stack.happens(what, done).await;
    assert!(stack.clock.monotonic().since(begun) < INTERVAL, "{what}: the machine was too slow to tell");
}

/// What is the same in all answers of one kind: not the date, not the request's number.
fn shape(answer: &Answer) -> (u16, Vec<String>, String) {
    let headers =
        answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.body.clone())
}

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
