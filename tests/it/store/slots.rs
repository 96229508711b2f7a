//! At most one login is under way per provider and person.

use std::sync::Arc;

use relais::domain::login::{EndStatus, LoginReason, LoginState, LoginStatus};
use relais::domain::time::Timestamp;
use relais::engine::ports::{EndLogin, NewLogin, SlotFate, StartOutcome};

use super::harness::{
    HINT, Harness, acknowledge, application, approve, at, end_login, for_each_store, holder, lost, started,
    won,
};

for_each_store! {
    of_100_concurrent_starts_one_wins,
    a_refused_start_leaves_no_trace,
    every_end_that_frees_the_slot_frees_it,
    a_slot_that_is_kept_is_free_when_its_time_has_come,
    a_late_acknowledgement_frees_the_slot_of_a_cancelled_login,
    a_late_acknowledgement_leaves_the_slot_of_another_login_alone,
    a_pending_login_of_the_same_application_is_replaced,
    only_a_pending_login_of_the_same_application_is_replaceable,
    of_many_concurrent_replacements_the_last_one_stands,
    an_approval_and_a_replacement_do_not_both_win,
    the_slot_spans_tenants_but_not_providers,
}

/// When the slot is free at the latest, and whether it can be had.
#[expect(clippy::needless_pass_by_value, reason = "an outcome is looked at once")]
fn refused(outcome: StartOutcome) -> (Timestamp, bool) {
    match outcome {
        StartOutcome::AlreadyPending { until, replaceable } => (until, replaceable),
        StartOutcome::Started { .. } => panic!("started"),
        StartOutcome::Replay { .. } => panic!("a replay"),
    }
}

fn later(h: &Harness, hint: &str, created_at: Timestamp) -> NewLogin {
    let mut new = h.new_login(hint);
    new.login.created_at = created_at;
    new
}

async fn start(h: &Harness, new: &NewLogin) -> StartOutcome {
    h.store.start_login(new.clone(), &application()).await.expect("the store works")
}

async fn of_100_concurrent_starts_one_wins(h: Harness) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, new) = (Arc::clone(&h.store), h.new_login(HINT));
        tasks.spawn(async move { store.start_login(new, &application()).await });
    }
    let outcomes = tasks.join_all().await;
    let started =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(StartOutcome::Started { .. }))).count();
    let refused =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(StartOutcome::AlreadyPending { .. }))).count();
    assert_eq!((started, refused), (1, 99));
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 1);
}

async fn a_refused_start_leaves_no_trace(h: Harness) {
    let first = h.starting(HINT).await;
    let (until, replaceable) = refused(start(&h, &h.new_login(HINT)).await);
    assert_eq!((until, replaceable), (first.slot_until, false), "a starting login is not replaceable");
    won(h.store.acknowledge(acknowledge(first.login.login_id)).await.expect("works"));
    let (until, replaceable) = refused(start(&h, &h.new_login(HINT)).await);
    assert_eq!((until, replaceable), (at(121), true), "the deadline of the pending login");
    for table in ["SELECT count(*) FROM logins", "SELECT count(*) FROM grants"] {
        assert_eq!(h.raw.number(table).await, 1);
    }
    let records = "SELECT count(*) FROM audit";
    assert_eq!(h.raw.number(records).await, 2, "a start and an acknowledgement");
}

async fn every_end_that_frees_the_slot_frees_it(h: Harness) {
    for end in [EndStatus::Denied, EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled] {
        let new = h.pending(HINT).await;
        won(h.store.end_login(end_login(new.login.login_id, end), &holder()).await.expect("works"));
    }
    let new = h.pending(HINT).await;
    won(h.store.approve(approve(new.login.login_id)).await.expect("works"));
    started(start(&h, &h.new_login(HINT)).await);
}

async fn a_slot_that_is_kept_is_free_when_its_time_has_come(h: Harness) {
    let new = h.starting(HINT).await;
    let keep = EndLogin {
        reason: LoginReason::OutcomeUnknown,
        slot: SlotFate::KeepUntil(at(200)),
        ..end_login(new.login.login_id, EndStatus::Failed)
    };
    won(h.store.end_login(keep, &holder()).await.expect("works"));
    let mut replacing = later(&h, HINT, at(199));
    replacing.replace = true;
    assert_eq!(refused(start(&h, &replacing).await), (at(200), false));
    started(start(&h, &later(&h, HINT, at(200))).await);
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 1);
}

async fn a_late_acknowledgement_frees_the_slot_of_a_cancelled_login(h: Harness) {
    let new = h.starting(HINT).await;
    let cancel = EndLogin {
        slot: SlotFate::KeepUntil(at(150)),
        ..end_login(new.login.login_id, EndStatus::Cancelled)
    };
    won(h.store.end_login(cancel, &holder()).await.expect("works"));
    refused(start(&h, &h.new_login(HINT)).await);
    let late = lost(h.store.acknowledge(acknowledge(new.login.login_id)).await.expect("works"));
    assert_eq!(late.state.status(), LoginStatus::Cancelled);
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE request IS NOT NULL").await, 0);
    started(start(&h, &h.new_login(HINT)).await);
}

async fn a_late_acknowledgement_leaves_the_slot_of_another_login_alone(h: Harness) {
    let new = h.starting(HINT).await;
    let cancel = EndLogin {
        slot: SlotFate::KeepUntil(at(100)),
        ..end_login(new.login.login_id, EndStatus::Cancelled)
    };
    won(h.store.end_login(cancel, &holder()).await.expect("works"));
    started(start(&h, &later(&h, HINT, at(100))).await);
    lost(h.store.acknowledge(acknowledge(new.login.login_id)).await.expect("works"));
    refused(start(&h, &later(&h, HINT, at(101))).await);
}

async fn a_pending_login_of_the_same_application_is_replaced(h: Harness) {
    let old = h.pending(HINT).await;
    let mut new = h.new_login(HINT);
    new.replace = true;
    assert_eq!(started(start(&h, &new).await), Some(old.login.login_id));
    let read = h.read(old.login.login_id).await;
    let LoginState::Ended { status, reason, .. } = read.state else { panic!("ended") };
    assert_eq!((status, reason), (EndStatus::Cancelled, LoginReason::Superseded));
    assert_eq!(refused(start(&h, &h.new_login(HINT)).await), (new.slot_until, false));
    // A second run after an unknown commit outcome says the same.
    assert_eq!(started(start(&h, &new).await), Some(old.login.login_id));
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 2);
}

async fn only_a_pending_login_of_the_same_application_is_replaceable(h: Harness) {
    h.pending(HINT).await;
    let mut foreign = h.new_login(HINT);
    foreign.replace = true;
    foreign.login.application = "autre".parse().expect("a name");
    assert!(!refused(start(&h, &foreign).await).1);
    let mut other_tenant = h.new_login(HINT);
    other_tenant.replace = true;
    other_tenant.login.tenant = "clinique".parse().expect("a name");
    assert!(!refused(start(&h, &other_tenant).await).1);

    h.starting("starting").await;
    let mut early = h.new_login("starting");
    early.replace = true;
    assert!(!refused(start(&h, &early).await).1);
}

async fn of_many_concurrent_replacements_the_last_one_stands(h: Harness) {
    h.pending(HINT).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, mut new) = (Arc::clone(&h.store), h.new_login(HINT));
        new.replace = true;
        tasks.spawn(async move { store.start_login(new, &application()).await });
    }
    let outcomes = tasks.join_all().await;
    let started = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome.as_ref().expect("works"), StartOutcome::Started { .. }))
        .count();
    assert_eq!(started, 1, "the new one is starting, and so not replaceable");
    assert_eq!(h.raw.number("SELECT count(*) FROM logins WHERE status = 'cancelled'").await, 1);
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 1);
}

async fn an_approval_and_a_replacement_do_not_both_win(h: Harness) {
    for round in 0..30 {
        let hint = format!("person-{round}");
        let old = h.pending(&hint).await;
        let mut new = h.new_login(&hint);
        new.replace = true;
        let (replacing, approving) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let login_id = old.login.login_id;
        let (replaced, approved) = tokio::join!(
            tokio::spawn(async move { replacing.start_login(new, &application()).await }),
            tokio::spawn(async move { approving.approve(approve(login_id)).await }),
        );
        let replaced = started(replaced.expect("no panic").expect("works"));
        match replaced {
            Some(_) => assert_eq!(
                lost(approved.expect("no panic").expect("works")).state.status(),
                LoginStatus::Cancelled
            ),
            None => drop(won(approved.expect("no panic").expect("works"))),
        }
    }
}

async fn the_slot_spans_tenants_but_not_providers(h: Harness) {
    h.starting(HINT).await;
    let mut elsewhere = h.new_login(HINT);
    elsewhere.login.tenant = "clinique".parse().expect("a name");
    refused(start(&h, &elsewhere).await);
    elsewhere.login.provider = "psc-prod".parse().expect("a name");
    elsewhere.person = h.ring.pseudonym("psc-prod", HINT);
    started(start(&h, &elsewhere).await);
}
