//! A logout against a refresh that is under way: the logout always wins, and every token that lives then is in the
//! outbox, to be revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use relais::domain::ids::{LoginId, OutboxId};
use relais::domain::secret::Secret;
use relais::domain::session::{SessionEndReason, SessionState};
use relais::engine::ports::{
    ClaimOutbox, ClaimRefresh, EndSession, LateTokens, RefreshClaim, Renewal, RenewalOutcome,
    SessionTransition,
};

use super::handles::{Handicap, Winner, after};
use super::runs::setting;
use crate::store::harness::{Harness, REFRESH_TOKEN, approve, at, attempt, holder, node};

/// Races on each store: 10 000 over both.
const RACES: u32 = 5_000;

/// How one race ended.
struct Raced {
    login_id: LoginId,
    /// The new tokens were committed before the end; they came too late where not.
    is_committed: bool,
    /// The refresh tokens that are to be revoked.
    living: BTreeSet<String>,
}

async fn race(harness: Arc<Harness>, handicap: Arc<Handicap>, number: u32) -> Raced {
    let name = format!("refreshed-{number}");
    let (new, session) = harness.picked_up(&name, &name).await;
    let (store, session_id) = (&harness.store, session.session_id);
    let claim = ClaimRefresh {
        session_id,
        attempt: attempt(),
        owner: node(),
        now: at(20),
        generation: 0,
        reserve: Duration::from_secs(10),
    };
    let claimed = store.claim_refresh(claim.clone()).await.expect("works");
    assert!(matches!(claimed, RefreshClaim::Won(_)), "{name}: nobody else refreshes");
    let mut tokens = approve(new.login.login_id).tokens;
    tokens.refresh_token = Some(Secret::new(name.as_str()));
    let renewal = Renewal {
        session_id,
        attempt: claim.attempt,
        generation: 0,
        now: at(21),
        tokens: tokens.clone(),
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
    let login_id = new.login.login_id;
    let mut living = BTreeSet::from([name.clone()]);
    let is_committed = match renewed.expect("works") {
        RenewalOutcome::Committed(_) => true,
        RenewalOutcome::Over => {
            living.insert(REFRESH_TOKEN.to_owned());
            let outbox_id = OutboxId(attempt().0);
            let late = LateTokens {
                login_id,
                session_id: Some(session_id),
                sid: None,
                outbox_id,
                attempt: attempt(),
                now: at(21),
                tokens,
            };
            assert!(store.late_tokens(late).await.expect("works"), "{name}: they are to be revoked");
            false
        }
        RenewalOutcome::Overtaken | RenewalOutcome::LoggedOut => panic!("{name}: nobody else refreshes"),
    };
    let now = store.session(session_id).await.expect("works").expect("it is there");
    let reason = SessionEndReason::Logout;
    assert_eq!(now.state, SessionState::Ended { reason, at: at(21) }, "{name}");
    let grant = store.grant(session.grant_id).await.expect("works").expect("it is there");
    assert!(grant.tokens.is_none() && grant.claims.is_none(), "{name}: a token is left");
    // The handicap moves against whoever was first.
    handicap.won(if is_committed { Winner::Repetition } else { Winner::FirstUse });
    Raced { login_id, is_committed, living }
}

/// The refresh tokens in the outbox, by their login.
async fn to_be_revoked(harness: &Harness) -> BTreeMap<LoginId, BTreeSet<String>> {
    let claim = ClaimOutbox {
        provider: "psc-bas".parse().expect("a name"),
        attempt: attempt(),
        now: at(22),
        until: at(60),
        limit: u32::MAX,
    };
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for entry in harness.store.claim_outbox(claim).await.expect("works") {
        let tokens = entry.tokens.expect("they open");
        let refresh_token = tokens.refresh_token.expect("there");
        found.entry(entry.login_id).or_default().insert(refresh_token.expose().to_owned());
    }
    found
}

async fn a_logout_always_wins(harness: Harness, at_once: usize) {
    let wanted = setting("RELAIS_MODEL_RACES", RACES);
    let (harness, handicap) = (Arc::new(harness), Arc::new(Handicap::default()));
    let all = (0..wanted).map(|number| {
        let (harness, handicap) = (Arc::clone(&harness), Arc::clone(&handicap));
        async move { tokio::spawn(race(harness, handicap, number)).await.expect("the race is run") }
    });
    let races: Vec<Raced> = stream::iter(all).buffer_unordered(at_once).collect().await;
    let expected: BTreeMap<_, _> = races.iter().map(|raced| (raced.login_id, raced.living.clone())).collect();
    assert!(
        to_be_revoked(&harness).await == expected,
        "each token that lives is in the outbox, and no other"
    );
    let before = races.iter().filter(|raced| raced.is_committed).count();
    let late = races.len() - before;
    // Both sides were first sometimes: these were races.
    let few = races.len() / 50;
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
