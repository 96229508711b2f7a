//! Sessions: what a handle opens, uses, and the end.

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::outbox::{self, Cause, Over, Owner};
use super::rows::{self, SessionRow, session_columns};
use super::vault::{Vault, Whose};
use crate::crypto::ring::KeyedHash;
use crate::crypto::seal::Place;
use crate::domain::ids::{Attempt, LoginId, SessionId};
use crate::domain::session::{SessionEndReason, USE_WRITE_LAG};
use crate::domain::time::Timestamp;
use crate::engine::ports::{Actor, EndSession, Presented, RecordUse, SessionTransition, UseOutcome};

/// By its identifier.
pub(super) async fn by_id(db: &mut Db, session_id: SessionId) -> Result<Option<SessionRow>, Fault> {
    db.fetch_first(
        concat!("SELECT", session_columns!(), "FROM sessions WHERE session_id = $1"),
        args![session_id],
    )
    .await?
    .map(|row| rows::session(&row))
    .transpose()
}

/// What a handle opens: one statement per candidate, and only the claims are opened.
pub(super) async fn by_handle(
    db: &mut Db,
    context: &Context,
    handle: &[KeyedHash],
) -> Result<Option<Presented>, Fault> {
    for candidate in handle {
        let row = db
            .fetch_first(
                concat!(
                    "SELECT",
                    session_columns!(),
                    ", h_used, g_wraps, g_claims FROM sessions
                     JOIN (SELECT session_id AS h_session, first_used_at AS h_used
                           FROM handles WHERE hash = $1 AND key_id = $2 AND dead_since IS NULL) h
                         ON h_session = session_id
                     JOIN (SELECT grant_id AS g_id, wraps AS g_wraps, claims AS g_claims FROM grants) g
                         ON g_id = grant_id"
                ),
                args![candidate.hash, candidate.key_id.as_str()],
            )
            .await?;
        let Some(row) = row else { continue };
        let session = rows::session(&row)?.session;
        let used: Option<i64> = row.get("handles", "h_used")?;
        let wraps: Option<String> = row.get("grants", "g_wraps")?;
        let claims: Option<Vec<u8>> = row.get("grants", "g_claims")?;
        let claims = match (wraps, claims) {
            (Some(wraps), Some(claims)) => {
                let whose = Whose {
                    place: Place::grant(session.grant_id),
                    tenant: &session.tenant,
                    registration: &session.registration,
                };
                Some(Vault::open(context, &whose, &wraps)?.open_claims(&claims)?)
            }
            _ => None,
        };
        return Ok(Some(Presented { session, handle: candidate.hash, used: used.is_some(), claims }));
    }
    Ok(None)
}

/// What a use would have to write.
struct Due {
    outcome: Option<UseOutcome>,
    first: bool,
    touch: bool,
}

async fn due(db: &mut Db, used: &RecordUse) -> Result<Due, Fault> {
    let row = db
        .fetch_first(
            "SELECT h.dead_since AS dead_since, h.first_used_at AS first_used_at, s.status AS status,
                 s.last_used_at AS last_used_at
             FROM handles h JOIN sessions s ON s.session_id = h.session_id
             WHERE h.hash = $1 AND h.session_id = $2",
            args![used.handle, used.session_id],
        )
        .await?;
    let nothing = |outcome| Due { outcome: Some(outcome), first: false, touch: false };
    let Some(row) = row else { return Ok(nothing(UseOutcome::HandleDead)) };
    let dead: Option<i64> = row.get("handles", "dead_since")?;
    let first_used: Option<i64> = row.get("handles", "first_used_at")?;
    let status: String = row.get("sessions", "status")?;
    let last_used = Timestamp::from_micros(row.get("sessions", "last_used_at")?);
    if dead.is_some() {
        return Ok(nothing(UseOutcome::HandleDead));
    }
    if status != "active" {
        return Ok(nothing(UseOutcome::SessionOver));
    }
    let first = first_used.is_none();
    let touch = used.touch && last_used + USE_WRITE_LAG <= used.now;
    let outcome = (!first && !touch).then_some(UseOutcome::Recorded);
    Ok(Due { outcome, first, touch })
}

/// Whether a use needs no write: a used handle cannot be killed any more, so there is nothing to win.
pub(super) async fn use_without_write(db: &mut Db, used: &RecordUse) -> Result<Option<UseOutcome>, Fault> {
    Ok(due(db, used).await?.outcome)
}

/// The first use of a handle, and the time of use. The opposing write to a repeated pick-up.
pub(super) async fn record_use(db: &mut Db, used: &RecordUse) -> Result<UseOutcome, Fault> {
    let due = due(db, used).await?;
    if let Some(outcome) = due.outcome {
        return Ok(outcome);
    }
    if due.first {
        let written = db
            .execute(
                "UPDATE handles SET first_used_at = $3
                 WHERE hash = $1 AND session_id = $2 AND dead_since IS NULL AND first_used_at IS NULL",
                args![used.handle, used.session_id, used.now],
            )
            .await?;
        if written == 0 {
            // Killed, or used by a call at the same time: run again to see which.
            return Err(Fault::Again);
        }
    }
    if due.touch && !touch(db, used).await? {
        // Touched by a call at the same time, or over.
        let session = by_id(db, used.session_id).await?;
        let live = session.is_some_and(|row| row.session.overdue(used.now).is_none() && is_active(&row));
        return Ok(if live { UseOutcome::Recorded } else { UseOutcome::SessionOver });
    }
    Ok(UseOutcome::Recorded)
}

fn is_active(row: &SessionRow) -> bool {
    row.session.state == crate::domain::session::SessionState::Active
}

/// A session whose time is over is not revived by a late use. `due_at` is min(idle end, absolute end, grant's end).
async fn touch(db: &mut Db, used: &RecordUse) -> Result<bool, Fault> {
    let touched = db
        .execute(
            "UPDATE sessions SET last_used_at = $2, due_at =
                 CASE WHEN expires_at <= $2 + idle_us
                           AND (grant_expires_at IS NULL OR expires_at <= grant_expires_at) THEN expires_at
                      WHEN grant_expires_at IS NULL OR $2 + idle_us <= grant_expires_at THEN $2 + idle_us
                      ELSE grant_expires_at END
             WHERE session_id = $1 AND status = 'active' AND due_at > $2 AND last_used_at < $2",
            args![used.session_id, used.now],
        )
        .await?;
    Ok(touched > 0)
}

/// A choice of a *situation d'exercice*.
pub(super) struct Choice {
    pub session_id: SessionId,
    pub attempt: Attempt,
    pub now: Timestamp,
    pub exercice: String,
    pub by: Actor,
}

/// Chooses it.
pub(super) async fn choose_exercice(
    db: &mut Db,
    context: &Context,
    choice: &Choice,
) -> Result<SessionTransition, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE sessions SET exercice = $2, attempt = $3, version = version + 1
                 WHERE session_id = $1 AND status = 'active' RETURNING",
                session_columns!()
            ),
            args![choice.session_id, choice.exercice.as_str(), choice.attempt],
        )
        .await?;
    let Some(row) = row else { return settle(db, choice.session_id, choice.attempt).await };
    let row = rows::session(&row)?;
    let record =
        AuditRecord::of_session(&row, choice.now, event::SESSION_EXERCICE, choice.attempt, &choice.by);
    audit::append(db, context, record).await?;
    Ok(SessionTransition::Won(Box::new(row.session)))
}

/// `active` → `ended`, with everything in its grant; its tokens move into the outbox. The hint stays only while the login is still readable, 10
/// minutes after the pick-up at most.
pub(super) async fn end(
    db: &mut Db,
    context: &Context,
    (end, by): &(EndSession, Actor),
) -> Result<SessionTransition, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE sessions SET status = 'ended', reason = $2, ended_at = $3, attempt = $4,
                     version = version + 1
                 WHERE session_id = $1 AND status = 'active' RETURNING",
                session_columns!()
            ),
            args![end.session_id, end.reason.as_str(), end.now, end.attempt],
        )
        .await?;
    let Some(row) = row else { return settle(db, end.session_id, end.attempt).await };
    let row = rows::session(&row)?;
    let over = Over {
        owner: Owner::session(&row),
        grant_id: row.session.grant_id,
        now: end.now,
        cause: Cause::of_session(end.reason),
    };
    outbox::take_over(db, context, &over).await?;
    db.execute(
        "UPDATE grants SET request = NULL, tokens = NULL, claims = NULL, userinfo = NULL, sid_hash = NULL,
             sub_hash = NULL, logout_key_id = NULL,
             hint = CASE WHEN hint_until > $2 THEN hint END,
             wraps = CASE WHEN hint_until > $2 THEN wraps END,
             hint_until = CASE WHEN hint_until > $2 THEN hint_until END
         WHERE grant_id = $1",
        args![row.session.grant_id, end.now],
    )
    .await?;
    let record = AuditRecord::of_session(&row, end.now, event::SESSION_ENDED, end.attempt, by)
        .with_reason(end.reason.as_str());
    audit::append(db, context, record).await?;
    Ok(SessionTransition::Won(Box::new(row.session)))
}

/// Nothing was changed: the session as it is now, and whether an earlier run of `attempt` made it so.
pub(super) async fn settle(
    db: &mut Db,
    session_id: SessionId,
    attempt: Attempt,
) -> Result<SessionTransition, Fault> {
    let Some(row) = by_id(db, session_id).await? else { return Ok(SessionTransition::NotFound) };
    let session = Box::new(row.session);
    if session.attempt == attempt || audit::done_by(db, session.login_id, attempt).await?.is_some() {
        return Ok(SessionTransition::Won(session));
    }
    Ok(SessionTransition::Lost(session))
}

/// Active sessions that are over.
pub(super) async fn overdue(
    db: &mut Db,
    (now, limit): &(Timestamp, u32),
) -> Result<Vec<(SessionId, SessionEndReason)>, Fault> {
    let found = db
        .fetch(
            concat!(
                "SELECT",
                session_columns!(),
                "FROM sessions WHERE ended_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2"
            ),
            args![*now, *limit],
        )
        .await?;
    let mut over = Vec::with_capacity(found.len());
    for row in &found {
        let session = rows::session(row)?.session;
        over.extend(session.overdue(*now).map(|reason| (session.session_id, reason)));
    }
    Ok(over)
}

/// The versions of a list of logins or sessions.
pub(super) async fn versions(
    db: &mut Db,
    sql: &'static str,
    column: &'static str,
    ids: &[uuid::Uuid],
) -> Result<Vec<(uuid::Uuid, u32)>, Fault> {
    let found = db.fetch(sql, args![ids.to_vec()]).await?;
    found
        .iter()
        .map(|row| {
            let version: i64 = row.get("versions", "version")?;
            let version = u32::try_from(version)
                .map_err(|_| Fault::Inconsistent { table: "versions", column: "version" })?;
            Ok((row.get("versions", column)?, version))
        })
        .collect()
}

/// See [`versions`].
pub(super) async fn login_versions(db: &mut Db, ids: &[uuid::Uuid]) -> Result<Vec<(LoginId, u32)>, Fault> {
    let sql = db.dialect().login_versions;
    let found = versions(db, sql, "login_id", ids).await?;
    Ok(found.into_iter().map(|(id, version)| (LoginId(id), version)).collect())
}

/// See [`versions`].
pub(super) async fn session_versions(
    db: &mut Db,
    ids: &[uuid::Uuid],
) -> Result<Vec<(SessionId, u32)>, Fault> {
    let sql = db.dialect().session_versions;
    let found = versions(db, sql, "session_id", ids).await?;
    Ok(found.into_iter().map(|(id, version)| (SessionId(id), version)).collect())
}
