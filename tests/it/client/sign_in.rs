//! A whole sign-in, from the start to each of its ends.

use std::time::Duration;

use relais::cli::terminal::{self, Observer, SignIn};
use relais::client::{ClientError, LoginObject, Outcome, Received, StartLogin};
use relais::domain::login::LoginReason;
use relais::domain::secret::Secret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::scripted::{
    FastClock, Say, Scripted, login, login_call, pick_up_call, picked_up, session, started,
};

const KEY: Uuid = Uuid::from_u128(7);

fn hint() -> StartLogin {
    StartLogin::new(Secret::new("899700000001"))
}

fn says(status: &str, version: u64, reason: impl Into<Value>) -> Say {
    Say::Json(200, login(status, version, json!({ "reason": reason.into() })))
}

async fn signed_in(server: &Scripted) -> (Vec<u64>, Result<Outcome, ClientError>) {
    let mut versions = Vec::new();
    let outcome = server.client().sign_in(&hint(), KEY, |login| versions.push(login.version)).await;
    (versions, outcome)
}

#[tokio::test]
async fn a_sign_in_waits_by_version_picks_up_and_uses_the_session() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [started("starting")])
        .on(
            &login_call("GET"),
            [
                says("pending", 2, Value::Null),
                says("pending", 2, Value::Null),
                says("approved", 3, Value::Null),
            ],
        )
        .on(&pick_up_call(), [picked_up()])
        .on("GET /v1/session", [Say::Json(200, session())]);

    let (versions, outcome) = signed_in(&server).await;

    let Ok(Outcome::Session(picked_up)) = outcome else { panic!("a session") };
    assert_eq!(picked_up.session_handle.0.expose(), "rsh_secret");
    assert_eq!(versions, [1, 2, 3], "each change once");
    let known: Vec<_> =
        server.asked().iter().filter_map(|asked| asked.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(known, ["\"1\"", "\"2\"", "\"2\""]);
    assert_eq!(server.calls().last().unwrap(), "GET /v1/session");
}

#[tokio::test]
async fn every_end_without_a_session_is_told_and_nothing_is_picked_up() {
    for (status, reason) in [
        ("denied", LoginReason::UserDenied),
        ("expired", LoginReason::Expired),
        ("failed", LoginReason::UserUnknown),
        ("cancelled", LoginReason::Superseded),
    ] {
        let server = Scripted::serve().await;
        server
            .on("POST /v1/logins", [started("pending")])
            .on(&login_call("GET"), [says(status, 2, reason.as_str())]);
        let (versions, outcome) = signed_in(&server).await;
        let Ok(Outcome::Ended(login)) = outcome else { panic!("{status}") };
        assert!(login.ended_for(reason), "{status}");
        assert_eq!(versions, [1, 2]);
        assert_eq!(server.calls().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_while_somebody_decides_is_asked_on() {
    let server = Scripted::serve().await;
    let mut lost: Vec<_> = std::iter::repeat_n(Say::Lost, 9).collect();
    lost.push(says("denied", 2, "user_denied"));
    server.on("POST /v1/logins", [started("pending")]).on(&login_call("GET"), lost);
    let (_, outcome) = signed_in(&server).await;
    assert!(matches!(outcome, Ok(Outcome::Ended(login)) if login.ended_for(LoginReason::UserDenied)));
    assert_eq!(server.calls().len(), 11);
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_once_the_login_must_be_over() {
    let server = Scripted::serve().await;
    let begun = login("pending", 1, json!({ "login_token": "rlt_secret", "expires_in": 5 }));
    server.on("POST /v1/logins", [Say::Json(201, begun)]).on(&login_call("GET"), [Say::Lost]);
    let (_, outcome) = signed_in(&server).await;
    assert!(matches!(outcome, Err(ClientError::Transport { .. })));
}

#[tokio::test]
async fn a_node_that_answers_parked_calls_at_once_is_not_hammered() {
    let server = Scripted::serve().await;
    let mut unchanged: Vec<_> = std::iter::repeat_n(says("pending", 1, Value::Null), 5).collect();
    unchanged.push(says("denied", 2, "user_denied"));
    server.on("POST /v1/logins", [started("pending")]).on(&login_call("GET"), unchanged);
    let clock = FastClock::new();
    let (_, outcome) = signed_in(&server).await;
    assert!(outcome.is_ok());
    let took = relais::domain::clock::Clock::monotonic(&clock).0;
    assert!(took >= Duration::from_secs(5), "five pauses of a second: {took:?}");
}

#[tokio::test]
async fn a_pick_up_refused_for_another_person_ends_the_login() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [started("pending")])
        .on(&login_call("GET"), [says("approved", 2, Value::Null), says("failed", 3, "identity_mismatch")])
        .on(&pick_up_call(), [Say::Problem(409, "identity_mismatch", Value::Null)]);
    let (versions, outcome) = signed_in(&server).await;
    assert!(matches!(outcome, Ok(Outcome::Ended(login)) if login.ended_for(LoginReason::IdentityMismatch)));
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn a_session_that_cannot_be_read_again_is_not_thrown_away() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [started("approved")])
        .on(&pick_up_call(), [picked_up()])
        .on("GET /v1/session", [Say::Lost]);
    let (_, outcome) = signed_in(&server).await;
    assert!(matches!(outcome, Ok(Outcome::Session(_))));
}

/// Notes what it sees, and says when it has seen the login.
struct Watch {
    statuses: Vec<Value>,
    ticks: Vec<u64>,
    ticked: tokio::sync::mpsc::UnboundedSender<()>,
}

impl Observer for Watch {
    fn login(&mut self, login: &Received<LoginObject>) {
        self.statuses.push(login.json["status"].clone());
    }

    fn tick(&mut self, seconds_left: u64) {
        self.ticks.push(seconds_left);
        self.ticked.send(()).unwrap();
    }
}

async fn interrupted(server: &Scripted, at_once: bool) -> (Watch, Result<SignIn, ClientError>) {
    let (ticked, mut ticks) = tokio::sync::mpsc::unbounded_channel();
    let mut watch = Watch { statuses: Vec::new(), ticks: Vec::new(), ticked };
    let interrupt = async move {
        if !at_once {
            ticks.recv().await;
        }
    };
    let (client, clock) = (server.client(), FastClock::new());
    let outcome = terminal::sign_in(&client, &hint(), KEY, &clock, &mut watch, interrupt).await;
    (watch, outcome)
}

#[tokio::test]
async fn an_interrupt_cancels_the_login_first() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [started("pending")])
        .on(&login_call("GET"), [Say::Silence, says("cancelled", 2, "cancelled")])
        .on(&login_call("DELETE"), [Say::Lost, Say::Empty(204)]);

    let (watch, outcome) = interrupted(&server, false).await;

    assert!(
        matches!(outcome, Ok(SignIn::Interrupted(Some(login))) if login.ended_for(LoginReason::Cancelled))
    );
    assert_eq!(watch.statuses, ["pending"]);
    assert!(matches!(watch.ticks[..], [left] if left < 90), "{:?}", watch.ticks);
    assert_eq!(server.calls().iter().filter(|call| call.starts_with("DELETE")).count(), 2);
}

#[tokio::test]
async fn an_interrupt_during_the_start_waits_for_its_answer_and_cancels() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [Say::Lost, started("starting")])
        .on(&login_call("GET"), [says("cancelled", 2, "cancelled")])
        .on(&login_call("DELETE"), [Say::Empty(204)]);
    let (_, outcome) = interrupted(&server, true).await;
    assert!(matches!(outcome, Ok(SignIn::Interrupted(Some(_)))));
    assert!(server.calls().contains(&login_call("DELETE")));
}

#[tokio::test]
async fn an_interrupt_after_an_unseen_pick_up_ends_the_session() {
    let server = Scripted::serve().await;
    server
        .on("POST /v1/logins", [started("approved")])
        .on(&pick_up_call(), [Say::Silence, picked_up()])
        .on(&login_call("DELETE"), [Say::Problem(409, "already_picked_up", Value::Null)])
        .on(&login_call("GET"), [says("picked_up", 3, Value::Null)])
        .on("DELETE /v1/session", [Say::Empty(204)]);
    let client = server.client();
    let begun = client.start(&hint(), KEY).await.ok().unwrap();
    let following = client.follow(&begun, |_| {});
    assert!(tokio::time::timeout(Duration::from_millis(100), following).await.is_err());
    client.abandon(&begun).await.unwrap();
    assert_eq!(server.calls().last().unwrap(), "DELETE /v1/session");
}
