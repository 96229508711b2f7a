//! A logout against a refresh that is under way: the logout always wins, and no token is left.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use relais::domain::session::{SessionEndReason, SessionState};
use relais::engine::ports::{
    ClaimRefresh, EndSession, RefreshClaim, Renewal, RenewalOutcome, SessionTransition,
};

use super::handles::{Handicap, Winner, after};
use super::runs::setting;
use crate::store::harness::{Harness, approve, at, attempt, holder, node};

/// Races on each store: 10 000 over both.
const RACES: u32 = 5_000;

/// One race. Answers whether the new tokens were committed before the end, or came too late.
async fn race(harness: Arc<Harness>, handicap: Arc<Handicap>, number: u32) -> bool {
    let name = format!("refreshed-{number}");
    let (new, session) = harness.picked_up(&name, &name).await;
    let (store, session_id) = (&harness.store, session.session_id);
    let claim = ClaimRefresh {
        session_id,
        attempt: attempt(),
        owner: node(),
        now: at(20),
        generation: 0,
        reserve: std::time::Duration::from_secs(10),
    };
    let claimed = store.claim_refresh(claim.clone()).await.expect("works");
    assert!(matches!(claimed, RefreshClaim::Won(_)), "{name}: nobody else refreshes");
    let renewal = Renewal {
        session_id,
        attempt: claim.attempt,
        generation: 0,
        now: at(21),
        tokens: approve(new.login.login_id).tokens,
        due_at: Some(at(900)),
        moved: None,
    };
    let logout = EndSession { session_id, attempt: attempt(), now: at(21), reason: SessionEndReason::Logout };
    let (lag_of_renewal, lag_of_logout) = handicap.lags(number);
    let by = holder();
    let (renewed, ended) = tokio::join!(
        after(lag_of_renewal, store.renew(renewal)),
        after(lag_of_logout, store.end_session(logout, &by))
    );
    assert!(matches!(ended.expect("works"), SessionTransition::Won(_)), "{name}: a logout always wins");
    let is_committed = match renewed.expect("works") {
        RenewalOutcome::Committed(_) => true,
        RenewalOutcome::Over => false,
        RenewalOutcome::Overtaken => panic!("{name}: nobody else refreshes"),
    };
    let now = store.session(session_id).await.expect("works").expect("it is there");
    let reason = SessionEndReason::Logout;
    assert_eq!(now.state, SessionState::Ended { reason, at: at(21) }, "{name}");
    let grant = store.grant(session.grant_id).await.expect("works").expect("it is there");
    assert!(grant.tokens.is_none() && grant.claims.is_none(), "{name}: a token is left");
    // The handicap moves against whoever was first.
    handicap.won(if is_committed { Winner::Repetition } else { Winner::FirstUse });
    is_committed
}

async fn a_logout_always_wins(harness: Harness, at_once: usize) {
    let wanted = setting("RELAIS_MODEL_RACES", RACES);
    let (harness, handicap) = (Arc::new(harness), Arc::new(Handicap::default()));
    let all = (0..wanted).map(|number| {
        let (harness, handicap) = (Arc::clone(&harness), Arc::clone(&handicap));
        async move { tokio::spawn(race(harness, handicap, number)).await.expect("the race is run") }
    });
    let committed: Vec<bool> = stream::iter(all).buffer_unordered(at_once).collect().await;
    let before = committed.iter().filter(|committed| **committed).count();
    let late = committed.len() - before;
    // Both sides were first sometimes: these were races.
    let few = committed.len() / 50;
    assert!(before > few && late > few, "{before} committed before, {late} too late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_d_03_a_logout_against_a_refresh_on_sqlite() {
    a_logout_always_wins(Harness::sqlite().await, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_d_03_a_logout_against_a_refresh_on_postgres() {
    a_logout_always_wins(Harness::postgres().await, 8).await;
}
