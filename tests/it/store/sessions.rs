//! Sessions: what a handle opens, uses, the end.

use std::time::Duration;

use relais::domain::ids::SessionId;
use relais::domain::session::{Session, SessionEndReason, SessionState};
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    EndSession, PickUpOutcome, RecordUse, SessionTransition, StoreError, UseOutcome,
};

use super::harness::{FAMILY_NAME, Harness, at, attempt, for_each_store, holder};

for_each_store! {
    a_session_is_read_as_it_was_picked_up,
    a_handle_opens_its_session_with_its_claims_and_says_when_it_was_used,
    a_use_is_written_when_it_is_old_enough,
    a_call_that_is_no_use_keeps_nothing_alive,
    a_use_does_not_revive_what_is_over,
    an_exercice_is_chosen_while_the_session_lives,
    a_session_ends_once,
    an_ended_session_is_told_of_but_not_used,
    overdue_sessions_are_found_with_their_reason,
    a_session_row_that_the_model_does_not_know_is_an_error,
}

fn end(session_id: SessionId, now: Timestamp) -> EndSession {
    EndSession { session_id, attempt: attempt(), now, reason: SessionEndReason::Logout }
}

async fn use_at(h: &Harness, session: &Session, now: Timestamp, touch: bool) -> UseOutcome {
    let used = RecordUse { handle: h.handle("rsh_1").hash, session_id: session.session_id, now, touch };
    h.store.record_use(used).await.expect("the store works")
}

async fn read(h: &Harness, session_id: SessionId) -> Session {
    h.store.session(session_id).await.expect("the store works").expect("the session exists")
}

async fn a_session_is_read_as_it_was_picked_up(h: Harness) {
    let new = h.approved("810000000009").await;
    let mut pick_up = h.pick_up(&new.login, "rsh_1");
    pick_up.session.exercice = Some("exercice-1".to_owned());
    pick_up.session.grant_expires_at = Some(at(1800));
    h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
    let wanted = pick_up.session;
    let got = read(&h, wanted.session_id).await;
    assert_eq!(
        (got.session_id, got.login_id, got.grant_id, got.version, got.attempt, got.state),
        (wanted.session_id, wanted.login_id, wanted.grant_id, 1, wanted.attempt, SessionState::Active)
    );
    assert_eq!(
        (got.tenant, got.application, got.registration, got.provider, got.environment),
        (wanted.tenant, wanted.application, wanted.registration, wanted.provider, wanted.environment)
    );
    assert_eq!(
        (got.support_code, got.reference, got.x5t, got.exercice),
        (wanted.support_code, wanted.reference, wanted.x5t, wanted.exercice)
    );
    assert_eq!(
        (got.created_at, got.expires_at, got.idle, got.last_used_at, got.grant_expires_at),
        (wanted.created_at, wanted.expires_at, wanted.idle, wanted.last_used_at, wanted.grant_expires_at)
    );
}

async fn a_handle_opens_its_session_with_its_claims_and_says_when_it_was_used(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    let presented = h.store.session_by_handle(&[h.handle("rsh_1")]).await.expect("works").expect("opens");
    assert_eq!(presented.session.session_id, session.session_id);
    assert_eq!(presented.handle, h.handle("rsh_1").hash);
    assert!(!presented.used);
    let claims = presented.claims.expect("not wiped");
    assert_eq!(claims.subject.family_name.as_deref(), Some(FAMILY_NAME));
    assert_eq!(claims.auth_time, Some(at(4)));

    assert_eq!(use_at(&h, &session, at(11), false).await, UseOutcome::Recorded);
    let presented = h.store.session_by_handle(&[h.handle("rsh_1")]).await.expect("works").expect("opens");
    assert!(presented.used);
    assert!(h.store.session_by_handle(&[h.handle("rsh_2")]).await.expect("works").is_none());
}

async fn a_use_is_written_when_it_is_old_enough(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    assert_eq!(use_at(&h, &session, at(39), true).await, UseOutcome::Recorded);
    assert_eq!(read(&h, session.session_id).await.last_used_at, at(10), "29 s: the write may lag");
    assert_eq!(use_at(&h, &session, at(40), true).await, UseOutcome::Recorded);
    assert_eq!(read(&h, session.session_id).await.last_used_at, at(40));
    assert_eq!(read(&h, session.session_id).await.version, 1, "a use is no visible change");
    assert!(h.store.overdue_sessions(at(10 + 1800), 10).await.expect("works").is_empty());
    let over = h.store.overdue_sessions(at(40 + 1800), 10).await.expect("works");
    assert_eq!(over, [(session.session_id, SessionEndReason::Idle)]);
}

async fn a_call_that_is_no_use_keeps_nothing_alive(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    assert_eq!(use_at(&h, &session, at(600), false).await, UseOutcome::Recorded);
    assert_eq!(read(&h, session.session_id).await.last_used_at, at(10));
}

async fn a_use_does_not_revive_what_is_over(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    assert_eq!(use_at(&h, &session, at(10 + 1800), true).await, UseOutcome::SessionOver);
    assert_eq!(read(&h, session.session_id).await.last_used_at, at(10));
}

async fn an_exercice_is_chosen_while_the_session_lives(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    let id = session.session_id;
    let chosen =
        h.store.choose_exercice(id, attempt(), at(20), "exercice-2", &holder()).await.expect("works");
    let SessionTransition::Won(chosen) = chosen else { panic!("lost") };
    assert_eq!((chosen.exercice.as_deref(), chosen.version), (Some("exercice-2"), 2));
    assert_eq!(h.store.session_versions(&[id]).await.expect("works"), [(id, 2)]);
    h.store.end_session(end(id, at(21)), &holder()).await.expect("works");
    let late = h.store.choose_exercice(id, attempt(), at(22), "exercice-3", &holder()).await.expect("works");
    assert!(matches!(late, SessionTransition::Lost(_)));
    assert_eq!(read(&h, id).await.exercice.as_deref(), Some("exercice-2"));
}

async fn a_session_ends_once(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    let first = end(session.session_id, at(20));
    let outcome = h.store.end_session(first.clone(), &holder()).await.expect("works");
    let SessionTransition::Won(ended) = outcome else { panic!("lost") };
    assert_eq!(ended.state, SessionState::Ended { reason: SessionEndReason::Logout, at: at(20) });
    let again = h.store.end_session(first, &holder()).await.expect("works");
    assert!(matches!(again, SessionTransition::Won(_)), "its own attempt");
    let other = EndSession { reason: SessionEndReason::Idle, ..end(session.session_id, at(21)) };
    let SessionTransition::Lost(ended) = h.store.end_session(other, &holder()).await.expect("works") else {
        panic!("terminal is terminal")
    };
    assert_eq!(ended.state, SessionState::Ended { reason: SessionEndReason::Logout, at: at(20) });
    let nobody = end(SessionId(uuid::Uuid::nil()), at(20));
    assert!(matches!(h.store.end_session(nobody, &holder()).await, Ok(SessionTransition::NotFound)));
}

async fn an_ended_session_is_told_of_but_not_used(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    h.store.end_session(end(session.session_id, at(20)), &holder()).await.expect("works");
    assert_eq!(use_at(&h, &session, at(21), true).await, UseOutcome::SessionOver);
    let presented = h.store.session_by_handle(&[h.handle("rsh_1")]).await.expect("works").expect("told");
    assert!(matches!(presented.session.state, SessionState::Ended { .. }));
    assert!(presented.claims.is_none(), "wiped");
}

async fn overdue_sessions_are_found_with_their_reason(h: Harness) {
    let (_, idle) = h.picked_up("idle", "rsh_idle").await;
    let new = h.approved("grant").await;
    let mut short = h.pick_up(&new.login, "rsh_grant");
    short.session.grant_expires_at = Some(at(100));
    h.store.pick_up(short.clone(), &holder()).await.expect("works");
    let new = h.approved("absolute").await;
    let mut old = h.pick_up(&new.login, "rsh_absolute");
    old.session.expires_at = at(200);
    old.session.idle = Duration::from_secs(100_000);
    let outcome = h.store.pick_up(old.clone(), &holder()).await.expect("works");
    assert!(matches!(outcome, PickUpOutcome::First(_)));

    assert!(h.store.overdue_sessions(at(99), 10).await.expect("works").is_empty());
    let over = h.store.overdue_sessions(at(1000), 10).await.expect("works");
    let expected = [
        (short.session.session_id, SessionEndReason::ReauthRequired),
        (old.session.session_id, SessionEndReason::Absolute),
    ];
    assert_eq!(over, expected, "the longest overdue first");
    let over = h.store.overdue_sessions(at(1810), 10).await.expect("works");
    assert_eq!(over.last(), Some(&(idle.session_id, SessionEndReason::Idle)));
    assert_eq!(h.store.overdue_sessions(at(1810), 1).await.expect("works").len(), 1);
}

async fn a_session_row_that_the_model_does_not_know_is_an_error(h: Harness) {
    let (_, session) = h.picked_up("810000000009", "rsh_1").await;
    h.store.end_session(end(session.session_id, at(20)), &holder()).await.expect("works");
    h.raw.run("UPDATE sessions SET reason = 'because'").await.expect("no check stands in the way");
    let read = h.store.session(session.session_id).await;
    assert!(matches!(read, Err(StoreError::Inconsistent { table: "sessions", column: "reason" })));
}
