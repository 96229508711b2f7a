//! What a request may be at most (R-H-01, R-H-02), through the real listener, and paths and methods that nobody
//! declared (R-H-06): a problem each, never a redirect.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::credentials::{ROUTES, Who};
use crate::support::http::Answer;
use crate::support::stack::{Backend, DOCTOR, SECRET, Stack};

async fn stack() -> Stack {
    Stack::on(Backend::Sqlite).manual_clock().start().await
}

/// The credential of `desk`, as a header line.
fn desk() -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("desk:{SECRET}")))
}

/// Sends bytes as they are; all that comes until the server closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // The server may have closed already.
    let _ = stream.write_all(bytes).await;
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request, with `connection: close`.
async fn ask(stack: &Stack, method: &str, target: &str, headers: &str, body: &str) -> String {
    let request =
        format!("{method} {target} HTTP/1.1\r\nhost: relais\r\nconnection: close\r\n{headers}\r\n{body}");
    raw(stack.app().clients(), request.as_bytes()).await
}

fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.expect(answer)
}

/// The status and code of a problem.
fn problem(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").expect(answer);
    let head = head.to_lowercase();
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    assert!(!head.contains("\r\nlocation:"), "{answer}");
    let body: Value = serde_json::from_str(body).expect(answer);
    (status(answer), body["code"].as_str().expect("a code").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_02_a_body_that_is_too_large_is_413_on_every_route_that_takes_one() {
    let stack = stack().await;
    let session = stack.sign_in(DOCTOR).await.text("/session_handle");
    let started = stack.start("899700000002").await.expect(201);
    let (token, login) = (started.text("/login_token"), started.text("/login_id"));
    let mut seen = 0;
    for (method, path, who) in ROUTES.into_iter().filter(|(method, ..)| ["post", "put"].contains(method)) {
        let credential = match who {
            Who::Application => desk(),
            Who::LoginToken => format!("authorization: Bearer {token}\r\n"),
            Who::Handle => format!("authorization: Bearer {session}\r\n"),
        };
        let path = path.replace("{login_id}", &login);
        let method = method.to_uppercase();
        let kind = if path == "/v1/introspect" { "x-www-form-urlencoded" } else { "json" };
        let announced = format!("{credential}content-type: application/{kind}\r\ncontent-length: 16385\r\n");
        let large = format!("\"{}\"", "x".repeat(16_383));
        let answer = ask(&stack, &method, &path, &announced, &large).await;
        assert_eq!(problem(&answer), (413, "request_too_large".to_owned()), "{method} {path}");
        // Not even announced: what is too much is not read.
        let chunked =
            format!("{credential}content-type: application/{kind}\r\ntransfer-encoding: chunked\r\n");
        let body = format!("4001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x4001));
        let answer = ask(&stack, &method, &path, &chunked, &body).await;
        assert_eq!(problem(&answer), (413, "request_too_large".to_owned()), "{method} {path}");
        // One byte less is judged for what it says.
        let fits = format!("{credential}content-type: application/{kind}\r\ncontent-length: 16384\r\n");
        let answer = ask(&stack, &method, &path, &fits, &format!("\"{}\"", "x".repeat(16_382))).await;
        assert_eq!(problem(&answer), (400, "invalid_request".to_owned()), "{method} {path}");
        seen += 1;
    }
    assert_eq!(seen, 4);
    assert_eq!(stack.requests().await.len(), 2, "nothing else has rung");
}

#[track_caller]
fn rules(answer: Answer) -> Vec<(String, String)> {
    let answer = answer.expect_problem(400, "invalid_request");
    let errors = answer.at("/errors");
    let text = |error: &Value, name: &str| error[name].as_str().expect("text").to_owned();
    errors
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| (text(error, "pointer"), text(error, "rule")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_02_bodies_are_strict_json_of_bounded_depth() {
    let stack = stack().await;
    let post = async |body: &str| {
        let method = reqwest::Method::POST;
        rules(stack.desk().send_text(method, "/v1/logins", "application/json", body).await)
    };
    let one = |pointer: &str, rule: &str| vec![(pointer.to_owned(), rule.to_owned())];
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(post(&nested(17)).await, one(&"/a".repeat(16), "depth"));
    assert_eq!(post(&nested(2500)).await, one(&"/a".repeat(16), "depth"));
    let within = format!("{{\"login_hint\":\"{DOCTOR}\",\"a\":{}}}", nested(15));
    assert_eq!(post(&within).await, one("/a", "unknown_member"));
    let twice = format!("{{\"login_hint\":\"{DOCTOR}\",\"login_\\u0068int\":\"899700000002\"}}");
    assert_eq!(post(&twice).await, one("/login_hint", "duplicate_member"));
    let deep = "{\"login_hint\":\"x\",\"client_context\":{\"seat\":\"1\",\"seat\":\"2\"}}";
    assert_eq!(post(deep).await, one("/client_context/seat", "duplicate_member"));
    for broken in ["{", "[]x", "{\"login_hint\":\"x\"} {}", "{\"login_hint\":NaN}", "{'login_hint':'x'}"] {
        assert_eq!(post(broken).await, one("", "json"), "{broken}");
    }
    assert_eq!(post("[]").await, one("", "type"));
    let many: Vec<String> = (0..500).map(|number| format!("\"m{number}\":1")).collect();
    assert_eq!(post(&format!("{{{}}}", many.join(","))).await.len(), 21, "few of many are told");
    let context = json!({ "login_hint": DOCTOR, "client_context": { "software": { "name": "n".repeat(256),
        "version": "v".repeat(256), "id": "i".repeat(256) }, "workstation": "w".repeat(256), "seat": "s" } });
    assert_eq!(rules(stack.desk().post("/v1/logins", context).await), one("/client_context", "length"));
    assert!(stack.requests().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_02_heads_are_bounded() {
    let stack = stack().await;
    let target = |length: usize| format!("/v1/application?{}", "x".repeat(length - "/v1/application?".len()));
    let answer = ask(&stack, "GET", &target(2048), &desk(), "").await;
    assert!(answer.contains("unknown_parameter"), "{answer}");
    for length in [2049, 8000] {
        let answer = ask(&stack, "GET", &target(length), &desk(), "").await;
        assert_eq!(problem(&answer), (400, "invalid_request".to_owned()));
        assert!(answer.contains("\"rule\":\"length\""), "{answer}");
    }
    // Beyond what is read at all: the library answers, or the connection is closed; nobody is let in.
    let many = "x-one-of-many: 1\r\n".repeat(80);
    for (what, target, headers) in [
        ("the URL", target(40_000), desk()),
        ("the number of headers", "/v1/application".to_owned(), desk() + &many),
        ("one header", "/v1/application".to_owned(), format!("{}x-long: {}\r\n", desk(), "x".repeat(20_000))),
        (
            "all headers",
            "/v1/application".to_owned(),
            format!("{}{}", desk(), format!("x: {}\r\n", "x".repeat(500)).repeat(40)),
        ),
    ] {
        let answer = ask(&stack, "GET", &target, &headers, "").await;
        assert!(answer.is_empty() || [414, 431].contains(&status(&answer)), "{what}: {answer}");
    }
    stack.desk().get("/v1/application").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_01_a_slow_head_and_a_slow_body_are_cut_off() {
    let stack = stack().await;
    let address = stack.app().clients();
    let slow = async |begin: String| {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let (mut reading, mut writing) = stream.into_split();
        // A byte now and then does not help.
        let drip = async move {
            while writing.write_all(b"x").await.is_ok() {
                let _ = tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let limit = Duration::from_secs(20);
        tokio::select! {
            ended = tokio::time::timeout(limit, reading.read_to_end(&mut answer)) => {
                let _ = ended.expect("cut off in time");
            }
            () = drip => {}
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let body = format!(
        "POST /v1/logins HTTP/1.1\r\nhost: relais\r\n{}content-type: application/json\r\ncontent-length: 5000\r\n\r\n{{",
        desk()
    );
    let (head, body) = tokio::join!(slow("GET /v1/app".to_owned()), slow(body));
    assert!(head.is_empty() || [400, 408].contains(&status(&head)), "{head}");
    assert_eq!(problem(&body), (400, "invalid_request".to_owned()));
    assert!(body.contains("\"rule\":\"incomplete\""), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_01_a_connection_beyond_the_cap_is_closed_at_once_and_places_are_given_back() {
    let mut stack = stack().await;
    stack.config = stack.config.replace("[listeners.ops]", "max_connections = 2\n[listeners.ops]");
    stack.restart().await;
    let address = stack.app().clients();
    let request = format!("GET /v1/application HTTP/1.1\r\nhost: relais\r\n{}\r\n", desk());
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200");
        open.push(stream);
    }
    assert_eq!(raw(address, request.as_bytes()).await, "", "closed without a word");
    stack.ops.get("/health/live").await.expect(200);
    open.pop();
    stack
        .eventually("the place is free again", || async {
            ask(&stack, "GET", "/v1/application", &desk(), "").await.starts_with("HTTP/1.1 200")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_06_a_path_that_nobody_declared_is_a_problem_and_never_a_redirect() {
    let stack = stack().await;
    let started = stack.start(DOCTOR).await.expect(201).text("/login_id");
    for target in [
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v1/application/",
        "/v1//application",
        "//v1/application",
        "/V1/application",
        "/v1/Application",
        "/v1/./application",
        "/v1/x/../application",
        "/../v1/application",
        "/v1/..",
        "/v1%2fapplication",
        "/v1%2Fapplication",
        "/v1/%61pplication",
        "/%76%31/application",
        "/v1/application%00",
        "/v1/application%20",
        "/v1/application;x=1",
        "/v1/application/..;/application",
        "/v1/%2e%2e/v1/application",
        "/v1\\application",
        "/v1/application.json",
        "/v1/session/",
        "/v1/session/userinfo/",
        "/v1/logins/",
        "/v1/logins//session",
        "/admin/v1/logins",
        "/console/",
        "/metrics",
        "/health/ready",
        "/version",
        "/v1/%ff%fe",
        "/v1/logins/%2e%2e%2f%2e%2e%2fadmin%2fv1",
        "/.well-known/openid-configuration",
    ] {
        let answer = ask(&stack, "GET", target, &desk(), "").await;
        let (status, code) = problem(&answer);
        let expected = match code.as_str() {
            "not_found" => 404,
            "method_not_allowed" if target == "/v1/logins//session" => 405,
            // A path below `/v1/logins/` is a login's: the application's secret is not what opens one.
            "credential_missing" if target.starts_with("/v1/logins/") => 401,
            other => panic!("{target}: {other}"),
        };
        assert_eq!(status, expected, "{target}");
    }
    for target in [format!("/v1/logins/{started}/"), format!("/v1/logins/{started}/nothing")] {
        assert_eq!(problem(&ask(&stack, "GET", &target, &desk(), "").await).0, 404, "{target}");
    }
    // The absolute form names the same resource, whatever host it names (RFC 9112 §3.2.2).
    let absolute = ask(&stack, "GET", "http://elsewhere.example/v1/application", &desk(), "").await;
    assert_eq!(status(&absolute), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_06_a_method_that_nobody_declared_is_405_with_the_ones_that_are() {
    let stack = stack().await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (_, path, _) in ROUTES {
        let mut declared: Vec<String> = ROUTES
            .iter()
            .filter(|(_, other, _)| *other == path)
            .map(|(method, ..)| method.to_uppercase())
            .collect();
        if declared.contains(&"GET".to_owned()) {
            declared.push("HEAD".to_owned());
        }
        let target = path.replace("{login_id}", id);
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X"] {
            if declared.iter().any(|known| known == method) {
                continue;
            }
            let answer = ask(&stack, method, &target, &desk(), "").await;
            assert_eq!(problem(&answer), (405, "method_not_allowed".to_owned()), "{method} {path}");
            let allow = answer.lines().find_map(|line| line.strip_prefix("allow: ")).expect("allow");
            let mut allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
            allowed.sort_unstable();
            declared.sort();
            assert_eq!(allowed, declared, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_h_02_what_is_no_http_is_no_request() {
    let stack = stack().await;
    let address = stack.app().clients();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /v1/application\r\n\r\n",
        b"GET /v1/application HTTP/1.1\r\nhost : x\r\n\r\n",
        b"POST /v1/logins HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"POST /v1/logins HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /v1/logins HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /v1/application HTTP/9.9\r\n\r\n",
    ] {
        let answer = raw(address, bytes).await;
        let refused = answer.is_empty() || (400..500).contains(&status(&answer));
        assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    stack.desk().get("/v1/application").await.expect(200);
}
