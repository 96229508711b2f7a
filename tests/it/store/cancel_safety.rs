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
        // One connection, lent in the order of asking: once this is answered the call above is over.
        store.check_writable().await.expect("the only connection is usable");
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(&mut watcher)
        .await
        .expect("the cluster answers");
        assert_eq!(open, 0, "round {round}");
    }
    assert!(cancelled > 0, "no call was cancelled");
}
