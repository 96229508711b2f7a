//! The `login` verb: what each format says, and the number of each end.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser;
use relais::cli::login::{LoginArgs, Streams, run_on};
use serde_json::{Value, json};

use super::scripted::{
    FastClock, FixedRandom, Say, Scripted, login, login_call, pick_up_call, picked_up, session, started,
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    login: LoginArgs,
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Run {
    exit: ExitCode,
    data: String,
    words: String,
}

impl Run {
    #[track_caller]
    fn assert_exit(&self, expected: u8) {
        let expected = ExitCode::from(expected);
        assert_eq!(format!("{:?}", self.exit), format!("{expected:?}"), "{}{}", self.data, self.words);
    }

    fn events(&self) -> Vec<Value> {
        self.data.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn run_with(server: &Scripted, format: &str, more: &[&str]) -> Run {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    secret.write_all(b"demo\r\n").unwrap();
    let secret_file = secret.path().to_str().unwrap();
    let mut line = vec!["login", "--server", server.url.as_str(), "--application", "demo", "-o", format];
    line.extend(["--secret-file", secret_file, "899700000001"]);
    line.extend(more);
    let args = Line::parse_from(line).login;
    let (data, words) = (Paper::default(), Paper::default());
    let streams = Streams { data: Box::new(data.clone()), words: Box::new(words.clone()), animated: false };
    let clock = Arc::new(FastClock::new());
    let exit = run_on(args, clock, &FixedRandom, streams, std::future::pending()).await;
    Run { exit, data: data.text(), words: words.text() }
}

fn application(environment: &str) -> Say {
    Say::Json(
        200,
        json!({
            "application": "demo", "kind": "backend", "tenant": "demo", "limits": {}, "version": "0.1.0",
            "server_time": "2026-11-22T02:00:00.000Z",
            "registrations": [
                { "name": "psc-demo", "environment": environment, "default": true, "channels": ["MOBILE"],
                  "provider_status": "ok" },
                { "name": "other", "environment": "production", "default": false, "channels": [],
                  "provider_status": "ok" },
            ],
        }),
    )
}

/// A server at which the login ends as `end`.
async fn ending(end: Value) -> Scripted {
    let server = Scripted::serve().await;
    server
        .on("GET /v1/application", [application("test")])
        .on("POST /v1/logins", [started("pending")])
        .on(&login_call("GET"), [Say::Json(200, end)])
        .on(&pick_up_call(), [picked_up()])
        .on("GET /v1/session", [Say::Json(200, session())]);
    server
}

#[tokio::test]
async fn text_shows_digits_sentences_and_the_person_but_never_the_handle() {
    let server = ending(login("approved", 2, Value::Null)).await;
    let run = run_with(&server, "text", &[]).await;
    run.assert_exit(0);
    for part in ["     #   #  ####", "Sentence 1.", "Sentence 2.", "Kit Doc", "Médecin, Cabinet", "K7QM-2P4X"]
    {
        assert!(run.data.contains(part), "{part}: {}", run.data);
    }
    assert!(!run.data.contains("rsh_") && !run.data.contains('\u{1b}'), "{}", run.data);
    assert_eq!(run.words, "");
    let start = &server.asked()[1];
    assert_eq!(
        start.header("authorization"),
        Some("Basic ZGVtbzpkZW1v"),
        "the line end is no part of the secret"
    );
}

#[tokio::test]
async fn json_is_one_object_on_stdout_and_the_digits_on_stderr() {
    let run = run_with(&ending(login("approved", 2, Value::Null)).await, "json", &[]).await;
    run.assert_exit(0);
    let mut expected = session();
    expected["session_handle"] = "rsh_secret".into();
    assert_eq!(serde_json::from_str::<Value>(&run.data).unwrap(), expected);
    assert!(run.words.contains("     #   #  ####") && run.words.contains("Sentence 2."), "{}", run.words);
    assert!(!run.words.contains("rsh_"));
}

#[tokio::test]
async fn jsonl_is_an_event_for_each_change_and_one_for_the_end() {
    let run = run_with(&ending(login("approved", 2, Value::Null)).await, "jsonl", &[]).await;
    run.assert_exit(0);
    let events = run.events();
    assert_eq!(events.iter().map(|event| &event["event"]).collect::<Vec<_>>(), ["login", "login", "session"]);
    assert_eq!(events[0]["binding_message"], "42");
    assert_eq!(events[0]["grown_since"]["unknown"], true);
    assert!(events[0].get("login_token").is_none());
    assert_eq!(events[2]["session_handle"], "rsh_secret");
    assert!(run.data.starts_with("{\"event\":"));

    let denied = run_with(&ending(login("denied", 2, Value::Null)).await, "jsonl", &[]).await;
    denied.assert_exit(10);
    let last = denied.events().pop().unwrap();
    assert_eq!((&last["event"], &last["status"]), (&json!("ended"), &json!("denied")));
}

#[tokio::test]
async fn each_end_has_its_number() {
    for (status, reason, exit) in [
        ("denied", "user_denied", 10),
        ("expired", "expired", 11),
        ("expired", "pick_up_expired", 11),
        ("failed", "user_unknown", 12),
        ("cancelled", "cancelled", 13),
        ("cancelled", "superseded", 13),
        ("failed", "identity_mismatch", 14),
        ("failed", "provider_unavailable", 16),
        ("failed", "provider_rejected_client", 17),
        ("failed", "token_invalid", 1),
        ("failed", "grown_since", 1),
    ] {
        let server = ending(login(status, 2, json!({ "reason": reason }))).await;
        let run = run_with(&server, "json", &[]).await;
        run.assert_exit(exit);
        assert_eq!(run.data, "", "{reason}");
        assert!(run.words.contains("Sentence 2."), "{reason}: {}", run.words);
    }
}

#[tokio::test]
async fn each_refusal_has_its_number_and_says_the_sentence() {
    for (status, code, exit) in [
        (409, "already_pending", 15),
        (429, "rate_limited", 15),
        (503, "provider_unavailable", 16),
        (401, "application_unauthenticated", 17),
        (400, "login_hint_malformed", 2),
        (500, "internal", 1),
    ] {
        let server = ending(login("pending", 2, Value::Null)).await;
        server.on("POST /v1/logins", [Say::Problem(status, code, Value::Null)]);
        let run = run_with(&server, "jsonl", &[]).await;
        run.assert_exit(exit);
        assert!(run.words.contains("A sentence.") && run.words.contains(code), "{}", run.words);
        let events = run.events();
        assert_eq!(events.len(), 1);
        assert_eq!((&events[0]["event"], &events[0]["problem"]["code"]), (&json!("ended"), &json!(code)));
    }
}

#[tokio::test]
async fn a_hint_as_an_argument_is_refused_outside_test_environments() {
    let production = ending(login("approved", 2, Value::Null)).await;
    production.on("GET /v1/application", [application("production")]);
    let test = ending(login("approved", 2, Value::Null)).await;
    for (server, more) in [
        (&production, &[][..]),
        (&test, &["--registration", "other"][..]),
        (&test, &["--registration", "absent"][..]),
    ] {
        let run = run_with(server, "text", more).await;
        run.assert_exit(2);
        assert!(run.words.starts_with("relais: ") && run.words.contains("registration"), "{}", run.words);
        assert_eq!(server.calls().last().unwrap(), "GET /v1/application", "nobody's phone rang");
    }
}

#[tokio::test]
async fn an_unreadable_file_is_a_usage_error_that_names_it() {
    let server = Scripted::serve().await;
    let run = run_with(&server, "text", &["--ca", "absent/roots.pem"]).await;
    run.assert_exit(2);
    assert!(run.words.contains("absent/roots.pem"), "{}", run.words);
    assert!(server.calls().is_empty());
}

/// Clears the screen, colours, reverses and hides.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}y";

#[tokio::test]
async fn an_answer_does_not_drive_the_terminal() {
    let spoken = ending(login("denied", 2, json!({ "user_message": HOSTILE }))).await;
    let refused = ending(login("pending", 2, Value::Null)).await;
    let problem = json!({ "user_message": HOSTILE, "detail": HOSTILE });
    refused.on("POST /v1/logins", [Say::Problem(503, "provider_unavailable", problem)]);
    for server in [&spoken, &refused] {
        for format in ["text", "json"] {
            let run = run_with(server, format, &[]).await;
            let shown = format!("{}{}", run.data, run.words);
            assert!(shown.contains("x[2J31my"), "{format}: {shown:?}");
            assert!(
                !shown.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']),
                "{format}: {shown:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_does_not_choose_its_event() {
    let server = ending(login("denied", 2, json!({ "event": "session" }))).await;
    let run = run_with(&server, "jsonl", &[]).await;
    let events = run.events();
    assert_eq!(events.iter().map(|event| &event["event"]).collect::<Vec<_>>(), ["login", "login", "ended"]);
    assert!(run.data.lines().all(|line| line.starts_with("{\"event\":")), "{}", run.data);
}
