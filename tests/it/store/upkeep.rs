//! Counting, finding what is overdue, wiping and deleting.

use std::sync::Arc;
use std::time::Duration;

use relais::domain::login::LoginStatus;
use relais::domain::session::SessionEndReason;
use relais::engine::ports::{Counts, EndSession, StoreError};

use super::harness::{Harness, NOW, at, attempt, for_each_store, holder, node};

for_each_store! {
    what_is_there_is_counted,
    overdue_logins_are_found_by_their_state,
    what_ended_long_ago_is_deleted_and_the_rest_is_kept,
    slots_and_keys_past_their_time_are_deleted,
    a_write_can_be_tried_without_leaving_anything,
    a_store_that_cannot_write_says_so,
    a_refused_write_takes_back_only_itself,
    an_error_shows_no_value_of_a_row,
}

const WEEK: u64 = 7 * 24 * 3600;

async fn what_is_there_is_counted(h: Harness) {
    assert_eq!(h.store.counts().await.expect("works"), Counts::default());
    h.starting("starting").await;
    h.pending("pending-1").await;
    h.pending("pending-2").await;
    h.picked_up("active", "rsh_1").await;
    let expected = Counts { logins_pending: 2, sessions_active: 1, outbox: 0 };
    assert_eq!(h.store.counts().await.expect("works"), expected);
}

async fn overdue_logins_are_found_by_their_state(h: Harness) {
    let starting = h.starting("starting").await.login.login_id;
    let pending = h.pending("pending").await.login.login_id;
    let approved = h.approved("approved").await.login.login_id;
    h.in_status(LoginStatus::Denied, "denied").await;
    let overdue = async |now, owners_before| {
        h.store.overdue_logins(now, owners_before, 10).await.expect("the store works")
    };
    assert!(overdue(at(305), at(25)).await.is_empty(), "owners have until then");
    assert_eq!(overdue(at(305), at(26)).await, [(starting, LoginStatus::Starting)]);
    let expected = [
        (starting, LoginStatus::Starting),
        (pending, LoginStatus::Pending),
        (approved, LoginStatus::Approved),
    ];
    assert_eq!(overdue(at(306), at(122)).await, expected);
    assert_eq!(h.store.overdue_logins(at(306), at(122), 2).await.expect("works").len(), 2);
}

async fn what_ended_long_ago_is_deleted_and_the_rest_is_kept(h: Harness) {
    h.in_status(LoginStatus::Denied, "denied").await;
    h.pending("pending").await;
    h.picked_up("active", "rsh_active").await;
    let (_, session) = h.picked_up("over", "rsh_over").await;
    let end = EndSession {
        session_id: session.session_id,
        attempt: attempt(),
        now: at(20),
        reason: SessionEndReason::Logout,
    };
    h.store.end_session(end, &holder()).await.expect("works");

    h.store.housekeep(at(WEEK)).await.expect("works");
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 4);
    let purged = h.store.housekeep(at(WEEK + 20)).await.expect("works");
    assert!(purged.rows >= 3, "a login without a session, a session, and its login");
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 2);
    assert_eq!(h.raw.number("SELECT count(*) FROM logins WHERE status = 'pending'").await, 1);
    for (table, left) in [
        ("SELECT count(*) FROM sessions", 1),
        ("SELECT count(*) FROM handles", 1),
        ("SELECT count(*) FROM grants", 2),
    ] {
        assert_eq!(h.raw.number(table).await, left, "{table}");
    }
    let presented = h.store.session_by_handle(&[h.handle("rsh_active")]).await.expect("works");
    assert!(presented.is_some(), "an active session stays, however old its login is");
    assert!(h.raw.number("SELECT count(*) FROM audit").await > 8, "the audit stays");
}

async fn slots_and_keys_past_their_time_are_deleted(h: Harness) {
    let mut new = h.new_login("person");
    new.idempotency = Some(relais::engine::ports::IdempotencyClaim {
        key: vec![h.handle("key")],
        body: h.handle("body"),
        until: NOW + Duration::from_secs(24 * 3600),
    });
    h.store.start_login(new, &holder()).await.expect("works");
    h.store.housekeep(at(149)).await.expect("works");
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 1);
    h.store.housekeep(at(150)).await.expect("works");
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 0);
    assert_eq!(h.raw.number("SELECT count(*) FROM replays").await, 1);
    h.store.housekeep(at(24 * 3600)).await.expect("works");
    assert_eq!(h.raw.number("SELECT count(*) FROM replays").await, 0);
}

async fn a_write_can_be_tried_without_leaving_anything(h: Harness) {
    h.store.renew_lease(node(), Duration::from_secs(5)).await.expect("works");
    h.store.check_writable().await.expect("writable");
    assert_eq!(h.raw.number("SELECT count(*) FROM nodes").await, 1);
}

async fn a_refused_write_takes_back_only_itself(h: Harness) {
    h.picked_up("first", "rsh_1").await;
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..20 {
        let store = Arc::clone(&h.store);
        if turn % 4 == 0 {
            let new = h.approved(&format!("refused-{turn}")).await;
            // A handle that exists already: the login and the session of this piece are taken back with it.
            let pick_up = h.pick_up(&new.login, "rsh_1");
            tasks.spawn(async move { store.pick_up(pick_up, &holder()).await.is_err() });
        } else {
            let new = h.new_login(&format!("person-{turn}"));
            tasks.spawn(async move { store.start_login(new, &holder()).await.is_ok() });
        }
    }
    assert!(tasks.join_all().await.into_iter().all(|as_expected| as_expected));
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions").await, 1);
    assert_eq!(h.raw.number("SELECT count(*) FROM logins WHERE status = 'approved'").await, 5);
    assert_eq!(h.raw.number("SELECT count(*) FROM logins WHERE status = 'starting'").await, 15);
}

async fn an_error_shows_no_value_of_a_row(h: Harness) {
    let new = h.approved("person").await;
    let mut impossible = h.pick_up(&new.login, "rsh_1");
    impossible.session.reference = Some("a-reference-of-the-client".to_owned());
    // PostgreSQL tells the whole failing row in the detail of such an error.
    let forbid = if h.raw.is_sqlite() {
        "CREATE TRIGGER forbid BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
    } else {
        "ALTER TABLE sessions ADD CHECK (reference IS NULL)"
    };
    h.raw.run(forbid).await.expect("works");
    let refused = h.store.pick_up(impossible, &holder()).await.err().expect("forbidden");
    let mut shown = vec![format!("{refused} {refused:?}")];
    let mut source = std::error::Error::source(&refused);
    while let Some(error) = source {
        shown.push(format!("{error} {error:?}"));
        source = error.source();
    }
    let shown = shown.join("\n");
    assert!(shown.contains("forbidden") || shown.contains("check constraint"), "{shown}");
    assert!(!shown.contains("a-reference"), "{shown}");
}

async fn a_store_that_cannot_write_says_so(h: Harness) {
    h.raw.run("DROP TABLE nodes").await.expect("works");
    let refused = h.store.check_writable().await.expect_err("there is no table");
    assert!(matches!(refused, StoreError::Refused { operation: "check_writable", .. }));
    // Reads go on.
    assert_eq!(h.store.counts().await.expect("works"), Counts::default());
}
