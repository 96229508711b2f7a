//! Counting, proving that writes work, wiping and deleting. Every call is bounded.

use std::time::Duration;

use uuid::Uuid;

use super::conn::{Context, Db, Fault, args};
use super::logins::micros;
use super::outbox;
use crate::domain::ids::Attempt;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Counts, Purged};

/// How long a row is kept after its end.
const KEPT_AFTER_END: Duration = Duration::from_hours(7 * 24);

/// How long what is to be given up is left to whoever tells it, who also says so in log and metrics.
const GIVE_UP_LEFT_TO_TELLERS: Duration = Duration::from_mins(10);

/// The most rows of one kind that one call removes.
const BATCH: u32 = 500;

/// A real write, which its own transaction takes back: locks, disk and commit are all needed for it.
pub(super) async fn check_writable(db: &mut Db) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO nodes (node_id, lease_until) VALUES ($1, 0)
         ON CONFLICT (node_id) DO UPDATE SET lease_until = 0",
        args![Uuid::nil()],
    )
    .await?;
    db.execute("DELETE FROM nodes WHERE node_id = $1", args![Uuid::nil()]).await?;
    Ok(())
}

/// How much there is.
pub(super) async fn counts(db: &mut Db) -> Result<Counts, Fault> {
    let row = db
        .fetch_first(
            "SELECT (SELECT count(*) FROM logins WHERE ended_at IS NULL AND status = 'pending') AS pending,
                 (SELECT count(*) FROM sessions WHERE ended_at IS NULL) AS active,
                 (SELECT count(*) FROM outbox) AS outbox",
            args![],
        )
        .await?
        .ok_or(Fault::Inconsistent { table: "logins", column: "status" })?;
    let pending: i64 = row.get("logins", "pending")?;
    let active: i64 = row.get("sessions", "active")?;
    let outbox: i64 = row.get("outbox", "outbox")?;
    Ok(Counts {
        logins_pending: u64::try_from(pending).unwrap_or(0),
        sessions_active: u64::try_from(active).unwrap_or(0),
        outbox: u64::try_from(outbox).unwrap_or(0),
    })
}

/// See [`crate::engine::ports::Store::housekeep`].
pub(super) async fn housekeep(
    db: &mut Db,
    context: &Context,
    (now, attempt): &(Timestamp, Attempt),
) -> Result<Purged, Fault> {
    let now = *now;
    let mut rows = db
        .execute(
            "UPDATE grants SET hint = NULL, hint_until = NULL,
                 wraps = CASE WHEN request IS NULL AND tokens IS NULL AND claims IS NULL AND userinfo IS NULL
                     THEN NULL ELSE wraps END
             WHERE grant_id IN (SELECT grant_id FROM grants WHERE hint_until <= $1 ORDER BY hint_until LIMIT $2)
                 AND hint_until <= $1",
            args![now, BATCH],
        )
        .await?;
    rows += db
        .execute(
            "DELETE FROM replays WHERE until <= $1 AND login_id IN
                 (SELECT login_id FROM replays WHERE until <= $1 ORDER BY until LIMIT $2)",
            args![now, BATCH],
        )
        .await?;
    rows += db
        .execute(
            "DELETE FROM person_slots WHERE until <= $1 AND login_id IN
                 (SELECT login_id FROM person_slots WHERE until <= $1 ORDER BY until LIMIT $2)",
            args![now, BATCH],
        )
        .await?;
    rows += db
        .execute(
            "DELETE FROM assertions WHERE until <= $1 AND jti IN
                 (SELECT jti FROM assertions WHERE until <= $1 ORDER BY until LIMIT $2)",
            args![now, BATCH],
        )
        .await?;
    rows += db
        .execute(
            "DELETE FROM logout_tokens WHERE until <= $1 AND jti IN
                 (SELECT jti FROM logout_tokens WHERE until <= $1 ORDER BY until LIMIT $2)",
            args![now, BATCH],
        )
        .await?;
    rows += outbox::give_up(db, context, (now, now - GIVE_UP_LEFT_TO_TELLERS), *attempt, BATCH).await?;
    rows += delete_ended(db, now - KEPT_AFTER_END).await?;
    let forget = db.dialect().forget_nodes;
    rows += db.execute(forget, args![micros(KEPT_AFTER_END)]).await?;
    Ok(Purged { rows })
}

/// Sessions first, then the logins that have none: children before parents.
async fn delete_ended(db: &mut Db, before: Timestamp) -> Result<u64, Fault> {
    let dialect = db.dialect();
    let sessions = ids(
        db,
        "SELECT session_id AS id FROM sessions WHERE ended_at IS NOT NULL AND ended_at <= $1
         ORDER BY ended_at LIMIT $2",
        before,
    )
    .await?;
    if !sessions.is_empty() {
        db.execute(dialect.delete_handles, args![sessions.clone()]).await?;
        db.execute(dialect.delete_sessions, args![sessions.clone()]).await?;
    }
    let logins = ids(
        db,
        "SELECT login_id AS id FROM logins WHERE ended_at IS NOT NULL AND ended_at <= $1
             AND NOT EXISTS (SELECT 1 FROM sessions s
                 WHERE s.tenant = logins.tenant AND s.login_id = logins.login_id)
         ORDER BY ended_at LIMIT $2",
        before,
    )
    .await?;
    if !logins.is_empty() {
        db.execute(dialect.delete_grants, args![logins.clone()]).await?;
        db.execute(dialect.delete_logins, args![logins.clone()]).await?;
    }
    Ok((sessions.len() + logins.len()) as u64)
}

async fn ids(db: &mut Db, sql: &'static str, before: Timestamp) -> Result<Vec<Uuid>, Fault> {
    let found = db.fetch(sql, args![before, BATCH]).await?;
    found.iter().map(|row| row.get("ended", "id")).collect()
}
