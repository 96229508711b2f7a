//! What lies sealed, what is wiped, and that nothing lies in clear (R-K-01).

use relais::domain::ids::{GrantId, LoginId};
use relais::domain::login::EndStatus;
use relais::domain::secret::Secret;
use relais::domain::session::SessionEndReason;
use relais::engine::ports::{EndSession, StoreError};

use super::harness::{
    ACCESS_TOKEN, AUTH_REQ_ID, FAMILY_NAME, HINT, Harness, ID_TOKEN, REFRESH_TOKEN, USERINFO, at, attempt,
    claims, end_login, for_each_store, hex, holder, won,
};

for_each_store! {
    tokens_and_claims_come_back_as_they_went_in,
    userinfo_is_sealed_while_there_are_tokens,
    r_k_01_a_value_moved_to_another_row_does_not_open,
    r_k_01_a_value_moved_to_another_column_does_not_open,
    r_k_01_a_wrap_moved_to_another_registration_does_not_open,
    a_login_that_ended_without_a_session_keeps_its_hint_only,
    an_approval_wipes_the_request,
    the_end_of_a_session_wipes_its_grant,
    no_secret_lies_in_clear,
}

async fn tokens_and_claims_come_back_as_they_went_in(h: Harness) {
    let new = h.approved(HINT).await;
    let grant = h.store.grant(new.login.grant_id).await.expect("works").expect("there");
    let tokens = grant.tokens.expect("sealed");
    assert_eq!(tokens.access_token.expose(), ACCESS_TOKEN);
    assert_eq!(tokens.access_expires_at, Some(at(126)));
    assert_eq!(tokens.refresh_token.expect("sealed").expose(), REFRESH_TOKEN);
    assert_eq!(tokens.refresh_expires_at, Some(at(1800)));
    assert!(tokens.id_token.expose().starts_with(ID_TOKEN));
    assert!(grant.claims.expect("sealed") == claims());
    assert!(grant.userinfo.is_none());
    assert!(h.store.grant(GrantId(uuid::Uuid::nil())).await.expect("works").is_none());
}

async fn userinfo_is_sealed_while_there_are_tokens(h: Harness) {
    let pending = h.pending("other").await;
    let document = Secret::new(USERINFO);
    let mut complete = claims();
    complete.subject.complete = true;
    let stored = h.store.complete_grant(pending.login.grant_id, &complete, &document).await.expect("works");
    assert!(!stored, "no tokens yet");

    let (new, session) = h.picked_up(HINT, "rsh_1").await;
    let grant_id = new.login.grant_id;
    assert!(h.store.complete_grant(grant_id, &complete, &document).await.expect("works"));
    let grant = h.store.grant(grant_id).await.expect("works").expect("there");
    assert_eq!(grant.userinfo.expect("sealed").expose(), USERINFO);
    assert!(grant.claims.expect("sealed").subject.complete);

    end_session(&h, session.session_id, 20).await;
    assert!(!h.store.complete_grant(grant_id, &complete, &document).await.expect("works"));
    let grant = h.store.grant(grant_id).await.expect("works").expect("there");
    assert!(grant.userinfo.is_none() && grant.claims.is_none() && grant.tokens.is_none());
}

macro_rules! exchange_sql {
    ($column:literal) => {
        concat!(
            "UPDATE grants SET ",
            $column,
            " = (SELECT b.",
            $column,
            " FROM before b WHERE b.grant_id <> grants.grant_id)"
        )
    };
}
fn is_sealed<T>(outcome: &Result<T, StoreError>, wanted: &str) -> bool {
    matches!(outcome, Err(StoreError::Sealed { table: "grants", column }) if *column == wanted)
}

async fn r_k_01_a_value_moved_to_another_row_does_not_open(h: Harness) {
    let (mine, _) = h.picked_up("mine", "rsh_mine").await;
    h.picked_up("theirs", "rsh_theirs").await;
    let (login_id, grant_id) = (mine.login.login_id, mine.login.grant_id);

    exchange(&h, exchange_sql!("tokens")).await;
    assert!(is_sealed(&h.store.grant(grant_id).await, "tokens"));
    exchange(&h, exchange_sql!("tokens")).await;

    exchange(&h, exchange_sql!("claims")).await;
    assert!(is_sealed(&h.store.session_by_handle(&[h.handle("rsh_mine")]).await, "claims"));
    exchange(&h, exchange_sql!("claims")).await;

    exchange(&h, exchange_sql!("hint")).await;
    assert!(
        without_hint(&h, login_id).await,
        "a hint that does not open is shown as none, and stops nothing"
    );
    exchange(&h, exchange_sql!("hint")).await;

    exchange(&h, exchange_sql!("wraps")).await;
    assert!(without_hint(&h, login_id).await);
    exchange(&h, exchange_sql!("wraps")).await;

    h.store.grant(grant_id).await.expect("all is in its place again");
}

/// Exchanges a column between the two rows of `grants`, by way of a copy: an update may see what it has written.
async fn exchange(h: &Harness, sql: &'static str) {
    h.raw.run("DROP TABLE IF EXISTS before").await.expect("ours");
    h.raw.run("CREATE TEMP TABLE before AS SELECT * FROM grants").await.expect("ours");
    assert_eq!(h.raw.run(sql).await.expect("the database does not know better"), 2);
}

async fn r_k_01_a_value_moved_to_another_column_does_not_open(h: Harness) {
    let new = h.approved(HINT).await;
    h.raw.run("UPDATE grants SET userinfo = claims").await.expect("the database does not know better");
    assert!(is_sealed(&h.store.grant(new.login.grant_id).await, "userinfo"));
}

async fn r_k_01_a_wrap_moved_to_another_registration_does_not_open(h: Harness) {
    let new = h.approved(HINT).await;
    h.raw.run("UPDATE grants SET registration = 'autre'").await.expect("the database does not know better");
    assert!(is_sealed(&h.store.grant(new.login.grant_id).await, "wraps"));
}

async fn a_login_that_ended_without_a_session_keeps_its_hint_only(h: Harness) {
    for end in [EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled] {
        let new = h.approved(HINT).await;
        let ended =
            won(h.store.end_login(end_login(new.login.login_id, end), &holder()).await.expect("works"));
        assert_eq!(ended.login_hint.expect("still readable").expose(), HINT);
    }
    let left = "SELECT count(*) FROM grants
                WHERE request IS NOT NULL OR tokens IS NOT NULL OR claims IS NOT NULL OR userinfo IS NOT NULL";
    assert_eq!(h.raw.number(left).await, 0);
    h.store.housekeep(at(8 + 599)).await.expect("works");
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE hint IS NOT NULL").await, 3);
    h.store.housekeep(at(8 + 600)).await.expect("works");
    let left = "SELECT count(*) FROM grants WHERE hint IS NOT NULL OR wraps IS NOT NULL";
    assert_eq!(h.raw.number(left).await, 0, "with the data key nothing in a backup opens either");
}

async fn an_approval_wipes_the_request(h: Harness) {
    h.pending(HINT).await;
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE request IS NOT NULL").await, 1);
    h.approved("other").await;
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE request IS NOT NULL").await, 1);
}

async fn end_session(h: &Harness, session_id: relais::domain::ids::SessionId, seconds: u64) {
    let end =
        EndSession { session_id, attempt: attempt(), now: at(seconds), reason: SessionEndReason::Logout };
    h.store.end_session(end, &holder()).await.expect("works");
}

async fn the_end_of_a_session_wipes_its_grant(h: Harness) {
    let (new, session) = h.picked_up(HINT, "rsh_1").await;
    end_session(&h, session.session_id, 20).await;
    let left = "SELECT count(*) FROM grants
                WHERE request IS NOT NULL OR tokens IS NOT NULL OR claims IS NOT NULL OR userinfo IS NOT NULL";
    assert_eq!(h.raw.number(left).await, 0);
    let login = h.read(new.login.login_id).await;
    assert!(login.login_hint.is_some(), "the login is readable for 10 minutes after the pick-up");
    h.store.housekeep(at(10 + 600)).await.expect("works");
    assert!(h.read(new.login.login_id).await.login_hint.is_none());

    let (_, session) = h.picked_up("later", "rsh_2").await;
    end_session(&h, session.session_id, 10 + 600).await;
    let left = "SELECT count(*) FROM grants WHERE hint IS NOT NULL OR wraps IS NOT NULL";
    assert_eq!(h.raw.number(left).await, 0, "no longer readable: nothing waits for housekeeping");
}

async fn no_secret_lies_in_clear(h: Harness) {
    h.starting("person-starting").await;
    h.pending("person-pending").await;
    let (new, _) = h.picked_up(HINT, "rsh_handle-that-nobody-may-read").await;
    let document = Secret::new(USERINFO);
    h.store.complete_grant(new.login.grant_id, &claims(), &document).await.expect("works");
    let (_, ended) = h.picked_up("person-ended", "rsh_ended").await;
    end_session(&h, ended.session_id, 20).await;
    let token = format!("rlt_{}", new.login.login_id);
    let dump = dump(&h).await;
    let there = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    assert!(there(b"logiciel"), "the dump shows what is not secret");
    for secret in [
        HINT,
        "person-starting",
        "person-pending",
        "person-ended",
        AUTH_REQ_ID,
        ACCESS_TOKEN,
        REFRESH_TOKEN,
        ID_TOKEN,
        FAMILY_NAME,
        "that-nobody-may-read",
        &token,
    ] {
        assert!(!there(secret.as_bytes()), "{secret} lies in clear");
        assert!(!there(hex(secret.as_bytes()).as_bytes()), "{secret} lies in clear");
    }
}

/// The files of SQLite; every row of every table of PostgreSQL, binary columns in hexadecimal.
async fn dump(h: &Harness) -> Vec<u8> {
    if let Some(file) = &h.file {
        let mut all = std::fs::read(file).expect("there");
        all.extend(std::fs::read(file.with_extension("db-wal")).expect("in WAL mode"));
        return all;
    }
    let mut all = String::new();
    for table in [
        "SELECT t::text FROM logins t",
        "SELECT t::text FROM person_slots t",
        "SELECT t::text FROM grants t",
        "SELECT t::text FROM sessions t",
        "SELECT t::text FROM handles t",
        "SELECT t::text FROM replays t",
        "SELECT t::text FROM nodes t",
        "SELECT t::text FROM audit t",
        "SELECT t::text FROM outbox t",
        "SELECT t::text FROM logout_tokens t",
    ] {
        all.push_str(&h.raw.texts(table).await.join("\n"));
    }
    all.into_bytes()
}

async fn without_hint(h: &Harness, login_id: LoginId) -> bool {
    h.store.login(login_id).await.expect("works").expect("is there").login_hint.is_none()
}
