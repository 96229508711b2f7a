//! How connections are lent and given back, seen from inside: what the port cannot show.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};

use super::work::Postgres;
use crate::store::conn::{Db, Fault, Work};
use crate::store::facade::Backend as _;

fn url() -> String {
    std::env::var("RELAIS_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "RELAIS_TEST_POSTGRES_URL is not set: run `scripts/test`, which starts a PostgreSQL for the tests"
        )
    })
}

async fn pool_of_one() -> PgPool {
    let options = PgConnectOptions::from_str(&url()).expect("the URL of the cluster");
    super::pool(options, 1).await.expect("the cluster answers")
}

/// What `now()` says in two statements 2 ms apart: the same inside one transaction, and only there.
async fn twice_now(db: &mut Db) -> Result<[String; 2], Fault> {
    let mut seen = [String::new(), String::new()];
    for now in &mut seen {
        let row = db.fetch_first("SELECT now()::text AS now, pg_sleep(0.002)::text AS slept", &[]).await?;
        *now = row.ok_or(Fault::Again)?.get("now", "now")?;
    }
    Ok(seen)
}

async fn assert_outside_of_any_transaction(backend: &Postgres, round: u64) {
    let look: Work<[String; 2]> = Box::new(|db| Box::pin(twice_now(db)));
    let [first, second] = backend.read(look).await.expect("the only connection is usable");
    assert_ne!(first, second, "round {round}: the borrower sits inside somebody else's transaction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_04_whoever_is_cancelled_the_next_borrower_is_outside_of_any_transaction() {
    let backend = Postgres::new(pool_of_one().await);
    let mut cancelled = 0;
    for round in 0..400 {
        let write: Work<()> = Box::new(|db| {
            Box::pin(async move {
                db.fetch("SELECT pg_sleep(0.0002)::text", &[]).await?;
                Ok(())
            })
        });
        let patience = Duration::from_micros(5 + round);
        cancelled += u32::from(tokio::time::timeout(patience, backend.write(write)).await.is_err());
        assert_outside_of_any_transaction(&backend, round).await;
    }
    assert!(cancelled > 20, "only {cancelled} calls were cancelled");
}

/// The server process behind the only connection.
async fn server_process(backend: &Postgres) -> i64 {
    let ask: Work<i64> = Box::new(|db| {
        Box::pin(async move {
            let row = db.fetch_first("SELECT pg_backend_pid()::bigint AS process", &[]).await?;
            row.ok_or(Fault::Again)?.get("process", "process")
        })
    });
    backend.read(ask).await.expect("the only connection is usable")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_04_a_connection_whose_work_panicked_is_lent_to_nobody() {
    let backend = Postgres::new(pool_of_one().await);
    let panicking = || -> Work<()> {
        Box::new(|db| {
            Box::pin(async move {
                // Left to the next borrower, this would be a transaction of its own.
                db.execute("BEGIN", &[]).await?;
                panic!("a defect");
            })
        })
    };
    for (round, writes) in [true, false].into_iter().enumerate() {
        let before = server_process(&backend).await;
        let work = panicking();
        let outcome = if writes { backend.write(work).await } else { backend.read(work).await };
        assert!(matches!(outcome, Err(Fault::Panicked)));
        assert_outside_of_any_transaction(&backend, round as u64).await;
        assert_ne!(server_process(&backend).await, before, "the connection was closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_04_a_write_is_never_part_of_somebody_elses_transaction() {
    let pool = pool_of_one().await;
    let backend = Postgres::new(pool.clone());
    let mut connection = pool.acquire().await.expect("free");
    // What no work leaves behind: an open transaction, given back in a moment.
    sqlx::raw_sql("BEGIN; CREATE TABLE relais_test_left_open ()")
        .execute(&mut *connection)
        .await
        .expect("made");
    drop(connection);
    let look: Work<bool> = Box::new(|db| {
        Box::pin(async move {
            let sought = "SELECT to_regclass('relais_test_left_open')::text AS found";
            let row = db.fetch_first(sought, &[]).await?.ok_or(Fault::Again)?;
            Ok(row.get::<Option<String>>("pg_class", "found")?.is_some())
        })
    });
    assert!(!backend.write(look).await.expect("usable"), "the foreign table is part of this transaction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_connections_that_have_died_unseen_cost_no_call() {
    let options = PgConnectOptions::from_str(&url()).expect("the URL of the cluster");
    let pool = super::pool(options.clone().application_name("relais-test-to-die"), 4).await.expect("answers");
    let backend = Postgres::new(pool.clone());
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relais-test-to-die'";
    let mut killer = sqlx::ConnectOptions::connect(&options).await.expect("answers");
    for writes in [true, false] {
        let mut lent = Vec::new();
        for _ in 0..4 {
            lent.push(pool.acquire().await.expect("free"));
        }
        drop(lent);
        assert_eq!(pool.size(), 4);
        let dead = sqlx::raw_sql(kill).execute(&mut killer).await.expect("allowed").rows_affected();
        assert_eq!(dead, 4);
        let work: Work<()> =
            Box::new(|db| Box::pin(async move { db.execute("SELECT 1", &[]).await.map(|_| ()) }));
        let outcome = if writes { backend.write(work).await } else { backend.read(work).await };
        outcome.expect("the dead are passed over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_02_a_conflict_runs_the_work_again_and_not_for_ever() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    let backend = Postgres::new(pool_of_one().await);
    for (conflicts, succeeds) in [(3, true), (4, false)] {
        let runs = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&runs);
        let work: Work<()> = Box::new(move |db| {
            let runs = Arc::clone(&counting);
            Box::pin(async move {
                if runs.fetch_add(1, Ordering::SeqCst) < conflicts {
                    let raise = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$";
                    db.execute(raise, &[]).await?;
                }
                Ok(())
            })
        });
        let outcome = backend.write(work).await;
        assert_eq!(outcome.is_ok(), succeeds);
        assert_eq!(runs.load(Ordering::SeqCst), 4, "three more at most");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_statement_sees_what_was_committed_before_it_whatever_the_database_prefers() {
    let options = PgConnectOptions::from_str(&url()).expect("the URL of the cluster");
    let options = options.options([("default_transaction_isolation", "serializable")]);
    let backend = Postgres::new(super::pool(options, 1).await.expect("the cluster answers"));
    let look: Work<String> = Box::new(|db| {
        Box::pin(async move {
            let level = "SELECT current_setting('transaction_isolation') AS level";
            let row = db.fetch_first(level, &[]).await?;
            row.ok_or(Fault::Again)?.get("pg_settings", "level")
        })
    });
    assert_eq!(backend.write(look).await.expect("usable"), "read committed");
}
