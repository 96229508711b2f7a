//! Waiting clients: long polls and event streams, few with every rule, and two thousand at once.

#![expect(clippy::panic, reason = "a helper of a test fails the test")]

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use relais::domain::secret::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::http::{Answer, Caller};
use crate::support::postgres;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// Logins in [`two_thousand_waiting_clients_all_get_their_answer`].
const LOGINS: usize = 50;

/// Long polls, and as many event streams, on each of them.
const CLIENTS: usize = 20;

/// What the store may open on PostgreSQL: its pool, one that listens, one that notifies.
const CONNECTIONS: i64 = 18;

const SECOND: Duration = Duration::from_secs(1);

/// A little real time.
async fn pause(length: Duration) {
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}

/// One block of an event stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Block {
    event: Option<String>,
    id: Option<String>,
    data: Option<Value>,
    retry: Option<String>,
    comment: bool,
}

impl Block {
    fn status(&self) -> &str {
        self.data.as_ref().and_then(|data| data["status"].as_str()).unwrap_or("none")
    }
}

/// An open event stream.
struct Listener {
    response: reqwest::Response,
    text: String,
}

impl Listener {
    async fn to(caller: &Caller, path: &str) -> Self {
        let response = caller.open(path).await;
        assert_eq!(response.status().as_u16(), 200, "{:?}", response.headers());
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        assert!(!response.headers().contains_key("content-encoding"));
        let mut listener = Self { response, text: String::new() };
        let retry = Block { retry: Some("2000".to_owned()), ..Block::default() };
        assert_eq!(listener.next().await, Some(retry));
        listener
    }

    /// The next block; `None` when the stream is closed.
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (parse(block), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = self.response.chunk().await.expect("the stream is not cut")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The next block, once time has moved on by `length`.
    async fn after(&mut self, stack: &Stack, length: Duration) -> Option<Block> {
        let moving = async {
            pause(Duration::from_millis(250)).await;
            stack.clock.advance_slowly(length, length).await;
        };
        tokio::join!(self.next(), moving).0
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => block.comment = true,
            "event" => block.event = Some(value),
            "id" => block.id = Some(value),
            "data" => block.data = Some(serde_json::from_str(&value).expect("JSON")),
            "retry" => block.retry = Some(value),
            other => panic!("{other}"),
        }
    }
    block
}

/// Lets time pass, in which Relais polls, until the login is approved. On a busy machine a poll may be under way, and
/// the next one comes only after its answer; less than the longest wait passes all the same.
async fn until_approved(stack: &Stack, holder: &Caller, path: &str) {
    for _ in 0..100 {
        stack.clock.advance(SECOND / 4);
        pause(Duration::from_millis(50)).await;
        if holder.get(path).await.expect(200).text("/status") == "approved" {
            return;
        }
    }
    panic!("the login is not approved");
}

async fn connections(sql: &'static str, connection: &mut sqlx::PgConnection) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect("the cluster answers")
}

/// What PostgreSQL sees of the store while two thousand clients wait.
async fn nobody_holds_a_connection(stack: &Stack) {
    let url = stack.config.lines().find_map(|line| line.strip_prefix("url = \"")?.strip_suffix('"'));
    let url = Secret::new(url.expect("the store's URL"));
    let mut side = postgres::connect(&url).await;
    for _ in 0..10 {
        let all = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'relais'";
        let open = connections(all, &mut side).await;
        assert!((1..=CONNECTIONS).contains(&open), "{open} connections");
        let in_transaction = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'relais'
                       AND state <> 'idle' AND state_change < clock_timestamp() - interval '300 milliseconds'";
        assert_eq!(connections(in_transaction, &mut side).await, 0, "a connection is held");
        pause(Duration::from_millis(50)).await;
    }
    side.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_waiting_clients_all_get_their_answer() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().start().await;
        let starts = (0..LOGINS).map(|number| {
            let (stack, hint) = (&stack, format!("8997{number:08}"));
            async move { stack.start(&hint).await.expect(201) }
        });
        let started: Vec<_> = stream::iter(starts).buffer_unordered(10).collect().await;
        // They wait as long as they have to, also on a busy machine.
        let base = format!("http://{}", stack.app().clients());
        let patient = Caller::with(base, |builder| builder.timeout(300 * SECOND));
        let holder = |started: &Answer| {
            let (_, path) = stack.holder(started);
            (patient.bearer(&started.text("/login_token")), path)
        };
        let holders: Vec<_> = started.iter().map(holder).collect();
        let places = || holders.iter().flat_map(|holder| std::iter::repeat_n(holder, CLIENTS));

        let opening = places().map(|(holder, path)| async move {
            let mut listener = Listener::to(holder, &format!("{path}/events")).await;
            assert_eq!(listener.next().await.expect("first").status(), "pending");
            listener
        });
        let listeners: Vec<_> = stream::iter(opening).buffer_unordered(20).collect().await;
        let mut polls = Vec::new();
        for (number, (holder, path)) in places().enumerate() {
            let (holder, path) = (holder.clone(), path.clone());
            polls.push(tokio::spawn(async move {
                // Where this machine is so busy that the store has no place in time, a client comes again.
                loop {
                    let answer = holder.get(&format!("{path}?wait=30")).await;
                    if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                        return answer;
                    }
                    pause(SECOND).await;
                }
            }));
            if number % 20 == 0 {
                pause(Duration::from_millis(20)).await;
            }
        }
        assert_eq!((listeners.len(), polls.len()), (1_000, 1_000));
        pause(3 * SECOND).await;
        let (early, polls): (Vec<_>, Vec<_>) =
            polls.into_iter().partition(tokio::task::JoinHandle::is_finished);
        if let Some(answer) = early.into_iter().next() {
            let answer = answer.await.expect("the poll is not cut");
            panic!("{backend:?}: a poll came back early: {} {}", answer.status, answer.body);
        }
        if backend == Backend::Postgres {
            nobody_holds_a_connection(&stack).await;
        }
        // Everybody else is served.
        let (holder, path) = &holders[0];
        holder.get(path).await.expect(200);
        stack.ops.get("/health/ready").await.expect(200);

        let hearing: Vec<_> = listeners
            .into_iter()
            .map(|mut listener| {
                tokio::spawn(
                    async move { listener.next().await.expect("the next state").status().to_owned() },
                )
            })
            .collect();
        for request in stack.requests().await {
            let id = request["auth_req_id"].as_str().expect("an id");
            stack.phone.post(&format!("/_sim/requests/{id}/approve"), Value::Null).await.expect(204);
        }
        for (holder, path) in &holders {
            until_approved(&stack, holder, path).await;
        }
        for poll in polls {
            let answer = poll.await.expect("the poll is not cut").expect(200);
            assert_eq!(answer.text("/status"), "approved", "{backend:?}");
        }
        for heard in hearing {
            assert_eq!(heard.await.expect("the stream is not cut"), "approved", "{backend:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_node_answers_parked_calls_at_once() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).manual_clock().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let (holder, path) = stack.holder(&started);
        let mut listener = Listener::to(&holder, &format!("{path}/events")).await;
        listener.next().await.expect("first");
        let parked: Vec<_> = (0..20)
            .map(|number| {
                let (holder, path) = (holder.clone(), path.clone());
                tokio::spawn(async move {
                    if number % 2 == 0 {
                        holder.get(&format!("{path}?wait=30")).await
                    } else {
                        let waiting = holder.header("prefer", "wait=30");
                        waiting.post(&format!("{path}/session"), Value::Null).await
                    }
                })
            })
            .collect();
        pause(SECOND).await;
        assert!(parked.iter().all(|call| !call.is_finished()));
        // Time stands still: whoever answers does so because of the draining.
        let drained = tokio::time::timeout(15 * SECOND, stack.stop()).await;
        assert!(drained.is_ok(), "{backend:?}: draining takes too long");
        for (number, call) in parked.into_iter().enumerate() {
            let answer = call.await.expect("not cut").expect(if number % 2 == 0 { 200 } else { 202 });
            assert_eq!(answer.text("/status"), "pending");
        }
        assert_eq!(listener.next().await, None);
    }
}

/// A long poll that must be parked, and its answer once `meanwhile` has happened.
async fn parked(caller: &Caller, path: &str, meanwhile: impl Future<Output = ()>) -> Answer {
    let (caller, path) = (caller.clone(), path.to_owned());
    let call = tokio::spawn(async move { caller.get(&path).await });
    pause(Duration::from_millis(150)).await;
    assert!(!call.is_finished(), "the call does not wait");
    meanwhile.await;
    call.await.expect("an answer").expect(200)
}

/// A long poll during which nothing happens: it comes back after `seconds`, and not before.
async fn waits(stack: &Stack, caller: &Caller, path: &str, seconds: u64) -> Answer {
    let (caller, path) = (caller.clone(), path.to_owned());
    let call = tokio::spawn(async move { caller.get(&path).await });
    pause(Duration::from_millis(150)).await;
    for _ in 1..seconds {
        stack.clock.advance(SECOND);
        pause(Duration::from_millis(20)).await;
    }
    assert!(!call.is_finished(), "it comes back too early");
    // On a busy machine the call may have begun to wait later.
    for _ in 0..4 {
        stack.clock.advance(SECOND);
        pause(Duration::from_millis(250)).await;
        if call.is_finished() {
            return call.await.expect("an answer").expect(200);
        }
    }
    panic!("it does not come back after {seconds} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_keeps_the_rules_of_waiting() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let (holder, path) = stack.holder(&started);
        let now = holder.get(&path).await.expect(200);
        let version = now.at("/version").to_string();
        let tag = format!("\"{version}\"");
        assert_eq!(now.header("etag"), Some(tag.as_str()));
        assert_eq!(now.header("preference-applied"), None);

        // Nothing happens: the present object after N seconds, and never 304.
        for (caller, query) in [
            (holder.header("prefer", "wait=5"), String::new()),
            (holder.header("prefer", "wait=5").header("if-none-match", &tag), String::new()),
            (holder.clone(), format!("?wait=5&after={version}")),
        ] {
            let answer = waits(&stack, &caller, &format!("{path}{query}"), 5).await;
            assert_eq!(
                (answer.text("/status").as_str(), answer.at("/version").to_string()),
                ("pending", version.clone())
            );
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            let applied = answer.header("preference-applied");
            assert_eq!(applied, query.is_empty().then_some("wait=5"));
        }
        // More than 30 s is 30 s.
        let long = holder.header("prefer", "wait=600");
        let answer = waits(&stack, &long, &path, 30).await;
        assert_eq!(answer.header("preference-applied"), Some("wait=30"));
        // Another version than the present one answers at once.
        let behind = holder.header("prefer", "wait=30").header("if-none-match", "\"1\"");
        assert_eq!(behind.get(&path).await.expect(200).at("/version").to_string(), version);
        let behind = holder.get(&format!("{path}?wait=30&after=1")).await.expect(200);
        assert_eq!(behind.at("/version").to_string(), version);

        // A change is told when it happens.
        let answer = parked(&holder.header("prefer", "wait=30"), &path, async {
            stack.decide("approve", Value::Null).await;
            until_approved(&stack, &holder, &path).await;
        })
        .await;
        assert_eq!(answer.text("/status"), "approved");
        assert_ne!(answer.header("etag"), Some(tag.as_str()));
        // Neither starting nor pending: at once, whatever the version.
        let known =
            holder.header("prefer", "wait=30").header("if-none-match", answer.header("etag").expect("a tag"));
        assert_eq!(known.get(&path).await.expect(200).text("/status"), "approved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_keeps_its_rules() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().application("pick_up_window = \"10m\"").start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        let (holder, path) = stack.holder(&started);
        let events = format!("{path}/events");
        let mut listener = Listener::to(&holder, &events).await;
        let first = listener.next().await.expect("first");
        assert_eq!((first.event.as_deref(), first.status()), (Some("login"), "pending"));
        let version = first.id.clone().expect("an id");
        assert_eq!(first.data.as_ref().expect("data")["version"].to_string(), version);
        assert!(first.data.expect("data").get("login_token").is_none());

        // Who has the newest state is not told it again.
        let mut knowing = Listener::to(&holder.header("last-event-id", &version), &events).await;
        let mut behind = Listener::to(&holder.header("last-event-id", "1"), &events).await;
        assert_eq!(behind.next().await.expect("first").status(), "pending");

        // Silence is broken every 15 s.
        let comment = Block { comment: true, ..Block::default() };
        let (told, silent) = tokio::join!(listener.after(&stack, 15 * SECOND), knowing.next());
        assert_eq!((told, silent), (Some(comment.clone()), Some(comment.clone())));
        assert_eq!(listener.after(&stack, 15 * SECOND).await, Some(comment.clone()));

        stack.decide("approve", Value::Null).await;
        until_approved(&stack, &holder, &path).await;
        let approved = listener.next().await.expect("approved");
        assert_eq!(approved.status(), "approved");
        assert_ne!(approved.id, Some(version));

        // After five minutes a stream is closed, though nothing has ended.
        let mut long = Listener::to(&holder, &events).await;
        assert_eq!(long.next().await.expect("first").status(), "approved");
        let mut comments = 0;
        while let Some(block) = long.after(&stack, 15 * SECOND).await {
            assert_eq!(block, comment);
            comments += 1;
        }
        assert!((18..=20).contains(&comments), "{comments} quarters of a minute");

        // After the end of the login as well.
        let mut last = Listener::to(&holder, &events).await;
        assert_eq!(last.next().await.expect("first").status(), "approved");
        let picked_up = holder.post(&format!("{path}/session"), Value::Null).await.expect(201);
        let end = last.next().await.expect("the end");
        assert_eq!(end.status(), "picked_up");
        assert_eq!(end.data.expect("data")["session_id"], picked_up.at("/session_id"));
        assert_eq!(last.next().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stream_tells_the_end_and_why() {
    for backend in BACKENDS {
        let stack = Stack::on(backend)
            .manual_clock()
            .application("session = { idle = \"10m\", absolute = \"1h\" }")
            .start()
            .await;
        let out = stack.sign_in(DOCTOR).await;
        let idle = stack.sign_in("899700000002").await;
        let listeners = [&out, &idle].map(|session| stack.relais.bearer(&session.text("/session_handle")));
        let mut streams = Vec::new();
        for listener in &listeners {
            let mut stream = Listener::to(listener, "/v1/session/events").await;
            let first = stream.next().await.expect("first");
            assert_eq!((first.event.as_deref(), first.status()), (Some("session"), "active"));
            streams.push(stream);
        }
        let comment = Some(Block { comment: true, ..Block::default() });
        let quiet = join_all(streams.iter_mut().map(Listener::next));
        let moving = async {
            pause(Duration::from_millis(100)).await;
            stack.clock.advance(15 * SECOND);
        };
        assert_eq!(tokio::join!(quiet, moving).0, vec![comment.clone(), comment.clone()]);

        listeners[0].delete("/v1/session").await.expect(204);
        let ended = streams[0].next().await.expect("the end").data.expect("data");
        let expected = json!({
            "session_id": out.at("/session_id"), "status": "ended", "reason": "logout",
        });
        assert_eq!(ended, expected);
        assert_eq!(streams[0].next().await, None);

        // Nobody uses the other one.
        let mut stream = streams.pop().expect("the other");
        let ending = async {
            loop {
                match stream.next().await {
                    Some(block) if block.comment => {}
                    other => break (other, stream.next().await),
                }
            }
        };
        tokio::pin!(ending);
        let (end, after) = loop {
            tokio::select! {
                end = &mut ending => break end,
                () = stack.clock.advance_slowly(10 * SECOND, SECOND) => {}
            }
        };
        let expected = json!({
            "session_id": idle.at("/session_id"), "status": "ended", "reason": "idle",
        });
        assert_eq!(end.expect("the end").data.expect("data"), expected);
        assert_eq!(after, None);
    }
}
