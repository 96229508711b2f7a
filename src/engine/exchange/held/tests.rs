use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::engine::ports::StoreError;

const T0: Monotonic = Monotonic(Duration::from_secs(1000));

/// Beyond every token's end.
const FAR: Monotonic = Monotonic(Duration::from_secs(1_000_000));

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn place(target: &str) -> Place {
    Place { target: target.parse().expect("a name"), exercice: None }
}

fn begin(
    held: &Exchanges,
    session: SessionId,
    place: &Place,
    past: Option<&Exchanged>,
    now: Monotonic,
) -> Begun {
    match held.enter(session, place, past, now) {
        Entry::Begun(begun) => begun,
        Entry::Held(_) => panic!("a token is held"),
        Entry::Failed { .. } => panic!("a failure is held"),
        Entry::Joined { .. } => panic!("somebody else has begun"),
    }
}

fn bring(
    held: &Exchanges,
    session: SessionId,
    place: &Place,
    begun: &Begun,
    life: Option<u64>,
    now: Monotonic,
) {
    let token = begun.token(Secret::new("token"), None, life.map(Duration::from_secs), now, FAR);
    held.finish(session, place, begun, Ok(token), Duration::ZERO, now);
}

fn token(held: &Exchanges, session: SessionId, place: &Place, now: Monotonic) -> Option<Exchanged> {
    match held.enter(session, place, None, now) {
        Entry::Held(token) => Some(token),
        _ => None,
    }
}

fn after(seconds: u64) -> Monotonic {
    T0 + Duration::from_secs(seconds)
}

#[test]
fn one_exchange_for_all_who_come_and_another_one_for_another_place() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    let Entry::Joined { waiting, meanwhile: None } = held.enter(session(1), &place("dmp"), None, T0) else {
        panic!("joined")
    };
    let of_other_exercice = Place { exercice: Some("b".to_owned()), ..place("dmp") };
    for (session, place) in
        [(session(2), place("dmp")), (session(1), place("mss")), (session(1), of_other_exercice)]
    {
        begin(&held, session, &place, None, T0);
    }
    bring(&held, session(1), &place("dmp"), &begun, Some(60), T0);
    let told = waiting.borrow().clone().expect("told");
    assert!(told.is_ok_and(|told| token(&held, session(1), &place("dmp"), T0).expect("held").is_same(&told)));
}

#[test]
fn a_token_is_held_until_shortly_before_its_end() {
    for (life, last, over) in [(Some(300), 289, 290), (Some(8), 5, 6), (None, 49, 50)] {
        let held = Exchanges::default();
        let begun = begin(&held, session(1), &place("dmp"), None, T0);
        bring(&held, session(1), &place("dmp"), &begun, life, T0);
        assert!(token(&held, session(1), &place("dmp"), after(last)).is_some(), "{life:?}");
        held.sweep(after(last));
        assert!(held.has(session(1)));
        assert!(token(&held, session(1), &place("dmp"), after(over)).is_none(), "{life:?}");
    }
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    bring(&held, session(1), &place("dmp"), &begun, Some(u64::MAX), T0);
    held.sweep(after(24 * 3600));
    assert!(!held.has(session(1)), "a day at most");
}

#[test]
fn no_token_is_held_beyond_its_session_s_absolute_end() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    let brought = begun.token(Secret::new("token"), None, Some(Duration::from_secs(300)), T0, after(20));
    held.finish(session(1), &place("dmp"), &begun, Ok(brought), Duration::ZERO, T0);
    assert!(token(&held, session(1), &place("dmp"), after(19)).is_some());
    assert!(token(&held, session(1), &place("dmp"), after(20)).is_none());
}

#[test]
fn a_refused_token_is_replaced_once_for_all_who_come_with_it() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    bring(&held, session(1), &place("dmp"), &begun, Some(300), T0);
    let refused = token(&held, session(1), &place("dmp"), T0).expect("held");
    let begun = begin(&held, session(1), &place("dmp"), Some(&refused), T0);
    assert!(matches!(
        held.enter(session(1), &place("dmp"), Some(&refused), T0),
        Entry::Joined { meanwhile: None, .. }
    ));
    bring(&held, session(1), &place("dmp"), &begun, Some(300), T0);
    let Entry::Held(newer) = held.enter(session(1), &place("dmp"), Some(&refused), T0) else {
        panic!("held")
    };
    assert!(!newer.is_same(&refused));
    // The target refuses this one too: no exchange for each of its calls.
    let Entry::Held(same) = held.enter(session(1), &place("dmp"), Some(&newer), after(9)) else {
        panic!("held")
    };
    assert!(same.is_same(&newer));
    begin(&held, session(1), &place("dmp"), Some(&newer), after(10));
}

#[test]
fn a_refused_token_does_for_others_until_there_is_another() {
    let gone =
        StoreError::Unavailable { operation: "a test", source: Arc::new(std::io::Error::other("gone")) };
    let failures = [Failure::Unavailable { retry_after: None }, Failure::Store(Arc::new(gone))];
    for failure in failures {
        let held = Exchanges::default();
        let begun = begin(&held, session(1), &place("dmp"), None, T0);
        bring(&held, session(1), &place("dmp"), &begun, Some(300), T0);
        let refused = token(&held, session(1), &place("dmp"), T0).expect("held");
        let begun = begin(&held, session(1), &place("dmp"), Some(&refused), after(1));
        match held.enter(session(1), &place("dmp"), None, after(1)) {
            Entry::Joined { meanwhile: Some(meanwhile), .. } => assert!(meanwhile.is_same(&refused)),
            _ => panic!("it will do for who has not met its refusal"),
        }
        held.finish(session(1), &place("dmp"), &begun, Err(failure), Duration::from_secs(60), after(2));
        let kept = token(&held, session(1), &place("dmp"), after(2)).expect("it stays");
        assert!(kept.is_same(&refused));
        // The server is not asked before the time that it named.
        assert!(matches!(held.enter(session(1), &place("dmp"), Some(&kept), after(61)), Entry::Held(_)));
        begin(&held, session(1), &place("dmp"), Some(&kept), after(62));
    }
}

#[test]
fn a_refused_token_that_has_come_to_its_end_does_for_nobody() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    bring(&held, session(1), &place("dmp"), &begun, Some(60), T0);
    let refused = token(&held, session(1), &place("dmp"), T0).expect("held");
    let begun = begin(&held, session(1), &place("dmp"), Some(&refused), after(49));
    assert!(matches!(
        held.enter(session(1), &place("dmp"), None, after(50)),
        Entry::Joined { meanwhile: None, .. }
    ));
    let failure = Failure::Unavailable { retry_after: None };
    held.finish(session(1), &place("dmp"), &begun, Err(failure), Duration::from_secs(5), after(50));
    assert!(matches!(held.enter(session(1), &place("dmp"), None, after(50)), Entry::Failed { .. }));
}

#[test]
fn what_an_authorization_server_refuses_is_refused_to_all() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    bring(&held, session(1), &place("dmp"), &begun, Some(300), T0);
    let refused = token(&held, session(1), &place("dmp"), T0).expect("held");
    let begun = begin(&held, session(1), &place("dmp"), Some(&refused), after(1));
    held.finish(session(1), &place("dmp"), &begun, Err(Failure::Refused), Duration::from_secs(5), after(1));
    assert!(matches!(held.enter(session(1), &place("dmp"), None, after(1)), Entry::Failed { .. }));
}

#[test]
fn a_failure_is_everybodys_answer_for_a_while() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    held.finish(session(1), &place("dmp"), &begun, Err(Failure::Refused), Duration::from_secs(5), T0);
    match held.enter(session(1), &place("dmp"), None, after(3)) {
        Entry::Failed { failure: Failure::Refused, left } => assert_eq!(left, Duration::from_secs(2)),
        _ => panic!("it is asked again"),
    }
    begin(&held, session(1), &place("mss"), None, after(3));
    begin(&held, session(1), &place("dmp"), None, after(5));
}

#[test]
fn what_comes_for_a_session_that_has_ended_is_told_and_not_kept() {
    let held = Exchanges::default();
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    let waiting = begun.waiting();
    held.forget(session(1));
    bring(&held, session(1), &place("dmp"), &begun, Some(300), T0);
    assert!(waiting.borrow().is_some());
    assert!(!held.has(session(1)));
}

#[test]
fn an_exchange_whose_task_has_died_keeps_nobody_waiting() {
    let held = Exchanges::default();
    drop(begin(&held, session(1), &place("dmp"), None, T0));
    let begun = begin(&held, session(1), &place("dmp"), None, T0);
    held.sweep(T0);
    assert!(held.has(session(1)), "this one is under way");
    drop(begun);
    held.sweep(T0);
    assert!(!held.has(session(1)));
}

#[test]
fn no_more_sessions_are_held_than_there_is_room_for() {
    let held = Exchanges::default();
    for number in 0..u128::try_from(MOST_SESSIONS).expect("small") + 100 {
        let begun = begin(&held, session(number), &place("dmp"), None, T0);
        bring(&held, session(number), &place("dmp"), &begun, Some(300), T0);
    }
    assert_eq!(held.sessions().len(), MOST_SESSIONS);
    assert!(!held.has(session(99)) && held.has(session(100)), "those that came first have gone");
    // Where some have come to their end, none of the others has to go.
    let begun = begin(&held, session(u128::MAX), &place("dmp"), None, after(295));
    bring(&held, session(u128::MAX), &place("dmp"), &begun, Some(300), after(295));
    assert_eq!(held.sessions(), [session(u128::MAX)]);
}

#[test]
fn without_room_all_are_looked_at_once_in_a_while_and_meanwhile_the_first_goes() {
    let held = Exchanges::default();
    let most = u128::try_from(MOST_SESSIONS).expect("small");
    let fill = |number, life, now| {
        let begun = begin(&held, session(number), &place("dmp"), None, now);
        bring(&held, session(number), &place("dmp"), &begun, Some(life), now);
    };
    // The first ten live longest. All others have ended 90 s later.
    for number in 0..most {
        fill(number, if number < 10 { 300 } else { 100 }, T0);
    }
    held.sweep(after(89));
    let soon = after(89) + Duration::from_millis(1500);
    let just_before = after(89) + Duration::from_millis(999);
    fill(most, 300, just_before);
    assert_eq!(held.sessions().len(), MOST_SESSIONS, "not looked at again within a second");
    assert!(!held.has(session(0)), "the first goes");
    fill(most + 1, 300, soon);
    assert_eq!(held.sessions().len(), 9 + 2, "what has come to its end has gone, and nothing else");
}
