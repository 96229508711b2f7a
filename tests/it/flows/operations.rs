//! What an operator sees: health, metrics, version, and log lines that belong together.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::Answer;
use crate::support::process::{Served, free_port};
use crate::support::proxy::Proxy;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, SECRET, Stack};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[track_caller]
fn not_ready(answer: Answer, reasons: &[&str]) {
    let answer = answer.expect(503);
    assert_eq!((answer.text("/status"), answer.at("/reasons")), ("not_ready".to_owned(), json!(reasons)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_named_and_keeps_nobody_from_being_ready() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().start().await;
        assert_eq!(stack.ops.get("/health/live").await.expect(200).json(), json!({ "status": "live" }));
        stack.start(DOCTOR).await.expect(201);
        let ready = stack.ops.get("/health/ready").await.expect(200).json();
        assert_eq!(ready, json!({ "status": "ready", "providers": { "psc-sim": "ok" } }));
        stack.fault(json!({ "endpoint": "backchannel", "status": 503, "count": 1 })).await;
        stack.start("899700000002").await.expect(201);
        let ready = stack.ops.get("/health/ready").await.expect(200).json();
        assert_eq!(ready, json!({ "status": "ready", "providers": { "psc-sim": "degraded" } }));
        stack.start("899700000003").await.expect(201);
        let ready = stack.ops.get("/health/ready").await.expect(200).json();
        assert_eq!(ready["providers"]["psc-sim"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_usable_registration_is_not_ready() {
    let stack = Stack::on(Backend::Sqlite).manual_clock().start().await;
    let disabled = stack.config.replace("[registrations.psc]\n", "[registrations.psc]\nenabled = false\n");
    stack.reload(&disabled);
    not_ready(stack.ops.get("/health/ready").await, &["no_registration"]);
    stack.reload(&stack.config);
    stack.ops.get("/health/ready").await.expect(200);
    stack.clock.advance(DAY * 364);
    stack.ops.get("/health/ready").await.expect(200);
    stack.clock.advance(DAY * 2);
    not_ready(stack.ops.get("/health/ready").await, &["certificates_expired"]);
    stack.ops.get("/health/live").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_j_06_a_node_whose_postgresql_is_gone_is_not_ready_and_recovers_by_itself() {
    let mut stack = Stack::on(Backend::Postgres).start().await;
    let url = stack.config.lines().find_map(|line| line.strip_prefix("url = \"")).expect("a URL");
    let url = url::Url::parse(url.trim_end_matches('"')).expect("a URL");
    let host = (url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let server = tokio::net::lookup_host(host).await.expect("resolves").next().expect("an address");
    let proxy = Proxy::before(server).await;
    let mut through = url.clone();
    through.set_host(Some("127.0.0.1")).expect("a host");
    through.set_port(Some(proxy.address.port())).expect("a port");
    stack.config = stack.config.replace(url.as_str(), through.as_str());
    stack.restart().await;
    stack.ops.get("/health/ready").await.expect(200);
    proxy.cut();
    not_ready(stack.ops.get("/health/ready").await, &["store_not_writable"]);
    stack.ops.get("/health/live").await.expect(200);
    let refused = stack.start(DOCTOR).await.expect_problem(503, "store_unavailable");
    assert!(refused.header("retry-after").is_some());
    proxy.mend();
    let ready = async || stack.ops.get("/health/ready").await.status.as_u16() == 200;
    stack.eventually("ready again", ready).await;
    stack.sign_in(DOCTOR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_sqlite_cannot_be_written_is_not_ready_and_recovers_by_itself() {
    let stack = Stack::on(Backend::Sqlite).start().await;
    let mut database = Database::of(&stack.config).await;
    database.hold().await;
    not_ready(stack.ops.get("/health/ready").await, &["store_not_writable"]);
    database.release().await;
    let ready = async || stack.ops.get("/health/ready").await.status.as_u16() == 200;
    stack.eventually("ready again", ready).await;
    stack.sign_in(DOCTOR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_requests_and_traces_are_echoed_where_they_are_well_formed_and_else_are_not() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let stack = Stack::on(Backend::Sqlite).manual_clock().start().await;
    for caller in [stack.desk(), stack.relais.clone(), stack.ops.clone()] {
        for id in ["12345678", "a-b-c-D-9", &"x".repeat(64)] {
            let answer =
                caller.header("x-request-id", id).header("traceparent", TRACE).get("/v1/application").await;
            assert_eq!(
                (answer.header("x-request-id"), answer.header("traceparent")),
                (Some(id), Some(TRACE))
            );
        }
        for (id, trace) in
            [("short", "x"), ("with space", &TRACE[1..]), (&"x".repeat(65), &TRACE.to_uppercase())]
        {
            let answer =
                caller.header("x-request-id", id).header("traceparent", trace).get("/v1/application").await;
            let given = answer.header("x-request-id").expect("an id of its own");
            assert!(uuid::Uuid::parse_str(given).is_ok(), "{given}");
            assert_eq!(answer.header("traceparent"), None);
        }
    }
}

/// Stops Relais in this process and starts it as one of its own, on the same configuration and database.
async fn served(stack: &mut Stack, log: &str) -> Served {
    stack.stop().await;
    let address = format!("127.0.0.1:{}", free_port());
    let config = stack.config.replacen("127.0.0.1:0", &address, 2);
    std::fs::write(stack.folder.join("relais.toml"), config).expect("written");
    Served::start(&stack.folder, log)
}

/// A sign-in, a denial and a logout over `served`; the request ids of start, pick-up and logout.
async fn a_day(stack: &Stack, served: &Served) {
    let desk = served.relais.basic("desk", SECRET).header("x-request-id", "request-of-the-start");
    let started = desk.post("/v1/logins", json!({ "login_hint": DOCTOR })).await.expect(201);
    stack.fault(json!({ "endpoint": "token", "status": 503, "count": 1 })).await;
    stack.decide("approve", Value::Null).await;
    let path = format!("/v1/logins/{}/session", started.text("/login_id"));
    let holder = served.relais.bearer(&started.text("/login_token")).header("prefer", "wait=30");
    let holder = holder.header("x-request-id", "request-of-the-pick-up");
    let session = holder.post(&path, Value::Null).await.expect(201);
    let session = served.relais.bearer(&session.text("/session_handle"));
    session.header("x-request-id", "request-of-the-logout").delete("/v1/session").await.expect(204);
    let second = desk.header("x-request-id", "request-of-the-second");
    let denied = second.post("/v1/logins", json!({ "login_hint": "899700000002" })).await.expect(201);
    stack.decide("deny", Value::Null).await;
    let path = format!("/v1/logins/{}/session", denied.text("/login_id"));
    let holder = served.relais.bearer(&denied.text("/login_token")).header("prefer", "wait=30");
    holder.post(&path, Value::Null).await.expect(409);
    stack.fault(json!({ "endpoint": "backchannel", "action": "reset", "count": 1 })).await;
    let failed = desk.header("x-request-id", "request-of-the-failure");
    failed.post("/v1/logins", json!({ "login_hint": "899700000003" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_and_labels_of_the_contract() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).start().await;
        let served = served(&mut stack, "info").await;
        let has = async |line: &str| served.ops.get("/metrics").await.expect(200).body.contains(line);
        let desk = served.relais.basic("desk", SECRET);
        let started = desk.post("/v1/logins", json!({ "login_hint": "899700000004" })).await.expect(201);
        stack.eventually("a pending login is counted", || has("relais_logins_pending 1")).await;
        let path = format!("/v1/logins/{}", started.text("/login_id"));
        served.relais.bearer(&started.text("/login_token")).delete(&path).await.expect(204);
        a_day(&stack, &served).await;
        stack.eventually("no pending login is counted", || has("relais_logins_pending 0")).await;
        stack.eventually("no session is counted", || has("relais_sessions_active 0")).await;
        let metrics = served.ops.get("/metrics").await.expect(200);
        assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        for line in [
            "relais_logins_total{registration=\"psc\",outcome=\"picked_up\"} 1",
            "relais_logins_total{registration=\"psc\",outcome=\"denied\"} 1",
            "relais_logins_total{registration=\"psc\",outcome=\"cancelled\"} 1",
            "relais_logins_total{registration=\"psc\",outcome=\"outcome_unknown\"} 1",
            "relais_logins_pending 0",
            "relais_approval_seconds_count 1",
            "relais_polls_total{registration=\"psc\",result=\"approved\"} 1",
            "relais_polls_total{registration=\"psc\",result=\"user_denied\"} 1",
            "relais_sessions_active 0",
            "relais_sessions_ended_total{reason=\"logout\"} 1",
            "relais_provider_request_seconds_count{provider=\"psc-sim\",endpoint=\"backchannel\"} 4",
            "relais_provider_request_seconds_count{provider=\"psc-sim\",endpoint=\"token\"}",
            "relais_http_request_seconds_count{route=\"/v1/logins\",status=\"201\"} 4",
            "relais_http_request_seconds_count{route=\"/v1/logins/{login_id}/session\",status=\"201\"} 1",
            "relais_certificate_expiry_timestamp_seconds{name=\"",
            "relais_build_info{version=\"",
        ] {
            assert!(metrics.body.contains(line), "{line} in\n{}", metrics.body);
        }
        let version = served.ops.get("/version").await.expect(200).json();
        assert_eq!(version, json!({ "name": "relais", "version": env!("CARGO_PKG_VERSION") }));
    }
}

/// The log of a day, line by line.
async fn logged(log: &str) -> Vec<Value> {
    let mut stack = Stack::on(Backend::Sqlite).start().await;
    let served = served(&mut stack, log).await;
    a_day(&stack, &served).await;
    let (status, text) = served.stop();
    assert!(status.success());
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_line_and_every_line_is_json() {
    let lines = logged("info").await;
    let of = |id: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["target"] == "relais::request" && line["request_id"] == id).collect()
    };
    for (id, method, route, status) in [
        ("request-of-the-start", "POST", "/v1/logins", 201),
        ("request-of-the-pick-up", "POST", "/v1/logins/{login_id}/session", 201),
        ("request-of-the-logout", "DELETE", "/v1/session", 204),
    ] {
        let [line] = of(id)[..] else { panic!("{id}: {:?}", of(id)) };
        assert_eq!(
            (&line["method"], &line["route"], &line["status"]),
            (&json!(method), &json!(route), &json!(status))
        );
        assert!(line["duration_ms"].is_u64() && line["timestamp"].is_string(), "{line}");
        assert_eq!((&line["application"], &line["level"]), (&json!("desk"), &json!("INFO")));
    }
}

/// What says something about the provider's side of a login says which login and, as long as a request is the cause,
/// which request.
#[tokio::test(flavor = "multi_thread")]
async fn a_correlation_id_follows_a_login_from_the_client_to_the_provider() {
    let lines = logged("relais=debug").await;
    let start = lines
        .iter()
        .find(|line| line["target"] == "relais::request" && line["request_id"] == "request-of-the-start");
    let login = start.expect("the start's line")["login.id"].clone();
    assert!(login.is_string());
    let told = |message: &str, about: &dyn Fn(&Value) -> bool| {
        let line = lines.iter().find(|line| line["message"] == message && about(line));
        line.expect(message).clone()
    };
    let field = |line: &Value, name: &str| {
        if line[name].is_null() { line["span"][name].clone() } else { line[name].clone() }
    };
    let acknowledged =
        told("the provider has acknowledged the login", &|line| field(line, "login.id") == login);
    assert_eq!(field(&acknowledged, "request_id"), "request-of-the-start", "{acknowledged}");
    // The call that failed: at the start by the request, while polling by the login.
    let failed = told("a call to the provider failed", &|line| line["endpoint"] == "backchannel");
    assert_eq!(field(&failed, "request_id"), "request-of-the-failure", "{failed}");
    let polled = told("the provider answered with an error", &|line| line["endpoint"] == "token");
    assert_eq!(field(&polled, "login.id"), login, "{polled}");
    told("a session has been picked up", &|line| field(line, "login.id") == login);
}
