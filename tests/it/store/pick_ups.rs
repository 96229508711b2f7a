//! The pick-up, its repetition, and the first use that opposes it.

use std::sync::Arc;
use std::time::Duration;

use relais::domain::ids::SessionId;
use relais::domain::login::LoginStatus;
use relais::engine::ports::{EndSession, PickUp, PickUpOutcome, RecordUse, UseOutcome};

use super::harness::{Harness, at, attempt, for_each_store, holder};

for_each_store! {
    a_repetition_kills_the_earlier_handle_and_keeps_the_session,
    a_used_handle_is_not_replaced,
    after_its_time_a_pick_up_is_not_repeated,
    an_ended_session_is_not_picked_up_again,
    of_many_concurrent_pick_ups_one_handle_lives,
    a_first_use_and_a_repetition_never_both_win,
    a_second_run_of_a_repetition_finds_the_first,
}

async fn pick_up(h: &Harness, pick_up: PickUp) -> PickUpOutcome {
    h.store.pick_up(pick_up, &holder()).await.expect("the store works")
}

fn first_use(h: &Harness, handle: &str, session_id: SessionId) -> RecordUse {
    RecordUse { handle: h.handle(handle).hash, session_id, now: at(12), touch: true }
}

async fn opens(h: &Harness, handle: &str) -> Option<SessionId> {
    let presented = h.store.session_by_handle(&[h.handle(handle)]).await.expect("the store works");
    presented.map(|presented| presented.session.session_id)
}

async fn a_repetition_kills_the_earlier_handle_and_keeps_the_session(h: Harness) {
    let (new, session) = h.picked_up("810000000009", "rsh_1").await;
    assert_eq!(opens(&h, "rsh_1").await, Some(session.session_id));
    let outcome = pick_up(&h, h.pick_up(&new.login, "rsh_2")).await;
    let PickUpOutcome::Repeated(repeated) = outcome else { panic!("not repeated") };
    assert_eq!(repeated.session_id, session.session_id);
    assert_eq!(opens(&h, "rsh_1").await, None);
    assert_eq!(opens(&h, "rsh_2").await, Some(session.session_id));
    let used = h.store.record_use(first_use(&h, "rsh_1", session.session_id)).await.expect("works");
    assert_eq!(used, UseOutcome::HandleDead);
    let used = h.store.record_use(first_use(&h, "rsh_2", session.session_id)).await.expect("works");
    assert_eq!(used, UseOutcome::Recorded);
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions").await, 1);
}

async fn a_used_handle_is_not_replaced(h: Harness) {
    let (new, session) = h.picked_up("810000000009", "rsh_1").await;
    h.store.record_use(first_use(&h, "rsh_1", session.session_id)).await.expect("works");
    let outcome = pick_up(&h, h.pick_up(&new.login, "rsh_2")).await;
    let PickUpOutcome::AlreadyPickedUp(login) = outcome else { panic!("repeated") };
    assert_eq!(login.state.status(), LoginStatus::PickedUp);
    assert_eq!(opens(&h, "rsh_1").await, Some(session.session_id));
    assert_eq!(opens(&h, "rsh_2").await, None);
    assert_eq!(h.raw.number("SELECT count(*) FROM audit WHERE event = 'handle_replay'").await, 1);
}

async fn after_its_time_a_pick_up_is_not_repeated(h: Harness) {
    let (new, _) = h.picked_up("810000000009", "rsh_1").await;
    let in_time = PickUp { now: at(70), ..h.pick_up(&new.login, "rsh_2") };
    assert!(matches!(pick_up(&h, in_time).await, PickUpOutcome::Repeated(_)));
    // The time counts from the first pick-up, whatever a later caller says.
    let late = PickUp { now: at(71), repeatable_until: at(1000), ..h.pick_up(&new.login, "rsh_3") };
    assert!(matches!(pick_up(&h, late).await, PickUpOutcome::AlreadyPickedUp(_)));
    assert!(opens(&h, "rsh_2").await.is_some());
    assert_eq!(h.raw.number("SELECT count(*) FROM audit WHERE event = 'handle_replay'").await, 1);
}

async fn an_ended_session_is_not_picked_up_again(h: Harness) {
    let (new, session) = h.picked_up("810000000009", "rsh_1").await;
    let end = EndSession {
        session_id: session.session_id,
        attempt: attempt(),
        now: at(11),
        reason: relais::domain::session::SessionEndReason::Revoked,
    };
    h.store.end_session(end, &holder()).await.expect("works");
    // Nobody has used the handle, but there is nothing left to be opened.
    let mut again = h.pick_up(&new.login, "rsh_2");
    again.now = at(12);
    let outcome = pick_up(&h, again).await;
    assert!(matches!(outcome, PickUpOutcome::AlreadyPickedUp(_)));
}

async fn of_many_concurrent_pick_ups_one_handle_lives(h: Harness) {
    for round in 0..5 {
        let new = h.approved(&format!("person-{round}")).await;
        let mut tasks = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let store = Arc::clone(&h.store);
            let pick_up = h.pick_up(&new.login, &format!("rsh_{round}_{caller}"));
            tasks.spawn(async move { store.pick_up(pick_up, &holder()).await });
        }
        let outcomes = tasks.join_all().await;
        let mut sessions = Vec::new();
        for outcome in outcomes {
            match outcome.expect("works") {
                PickUpOutcome::First(session) | PickUpOutcome::Repeated(session) => {
                    sessions.push(session.session_id);
                }
                _ => panic!("refused although no handle has been used"),
            }
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 1, "one session");
    }
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions").await, 5);
    assert_eq!(h.raw.number("SELECT count(*) FROM handles").await, 40);
    assert_eq!(h.raw.number("SELECT count(*) FROM handles WHERE dead_since IS NULL").await, 5);
}

async fn a_first_use_and_a_repetition_never_both_win(h: Harness) {
    let (mut uses, mut repetitions) = (0, 0);
    for round in 0..200 {
        let handle = format!("rsh_{round}");
        let (new, session) = h.picked_up(&format!("person-{round}"), &handle).await;
        let (using, repeating) = (Arc::clone(&h.store), Arc::clone(&h.store));
        let first = first_use(&h, &handle, session.session_id);
        let again = h.pick_up(&new.login, &format!("{handle}_again"));
        let using = async move { using.record_use(first).await.expect("works") };
        // A little later each time, so that each of the two gets its chance.
        let head_start = Duration::from_micros(100 * (round % 40));
        let repeating = async move {
            let _ = tokio::time::timeout(head_start, std::future::pending::<()>()).await;
            repeating.pick_up(again, &holder()).await.expect("works")
        };
        let (using, repeating) = (tokio::spawn(using), tokio::spawn(repeating));
        let (use_outcome, repeated) = (using.await.expect("no panic"), repeating.await.expect("no panic"));
        match (use_outcome, repeated) {
            (UseOutcome::Recorded, PickUpOutcome::AlreadyPickedUp(_)) => uses += 1,
            (UseOutcome::HandleDead, PickUpOutcome::Repeated(_)) => repetitions += 1,
            (use_outcome, _) => panic!("round {round}: {use_outcome:?} together with the opposite"),
        }
    }
    assert!(uses > 0 && repetitions > 0, "{uses} uses and {repetitions} repetitions: no race was run");
}

async fn a_second_run_of_a_repetition_finds_the_first(h: Harness) {
    let (new, _) = h.picked_up("810000000009", "rsh_1").await;
    let again = h.pick_up(&new.login, "rsh_2");
    assert!(matches!(pick_up(&h, again.clone()).await, PickUpOutcome::Repeated(_)));
    assert!(matches!(pick_up(&h, again).await, PickUpOutcome::Repeated(_)));
    assert!(opens(&h, "rsh_2").await.is_some());
    assert_eq!(h.raw.number("SELECT count(*) FROM handles").await, 2);
}
