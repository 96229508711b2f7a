//! `relais login` as a help desk or a thick client without an HTTP stack runs it: each end has its number.

use std::future::ready;

use serde_json::{Value, json};

use super::running::{Running, eventually, run};
use super::site::{Node, Site, person};
use crate::support::stack::Backend;

const DESK: [&str; 6] = ["--application", "desk", "--secret-file", "desk", "-o", "jsonl"];

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("an event is a line of JSON")).collect()
}

/// Runs the verb while `decide` does something about the request; the exit code and the last event.
async fn login(node: &Node, hint: &str, decide: impl Future<Output = ()>) -> (i32, Value) {
    let mut verb = node.begin_login_verb(&[&DESK[..], &[hint]].concat());
    decide.await;
    let code = verb.ended().await;
    let last = events(&verb.stdout()).pop().expect("an event");
    (code, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_the_login_verb_has_its_exit_code() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let someone = |number: u32| person(200 + number);

    let hint = someone(0);
    let (code, last) = login(&node, &hint, site.approve(&hint)).await;
    assert_eq!((code, &last["event"]), (0, &json!("session")));
    assert_eq!(last["subject"]["national_id"], json!(hint));

    let (code, last) = login(&node, "810123456789", ready(())).await;
    assert_eq!((code, &last["problem"]["code"]), (2, &json!("login_hint_malformed")), "{last}");

    let hint = someone(1);
    let (code, last) = login(&node, &hint, site.decide(&hint, "deny", Value::Null)).await;
    assert_eq!((code, &last["reason"]), (10, &json!("user_denied")));

    let (code, last) = login(&node, "unknown-1", ready(())).await;
    assert_eq!((code, &last["reason"]), (12, &json!("user_unknown")));

    let (hint, other) = (someone(2), someone(3));
    let (code, last) = login(&node, &hint, site.decide(&hint, "approve", json!({ "as": other }))).await;
    assert_eq!((code, &last["reason"]), (14, &json!("identity_mismatch")));

    let hint = someone(4);
    node.start(&hint).await.expect(201);
    let (code, last) = login(&node, &hint, ready(())).await;
    assert_eq!((code, &last["problem"]["code"]), (15, &json!("already_pending")));

    let unavailable = json!({ "error": "temporarily_unavailable" });
    site.fault(json!({ "endpoint": "backchannel", "status": 503, "body": unavailable })).await;
    let (code, last) = login(&node, &someone(5), ready(())).await;
    assert_eq!((code, &last["reason"]), (16, &json!("provider_unavailable")));

    let refused = json!({ "error": "invalid_client" });
    site.fault(json!({ "endpoint": "backchannel", "status": 401, "body": refused })).await;
    let (code, last) = login(&node, &someone(6), ready(())).await;
    assert_eq!((code, &last["reason"]), (17, &json!("provider_rejected_client")));

    let with_wrong_secret =
        ["--application", "desk", "--secret-file", "sealed", "-o", "json", "899700000001"];
    assert_eq!(node.login_verb(&with_wrong_secret).await.0, 17);

    site.settings(json!({ "expires_in": 3 })).await;
    let (code, last) = login(&node, &someone(7), ready(())).await;
    assert_eq!((code, &last["reason"]), (11, &json!("expired")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_the_login_at_the_server_first() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    for (number, signal) in [(0, "INT"), (1, "TERM")] {
        let hint = person(210 + number);
        let mut verb = node.begin_login_verb(&[&DESK[..], &[hint.as_str()]].concat());
        site.request_for(&hint).await;
        eventually("the digits are shown", async || (!events(&verb.stdout()).is_empty()).then_some(())).await;
        verb.signal(signal);
        assert_eq!(verb.ended().await, 13, "{}", verb.stderr());
        let last = events(&verb.stdout()).pop().expect("an event");
        assert_eq!((&last["event"], &last["status"]), (&json!("ended"), &json!("cancelled")));
        // The person's slot is free at once, and nobody polls for the login any more.
        let polls = site.request_for(&hint).await["polls"].as_u64();
        node.start(&hint).await.expect(201);
        super::site::nothing_happens_for(2).await;
        let requests = site.requests().await;
        let first = requests.iter().find(|request| request["login_hint"] == hint).expect("the request");
        assert!(first["polls"].as_u64() <= polls.map(|polls| polls + 1), "{first}");
    }
    // While the request is on its way to the provider: its outcome decides what there is to cancel.
    let hint = person(212);
    site.fault(json!({ "endpoint": "backchannel", "delay_ms": 1500 })).await;
    let mut verb = node.begin_login_verb(&[&DESK[..], &[hint.as_str()]].concat());
    site.request_for(&hint).await;
    verb.signal("INT");
    assert_eq!(verb.ended().await, 13, "{}", verb.stderr());
    node.start(&hint).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_errors_and_dead_ends_of_the_login_verb() {
    let site = Site::on(Backend::Sqlite).await;
    let mut node = site.serve().await;
    let run = |arguments: &[&str], stdin: &str| {
        let output = run(&site.folder, &[&["login"], arguments].concat(), stdin);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let url = node.url();
    let server = ["--server", &url, "--application", "desk", "--secret-file", "desk"];
    let trusting = [&server[..], &["--ca", "certs/ca.pem"]].concat();
    // The hint on stdin.
    let malformed = "810123456789\n";
    assert_eq!(run(&trusting, malformed).0, Some(2));
    let (code, words) = run(&trusting, "");
    assert_eq!(code, Some(2));
    assert!(words.contains("no login hint"), "{words}");
    assert_eq!(run(&["--server", &url], "").0, Some(2));
    let (code, words) = run(
        &["--server", "http://relais.example.fr", "--application", "desk", "--secret-file", "desk"],
        "x\n",
    );
    assert_eq!(code, Some(2), "{words}");
    // A server whose authority is not trusted gets no secret.
    let (code, words) = run(&[&server[..], &["--ca", "applications/ca.pem", "899700000001"]].concat(), "");
    assert_eq!(code, Some(1));
    assert!(words.to_lowercase().contains("certificate"), "{words}");
    let refused = node.process.logged("the refusal", |line| line["message"] == "TLS handshake refused").await;
    assert_eq!(refused["cause"], "refused_by_client");
    assert_eq!(site.requests().await.len(), 0, "no phone rang");
    // A hint as an argument is refused where real persons stand behind the registration.
    node.process.kill().await;
    let production = site
        .serve_with(|config| config.replace("environment = \"test\"", "environment = \"production\""))
        .await;
    let (code, _, words) = production.login_verb(&[&DESK[..], &["899700000001"]].concat()).await;
    assert_eq!(code, 2);
    assert!(words.contains("stdin"), "{words}");
}

/// What a terminal shows in the end: lines that were written over are as they were left.
fn lines_left(shown: &str) -> Vec<String> {
    let left = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    shown.split('\n').map(left).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_each_end_is_told_apart_at_a_glance() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let at_terminal = |hint: &str| {
        let secret = ["--application", "desk", "--secret-file", "desk", hint];
        let mut command = node.login_command(&secret);
        command.env("LANG", "en_GB.UTF-8");
        Running::in_a_terminal(&command)
    };
    let check = |verb: &Running, headline: &str| {
        let lines = lines_left(&verb.stdout());
        let at = lines.iter().position(|line| line == headline);
        assert!(at.is_some(), "{headline}: {lines:?}");
        let below = &lines[at.unwrap_or_default()..];
        assert!(below.iter().any(|line| line.starts_with("     Support code: ")), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() < 80), "{lines:?}");
        assert!(!verb.stdout().contains('\u{1b}'), "plain text: {lines:?}");
    };

    let hint = person(220);
    let (mut verb, _keyboard) = at_terminal(&hint);
    let request = site.request_for(&hint).await;
    verb.shows("Ctrl-C cancels").await;
    let digits = request["binding_message"].as_str().expect("digits");
    assert!(
        verb.stdout().contains(&relais::cli::terminal::big(digits).replace('\n', "\r\n")),
        "{}",
        verb.stdout()
    );
    site.decide(&hint, "deny", Value::Null).await;
    assert_eq!(verb.ended().await, 10);
    check(&verb, "[--] Request denied");

    let hint = person(221);
    let (mut verb, _keyboard) = at_terminal(&hint);
    site.approve(&hint).await;
    assert_eq!(verb.ended().await, 0, "{}", verb.stdout());
    check(&verb, "[ok] Session open");

    let (mut verb, _keyboard) = at_terminal("unknown-2");
    assert_eq!(verb.ended().await, 12);
    check(&verb, "[--] Unknown person");

    let hint = person(222);
    let (mut verb, mut keyboard) = at_terminal(&hint);
    verb.shows("Ctrl-C cancels").await;
    std::io::Write::write_all(&mut keyboard, &[3]).expect("typed");
    assert_eq!(verb.ended().await, 13, "{}", verb.stdout());
    check(&verb, "[--] Request cancelled");

    let hint = person(223);
    node.start(&hint).await.expect(201);
    let (mut verb, _keyboard) = at_terminal(&hint);
    assert_eq!(verb.ended().await, 15);
    check(&verb, "[--] A request is already under way");
    assert!(verb.stdout().contains("Try again in: "), "{}", verb.stdout());
}
