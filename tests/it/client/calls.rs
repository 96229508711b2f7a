//! Each call: what goes out, what comes back, what is repeated.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use relais::client::{
    CallEnd, Client, ClientError, ClientSettings, Credential, Observer, PickUp, SentRequest, SettingsError,
    StartLogin, Wait, Word,
};
use relais::domain::ids::LoginId;
use relais::domain::login::LoginStatus;
use relais::domain::secret::{LoginToken, Secret, SessionHandle};
use relais::domain::session::SessionEndReason;
use relais::domain::texts::Language;
use serde_json::{Value, json};
use uuid::Uuid;

use super::scripted::{
    FastClock, LOGIN_ID, Say, Scripted, login, login_call, pick_up_call, picked_up, session, started,
};

const KEY: Uuid = Uuid::from_u128(7);

fn login_id() -> LoginId {
    LoginId(LOGIN_ID.parse().unwrap())
}

fn token() -> LoginToken {
    LoginToken(Secret::new("rlt_secret"))
}

fn handle() -> SessionHandle {
    SessionHandle(Secret::new("rsh_secret"))
}

fn hint() -> StartLogin {
    StartLogin::new(Secret::new("899700000001"))
}

fn error<T>(result: Result<T, ClientError>) -> ClientError {
    result.err().expect("the call fails")
}

/// Notes what goes out and what becomes of it.
#[derive(Default)]
struct Notes {
    sent: Mutex<Vec<SentRequest>>,
    ended: Mutex<Vec<(u64, CallEnd)>>,
}

impl Observer for Notes {
    fn sent(&self, request: SentRequest) -> u64 {
        let mut sent = self.sent.lock().unwrap();
        sent.push(request);
        sent.len() as u64
    }

    fn ended(&self, number: u64, end: CallEnd) {
        self.ended.lock().unwrap().push((number, end));
    }
}

#[tokio::test]
async fn who_watches_sees_each_call_and_its_end_but_no_secret() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [Say::Lost, started("pending")])
        .on(&login_call("GET"), [Say::Silence])
        .on("GET /v1/session", [Say::Problem(401, "session_ended", Value::Null)]);
    let notes = Arc::new(Notes::default());
    let client = server.client().observed(notes.clone());
    let begun = client.start(&hint(), KEY).await.ok().unwrap();
    let wait = Wait { at_most: Duration::from_secs(5), known_version: Some(1) };
    let reading = client.login(login_id(), &begun.login_token, Some(wait));
    assert!(tokio::time::timeout(Duration::from_millis(100), reading).await.is_err());
    assert!(client.session(&handle(), false).await.is_err());

    let (sent, ended) = (notes.sent.lock().unwrap(), notes.ended.lock().unwrap());
    let calls: Vec<String> = sent.iter().map(|sent| format!("{} {}", sent.method, sent.path)).collect();
    let logins = "POST /relais/v1/logins".to_owned();
    let login = format!("GET /relais/v1/logins/{LOGIN_ID}");
    let expected = [logins.clone(), logins, login, "GET /relais/v1/session?touch=false".to_owned()];
    assert_eq!(calls, expected, "a repetition is a call");
    assert_eq!(sent[0].body, Some(json!({ "login_hint": "899700000001" })));
    assert!(sent[2].headers.contains(&("prefer".to_owned(), "wait=5".to_owned())));
    assert!(matches!(&ended[0], (1, CallEnd::Lost)));
    let (2, CallEnd::Answered { status, body: Some(body) }) = &ended[1] else { panic!("{:?}", ended[1]) };
    assert_eq!((status.as_u16(), &body["login_token"]), (201, &json!("rlt_••••••")));
    assert!(matches!(&ended[2], (3, CallEnd::GivenUp)));
    assert!(matches!(&ended[3], (4, CallEnd::Answered { status, .. }) if *status == 401));
    let seen = format!("{sent:?}{ended:?}");
    assert!(!seen.contains("secret") && !seen.contains("ZGVtbzpkZW1v"), "{seen}");
}

#[tokio::test]
async fn a_start_carries_credentials_key_language_and_only_what_was_asked_for() {
    let server = Scripted::serve().await;
    server.on("POST /v1/logins", [started("pending")]);
    let mut start = hint();
    start.channel = Some("CARD".into());
    start.replace_pending = true;
    start.more.insert("acr_values".into(), "eidas2".into());

    let begun = server.client().start(&start, KEY).await.ok().unwrap();

    assert_eq!(begun.login_token.0.expose(), "rlt_secret");
    assert!(begun.login.status.is(&LoginStatus::Pending));
    assert!(begun.login.json.get("login_token").is_none(), "the JSON that may be shown holds no secret");
    assert_eq!(begun.login.json["grown_since"], json!({ "unknown": true }));
    let asked = &server.asked()[0];
    assert_eq!(asked.header("authorization"), Some("Basic ZGVtbzpkZW1v"));
    assert_eq!(asked.header("idempotency-key"), Some(KEY.to_string().as_str()));
    assert_eq!(asked.header("accept-language"), Some("en"));
    assert_eq!(
        asked.body,
        json!({ "acr_values": "eidas2", "login_hint": "899700000001", "channel": "CARD", "if_pending": "replace" })
    );
}

#[tokio::test]
async fn a_lost_start_is_repeated_with_the_same_key() {
    let server = Scripted::serve().await;
    server.on("POST /v1/logins", [Say::Lost, Say::Empty(502), started("starting")]);

    let begun = server.client().start(&hint(), KEY).await.ok().unwrap();

    assert!(begun.login.status.is(&LoginStatus::Starting));
    let keys: Vec<_> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some(KEY.to_string()); 3]);
}

#[tokio::test]
async fn lost_answers_are_repeated_a_bounded_number_of_times() {
    let server = Scripted::serve().await;
    server.on("POST /v1/logins", [Say::Lost]);

    let error = error(server.client().start(&hint(), KEY).await);

    assert!(matches!(&error, ClientError::Transport { call, .. } if call == "POST /v1/logins"), "{error:?}");
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn a_problem_is_an_answer_and_is_not_repeated() {
    let server = Scripted::serve().await;
    server.on(
        "POST /v1/logins",
        [Say::Problem(409, "already_pending", json!({ "expires_in": 80, "replaceable": true, "grown": 1 }))],
    );

    let ClientError::Problem(problem) = error(server.client().start(&hint(), KEY).await) else {
        panic!("a problem")
    };

    assert_eq!((problem.status, problem.code.as_str()), (409, "already_pending"));
    assert_eq!((problem.expires_in, problem.replaceable), (Some(80), Some(true)));
    assert_eq!(problem.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(problem.user_message, "A sentence.");
    assert_eq!(problem.json["grown"], 1);
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn an_unavailable_relais_is_an_answer_too() {
    let server = Scripted::serve().await;
    server.on("GET /v1/application", [Say::Problem(503, "overloaded", Value::Null)]);
    assert_eq!(error(server.client().application().await).code(), Some("overloaded"));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn waiting_names_the_known_version_and_uses_the_token_alone() {
    let server = Scripted::serve().await;
    server.on(&login_call("GET"), [Say::Lost, Say::Json(200, login("grown_since", 4, Value::Null))]);
    let wait = Wait { at_most: Duration::from_secs(25), known_version: Some(3) };

    let read = server.client().login(login_id(), &token(), Some(wait)).await.ok().unwrap();

    assert_eq!(read.status, Word::Other("grown_since".into()));
    assert!(!read.is_open(), "a status that nobody knows is not waited on");
    let asked = server.asked();
    assert_eq!(asked.len(), 2, "a read is repeated");
    for asked in asked {
        assert_eq!(asked.header("prefer"), Some("wait=25"));
        assert_eq!(asked.header("if-none-match"), Some("\"3\""));
        assert_eq!(asked.header("authorization"), Some("Bearer rlt_secret"));
    }
}

#[tokio::test]
async fn a_lost_pick_up_is_repeated_and_gives_the_handle() {
    let server = Scripted::serve().await;
    server.on(&pick_up_call(), [Say::Lost, picked_up()]);
    let expected = Secret::new("899700000001");

    let picked = server
        .client()
        .pick_up(login_id(), &token(), Some(Duration::from_secs(20)), Some(&expected))
        .await
        .ok()
        .unwrap();

    let PickUp::Done(picked) = picked else { panic!("a session") };
    assert_eq!(picked.session_handle.0.expose(), "rsh_secret");
    assert!(picked.session.json.get("session_handle").is_none());
    assert_eq!(picked.session.subject.exercices[0].id, "x1");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].body, json!({ "expected_subject": "899700000001" }));
    assert_eq!(asked[1].header("prefer"), Some("wait=20"));
}

#[tokio::test]
async fn a_pick_up_that_waited_in_vain_gives_the_login() {
    let server = Scripted::serve().await;
    server.on(&pick_up_call(), [Say::Json(202, login("pending", 2, Value::Null))]);
    let picked = server.client().pick_up(login_id(), &token(), Some(Duration::from_secs(1)), None).await;
    assert!(matches!(picked.ok().unwrap(), PickUp::Undecided(login) if login.is_open()));
}

#[tokio::test]
async fn an_answer_without_its_secret_or_of_another_shape_is_refused_without_quoting_it() {
    let server = Scripted::serve().await;
    let mut wrong = login("pending", 1, json!({ "version": "899700000001" }));
    server.on("POST /v1/logins", [Say::Json(201, wrong.clone())]);
    let missing = error(server.client().start(&hint(), KEY).await);
    wrong["login_token"] = "rlt_secret".into();
    server.on("POST /v1/logins", [Say::Json(201, wrong)]);
    let shape = error(server.client().start(&hint(), KEY).await);
    for error in [missing, shape] {
        let text = format!("{error} {error:?}");
        assert!(matches!(error, ClientError::InvalidAnswer { status: 201, .. }), "{text}");
        assert!(!text.contains("8997") && !text.contains("rlt_secret"), "{text}");
    }
}

#[tokio::test]
async fn session_calls_carry_the_handle_and_an_ended_session_is_ended_well() {
    let server = Scripted::serve().await;
    server
        .on("GET /v1/session", [Say::Json(200, session())])
        .on("GET /v1/session/userinfo", [Say::Json(200, json!({ "sub": "1", "deep": { "er": [1] } }))])
        .on("PUT /v1/session/exercice", [Say::Problem(409, "exercice_unknown", Value::Null)])
        .on(
            "DELETE /v1/session",
            [Say::Lost, Say::Problem(401, "session_ended", json!({ "reason": "logout" }))],
        );
    let client = server.client();

    assert!(client.session(&handle(), true).await.is_ok());
    assert!(client.session(&handle(), false).await.is_ok());
    assert_eq!(client.userinfo(&handle()).await.unwrap()["deep"]["er"][0], 1);
    assert_eq!(error(client.choose_exercice(&handle(), "x9").await).code(), Some("exercice_unknown"));
    client.end_session(&handle()).await.unwrap();

    let asked = server.asked();
    assert_eq!(asked[0].query, None);
    assert_eq!(asked[1].query.as_deref(), Some("touch=false"));
    assert_eq!(asked[3].body, json!({ "id": "x9" }));
    assert!(asked.iter().all(|asked| asked.header("authorization") == Some("Bearer rsh_secret")));
    assert_eq!(server.calls().iter().filter(|call| *call == "DELETE /v1/session").count(), 2);
}

#[tokio::test]
async fn login_events_are_read_across_chunks_and_resume_where_they_were_cut() {
    let server = Scripted::serve().await;
    let call = format!("{}/events", login_call("GET"));
    let first: &'static str = Box::leak(login("pending", 2, Value::Null).to_string().into_boxed_str());
    let last: &'static str = Box::leak(login("approved", 3, Value::Null).to_string().into_boxed_str());
    server.on(
        &call,
        [Say::Events(vec![
            "retry: 2000\n\n: hello\n\nevent: lo",
            "gin\nid: 2\ndata: ",
            first,
            "\n\nevent: other\ndata: {}\n\nevent: login\nid: 3\ndata: ",
            last,
            "\n\n",
        ])],
    );

    let mut events = server.client().events(login_id(), &token(), Some(1)).await.ok().unwrap();

    assert_eq!(events.next().await.ok().unwrap().unwrap().version, 2);
    assert!(events.next().await.ok().unwrap().unwrap().status.is(&LoginStatus::Approved));
    assert!(events.next().await.ok().unwrap().is_none());
    let asked = &server.asked()[0];
    assert_eq!(asked.header("last-event-id"), Some("1"));
    assert_eq!(asked.header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn session_events_tell_the_end_and_a_refused_stream_is_a_problem() {
    let server = Scripted::serve().await;
    let ended = concat!(
        "event: session\ndata: {\"session_id\":\"01935000-0000-7000-8000-000000000002\",",
        "\"status\":\"ended\",\"reason\":\"idle\"}\n\n"
    );
    server.on(
        "GET /v1/session/events",
        [Say::Events(vec![ended]), Say::Problem(401, "handle_invalid", Value::Null)],
    );
    let client = server.client();

    let mut events = client.session_events(&handle()).await.ok().unwrap();
    let event = events.next().await.ok().unwrap().unwrap();
    assert_eq!(event.reason, Some(Word::Known(SessionEndReason::Idle)));

    assert_eq!(error(client.session_events(&handle()).await).code(), Some("handle_invalid"));
}

#[tokio::test]
async fn credentials_never_cross_a_network_in_clear() {
    let settings = |server: &str| ClientSettings {
        server: server.parse().unwrap(),
        application: "demo".into(),
        credential: Credential::Secret(Secret::new("demo")),
        ca_pem: None,
        language: Language::French,
    };
    let made = |server: &str| Client::new(settings(server), Arc::new(FastClock::new()));
    assert!(matches!(made("http://relais.example.fr"), Err(SettingsError::ClearText)));
    assert!(matches!(made("ftp://relais.example.fr"), Err(SettingsError::Server)));
    assert!(made("http://[::1]:8080").is_ok());
}
