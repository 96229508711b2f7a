//! The one task that writes.
//!
//! Callers queue work; the task runs what is queued in one `BEGIN IMMEDIATE … COMMIT` and answers after the commit. Where
//! a piece fails, all is taken back and runs again, each piece in a SAVEPOINT of its own. So a failing piece takes back
//! only itself, many callers share one sync of the disk, and a caller that has gone away changes nothing.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::store::conn::{Class, Conn as _, Db, Fault, Work};

/// How many may wait in the queue before callers wait to get into it.
const QUEUE: usize = 1024;
/// The most that is committed at once.
const BATCH: usize = 64;
/// How long a caller waits to get into the queue.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often one piece or one commit is tried.
const TRIES: u32 = 3;

/// The way into the queue. The task ends when this is dropped and the queue is empty.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    pub async fn start(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let connection = options.connect().await?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(Task { options, connection: Some(connection) }.run(jobs));
        Ok(Self { queue })
    }

    pub async fn submit<T: Send + 'static>(&self, work: Work<T>) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Queued { work, outcome: None, answer });
        let place = match tokio::time::timeout(QUEUE_TIMEOUT, self.queue.reserve()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Fault::Database(sqlx::Error::WorkerCrashed)),
            Err(_) => return Err(Fault::Database(sqlx::Error::PoolTimedOut)),
        };
        place.send(job);
        answered.await.unwrap_or(Err(Fault::Database(sqlx::Error::WorkerCrashed)))
    }
}

/// A piece of work whose type of outcome the task need not know.
#[async_trait]
trait Job: Send {
    /// Runs it, and keeps the outcome. Says whether its writes count.
    async fn run(&mut self, db: &mut Db) -> Result<(), Class>;
    /// Answers the caller: after the commit with the outcome, or with why there was no commit.
    fn answer(self: Box<Self>, commit_failure: Option<Fault>);
}

struct Queued<T> {
    work: Work<T>,
    outcome: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, Fault>>,
}

#[async_trait]
impl<T: Send + 'static> Job for Queued<T> {
    async fn run(&mut self, db: &mut Db) -> Result<(), Class> {
        // A panic in one piece of work must not end the writer, and with it all writes.
        let outcome = AssertUnwindSafe((self.work)(db)).catch_unwind().await.unwrap_or(Err(Fault::Panicked));
        let verdict = outcome.as_ref().map(|_| ()).map_err(Fault::class);
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, commit_failure: Option<Fault>) {
        let Self { outcome, answer, .. } = *self;
        let outcome = match (outcome, commit_failure) {
            // What failed by itself had nothing to commit.
            (Some(Err(fault)), _) | (_, Some(fault)) => Err(fault),
            (Some(outcome), None) => outcome,
            (None, None) => Err(Fault::Database(sqlx::Error::WorkerCrashed)),
        };
        // The caller may have gone away; what it asked for is done all the same.
        let _ = answer.send(outcome);
    }
}

struct Task {
    options: SqliteConnectOptions,
    /// `None` after a commit that failed in a way that a rollback does not mend.
    connection: Option<SqliteConnection>,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.recv().await {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            self.commit(batch).await;
        }
        if let Some(connection) = self.connection.take() {
            // Nobody is left to tell.
            let _ = connection.close().await;
        }
    }

    /// Runs a batch. After a failed commit every piece runs again: it finds its own attempt if the commit has
    /// arrived after all.
    async fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let mut tried = 1;
        loop {
            let failure = match self.transaction(&mut batch).await {
                Ok(()) => {
                    for job in batch {
                        job.answer(None);
                    }
                    return;
                }
                Err(fault) => fault,
            };
            tracing::warn!(class = ?failure.class(), tried, "the database did not take a commit");
            self.recover().await;
            if tried == TRIES {
                let mut failure = Some(failure);
                for job in batch {
                    let fault = failure.take().unwrap_or(Fault::TimedOut);
                    job.answer(Some(fault));
                }
                return;
            }
            tried += 1;
        }
    }

    async fn transaction(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        let Some(connection) = self.connection.as_mut() else { return Err(Fault::TimedOut) };
        if together(connection, batch).await? {
            return Ok(());
        }
        connection.execute("BEGIN IMMEDIATE", &[]).await?;
        for job in batch.iter_mut() {
            in_savepoint(connection, job.as_mut()).await?;
        }
        connection.execute("COMMIT", &[]).await?;
        Ok(())
    }

    async fn recover(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // `ROLLBACK` also fails where SQLite has rolled back by itself; a new connection starts clean in any case.
        let _ = connection.execute("ROLLBACK", &[]).await;
        let _ = connection.close().await;
    }
}

/// The first try of each piece; says whether all is done. Pieces hardly ever fail: who lost a race has not. Savepoints
/// would be two statements more for each, and each is a message to the connection's thread and back.
async fn together(connection: &mut SqliteConnection, batch: &mut [Box<dyn Job>]) -> Result<bool, Fault> {
    connection.execute("BEGIN IMMEDIATE", &[]).await?;
    for job in batch.iter_mut() {
        if job.run(connection).await.is_err() {
            connection.execute("ROLLBACK", &[]).await?;
            return Ok(false);
        }
    }
    connection.execute("COMMIT", &[]).await?;
    Ok(true)
}

/// The tries that are left where the first one, with all others, came to nothing.
async fn in_savepoint(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), Fault> {
    for tried in 2..=TRIES {
        connection.execute("SAVEPOINT piece", &[]).await?;
        let verdict = job.run(connection).await;
        if verdict.is_err() {
            connection.execute("ROLLBACK TO piece", &[]).await?;
        }
        connection.execute("RELEASE piece", &[]).await?;
        if verdict != Err(Class::Conflict) || tried == TRIES {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::store::conn::Row;

    async fn writer(folder: &tempfile::TempDir) -> Writer {
        let options = super::super::options(&folder.path().join("test.db")).create_if_missing(true);
        let writer = Writer::start(options).await.expect("a new file");
        writer.submit(statement("CREATE TABLE seen (n INTEGER)", None)).await.expect("made");
        writer
    }

    /// Runs a statement, and then ends as it is told.
    fn statement(sql: &'static str, end: Option<fn() -> Fault>) -> Work<()> {
        Box::new(move |db| {
            Box::pin(async move {
                db.execute(sql, &[]).await?;
                end.map_or(Ok(()), |end| Err(end()))
            })
        })
    }

    async fn count(writer: &Writer) -> i64 {
        let work: Work<i64> = Box::new(|db| {
            Box::pin(async move {
                let rows: Vec<Row> = db.fetch("SELECT count(*) AS n FROM seen", &[]).await?;
                rows[0].get("seen", "n")
            })
        });
        writer.submit(work).await.expect("counted")
    }

    #[tokio::test]
    async fn a_failing_piece_takes_back_itself_and_nothing_else_alone_and_among_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = writer(&folder).await;
        let insert = "INSERT INTO seen VALUES (1)";
        writer.submit(statement(insert, None)).await.expect("written");
        assert!(matches!(
            writer.submit(statement(insert, Some(|| Fault::TimedOut))).await,
            Err(Fault::TimedOut)
        ));
        assert_eq!(count(&writer).await, 1, "alone");
        let panics: Work<()> = Box::new(|db| {
            Box::pin(async move {
                db.execute("INSERT INTO seen VALUES (2)", &[]).await?;
                panic!("a defect");
            })
        });
        assert!(matches!(writer.submit(panics).await, Err(Fault::Panicked)));
        assert_eq!(count(&writer).await, 1, "alone, and cut short");
        // Polled in turn before the task runs: they are queued together.
        let (first, failing, last) = tokio::join!(
            writer.submit(statement(insert, None)),
            writer.submit(statement(insert, Some(|| Fault::TimedOut))),
            writer.submit(statement(insert, None)),
        );
        assert!(first.is_ok() && failing.is_err() && last.is_ok());
        assert_eq!(count(&writer).await, 3);
    }

    #[tokio::test]
    async fn a_piece_that_is_alone_runs_again_after_a_conflict_and_not_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = writer(&folder).await;
        for (conflicts, succeeds) in [(2, true), (3, false)] {
            let runs = Arc::new(AtomicU32::new(0));
            let counting = Arc::clone(&runs);
            let work: Work<()> = Box::new(move |db| {
                let runs = Arc::clone(&counting);
                Box::pin(async move {
                    db.execute("INSERT INTO seen VALUES (1)", &[]).await?;
                    let run = runs.fetch_add(1, Ordering::SeqCst);
                    if run < conflicts { Err(Fault::Again) } else { Ok(()) }
                })
            });
            assert_eq!(writer.submit(work).await.is_ok(), succeeds);
            assert_eq!(runs.load(Ordering::SeqCst), 3, "three times at most");
            assert_eq!(count(&writer).await, 1, "once, by the run that succeeded");
        }
    }
}
