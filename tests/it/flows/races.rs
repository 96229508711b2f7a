//! Many at once, over real HTTP: exactly one of them wins, and everybody is told the truth.

#![expect(clippy::panic, reason = "a helper of a test fails the test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const AT_ONCE: usize = 200;

/// A person whom the simulated provider makes up.
fn person(number: usize) -> String {
    format!("8997{number:08}")
}

/// A little real time.
async fn pause(length: Duration) {
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}

async fn auto_approve(stack: &Stack) {
    stack.settings(json!({ "auto": { "decision": "approve", "after_ms": 0 } })).await;
}

/// A login whose holder has just been told that it is approved.
struct Approved {
    holder: Caller,
    path: String,
}

async fn approved(stack: &Stack, number: usize) -> Approved {
    let started = stack.start(&person(number)).await.expect(201);
    let (holder, path) = stack.holder(&started);
    loop {
        let answer = holder.get(&format!("{path}?wait=30")).await.expect(200);
        match answer.text("/status").as_str() {
            "approved" => return Approved { holder, path },
            "pending" => {}
            other => panic!("{other}"),
        }
    }
}

impl Approved {
    async fn pick_up(&self) -> Answer {
        self.holder.post(&format!("{}/session", self.path), Value::Null).await
    }

    async fn cancel(&self) -> Answer {
        self.holder.delete(&self.path).await
    }
}

/// How many of `handles` open a session now.
async fn live(stack: &Stack, handles: &[String]) -> usize {
    let read = handles.iter().map(|handle| {
        let holder = stack.relais.bearer(handle);
        async move { holder.get("/v1/session?touch=false").await }
    });
    let mut live = 0;
    for answer in join_all(read).await {
        match answer.status.as_u16() {
            200 => live += 1,
            401 => drop(answer.expect_problem(401, "handle_invalid")),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }
    live
}

/// A start by a client that comes again where an overloaded server asks it to.
async fn start_obediently(stack: &Stack) -> Answer {
    for _ in 0..5 {
        let answer = stack.start(DOCTOR).await;
        if answer.status.as_u16() != 503 {
            return answer;
        }
        let answer = answer.expect_problem(503, "store_unavailable");
        let after = answer.header("retry-after").and_then(|text| text.parse().ok());
        pause(Duration::from_secs(after.expect("when to come again"))).await;
    }
    panic!("the server does not recover");
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_114_of_200_simultaneous_starts_for_one_person_one_reaches_the_phone() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let answers = join_all((0..AT_ONCE).map(|_| start_obediently(&stack))).await;
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status.as_u16() == 201);
        assert_eq!(won.len(), 1, "{backend:?}");
        for answer in lost {
            let answer = answer.expect_problem(409, "already_pending");
            assert!(answer.header("retry-after").is_some());
            assert!(answer.at("/expires_in").as_u64().is_some_and(|left| left <= 240), "{}", answer.body);
        }
        let stats = stack.stats().await;
        assert_eq!(stats["rings"][DOCTOR], json!(1), "{backend:?}: {stats}");
        assert_eq!(stack.requests().await.len(), 1);
        // The one that won is as good as any.
        let (holder, path) = stack.holder(&won[0]);
        assert_eq!(holder.get(&path).await.expect(200).text("/status"), "pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn _200_simultaneous_starts_with_one_idempotency_key_are_one_login() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let desk = stack.desk().header("idempotency-key", "6a1e4b0c-6f5d-4d0e-9a43-1f0a3a6f3b11");
        let body = json!({ "login_hint": DOCTOR });
        let answers = join_all((0..AT_ONCE).map(|_| desk.post("/v1/logins", body.clone()))).await;
        let fresh = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(fresh, 1, "{backend:?}: one request made the login");
        let (login_id, token) = (answers[0].text("/login_id"), answers[0].text("/login_token"));
        for answer in answers {
            let replayed = answer.header("idempotency-replayed") == Some("true");
            assert_eq!(answer.status.as_u16(), if replayed { 200 } else { 201 }, "{}", answer.body);
            assert_eq!(
                (answer.text("/login_id"), answer.text("/login_token")),
                (login_id.clone(), token.clone())
            );
            // They waited for the first to know.
            assert_eq!(answer.text("/status"), "pending");
        }
        assert_eq!(stack.stats().await["rings"][DOCTOR], json!(1), "{backend:?}");
    }
}

/// A lost answer is asked for again while the handle is used for the first time.
async fn repetition_against_first_use(stack: &Stack, number: usize) -> bool {
    let login = approved(stack, number).await;
    let first = login.pick_up().await.expect(201);
    let handle = first.text("/session_handle");
    let session = stack.relais.bearer(&handle);
    // A head start for one side or the other, so that both win sometimes.
    let (early, late) = (Duration::from_millis(number as u64 % 5), Duration::from_millis(2));
    let first_use = async {
        pause(late).await;
        session.get("/v1/session").await
    };
    let repetition = async {
        pause(early).await;
        login.pick_up().await
    };
    let (used, repeated) = tokio::join!(first_use, repetition);
    let (used_status, repeated_status) = (used.status.as_u16(), repeated.status.as_u16());
    let mut handles = vec![handle];
    match (used_status, repeated_status) {
        (200, 409) => drop(repeated.expect_problem(409, "already_picked_up")),
        (401, 201) => {
            drop(used.expect_problem(401, "handle_invalid"));
            assert_eq!(repeated.text("/session_id"), first.text("/session_id"));
            handles.push(repeated.text("/session_handle"));
        }
        _ => panic!("use {used_status} {}, repetition {repeated_status} {}", used.body, repeated.body),
    }
    assert_eq!(live(stack, &handles).await, 1, "one live handle, never two");
    used_status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_pick_up_against_a_first_use_leaves_one_live_handle() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        auto_approve(&stack).await;
        let races = (0..AT_ONCE).map(|number| repetition_against_first_use(&stack, number));
        let uses: Vec<bool> = stream::iter(races).buffer_unordered(25).collect().await;
        let won = uses.iter().filter(|used| **used).count();
        assert!(won > 0 && won < AT_ONCE, "{backend:?}: {won} first uses won: these were no races");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pick_ups_at_once_leave_one_live_handle() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        auto_approve(&stack).await;
        let stack = &stack;
        let races = (0..40).map(|number| async move {
            let login = approved(stack, number).await;
            let (one, other) = tokio::join!(login.pick_up(), login.pick_up());
            let (one, other) = (one.expect(201), other.expect(201));
            assert_eq!(one.text("/session_id"), other.text("/session_id"));
            let handles = [one.text("/session_handle"), other.text("/session_handle")];
            assert_eq!(live(stack, &handles).await, 1, "{backend:?}");
        });
        stream::iter(races).buffer_unordered(20).collect::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_against_an_approval_ends_the_login_for_good() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        auto_approve(&stack).await;
        let stack = &stack;
        let races = (0..60_u64).map(|number| async move {
            let started = stack.start(&person(usize::try_from(number).expect("small"))).await.expect(201);
            let (holder, path) = stack.holder(&started);
            // The first poll, which brings the tokens, goes out 1.25 s after the acknowledgement.
            pause(Duration::from_millis(1_100 + 7 * number)).await;
            holder.delete(&path).await.expect(204);
            let now = holder.get(&path).await.expect(200);
            assert_eq!(
                (now.text("/status").as_str(), now.text("/reason").as_str()),
                ("cancelled", "cancelled")
            );
            let refused = holder.post(&format!("{path}/session"), Value::Null).await;
            let refused = refused.expect_problem(409, "not_approved");
            assert_eq!(refused.text("/login_status"), "cancelled");
            // The slot is free before the answer.
            now.text("/login_id")
        });
        let cancelled: Vec<_> = stream::iter(races).buffer_unordered(20).collect().await;
        assert_eq!(cancelled.len(), 60);
        for number in 0..60 {
            let again = stack.start(&person(number)).await.expect(201);
            let (holder, path) = stack.holder(&again);
            holder.delete(&path).await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_against_a_pick_up_has_one_winner() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        auto_approve(&stack).await;
        let stack = &stack;
        let races = (0..60_u64).map(|number| async move {
            let login = approved(stack, usize::try_from(number).expect("small")).await;
            let cancel = async {
                pause(Duration::from_millis(number % 6)).await;
                login.cancel().await
            };
            let (picked_up, cancelled) = tokio::join!(login.pick_up(), cancel);
            match (picked_up.status.as_u16(), cancelled.status.as_u16()) {
                (201, 409) => {
                    drop(cancelled.expect_problem(409, "already_picked_up"));
                    assert_eq!(live(stack, &[picked_up.text("/session_handle")]).await, 1);
                }
                (409, 204) => {
                    let refused = picked_up.expect_problem(409, "not_approved");
                    assert_eq!(refused.text("/login_status"), "cancelled");
                }
                _ => panic!("{backend:?}: {} {}", picked_up.body, cancelled.body),
            }
        });
        stream::iter(races).buffer_unordered(20).collect::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_of_a_session_was_answered_nobody_reads_it() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        auto_approve(&stack).await;
        let stack = &stack;
        let races = (0..40_u64).map(|number| async move {
            let login = approved(stack, usize::try_from(number).expect("small")).await;
            let session = stack.relais.bearer(&login.pick_up().await.expect(201).text("/session_handle"));
            let ending = async {
                pause(Duration::from_millis(number % 4)).await;
                session.delete("/v1/session").await.expect(204)
            };
            let reads = (0..5).map(|_| session.get("/v1/session"));
            let (_, read) = tokio::join!(ending, join_all(reads));
            for answer in read {
                if answer.status.as_u16() != 200 {
                    let ended = answer.expect_problem(401, "session_ended");
                    assert_eq!(ended.text("/reason"), "logout");
                }
            }
            let ended = session.get("/v1/session").await.expect_problem(401, "session_ended");
            assert_eq!(ended.text("/reason"), "logout");
        });
        stream::iter(races).buffer_unordered(20).collect::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_uses_that_never_cease_none_that_begins_after_the_end_was_answered_is_served() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for number in 0..8 {
            let session = stack.relais.bearer(&stack.session(&person(number)).await.text("/session_handle"));
            session.get("/v1/session").await.expect(200);
            let is_over = AtomicBool::new(false);
            // Enough of them for a reading to be under way at any moment.
            let uses = (0..40).map(|_| async {
                loop {
                    let begins_later = is_over.load(Ordering::SeqCst);
                    let answer = session.get("/v1/session").await;
                    match answer.status.as_u16() {
                        200 if !begins_later => {}
                        // A busy database has its own patience.
                        503 => {}
                        _ => {
                            let reason = answer.expect_problem(401, "session_ended").text("/reason");
                            if begins_later {
                                return reason;
                            }
                        }
                    }
                }
            });
            let ending = async {
                pause(Duration::from_millis(20)).await;
                session.delete("/v1/session").await.expect(204);
                is_over.store(true, Ordering::SeqCst);
            };
            let ((), reasons) = tokio::join!(ending, join_all(uses));
            assert!(reasons.iter().all(|reason| reason == "logout"), "{backend:?}: {reasons:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_of_one_session_that_come_together_take_one_connection() {
    let stack = Stack::on(Backend::Postgres).paced().start().await;
    let session = stack.relais.bearer(&stack.session(DOCTOR).await.text("/session_handle"));
    session.get("/v1/session").await.expect(200);
    let (mut in_the_way, mut watcher) =
        (Database::of(&stack.config).await, Database::of(&stack.config).await);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    // Neither the handle can be read nor, half a minute later, the time of use be written.
    for (hold, later) in [("BEGIN; LOCK TABLE handles", 0), ("BEGIN; SELECT 1 FROM sessions FOR UPDATE", 31)]
    {
        stack.clock.advance(Duration::from_secs(later));
        in_the_way.run(hold).await;
        let callers = vec![session.clone(); 60];
        let uses = callers.into_iter().map(|caller| async move { caller.get("/v1/session").await });
        let uses = tokio::spawn(join_all(uses));
        let (mut most, mut looks) = (0, 0);
        while looks < 100 {
            most = most.max(watcher.number(waiting).await);
            looks += usize::from(most > 0);
            pause(Duration::from_millis(5)).await;
        }
        in_the_way.release().await;
        for answer in uses.await.expect("no panic") {
            // The database has its own patience.
            assert!([200, 503].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.body);
        }
        assert_eq!(most, 1, "{hold}");
    }
}
