//! Downstream APIs called through Relais, over sockets: the simulated one over TLS with the session's certificate, and
//! servers on loopback that misbehave byte for byte.

mod ends;
mod failures;
mod http_2;
mod messages;
mod over;
mod refusals;
mod replays;
mod shares;
mod streams;
mod zoo;

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::downstream::Downstream;
use crate::support::http::Caller;
use crate::support::stack::{Backend, DOCTOR, Stack};

/// The simulated API, with everything open and tokens bound as RFC 8705 writes it.
const API: &str = r#"
[targets.api]
url = "{issuer}/../../../target/"
environment = "test"
ca = "certs/ca.pem"
registrations = ["psc"]
applications = ["desk"]
methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
paths = ["/**"]
[targets.api.exchange]
token_endpoint = "{issuer}/as/token"
cnf = "rfc8705"
"#;

/// Another target, which is like the simulated one but for these changes.
fn like_api(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = API.replace("targets.api", &format!("targets.{name}"));
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// A target of this name at a server on loopback. Its answers must come within 400 ms.
fn at(name: &str, downstream: &Downstream) -> String {
    let url = format!("url = \"http://{}/base/\"\ntimeout = \"400ms\"", downstream.address);
    like_api(
        name,
        &[
            ("url = \"{issuer}/../../../target/\"", &url),
            ("ca = \"certs/ca.pem\"\n", ""),
            ("cnf", "ca = \"certs/ca.pem\"\ncnf"),
        ],
    )
}

/// A stack with these targets, and a session of somebody with two practices.
async fn signed_in(backend: Backend, targets: &str) -> (Stack, Caller) {
    let stack = Stack::on(backend).manual_clock().sections(targets).start().await;
    let session = session(&stack).await;
    (stack, session)
}

async fn session(stack: &Stack) -> Caller {
    stack.relais.bearer(&stack.sign_in(DOCTOR).await.text("/session_handle"))
}

/// How often the simulated provider's `endpoint` was called, whatever it answered.
async fn calls(stack: &Stack, endpoint: &str) -> u64 {
    let stats = stack.stats().await;
    stats["calls"][endpoint]
        .as_object()
        .into_iter()
        .flat_map(|of| of.values())
        .filter_map(Value::as_u64)
        .sum()
}

/// A request as it is, with the session's handle and what frames nothing; the whole answer, until the server closes.
async fn raw(stack: &Stack, session: &Caller, line: &str, headers: &str, body: &str) -> String {
    let mut socket = open(stack, session, line, &format!("connection: close\r\n{headers}"), body).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The same, before anything of the answer is read.
async fn open(stack: &Stack, session: &Caller, line: &str, headers: &str, body: &str) -> TcpStream {
    open_at(stack.app().clients(), session, line, headers, body).await
}

/// The same, at a node that listens here.
async fn open_at(node: SocketAddr, session: &Caller, line: &str, headers: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(node).await.expect("it listens");
    let head = format!(
        "{line} HTTP/1.1\r\nhost: relais\r\nauthorization: Bearer {}\r\n{headers}\r\n{body}",
        session.token()
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    socket
}

/// Status, code and whose answer it is, of a raw answer that is a problem.
fn problem(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let whose = head.lines().find_map(|line| line.strip_prefix("relais-answer: ")).unwrap_or_default();
    let start = body.find('{').unwrap_or(0);
    let code = body[start..].split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    (status, code.unwrap_or_default().to_owned(), whose.to_owned())
}
