//! Nodes wake each other over PostgreSQL; alone on SQLite there is nobody to wake.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::ids::{LoginId, SessionId};
use relais::domain::secret::Secret;
use relais::engine::ports::{Changed, Wake, WakeSignal};
use relais::store::postgres::PostgresStore;
use relais::store::sqlite::{OpenMode, SqliteStore};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::harness::{Harness, ring};
use crate::support::postgres;

async fn node(url: &Secret) -> Arc<dyn Wake> {
    PostgresStore::connect(url, Some(url), ring("2026-11"), Arc::new(SystemRandom))
        .await
        .expect("a migrated database can be opened")
        .wake()
}

async fn next(signals: &mut mpsc::Receiver<WakeSignal>) -> WakeSignal {
    tokio::time::timeout(Duration::from_secs(10), signals.recv())
        .await
        .expect("a signal comes")
        .expect("the listener lives")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_publishes_the_other_hears() {
    let url = postgres::database().await;
    let (one, two) = (node(&url).await, node(&url).await);
    let mut heard = two.signals();
    assert_eq!(next(&mut heard).await, WakeSignal::ReadAll, "from here on nothing is missed");
    let login = Changed::Login(LoginId(Uuid::from_u128(1)));
    let session = Changed::Session(SessionId(Uuid::from_u128(2)));
    one.publish(login);
    one.publish(session);
    assert_eq!(next(&mut heard).await, WakeSignal::Changed(login));
    assert_eq!(next(&mut heard).await, WakeSignal::Changed(session));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_travel_in_few_messages_and_none_is_lost() {
    let url = postgres::database().await;
    let (one, two) = (node(&url).await, node(&url).await);
    let mut heard = two.signals();
    assert_eq!(next(&mut heard).await, WakeSignal::ReadAll);
    for id in 0..700 {
        one.publish(Changed::Login(LoginId(Uuid::from_u128(id))));
    }
    for id in 0..700 {
        assert_eq!(next(&mut heard).await, WakeSignal::Changed(Changed::Login(LoginId(Uuid::from_u128(id)))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_cut_off_says_that_everything_must_be_read() {
    let url = postgres::database().await;
    let (one, two) = (node(&url).await, node(&url).await);
    let mut heard = two.signals();
    assert_eq!(next(&mut heard).await, WakeSignal::ReadAll);
    let mut killer = postgres::connect(&url).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut killer)
    .await
    .expect("a superuser may");
    assert_eq!(next(&mut heard).await, WakeSignal::ReadAll);
    let login = Changed::Login(LoginId(Uuid::from_u128(3)));
    // The sender's connection was cut as well; a message may be lost, and the sending goes on.
    let told = async {
        loop {
            one.publish(login);
            let signal = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await;
            if matches!(signal, Ok(Some(WakeSignal::Changed(changed))) if changed == login) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("both ends come back");
}

#[tokio::test]
async fn alone_there_is_nothing_to_hear() {
    let h = Harness::sqlite().await;
    let file = h.file.clone().expect("SQLite has a file");
    let store = SqliteStore::open(&file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Beside)
        .await
        .expect("opens");
    let wake = store.wake();
    let mut heard = wake.signals();
    wake.publish(Changed::Login(LoginId(Uuid::nil())));
    let silence = tokio::time::timeout(Duration::from_millis(50), heard.recv()).await;
    assert!(silence.is_err(), "neither a signal nor an end");
}
