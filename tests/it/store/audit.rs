//! The audit: one record per transition, in its transaction, never changed.

use relais::crypto::ring::Purpose;
use relais::domain::login::{EndStatus, LoginStatus};
use relais::domain::session::SessionEndReason;
use relais::domain::time::Timestamp;
use relais::engine::ports::{EndSession, StoreError};
use relais::store::audit::AuditRecord;
use sqlx::Row as _;
use uuid::Uuid;

use super::harness::{
    HINT, Harness, Raw, acknowledge, application, approve, at, attempt, end_login, for_each_store, hex,
    holder,
};

for_each_store! {
    every_transition_writes_one_record,
    a_transition_that_did_not_happen_writes_none,
    a_record_says_who_and_from_where_but_not_the_hint,
    a_record_proves_that_it_is_as_it_was_written,
    records_are_neither_changed_nor_removed,
    what_cannot_be_audited_does_not_happen,
}

async fn events(h: &Harness) -> Vec<String> {
    h.raw.texts("SELECT event FROM audit ORDER BY seq").await
}

async fn every_transition_writes_one_record(h: Harness) {
    let (new, session) = h.picked_up(HINT, "rsh_1").await;
    h.store.pick_up(h.pick_up(&new.login, "rsh_2"), &holder()).await.expect("works");
    let id = session.session_id;
    h.store.choose_exercice(id, attempt(), at(20), "exercice-1", &holder()).await.expect("works");
    let end =
        EndSession { session_id: id, attempt: attempt(), now: at(30), reason: SessionEndReason::Logout };
    h.store.end_session(end, &holder()).await.expect("works");
    let expected = [
        "login.started",
        "login.acknowledged",
        "login.approved",
        "login.picked_up",
        "login.pick_up_repeated",
        "session.exercice_chosen",
        "session.ended",
    ];
    assert_eq!(events(&h).await, expected);

    for status in [EndStatus::Denied, EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled] {
        let new = h.pending(HINT).await;
        h.store.end_login(end_login(new.login.login_id, status), &holder()).await.expect("works");
        let last = events(&h).await.pop().expect("one");
        assert_eq!(last, format!("login.{}", status.status().as_str()));
    }
    let reasons = "SELECT reason FROM audit WHERE reason IS NOT NULL ORDER BY seq";
    assert_eq!(h.raw.texts(reasons).await, ["logout", "user_denied", "expired", "internal", "cancelled"]);
}

async fn a_transition_that_did_not_happen_writes_none(h: Harness) {
    let new = h.in_status(LoginStatus::Denied, HINT).await;
    let before = events(&h).await;
    h.store.approve(approve(new.login.login_id)).await.expect("works");
    h.store.acknowledge(acknowledge(new.login.login_id)).await.expect("works");
    h.store.end_login(end_login(new.login.login_id, EndStatus::Cancelled), &holder()).await.expect("works");
    assert_eq!(events(&h).await, before);
}

/// The only record, read without the store.
async fn only_record(h: &Harness) -> (AuditRecord, String, Vec<u8>) {
    let sql = "SELECT * FROM audit";
    macro_rules! read {
        ($pool:expr) => {{
            let row = sqlx::query(sql).fetch_one($pool).await.expect("one record");
            let port: Option<i64> = row.get("port");
            let record = AuditRecord {
                at: Timestamp::from_micros(row.get("at")),
                event: row.get("event"),
                tenant: row.get("tenant"),
                application: row.get("application"),
                registration: row.get("registration"),
                person: row.get("person"),
                login_id: row.get::<Uuid, _>("login_id"),
                session_id: row.get("session_id"),
                related_id: row.get("related_id"),
                reason: row.get("reason"),
                attempt: row.get::<Uuid, _>("attempt"),
                actor: row.get("actor"),
                address: row.get("address"),
                port: port.map(|port| u16::try_from(port).expect("a port")),
                certificate_dn: row.get("certificate_dn"),
                request_id: row.get("request_id"),
            };
            (record, row.get("key_id"), row.get("mac"))
        }};
    }
    match &h.raw {
        Raw::Sqlite(pool) => read!(pool),
        Raw::Postgres(pool) => read!(pool),
    }
}

async fn a_record_says_who_and_from_where_but_not_the_hint(h: Harness) {
    let new = h.starting(HINT).await;
    let (record, ..) = only_record(&h).await;
    let by = application();
    assert_eq!(record.actor, "application");
    assert_eq!((record.address.as_deref(), record.port), (Some("192.0.2.1"), Some(4711)));
    assert_eq!((&record.certificate_dn, &record.request_id), (&by.certificate_dn, &by.request_id));
    assert_eq!((record.login_id, record.attempt), (new.login.login_id.0, new.login.attempt.0));
    assert_eq!(record.person, hex(new.person.as_bytes()));
    assert!(!format!("{record:?}").contains(HINT));
}

async fn a_record_proves_that_it_is_as_it_was_written(h: Harness) {
    h.starting(HINT).await;
    let (record, key_id, mac) = only_record(&h).await;
    let computed = |record: &AuditRecord| {
        h.ring.hash_with(Purpose::AuditRecord, &key_id, &record.mac_input()).expect("in the ring").to_vec()
    };
    assert_eq!(computed(&record), mac);
    let without_reason = AuditRecord { reason: Some(String::new()), ..record.clone() };
    let other_actor = AuditRecord { actor: "engine".to_owned(), ..record.clone() };
    let moved = AuditRecord {
        tenant: format!("{}{}", record.tenant, record.application),
        application: String::new(),
        ..record
    };
    for forged in [without_reason, other_actor, moved] {
        assert_ne!(computed(&forged), mac);
    }
}

async fn records_are_neither_changed_nor_removed(h: Harness) {
    h.starting(HINT).await;
    for forbidden in [
        "UPDATE audit SET actor = 'engine'",
        "DELETE FROM audit",
        "UPDATE audit SET reason = 'x' WHERE event = 'login.started'",
    ] {
        let refused = h.raw.run(forbidden).await.expect_err("append-only");
        assert!(refused.to_string().contains("audit records are never"), "{refused}");
    }
    if !h.raw.is_sqlite() {
        h.raw.run("TRUNCATE audit").await.expect_err("append-only");
    }
    assert_eq!(events(&h).await, ["login.started"]);
}

async fn what_cannot_be_audited_does_not_happen(h: Harness) {
    let starting = h.starting("starting").await;
    let pending = h.pending("pending").await;
    let approved = h.approved("approved").await;
    let (_, session) = h.picked_up("active", "rsh_1").await;
    h.raw.run("ALTER TABLE audit RENAME TO audit_elsewhere").await.expect("works");

    let refused = |error: StoreError| matches!(error, StoreError::Refused { .. });
    let start = h.store.start_login(h.new_login("new"), &holder()).await;
    assert!(start.err().is_some_and(refused));
    let ack = h.store.acknowledge(acknowledge(starting.login.login_id)).await;
    assert!(ack.err().is_some_and(refused));
    let approval = h.store.approve(approve(pending.login.login_id)).await;
    assert!(approval.err().is_some_and(refused));
    let pick_up = h.store.pick_up(h.pick_up(&approved.login, "rsh_2"), &holder()).await;
    assert!(pick_up.err().is_some_and(refused));
    let end = EndSession {
        session_id: session.session_id,
        attempt: attempt(),
        now: at(30),
        reason: SessionEndReason::Logout,
    };
    assert!(h.store.end_session(end, &holder()).await.err().is_some_and(refused));

    assert_eq!(h.status(starting.login.login_id).await, LoginStatus::Starting);
    assert_eq!(h.status(pending.login.login_id).await, LoginStatus::Pending);
    assert_eq!(h.status(approved.login.login_id).await, LoginStatus::Approved);
    assert_eq!(h.raw.number("SELECT count(*) FROM logins").await, 4);
    assert_eq!(h.raw.number("SELECT count(*) FROM person_slots").await, 2);
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions WHERE status = 'active'").await, 1);
    let wiped = "SELECT count(*) FROM grants WHERE tokens IS NOT NULL";
    assert_eq!(h.raw.number(wiped).await, 2, "nothing was wiped either");
}
