//! A repeated pick-up against the first use of the handle: one live handle, never two.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use relais::crypto::ring::KeyedHash;
use relais::engine::ports::{PickUpOutcome, RecordUse, UseOutcome};

use super::runs::setting;
use crate::store::harness::{Harness, at, holder};

/// Races on each store: 10 000 over both.
const RACES: u32 = 5_000;

/// What one race came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Winner {
    FirstUse,
    Repetition,
}

/// How far the repetition lags behind the use, in tenths of a millisecond; less than nothing where the use lags.
///
/// Moved against each winner, so that both sides win about as often on a fast machine as on a busy one: the lag at
/// which they meet differs by milliseconds.
#[derive(Default)]
pub struct Handicap(AtomicI32);

impl Handicap {
    /// The lags of the next race, of the repetition and of the use. They differ by turn: all races alike would all
    /// end alike.
    pub fn lags(&self, turn: u32) -> (Duration, Duration) {
        let spread = [0, 10, -10, 20][turn as usize % 4];
        let lag = self.0.load(Ordering::Relaxed) + spread;
        let tenths = |tenths: i32| Duration::from_micros(100 * u64::from(tenths.max(0).unsigned_abs()));
        (tenths(lag), tenths(-lag))
    }

    pub fn won(&self, winner: Winner) {
        let against = match winner {
            Winner::FirstUse => -1,
            Winner::Repetition => 1,
        };
        self.0.fetch_add(against, Ordering::Relaxed);
    }
}

pub async fn after<T>(lag: Duration, work: impl Future<Output = T>) -> T {
    if !lag.is_zero() {
        let _ = tokio::time::timeout(lag, std::future::pending::<()>()).await;
    }
    work.await
}

/// One race. Answers who won, and which handle lives now.
async fn race(harness: &Harness, handicap: &Handicap, of: &Races, turn: u32) -> (Winner, KeyedHash) {
    let again = harness.pick_up(&of.login, &format!("{}-{turn}", of.name));
    let drawn = again.handle.clone();
    let used = RecordUse { handle: of.live.hash, session_id: of.session_id, now: at(20), touch: false };
    let store = &harness.store;
    let by = holder();
    let (repetition, first_use) = handicap.lags(turn);
    let (repeated, used) =
        tokio::join!(after(repetition, store.pick_up(again, &by)), after(first_use, store.record_use(used)));
    let (winner, live, dead) = match (repeated.expect("works"), used.expect("works")) {
        (PickUpOutcome::AlreadyPickedUp(_), UseOutcome::Recorded) => {
            (Winner::FirstUse, of.live.clone(), drawn)
        }
        (PickUpOutcome::Repeated(session), UseOutcome::HandleDead) => {
            assert_eq!(session.session_id, of.session_id, "the same session");
            (Winner::Repetition, drawn, of.live.clone())
        }
        (repeated, used) => {
            let repeated = match repeated {
                PickUpOutcome::First(_) => "first",
                PickUpOutcome::Repeated(_) => "repeated",
                PickUpOutcome::NotApproved(_) => "not approved",
                PickUpOutcome::AlreadyPickedUp(_) => "already picked up",
                PickUpOutcome::NotFound => "not found",
            };
            panic!("{}, turn {turn}: pick-up {repeated}, use {used:?}", of.name)
        }
    };
    let opened = store.session_by_handle(std::slice::from_ref(&live)).await.expect("works");
    let opened = opened.expect("the winner's handle opens the session");
    assert_eq!((opened.session.session_id, opened.used), (of.session_id, winner == Winner::FirstUse));
    assert!(store.session_by_handle(&[dead]).await.expect("works").is_none(), "two handles live");
    handicap.won(winner);
    (winner, live)
}

struct Races {
    name: String,
    login: relais::domain::login::Login,
    session_id: relais::domain::ids::SessionId,
    live: KeyedHash,
}

/// Races over one login until its handle is used. How many each side won.
async fn races(harness: Arc<Harness>, handicap: Arc<Handicap>, number: u32) -> (u32, u32) {
    let name = format!("racer-{number}");
    let (new, session) = harness.picked_up(&name, &name).await;
    let live = harness.handle(&name);
    let mut of = Races { name, login: new.login, session_id: session.session_id, live };
    let (mut uses, mut repetitions) = (0, 0);
    // Not for ever: a repetition may be lucky often.
    for turn in number..number + 8 {
        let (winner, live) = race(&harness, &handicap, &of, turn).await;
        of.live = live;
        match winner {
            Winner::FirstUse => {
                uses += 1;
                break;
            }
            Winner::Repetition => repetitions += 1,
        }
    }
    (uses, repetitions)
}

async fn one_live_handle_never_two(harness: Harness, at_once: usize) {
    let wanted = setting("RELAIS_MODEL_RACES", RACES);
    let (harness, handicap) = (Arc::new(harness), Arc::new(Handicap::default()));
    let (mut uses, mut repetitions) = (0, 0);
    let all = (0..).map(|number| {
        let (harness, handicap) = (Arc::clone(&harness), Arc::clone(&handicap));
        async move { tokio::spawn(races(harness, handicap, number)).await.expect("the race is run") }
    });
    let mut all = stream::iter(all).buffer_unordered(at_once);
    while uses + repetitions < wanted {
        let won = all.next().await.expect("there are always more");
        (uses, repetitions) = (uses + won.0, repetitions + won.1);
    }
    // Both sides won sometimes: these were races.
    assert!(uses > wanted / 50 && repetitions > wanted / 50, "{uses} uses, {repetitions} repetitions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_pick_up_against_a_first_use_on_sqlite() {
    one_live_handle_never_two(Harness::sqlite().await, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_pick_up_against_a_first_use_on_postgres() {
    one_live_handle_never_two(Harness::postgres().await, 8).await;
}
