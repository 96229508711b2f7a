//! SQLite is for one server.

use std::sync::Arc;

use relais::crypto::random::SystemRandom;
use relais::store::sqlite::{LockError, OpenError, OpenMode, SqliteStore};

use super::harness::{Harness, ring};

#[tokio::test]
async fn a_second_server_is_refused_with_a_sentence_that_helps() {
    let h = Harness::sqlite().await;
    let file = h.file.clone().expect("SQLite has a file");
    let second = SqliteStore::open(&file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Serve).await;
    let Err(OpenError::Lock(refused)) = second else { panic!("two servers on one file") };
    assert!(matches!(refused, LockError::Held { .. }));
    let sentence = refused.to_string();
    assert!(sentence.contains("relais.db.lock") && sentence.contains("PostgreSQL"), "{sentence}");
}

#[tokio::test]
async fn a_stopped_server_leaves_the_lock() {
    let h = Harness::sqlite().await;
    let file = h.file.clone().expect("SQLite has a file");
    let new = h.pending("person").await;
    let Harness { store, raw, folder, .. } = h;
    drop((store, raw));
    let again = SqliteStore::open(&file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Serve)
        .await
        .expect("the lock went with its holder");
    let login = again.store().login(new.login.login_id).await.expect("works");
    assert!(login.is_some(), "what was answered is there");
    drop(folder);
}
