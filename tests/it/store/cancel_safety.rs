//! A caller who goes away changes nothing (R-I-04).

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::store::postgres::{PostgresSettings, PostgresStore};

use super::harness::{Harness, application, for_each_store, ring};
use crate::support::postgres;

for_each_store! {
    r_i_04_what_was_asked_for_is_done_whoever_waits,
}

async fn r_i_04_what_was_asked_for_is_done_whoever_waits(h: Harness) {
    let by = application();
    let mut cancelled = 0;
    for round in 0..60 {
        let new = h.new_login(&format!("person-{round}"));
        let call = h.store.start_login(new, &by);
        let patience = Duration::from_micros(5 + 40 * (round % 50));
        cancelled += i64::from(tokio::time::timeout(patience, call).await.is_err());
    }
    assert!(cancelled > 0, "no call was cancelled");
    // Writes that are still queued come before this one.
    for _ in 0..200 {
        h.store.check_writable().await.expect("the store works");
        if h.raw.number("SELECT count(*) FROM logins").await == 60 {
            break;
        }
    }
    let logins = h.raw.number("SELECT count(*) FROM logins").await;
    for whole in [
        "SELECT count(*) FROM grants",
        "SELECT count(*) FROM person_slots",
        "SELECT count(*) FROM audit WHERE event = 'login.started'",
    ] {
        assert_eq!(h.raw.number(whole).await, logins, "all or nothing");
    }
    assert!(logins >= 60 - cancelled);
}

async fn inside_of_a_transaction(watcher: &mut sqlx::PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(watcher)
    .await
    .expect("the cluster answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_04_no_connection_is_left_inside_a_transaction() {
    let url = postgres::database().await;
    let h = Harness::postgres().await;
    let settings = PostgresSettings { url: url.clone(), listen_url: None, max_connections: 1 };
    let store = PostgresStore::connect_with(settings, ring("2026-11"), Arc::new(SystemRandom))
        .await
        .expect("a migrated database can be opened")
        .store();
    let mut watcher = postgres::connect(&url).await;
    let by = application();
    let mut cancelled = 0;
    for round in 0..200 {
        let call = store.start_login(h.new_login(&format!("person-{round}")), &by);
        let patience = Duration::from_micros(5 + 10 * (round % 80));
        cancelled += u32::from(tokio::time::timeout(patience, call).await.is_err());
        store.check_writable().await.expect("the only connection is usable");
        // The cancelled call may still be at work, and is between two statements for a moment; one that was left in a
        // transaction stays there, for nobody borrows meanwhile.
        let mut looks = 0;
        while inside_of_a_transaction(&mut watcher).await > 0 {
            looks += 1;
            assert!(looks < 100, "round {round}");
            let _ = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
        }
    }
    assert!(cancelled > 0, "no call was cancelled");
}
