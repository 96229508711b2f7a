//! How a piece of work gets a connection, a transaction, and a commit whose outcome is known.
//!
//! - It runs in a task of its own: a caller who goes away changes nothing.
//! - A conflict (serialization failure, deadlock) runs it again, three times at most.
//! - A connection that is lost while `COMMIT` is under way leaves the outcome unknown: the work runs again on a new
//!   connection, where its guard fails if the commit has arrived, and finds its own attempt.
//! - A connection goes back to the pool only outside of a transaction and after an answer to everything that was sent
//!   on it. One that fell silent, or whose work panicked, is closed.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use sqlx::Postgres as Driver;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;

use crate::store::conn::{Class, Fault, Work};
use crate::store::facade::Backend;

/// How often a conflict is tried.
const CONFLICT_TRIES: u32 = 4;
/// How often an unknown outcome is asked about.
const LOST_TRIES: u32 = 4;
/// How long one run may take before its connection counts as lost; a little more than the server's own limit for a
/// statement.
const RUN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a `COMMIT` or `ROLLBACK` may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Begins a transaction, out of whatever transaction a defect may have left the connection in: of what happens here,
/// nothing may be part of something else. It travels as one message.
const BEGIN: &str = "BEGIN; ROLLBACK; BEGIN";
/// Shows that a connection lives and is in no transaction.
pub(super) const LEAVE_TRANSACTION: &str = "BEGIN; ROLLBACK";

/// The backend.
pub(in crate::store) struct Postgres {
    pool: PgPool,
}

impl Postgres {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl Backend for Postgres {
    async fn write<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault> {
        let pool = self.pool.clone();
        detached(async move { write(&pool, &work).await }).await
    }

    async fn read<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault> {
        let pool = self.pool.clone();
        detached(async move { read(&pool, &work).await }).await
    }

    fn may_adopt(&self) -> bool {
        true
    }
}

async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    tokio::spawn(work).await.unwrap_or(Err(Fault::Database(sqlx::Error::WorkerCrashed)))
}

/// A read that loses its connection is asked once more: a connection may have died unseen.
async fn read<T>(pool: &PgPool, work: &Work<T>) -> Result<T, Fault> {
    match read_on(pool.acquire().await?, work).await {
        Err(fault) if fault.class() == Class::Lost => read_on(acquire_living(pool).await?, work).await,
        outcome => outcome,
    }
}

async fn read_on<T>(mut connection: PoolConnection<Driver>, work: &Work<T>) -> Result<T, Fault> {
    let outcome = run(work, &mut connection).await;
    if outcome.as_ref().is_err_and(leaves_doubt) {
        abandon(connection);
    }
    outcome
}

/// A connection that has just answered. Where one has died, all others may have died with it.
async fn acquire_living(pool: &PgPool) -> Result<PoolConnection<Driver>, Fault> {
    for _ in 0..pool.options().get_max_connections() {
        let mut connection = pool.acquire().await?;
        match control(&mut connection, LEAVE_TRANSACTION).await {
            Ok(()) => return Ok(connection),
            Err(_) => abandon(connection),
        }
    }
    Ok(pool.acquire().await?)
}

/// Runs the work once. A panic in it must not leave its connection to somebody else.
async fn run<T>(work: &Work<T>, connection: &mut PoolConnection<Driver>) -> Result<T, Fault> {
    let guarded = AssertUnwindSafe(async { work(&mut **connection).await }).catch_unwind();
    timed(RUN_TIMEOUT, async { guarded.await.unwrap_or(Err(Fault::Panicked)) }).await
}

/// Whether nobody knows what state this fault leaves a connection in.
fn leaves_doubt(fault: &Fault) -> bool {
    fault.class() == Class::Lost || matches!(fault, Fault::Panicked)
}

/// What one run in one transaction came to.
enum Run<T> {
    Committed(T),
    /// Rolled back, or never begun.
    Failed(Fault),
    /// The connection was lost during the commit.
    Unknown(Fault),
}

async fn write<T>(pool: &PgPool, work: &Work<T>) -> Result<T, Fault> {
    let (mut conflicts, mut losses, mut unknown) = (0, 0, false);
    loop {
        let connection =
            if losses == 0 { pool.acquire().await.map_err(Into::into) } else { acquire_living(pool).await };
        let outcome = match connection {
            Ok(connection) => transaction(connection, work).await,
            Err(fault) => Run::Failed(fault),
        };
        let fault = match outcome {
            Run::Committed(outcome) => return Ok(outcome),
            Run::Failed(fault) => fault,
            Run::Unknown(fault) => {
                unknown = true;
                fault
            }
        };
        match fault.class() {
            Class::Conflict => {
                conflicts += 1;
                if conflicts == CONFLICT_TRIES {
                    return Err(fault);
                }
                pause(conflicts).await;
            }
            // Nothing was under way: one more try for a connection that had died unseen. Otherwise it must be
            // found out whether the commit has arrived.
            Class::Lost | Class::Busy if unknown || fault.class() == Class::Lost => {
                losses += 1;
                if losses == if unknown { LOST_TRIES } else { 2 } {
                    return Err(fault);
                }
                pause(2 * losses).await;
            }
            Class::Lost | Class::Busy | Class::Refused => return Err(fault),
        }
    }
}

async fn transaction<T>(mut connection: PoolConnection<Driver>, work: &Work<T>) -> Run<T> {
    if let Err(fault) = control(&mut connection, BEGIN).await {
        abandon(connection);
        return Run::Failed(fault);
    }
    match run(work, &mut connection).await {
        Ok(outcome) => match control(&mut connection, "COMMIT").await {
            Ok(()) => Run::Committed(outcome),
            Err(fault) => {
                abandon(connection);
                if fault.class() == Class::Lost { Run::Unknown(fault) } else { Run::Failed(fault) }
            }
        },
        Err(fault) => {
            if leaves_doubt(&fault) || control(&mut connection, "ROLLBACK").await.is_err() {
                abandon(connection);
            }
            Run::Failed(fault)
        }
    }
}

async fn control(connection: &mut PoolConnection<Driver>, sql: &'static str) -> Result<(), Fault> {
    timed(CLOSE_TIMEOUT, async {
        sqlx::raw_sql(sql).execute(&mut **connection).await?;
        Ok(())
    })
    .await
}

/// Closes a connection in whatever state it is; the server rolls back what was open.
fn abandon(connection: PoolConnection<Driver>) {
    drop(connection.detach());
}

async fn timed<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Fault::TimedOut))
}

/// Waits a little longer each time, so that two that collide do not collide again.
async fn pause(tried: u32) {
    let length = Duration::from_millis(15) * tried * tried;
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}
