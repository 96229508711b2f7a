//! Long polls and event streams.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use tower::ServiceExt;

use super::world::{Answer, LOGICIEL, Started, World, bearer, request};

/// Real time, so that a parked call is parked.
async fn settle() {
    let _ = tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await;
}

async fn parked<F: Future<Output = Answer>>(call: F, meanwhile: impl Future<Output = ()>) -> Answer {
    let meanwhile = async {
        settle().await;
        meanwhile.await;
    };
    tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(call, meanwhile).0 })
        .await
        .expect("an answer")
}

fn path(login: &Started) -> String {
    format!("/v1/logins/{}", login.id)
}

async fn wait(world: &World, login: &Started, query: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = bearer(&login.token);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    world.call(Method::GET, &format!("{}{query}", path(login)), &all, "").await
}

#[tokio::test]
async fn a_wait_answers_at_the_next_change() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    world.provider.approve();
    let answer =
        parked(wait(&world, &login, "", &[("prefer", "wait=30")]), world.until(&login, "approved")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["status"], "approved");
    assert_eq!(answer.header("preference-applied"), "wait=30");
    assert_eq!(answer.header("etag"), format!("\"{}\"", answer.json()["version"]));
}

#[tokio::test]
async fn a_wait_is_over_after_its_time_with_the_present_object() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let version = login.answer.json()["version"].to_string();
    let tag = format!("\"{version}\"");
    for (query, headers) in [
        (format!("?wait=3&after={version}"), vec![]),
        ("?wait=3".to_owned(), vec![("if-none-match", tag.as_str())]),
    ] {
        let answer = parked(wait(&world, &login, &query, &headers), async {
            world.clock.advance(Duration::from_secs(3));
        })
        .await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &"pending".into()));
    }
    // Another version than the caller's answers at once.
    let answer = parked(wait(&world, &login, "?wait=30&after=1", &[]), async {}).await;
    assert_eq!(answer.json()["version"].to_string(), version);
    let refused = wait(&world, &login, "?wait=0", &[]).await;
    assert_eq!(refused.problem(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_pick_up_waits_for_the_decision() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let prefer = [("prefer", "wait=2")];
    let open = parked(world.pick_up(&login, &prefer, ""), async {
        world.clock.advance(Duration::from_secs(2));
    })
    .await;
    assert_eq!((open.status, &open.json()["status"]), (StatusCode::ACCEPTED, &"pending".into()));
    assert_eq!(open.json()["login_id"], login.id);
    world.provider.approve();
    let answer =
        parked(world.pick_up(&login, &[("prefer", "wait=30")], ""), world.until(&login, "approved")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("preference-applied"), "wait=30");
}

struct Listening(BodyDataStream);

impl Listening {
    async fn to(world: &World, path: &str, token: &str, headers: &[(&str, &str)]) -> Self {
        let bearer = bearer(token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let request = request(Method::GET, path, &all, "");
        let answer = world.clients.clone().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::OK);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        Self(answer.into_body().into_data_stream())
    }

    async fn chunk(&mut self) -> Option<String> {
        let chunk = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.expect("a chunk")?;
        Some(String::from_utf8(chunk.expect("bytes").to_vec()).expect("UTF-8"))
    }

    /// The chunk that comes once time has moved on.
    async fn after(&mut self, world: &World, length: Duration) -> Option<String> {
        let moved = async {
            settle().await;
            world.clock.advance(length);
        };
        tokio::join!(self.chunk(), moved).0
    }
}

#[tokio::test]
async fn a_stream_tells_every_state_and_closes_after_the_last() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let mut events = Listening::to(&world, &format!("{}/events", path(&login)), &login.token, &[]).await;
    let first = events.chunk().await.expect("first");
    let version = login.answer.json()["version"].to_string();
    assert!(first.starts_with("retry: 2000\n"), "{first}");
    assert!(first.contains(&format!("event: login\nid: {version}\ndata: {{")), "{first}");
    assert!(first.contains("\"status\":\"pending\"") && first.ends_with("}\n\n"));
    assert!(!first.contains("rlt_"));
    world.provider.approve();
    world.until(&login, "approved").await;
    let approved = events.chunk().await.expect("approved");
    assert!(approved.contains("\"status\":\"approved\""), "{approved}");
    // An approval does not close it, and what is silent is kept open by a comment.
    assert_eq!(events.after(&world, Duration::from_secs(15)).await.as_deref(), Some(":\n\n"));
    world.pick_up(&login, &[], "").await;
    let picked_up = events.chunk().await.expect("picked up");
    assert!(picked_up.contains("\"status\":\"picked_up\"") && picked_up.contains("\"session_id\""));
    assert_eq!(events.chunk().await, None);
}

#[tokio::test]
async fn a_reconnecting_stream_does_not_repeat_what_is_known() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let version = login.answer.json()["version"].to_string();
    let path = format!("{}/events", path(&login));
    let known = [("last-event-id", version.as_str())];
    let mut events = Listening::to(&world, &path, &login.token, &known).await;
    assert_eq!(events.chunk().await.as_deref(), Some("retry: 2000\n\n"));
    assert_eq!(events.after(&world, Duration::from_secs(15)).await.as_deref(), Some(":\n\n"));
    let mut anew = Listening::to(&world, &path, &login.token, &[("last-event-id", "1")]).await;
    assert!(anew.chunk().await.expect("first").contains("event: login"));
}

#[tokio::test]
async fn a_stream_closes_after_five_minutes() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let mut events = Listening::to(&world, &format!("{}/events", path(&login)), &login.token, &[]).await;
    events.chunk().await.expect("first");
    world.provider.approve();
    world.until(&login, "approved").await;
    events.chunk().await.expect("approved");
    let mut comments = 0;
    while let Some(chunk) = events.after(&world, Duration::from_secs(15)).await {
        assert_eq!(chunk, ":\n\n");
        comments += 1;
    }
    assert!((18..=20).contains(&comments), "{comments}");
}

#[tokio::test]
async fn a_session_stream_closes_with_the_session() {
    let world = World::new().await;
    let (_, handle) = world.session().await;
    let mut events = Listening::to(&world, "/v1/session/events", &handle, &[]).await;
    let first = events.chunk().await.expect("first");
    assert!(first.contains("event: session\n") && first.contains("\"status\":\"active\""), "{first}");
    assert_eq!(events.after(&world, Duration::from_secs(15)).await.as_deref(), Some(":\n\n"));
    let bearer = bearer(&handle);
    world.call(Method::DELETE, "/v1/session", &[("authorization", &bearer)], "").await;
    let ended = events.chunk().await.expect("ended");
    assert!(ended.contains("\"status\":\"ended\",\"reason\":\"logout\""), "{ended}");
    assert_eq!(events.chunk().await, None);
}

#[tokio::test]
async fn a_draining_node_answers_parked_calls_and_closes_streams() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let mut events = Listening::to(&world, &format!("{}/events", path(&login)), &login.token, &[]).await;
    events.chunk().await.expect("first");
    let answer = parked(wait(&world, &login, "?wait=30", &[]), async {
        world.engine.drain(Duration::from_secs(5)).await;
    })
    .await;
    assert_eq!(answer.json()["status"], "pending");
    assert_eq!(events.chunk().await, None);
}
