//! The state machine against a model: ten thousand short lives of one person's logins on each store, drawn at random,
//! with races in them. No arrow outside the table, one winner per race.
//!
//! `RELAIS_MODEL_RUNS` raises (or lowers) the number of runs, `RELAIS_MODEL_SEED` draws others. A failure names the
//! seed, the run and the shortest sequence that still fails.

#![expect(clippy::panic, reason = "a helper of a test fails the test")]

mod driver;
mod handles;
mod logouts;
mod ops;
mod play;
mod runs;
mod world;

use std::time::Duration;

use self::ops::{sequence, sequence_with_housekeeping};
use self::runs::{Runs, setting};
use crate::store::harness::Harness;

/// Runs on each store.
const RUNS: u32 = 10_000;

/// Sequences with housekeeping on each store; they cannot share a database at the same time.
const RUNS_WITH_HOUSEKEEPING: u32 = 300;

const DAY: Duration = Duration::from_hours(24);

fn ten_thousand(at_once: usize) -> Runs {
    let count = setting("RELAIS_MODEL_RUNS", RUNS);
    Runs { strategy: sequence(), count, at_once, apart: 10 * DAY }
}

fn with_housekeeping() -> Runs {
    let count = setting("RELAIS_MODEL_RUNS", RUNS).min(RUNS_WITH_HOUSEKEEPING);
    Runs { strategy: sequence_with_housekeeping(), count, at_once: 1, apart: 100 * DAY }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_follows_the_state_table_in_ten_thousand_runs() {
    ten_thousand(64).on(Harness::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_follows_the_state_table_in_ten_thousand_runs() {
    ten_thousand(16).on(Harness::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_its_promises_while_it_is_cleaned_up() {
    with_housekeeping().on(Harness::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_its_promises_while_it_is_cleaned_up() {
    with_housekeeping().on(Harness::postgres().await).await;
}
