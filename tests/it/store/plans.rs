//! A row is looked for by its own key, from the first login of a new database on. PostgreSQL keeps a plan for as long
//! as a connection lives; one that was made for empty tables must still be right when they are full.

use std::time::Duration;

use relais::engine::ports::{RecordUse, UseOutcome};

use super::harness::{Harness, Raw, at, end_login, holder};

/// Logins that are signed in, read and used.
const SIGNED_IN: u32 = 300;

/// Rows that one of them may cost over its whole life; it costs about a hundred. With plans that look at every row it
/// costs tens of thousands.
const ROWS: i64 = 200;

async fn whole_life(harness: &Harness, name: &str) {
    let store = &harness.store;
    let (new, session) = harness.picked_up(name, name).await;
    let login = store.login_by_token(&harness.token_of(new.login.login_id)).await.expect("works");
    assert!(login.is_some(), "the token opens its login");
    let handle = harness.handle(name);
    let used = RecordUse { handle: handle.hash, session_id: session.session_id, now: at(20), touch: true };
    assert_eq!(store.record_use(used).await.expect("works"), UseOutcome::Recorded);
    let presented = store.session_by_handle(&[handle]).await.expect("works");
    assert!(presented.is_some(), "the handle opens its session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_postgres_finds_each_row_by_its_own_key() {
    let mut harness = Harness::postgres().await;
    // Nobody counts the rows meanwhile, as in the first minute of a new database.
    for alone in [
        "ALTER TABLE logins SET (autovacuum_enabled = false)",
        "ALTER TABLE grants SET (autovacuum_enabled = false)",
        "ALTER TABLE sessions SET (autovacuum_enabled = false)",
        "ALTER TABLE handles SET (autovacuum_enabled = false)",
        "ALTER TABLE person_slots SET (autovacuum_enabled = false)",
        "ALTER TABLE audit SET (autovacuum_enabled = false)",
    ] {
        harness.raw.run(alone).await.expect("its owner may");
    }
    // They stay open: what is looked for must not be looked for among them.
    for number in 0..SIGNED_IN {
        harness.pending(&format!("pending-{number}")).await;
    }
    for number in 0..SIGNED_IN {
        whole_life(&harness, &format!("signed-in-{number}")).await;
        let new = harness.pending(&format!("denied-{number}")).await;
        let end = end_login(new.login.login_id, relais::domain::login::EndStatus::Denied);
        harness.store.end_login(end, &holder()).await.expect("works");
    }
    // A connection tells what it has read when it ends.
    let spare = Harness::postgres_with(1).await;
    drop(std::mem::replace(&mut harness.store, spare.store));
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while harness.raw.number(others).await > 0 {
        let _ = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    }
    let Raw::Postgres(_) = &harness.raw else { panic!("this is about PostgreSQL") };
    let read = harness
        .raw
        .number(
            "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)::bigint
                  + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)::bigint",
        )
        .await;
    let each = read / i64::from(SIGNED_IN);
    assert!(each <= ROWS, "{each} rows are read for one sign-in, one refusal and one login that stays open");
}
