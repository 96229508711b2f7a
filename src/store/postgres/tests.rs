//! The connection guard, seen from inside: what the port cannot show.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};

use super::work::Postgres;
use crate::store::conn::{Db, Fault, Work};
use crate::store::facade::Backend as _;

async fn pool_of_one() -> PgPool {
    let url = std::env::var("RELAIS_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "RELAIS_TEST_POSTGRES_URL is not set: run `scripts/test`, which starts a PostgreSQL for the tests"
        )
    });
    let options = PgConnectOptions::from_str(&url).expect("the URL of the cluster");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_04_the_guard_alone_takes_a_connection_out_of_a_transaction() {
    let pool = pool_of_one().await;
    let backend = Postgres::new(pool.clone());
    for (round, left_in) in ["BEGIN", "BEGIN; SELECT 1", "BEGIN; SELECT 1/0"].into_iter().enumerate() {
        let mut connection = pool.acquire().await.expect("free");
        // The last one fails, and leaves an aborted transaction.
        let _ = sqlx::raw_sql(left_in).execute(&mut *connection).await;
        drop(connection);
        assert_outside_of_any_transaction(&backend, round as u64).await;
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
