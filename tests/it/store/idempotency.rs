//! A start that is repeated with the same `Idempotency-Key` (R-I-06).

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::ring::Purpose;
use relais::domain::login::LoginStatus;
use relais::engine::ports::{IdempotencyClaim, NewLogin, Replay, StartOutcome};

use super::harness::{HINT, Harness, NOW, application, at, for_each_store, started};

for_each_store! {
    r_i_06_the_same_key_finds_the_same_login_as_it_is_now,
    r_i_06_of_many_concurrent_starts_with_one_key_one_calls_the_provider,
    r_i_06_one_key_for_two_persons_is_one_start,
    a_refused_start_is_not_remembered,
    a_key_is_forgotten_after_its_time,
    a_key_is_found_under_an_older_ring_key,
    a_key_belongs_to_one_tenant,
}

fn with_key(h: &Harness, hint: &str, key: &str, body: &str) -> NewLogin {
    let mut new = h.new_login(hint);
    new.idempotency = Some(IdempotencyClaim {
        key: h.ring.candidates(Purpose::IdempotencyKey, key.as_bytes()),
        body: h.ring.hash(Purpose::ReplayBody, body.as_bytes()),
        until: NOW + Duration::from_secs(24 * 3600),
    });
    new
}

async fn start(h: &Harness, new: NewLogin) -> StartOutcome {
    h.store.start_login(new, &application()).await.expect("the store works")
}

async fn r_i_06_the_same_key_finds_the_same_login_as_it_is_now(h: Harness) {
    let first = with_key(&h, HINT, "key-1", "body");
    started(start(&h, first.clone()).await);
    let ack = super::harness::acknowledge(first.login.login_id);
    h.store.acknowledge(ack).await.expect("works");

    let again = start(&h, with_key(&h, HINT, "key-1", "another body")).await;
    let StartOutcome::Replay(again) = again else { panic!("not a replay") };
    let Replay { login, body, token_key_id } = *again;
    assert_eq!(login.login_id, first.login.login_id);
    assert_eq!(login.state.status(), LoginStatus::Pending);
    assert!(body == h.ring.hash(Purpose::ReplayBody, b"body"), "the body of then, for the caller to compare");
    assert_eq!(token_key_id, "2026-11");
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 1);

    // Another key is another start.
    let other = start(&h, with_key(&h, HINT, "key-2", "body")).await;
    assert!(matches!(other, StartOutcome::AlreadyPending { .. }));
}

async fn r_i_06_of_many_concurrent_starts_with_one_key_one_calls_the_provider(h: Harness) {
    for round in 0..5 {
        let (hint, key) = (format!("person-{round}"), format!("key-{round}"));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (store, new) = (Arc::clone(&h.store), with_key(&h, &hint, &key, "body"));
            tasks.spawn(async move { store.start_login(new, &application()).await });
        }
        let outcomes = tasks.join_all().await;
        let count = |wanted: fn(&StartOutcome) -> bool| {
            outcomes.iter().filter(|outcome| wanted(outcome.as_ref().expect("works"))).count()
        };
        assert_eq!(count(|outcome| matches!(outcome, StartOutcome::Started { .. })), 1);
        assert_eq!(count(|outcome| matches!(outcome, StartOutcome::Replay { .. })), 19);
    }
}

async fn r_i_06_one_key_for_two_persons_is_one_start(h: Harness) {
    for round in 0..20 {
        let key = format!("key-{round}");
        let (one, two) = (
            with_key(&h, &format!("one-{round}"), &key, "one"),
            with_key(&h, &format!("two-{round}"), &key, "two"),
        );
        let (a, b) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let (one, two) = tokio::join!(
            tokio::spawn(async move { a.start_login(one, &application()).await }),
            tokio::spawn(async move { b.start_login(two, &application()).await }),
        );
        let outcomes = [one.expect("no panic").expect("works"), two.expect("no panic").expect("works")];
        let started = outcomes.iter().filter(|o| matches!(o, StartOutcome::Started { .. })).count();
        let replays = outcomes.iter().filter(|o| matches!(o, StartOutcome::Replay { .. })).count();
        assert_eq!((started, replays), (1, 1));
    }
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 20, "the loser has no slot");
    assert_eq!(h.raw.number("SELECT count(*) FROM grants").await, 20);
}

async fn a_refused_start_is_not_remembered(h: Harness) {
    let holder = h.pending(HINT).await;
    let refused = start(&h, with_key(&h, HINT, "key-1", "body")).await;
    assert!(matches!(refused, StartOutcome::AlreadyPending { .. }));
    let end = super::harness::end_login(holder.login.login_id, relais::domain::login::EndStatus::Denied);
    h.store.end_login(end, &application()).await.expect("works");
    started(start(&h, with_key(&h, HINT, "key-1", "body")).await);
}

async fn a_key_is_forgotten_after_its_time(h: Harness) {
    started(start(&h, with_key(&h, "one", "key-1", "body")).await);
    let mut next_day = with_key(&h, "two", "key-1", "body");
    next_day.login.created_at = at(24 * 3600);
    started(start(&h, next_day).await);
    assert_eq!(h.raw.number("SELECT count(*) FROM replays").await, 1);
}

async fn a_key_is_found_under_an_older_ring_key(h: Harness) {
    let mut before_the_rotation = with_key(&h, HINT, "key-1", "body");
    let claim = before_the_rotation.idempotency.as_mut().expect("just set");
    claim.key.reverse();
    assert_eq!(claim.key[0].key_id, "2026-10");
    started(start(&h, before_the_rotation.clone()).await);
    let StartOutcome::Replay(replay) = start(&h, with_key(&h, HINT, "key-1", "body")).await else {
        panic!("not a replay")
    };
    assert_eq!(replay.login.login_id, before_the_rotation.login.login_id);
}

async fn a_key_belongs_to_one_tenant(h: Harness) {
    started(start(&h, with_key(&h, "one", "key-1", "body")).await);
    let mut elsewhere = with_key(&h, "two", "key-1", "body");
    elsewhere.login.tenant = "clinique".parse().expect("a name");
    started(start(&h, elsewhere).await);
}
