//! Leases and adoption.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::ids::NodeId;
use relais::domain::names::RegistrationName;
use relais::engine::ports::{Adopted, DeadFor, StoreError};
use relais::store::sqlite::{OpenMode, SqliteStore};

use super::harness::{AUTH_REQ_ID, Harness, for_each_store, node};

for_each_store! {
    a_survivor_takes_over_what_a_dead_node_polled,
    logins_of_other_registrations_are_left,
    own_logins_are_not_adopted,
    two_survivors_share_nothing,
}

const NOW: DeadFor = DeadFor { pending: Duration::ZERO, starting: Duration::ZERO };

fn survivor() -> NodeId {
    NodeId(uuid::Uuid::from_u128(8))
}

fn registration() -> RegistrationName {
    "lps-bas".parse().expect("a name")
}

async fn adopt(h: &Harness, node: NodeId, dead_for: Duration) -> Adopted {
    h.store
        .adopt(node, &registration(), DeadFor { pending: dead_for, starting: dead_for })
        .await
        .expect("the store works")
}

async fn a_survivor_takes_over_what_a_dead_node_polled(h: Harness) {
    h.store.renew_lease(node(), Duration::from_secs(60)).await.expect("works");
    let pending = h.pending("pending").await;
    let starting = h.starting("starting").await;
    h.approved("approved").await;
    h.store.leave(node()).await.expect("works");
    let adopted = adopt(&h, survivor(), Duration::from_secs(8)).await;
    assert_eq!(adopted.starting, [starting.login.login_id]);
    let [job] = adopted.pending.as_slice() else { panic!("{} jobs", adopted.pending.len()) };
    assert_eq!(job.login.login_id, pending.login.login_id);
    assert_eq!(job.login.owner, survivor());
    assert_eq!(job.login.version, 2, "whoever polls is no visible change");
    assert_eq!(job.auth_req_id.expose(), AUTH_REQ_ID);
    assert_eq!((&job.scope, &job.acr_values), (&pending.scope, &pending.acr_values));
    assert!(h.store.still_mine(node(), &[pending.login.login_id]).await.expect("works").is_empty());

    let again = adopt(&h, survivor(), Duration::from_secs(8)).await;
    assert!(again.pending.is_empty() && again.starting.is_empty());
}

async fn logins_of_other_registrations_are_left(h: Harness) {
    h.pending("pending").await;
    let other = "autre".parse().expect("a name");
    let adopted = h.store.adopt(survivor(), &other, NOW).await.expect("works");
    assert!(adopted.pending.is_empty());
}

async fn own_logins_are_not_adopted(h: Harness) {
    h.pending("pending").await;
    assert!(adopt(&h, node(), Duration::ZERO).await.pending.is_empty());
}

async fn two_survivors_share_nothing(h: Harness) {
    for person in 0..20 {
        h.pending(&format!("person-{person}")).await;
    }
    let third = NodeId(uuid::Uuid::from_u128(9));
    if h.raw.is_sqlite() {
        // One node at a time: whoever holds the serve lock is the only one alive.
        assert_eq!(adopt(&h, survivor(), Duration::ZERO).await.pending.len(), 20);
        return;
    }
    for node in [survivor(), third] {
        h.store.renew_lease(node, Duration::from_secs(60)).await.expect("works");
    }
    let (one, two) = tokio::join!(adopt(&h, survivor(), Duration::ZERO), adopt(&h, third, Duration::ZERO));
    assert_eq!(one.pending.len() + two.pending.len(), 20);
}

/// PostgreSQL: who lives is a matter of leases, in the time of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_counts_in_database_time() {
    let h = Harness::postgres().await;
    h.store.renew_lease(node(), Duration::from_secs(3)).await.expect("works");
    h.pending("pending").await;
    assert!(adopt(&h, survivor(), Duration::ZERO).await.pending.is_empty(), "the lease runs");
    // Only the database knows how much time goes by here.
    h.raw.texts("SELECT pg_sleep(3.2)::text").await;
    let dead_for = Duration::from_secs(30);
    assert!(adopt(&h, survivor(), dead_for).await.pending.is_empty(), "a poll may still be in flight");
    assert_eq!(adopt(&h, survivor(), Duration::from_millis(100)).await.pending.len(), 1);

    // A node that nobody knows any more is dead, and one that renewed is not.
    h.store.renew_lease(survivor(), Duration::from_secs(60)).await.expect("works");
    assert!(adopt(&h, node(), Duration::ZERO).await.pending.is_empty());
    h.raw.run("DELETE FROM nodes").await.expect("works");
    assert_eq!(adopt(&h, node(), Duration::from_secs(3600)).await.pending.len(), 1);
}

/// SQLite: without the serve lock nobody is proven dead.
#[tokio::test]
async fn beside_a_server_nothing_is_adopted() {
    let h = Harness::sqlite().await;
    let file = h.file.clone().expect("SQLite has a file");
    let beside = SqliteStore::open(&file, Arc::clone(&h.ring), Arc::new(SystemRandom), OpenMode::Beside)
        .await
        .expect("opens without the lock");
    h.pending("pending").await;
    let adopted = beside.store().adopt(survivor(), &registration(), NOW).await;
    assert!(matches!(adopted, Err(StoreError::Refused { operation: "adopt", .. })));
    assert_eq!(beside.store().counts().await.expect("reads").logins_pending, 1);
}
