//! Migrations: applied once, under a lock, the same in both databases, never backwards.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use relais::crypto::random::SystemRandom;
use relais::store::migrations::{Location, MigrateError, MigrationState, check, migrate};
use relais::store::postgres::{ConnectError, PostgresStore};
use relais::store::sqlite::{OpenError, OpenMode, SqliteStore};

use super::harness::{Harness, for_each_store, ring};
use crate::support::postgres;

/// The last migration that this binary knows.
const KNOWN: i64 = 6;

for_each_store! {
    a_migrated_database_is_current_and_stays_so,
    a_newer_schema_is_refused,
    an_altered_migration_is_refused,
}

async fn a_migrated_database_is_current_and_stays_so(h: Harness) {
    assert_eq!(check(&h.location()).await.expect("readable"), MigrationState::Current);
    h.pending("person").await;
    if h.raw.is_sqlite() {
        let refused = migrate(&h.location()).await.expect_err("a server holds the lock");
        assert!(matches!(refused, MigrateError::Lock(_)));
    } else {
        migrate(&h.location()).await.expect("nothing to do");
    }
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 1);
}

async fn a_newer_schema_is_refused(h: Harness) {
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (999, 'later', true, (SELECT checksum FROM _sqlx_migrations WHERE version = 1), 0)";
    h.raw.run(newer).await.expect("as a newer binary would");
    let known = KNOWN;
    let state = MigrationState::Newer { applied: 999, known };
    assert_eq!(check(&h.location()).await.expect("readable"), state);
    assert!(state.to_string().contains("999"));
    refused_as(h, state).await;
}

async fn an_altered_migration_is_refused(h: Harness) {
    let sql = if h.raw.is_sqlite() {
        "UPDATE _sqlx_migrations SET checksum = x'00'"
    } else {
        "UPDATE _sqlx_migrations SET checksum = '\\x00'"
    };
    h.raw.run(sql).await.expect("works");
    refused_as(h, MigrationState::Altered { version: 1 }).await;
}

/// Neither is it migrated nor served.
async fn refused_as(h: Harness, state: MigrationState) {
    let Harness { url, file, .. } = &h;
    if let Some(file) = file {
        let opened = SqliteStore::open(file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Beside).await;
        assert!(matches!(opened, Err(OpenError::Schema { state: found, .. }) if found == state));
    } else {
        let opened = PostgresStore::connect(url, None, ring("2026-11"), Arc::new(SystemRandom)).await;
        assert!(matches!(opened, Err(ConnectError::Schema(found)) if found == state));
        let migrated = migrate(&h.location()).await;
        assert!(matches!(migrated, Err(MigrateError::Refused(found)) if found == state));
    }
}

#[tokio::test]
async fn an_empty_database_is_behind_and_not_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("relais.db");
    let behind = MigrationState::Behind { applied: 0, known: KNOWN };
    let location = Location::Sqlite(file.clone());
    assert_eq!(check(&location).await.expect("readable"), behind);
    assert!(!file.exists(), "a check creates nothing");
    let opened = SqliteStore::open(&file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Serve).await;
    assert!(matches!(opened, Err(OpenError::Schema { state, .. }) if state == behind));
    assert!(behind.to_string().contains("relais migrate"));

    let url = postgres::empty_database().await;
    assert_eq!(check(&Location::Postgres(url.clone())).await.expect("readable"), behind);
    let opened = PostgresStore::connect(&url, None, ring("2026-11"), Arc::new(SystemRandom)).await;
    assert!(matches!(opened, Err(ConnectError::Schema(state)) if state == behind));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once() {
    let location = Location::Postgres(postgres::empty_database().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let location = location.clone();
        tasks.spawn(async move { migrate(&location).await });
    }
    for outcome in tasks.join_all().await {
        outcome.expect("each finds a current schema in the end");
    }
    assert_eq!(check(&location).await.expect("readable"), MigrationState::Current);
}

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_and_look_ups() {
    let (sqlite, postgres) = (Harness::sqlite().await, Harness::postgres().await);
    let columns = |rows: Vec<String>| rows.into_iter().collect::<BTreeSet<_>>();
    let of_sqlite = columns(
        sqlite
            .raw
            .texts(
                "SELECT m.name || '.' || c.name || CASE WHEN c.\"notnull\" = 1 THEN ' not null' ELSE '' END
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations'",
            )
            .await,
    );
    let of_postgres = columns(
        postgres
            .raw
            .texts(
                "SELECT table_name || '.' || column_name
                     || CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END
                 FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
            )
            .await,
    );
    assert!(of_sqlite.len() > 100, "{} columns", of_sqlite.len());
    assert_eq!(of_sqlite, of_postgres);

    let indexes_of_sqlite = columns(
        sqlite.raw.texts("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").await,
    );
    let indexes_of_postgres = columns(
        postgres
            .raw
            .texts(
                "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'
                     AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'",
            )
            .await,
    );
    assert_eq!(indexes_of_sqlite, indexes_of_postgres);
}

#[tokio::test]
async fn tenant_stands_first_in_every_unique_key_but_the_named_ones() {
    let h = Harness::postgres().await;
    let others = h
        .raw
        .texts(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
             WHERE i.indisunique AND n.nspname = 'public' AND a.attname <> 'tenant'
                 AND t.relname <> '_sqlx_migrations' ORDER BY 1",
        )
        .await;
    let expected = [
        "audit_pkey",
        "handles_pkey",
        "logins_by_id_token",
        "logins_by_notification",
        "logins_by_token",
        "logout_tokens_pkey",
        "nodes_pkey",
        "person_slots_pkey",
    ];
    assert_eq!(others, expected);
}

#[tokio::test]
async fn a_path_is_no_url_and_its_files_are_their_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("a%20b?mode=memory");
    std::fs::create_dir(&inside).expect("a folder");
    let file = inside.join("c%2Fd?e#f.db");
    let location = Location::Sqlite(file.clone());
    migrate(&location).await.expect("migrated");
    assert_eq!(check(&location).await.expect("readable"), MigrationState::Current);
    SqliteStore::open(&file, ring("2026-11"), Arc::new(SystemRandom), OpenMode::Serve)
        .await
        .expect("the very file that was migrated");
    let here: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(here.len(), 1, "nothing beside the folder: {here:?}");
    let mut lock = file.clone().into_os_string();
    lock.push(".lock");
    for file in [file, lock.into()] {
        let mode = file.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}
