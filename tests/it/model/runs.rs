//! Many sequences at once, from one seed; one that fails is made short and told.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use proptest::strategy::{BoxedStrategy, Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::ops::Op;
use super::play::play;
use crate::store::harness::{Harness, NOW, Raw};

/// How often a sequence that may fail by chance is tried while it is made shorter.
const TRIES: u32 = 5;

/// How often, in all, a sequence is played anew because the database did not answer in the time that a caller has: on a
/// machine whose disk stalls for seconds that says nothing about the model. Statements that are slow by themselves would
/// do it more often.
const STALLS: u32 = 5;

/// How many shorter sequences are tried.
const SHORTER: u32 = 200;

/// What is run.
pub struct Runs {
    /// How the sequences are drawn.
    pub strategy: BoxedStrategy<Vec<Op>>,
    /// How many.
    pub count: u32,
    /// How many at once.
    pub at_once: usize,
    /// Between the times of two sequences: longer than any lasts. Later ones play in earlier times, so that what one
    /// leaves is never overdue for the next.
    pub apart: Duration,
}

/// A number from the environment.
pub fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// Whether a call of the store ended because the database did not answer in time.
fn stalled(error: &str) -> bool {
    ["the database did not answer", "canceling statement due to statement timeout"]
        .iter()
        .any(|said| error.contains(said))
}

fn tree(strategy: &BoxedStrategy<Vec<Op>>, seed: u64, run: u32) -> impl ValueTree<Value = Vec<Op>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&run.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    strategy.new_tree(&mut TestRunner::new_with_rng(Config::default(), rng)).expect("sequences can be drawn")
}

impl Runs {
    /// Plays all of them, or one (`RELAIS_MODEL_RUN`).
    pub async fn on(self, mut harness: Harness) {
        look_with_more_connections(&mut harness).await;
        let (harness, seed) = (Arc::new(harness), setting("RELAIS_MODEL_SEED", 1_u64));
        let only = setting("RELAIS_MODEL_RUN", u32::MAX);
        let stalls = Arc::new(AtomicU32::new(0));
        let runs = (0..self.count).filter(|run| only == u32::MAX || only == *run);
        let playing = runs.map(|run| {
            let ops = tree(&self.strategy, seed, run).current();
            let (harness, start) = (Arc::clone(&harness), NOW + self.apart * (self.count - run));
            let stalls = Arc::clone(&stalls);
            async move {
                let mut start = start;
                loop {
                    let (harness, ops) = (Arc::clone(&harness), ops.clone());
                    let played = tokio::spawn(async move { play(&harness, start, &ops).await }).await;
                    match played.unwrap_or_else(|error| Err(error.to_string())) {
                        Err(error) if stalled(&error) => {
                            let before = stalls.fetch_add(1, Ordering::Relaxed);
                            if before >= STALLS {
                                return (run, Err(error));
                            }
                            let _ = writeln!(std::io::stderr(), "run {run} is played anew: {error}");
                            // Earlier than all others: what the broken sequence left is not overdue then.
                            start = NOW - self.apart * (before + 1);
                        }
                        played => return (run, played),
                    }
                }
            }
        });
        let mut playing = stream::iter(playing).buffer_unordered(self.at_once);
        let mut failed = None;
        while let Some((run, played)) = playing.next().await {
            if let Err(error) = played {
                failed = Some((run, error));
                break;
            }
        }
        drop(playing);
        if let Some((run, error)) = failed {
            let (ops, error) = self.shortest(&harness, seed, run, error).await;
            panic!(
                "run {run} goes against the model (RELAIS_MODEL_SEED={seed} RELAIS_MODEL_RUN={run} repeats it)\n\
                 shortest sequence {ops:#?}\n{error}"
            );
        }
    }

    /// The shortest sequence that still fails, as far as it can be found.
    async fn shortest(&self, harness: &Harness, seed: u64, run: u32, error: String) -> (Vec<Op>, String) {
        let mut tree = tree(&self.strategy, seed, run);
        let mut found = (tree.current(), error);
        let mut start = NOW;
        let mut goes_on = tree.simplify();
        for _ in 0..SHORTER {
            if !goes_on {
                break;
            }
            let ops = tree.current();
            let mut fails = None;
            for _ in 0..TRIES {
                start = start - self.apart;
                if let Err(error) = play(harness, start, &ops).await {
                    fails = Some(error);
                    break;
                }
            }
            goes_on = match fails {
                Some(error) => {
                    found = (ops, error);
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        found
    }
}

/// One connection would be what everything waits for.
async fn look_with_more_connections(harness: &mut Harness) {
    harness.raw = if let Some(file) = &harness.file {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let options = options.busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        Raw::Sqlite(pool.expect("the file opens twice"))
    } else {
        let pool = PgPoolOptions::new().max_connections(8).connect(harness.url.expose()).await;
        Raw::Postgres(pool.expect("the cluster answers"))
    };
}
