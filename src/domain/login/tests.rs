//! What is shown of a login in each state, to the microsecond at which that changes.

use uuid::Uuid;

use super::*;

const UNTIL: Timestamp = Timestamp::from_secs(1_800_000_120);
const READABLE: Duration = Duration::from_mins(10);
const MICROSECOND: Duration = Duration::from_micros(1);

fn login(state: LoginState) -> Login {
    Login {
        login_id: LoginId(Uuid::from_u128(1)),
        grant_id: GrantId(Uuid::from_u128(2_000_000)),
        tenant: "cabinet".parse().expect("a name"),
        application: "logiciel".parse().expect("a name"),
        registration: "lps".parse().expect("a name"),
        provider: "psc".parse().expect("a name"),
        environment: Environment::Test,
        support_code: SupportCode::from_compact("K7QM2P4X".to_owned()),
        delivery: Delivery::Poll,
        reference: None,
        channel: None,
        binding_message: "42".to_owned(),
        login_hint: Some(Secret::new("899700000001")),
        x5t: None,
        client_context: None,
        created_at: Timestamp::from_secs(1_800_000_000),
        owner: NodeId(Uuid::from_u128(3)),
        version: 4,
        attempt: Attempt(Uuid::from_u128(5)),
        state,
    }
}

fn pending() -> LoginState {
    LoginState::Pending {
        until: UNTIL,
        interval: Duration::from_secs(5),
        not_before: None,
        provider_slow: false,
    }
}

fn ended(hidden: Option<Hidden>) -> LoginState {
    let at = UNTIL - Duration::from_mins(1);
    LoginState::Ended { status: EndStatus::Failed, reason: LoginReason::UserUnknown, at, hidden }
}

#[test]
fn every_word_for_a_status_is_read_back_as_that_status() {
    let words = LoginStatus::ALL.map(LoginStatus::as_str);
    let expected =
        ["starting", "pending", "approved", "picked_up", "denied", "expired", "failed", "cancelled"];
    assert_eq!(words, expected);
    assert_eq!(words.map(LoginStatus::parse), LoginStatus::ALL.map(Some));
    assert_eq!(LoginStatus::parse("Pending"), None);
    let leads_on = LoginStatus::ALL.map(|status| !status.is_terminal());
    assert_eq!(leads_on, [true, true, true, false, false, false, false, false]);
}

#[test]
fn a_login_says_when_its_state_ends_by_itself() {
    let picked_up = LoginState::PickedUp {
        at: UNTIL - Duration::from_mins(1),
        session_id: SessionId(Uuid::from_u128(6)),
        repeatable_until: UNTIL,
    };
    let minute_ago = UNTIL - Duration::from_mins(1);
    for (state, reason, expires_at, ended_at) in [
        (LoginState::Starting { until: UNTIL }, None, UNTIL, None),
        (pending(), None, UNTIL, None),
        (picked_up, None, UNTIL, Some(minute_ago)),
        (ended(None), Some(LoginReason::UserUnknown), minute_ago + READABLE, Some(minute_ago)),
    ] {
        let status = state.status();
        let login = login(state);
        let shown = Shown { status, reason, version: 4, expires_at, changes_at: None };
        assert_eq!(login.shown(UNTIL), shown);
        assert_eq!(login.ended_at(), ended_at, "{status:?}");
    }
}

#[test]
fn a_pick_up_window_is_shown_as_closed_from_its_end_on() {
    let login = login(LoginState::Approved { at: UNTIL - Duration::from_mins(5), until: UNTIL });
    let open = login.shown(UNTIL - MICROSECOND);
    assert_eq!((open.status, open.reason, open.version), (LoginStatus::Approved, None, 4));
    assert_eq!((open.expires_at, open.changes_at), (UNTIL, Some(UNTIL)));
    let closed = login.shown(UNTIL);
    assert_eq!((closed.status, closed.reason), (LoginStatus::Expired, Some(LoginReason::PickUpExpired)));
    assert_eq!((closed.version, closed.expires_at), (5, UNTIL + READABLE));
    assert_eq!(login.ended_at(), None);
}

#[test]
fn r_a_09_a_hidden_unknown_person_is_shown_as_pending_then_expired() {
    let login = login(ended(Some(Hidden { until: UNTIL, cancelled: None })));
    let pending = login.shown(UNTIL - MICROSECOND);
    assert_eq!((pending.status, pending.reason, pending.version), (LoginStatus::Pending, None, 4));
    // What a real one would say: it ends when its last poll is answered, and says when its time is over.
    assert_eq!(pending.expires_at, UNTIL - Duration::from_secs(2));
    assert_eq!(pending.changes_at, Some(UNTIL));
    let expired = login.shown(UNTIL);
    assert_eq!((expired.status, expired.reason), (LoginStatus::Expired, Some(LoginReason::Expired)));
    assert_eq!((expired.version, expired.expires_at), (5, UNTIL + READABLE));
    assert_eq!(login.ended_at(), Some(UNTIL), "and not when it really did");
}

#[test]
fn r_a_09_a_hidden_unknown_person_that_was_cancelled_is_shown_as_cancelled() {
    let at = UNTIL - Duration::from_secs(30);
    let cancelled = Some((at, LoginReason::Superseded));
    let login = login(ended(Some(Hidden { until: UNTIL, cancelled })));
    for now in [at, UNTIL] {
        let shown = login.shown(now);
        assert_eq!((shown.status, shown.reason), (LoginStatus::Cancelled, Some(LoginReason::Superseded)));
        assert_eq!((shown.version, shown.expires_at, shown.changes_at), (4, at + READABLE, None));
    }
    assert_eq!(login.ended_at(), Some(at));
}

#[test]
fn r_a_09_hidden_logins_end_within_an_interval_and_not_all_at_the_same_moment() {
    let delay = |grant: u128| hidden_delay(GrantId(Uuid::from_u128(grant)));
    assert_eq!(delay(2_000_000), Duration::from_secs(2));
    assert_eq!(delay(5_250_000 + 7), Duration::from_micros(7));
    assert!(delay(u128::MAX) < Duration::from_millis(5250));
}

#[test]
fn a_login_in_a_log_names_itself_and_neither_person_nor_digits() {
    let text = format!("{:?}", login(pending()));
    assert!(text.contains("00000000-0000-0000-0000-000000000001") && text.contains("Pending"), "{text}");
    assert!(!text.contains("899700000001") && !text.contains("42"), "{text}");
}
