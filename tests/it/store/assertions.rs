//! An assertion counts once (R-F-01).

use std::sync::Arc;

use relais::domain::ids::Attempt;
use relais::engine::ports::{SpendAssertion, Store, StoreError};

use super::harness::{Harness, application, at, attempt, for_each_store};

for_each_store! {
    an_assertion_is_taken_once_until_its_time_is_over,
    who_comes_with_a_spent_one_is_put_on_record,
    of_many_who_present_it_at_once_one_wins,
    an_attempt_finds_itself_again,
    what_is_over_is_deleted_and_the_rest_is_kept,
}

fn spend(application: &str, jti: &str) -> SpendAssertion {
    SpendAssertion {
        tenant: "cabinet".parse().expect("a name"),
        application: application.parse().expect("a name"),
        jti: jti.to_owned(),
        jkt: "thumbprint".to_owned(),
        attempt: attempt(),
        now: at(0),
        until: at(60),
    }
}

async fn taken(store: &Arc<dyn Store>, spend: SpendAssertion) -> bool {
    store.spend_assertion(spend, &application()).await.expect("the store works")
}

async fn an_assertion_is_taken_once_until_its_time_is_over(h: Harness) {
    assert!(taken(&h.store, spend("desk", "1")).await);
    assert!(!taken(&h.store, spend("desk", "1")).await);
    assert!(taken(&h.store, spend("desk", "2")).await, "another name");
    assert!(taken(&h.store, spend("other", "1")).await, "another application");
    let tenant = "other".parse().expect("a name");
    assert!(taken(&h.store, SpendAssertion { tenant, ..spend("desk", "1") }).await, "another tenant");
    let late = |seconds| SpendAssertion { now: at(seconds), until: at(seconds + 60), ..spend("desk", "1") };
    assert!(!taken(&h.store, late(59)).await);
    assert!(taken(&h.store, late(60)).await, "its time is over");
    assert!(!taken(&h.store, late(61)).await, "and begins anew");
    let secret = h.raw.texts("SELECT application FROM assertions WHERE application = 'desk'").await;
    assert_eq!(secret.len(), 3);
}

async fn who_comes_with_a_spent_one_is_put_on_record(h: Harness) {
    let record = "SELECT event || ' ' || tenant || ' ' || application || ' ' || reason || ' ' || actor || ' ' || address
         FROM audit ORDER BY seq";
    let first = spend("desk", "1");
    assert!(taken(&h.store, first.clone()).await);
    assert!(taken(&h.store, first).await, "the same attempt");
    assert_eq!(h.raw.texts(record).await, [""; 0], "what is as it should be is no event");
    for count in 1..=2 {
        assert!(!taken(&h.store, spend("desk", "1")).await);
        let expected = "assertion_replay cabinet desk jkt:thumbprint application 192.0.2.1";
        assert_eq!(h.raw.texts(record).await, vec![expected; count]);
    }
    // What cannot be put on record is no answer either.
    h.raw.run("ALTER TABLE audit RENAME TO audit_elsewhere").await.expect("works");
    let refused = h.store.spend_assertion(spend("desk", "1"), &application()).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    assert!(taken(&h.store, spend("desk", "2")).await);
}

async fn of_many_who_present_it_at_once_one_wins(h: Harness) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(&h.store);
        tasks.spawn(async move { taken(&store, spend("desk", "1")).await });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(h.raw.number("SELECT count(*) FROM audit WHERE event = 'assertion_replay'").await, 11);
}

async fn an_attempt_finds_itself_again(h: Harness) {
    let once = SpendAssertion { attempt: Attempt(uuid::Uuid::from_u128(7)), ..spend("desk", "1") };
    assert!(taken(&h.store, once.clone()).await);
    assert!(taken(&h.store, once).await, "the same attempt, after an unknown commit outcome");
    assert!(!taken(&h.store, spend("desk", "1")).await);
}

async fn what_is_over_is_deleted_and_the_rest_is_kept(h: Harness) {
    for (jti, seconds) in [("1", 10), ("2", 20), ("3", 30)] {
        assert!(taken(&h.store, SpendAssertion { until: at(seconds), ..spend("desk", jti) }).await);
    }
    assert_eq!(h.store.housekeep(at(20)).await.expect("works").rows, 2);
    assert_eq!(h.raw.number("SELECT count(*) FROM assertions").await, 1);
    assert!(!taken(&h.store, SpendAssertion { now: at(21), ..spend("desk", "3") }).await);
}
