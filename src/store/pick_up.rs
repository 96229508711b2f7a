//! `approved` → `picked_up`, and the repetition of a pick-up whose answer was lost.
//!
//! The first use of a handle and the repetition are opposing guarded writes on the handle's row: one of the two wins.

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::logins;
use super::rows::{self, LoginRow, SessionRow, login_columns};
use super::sessions;
use crate::domain::ids::SessionId;
use crate::domain::login::{LoginState, READABLE_AFTER_END};
use crate::domain::session::{Session, SessionState};
use crate::domain::time::Timestamp;
use crate::engine::ports::{Actor, PickUp, PickUpOutcome};

/// The pick-up.
pub(super) async fn pick_up(
    db: &mut Db,
    context: &Context,
    (pick_up, by): &(PickUp, Actor),
) -> Result<PickUpOutcome, Fault> {
    let session = &pick_up.session;
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET status = 'picked_up', session_id = $2, ended_at = $3, repeatable_until = $4,
                     attempt = $5, until = NULL, version = version + 1
                 WHERE login_id = $1 AND status = 'approved' AND until > $3 RETURNING",
                login_columns!()
            ),
            args![
                session.login_id,
                session.session_id,
                pick_up.now,
                pick_up.repeatable_until,
                pick_up.attempt
            ],
        )
        .await?;
    let Some(row) = row else { return not_first(db, context, pick_up, by).await };
    let row = rows::login(context, &row)?;
    insert_session(db, session, &row).await?;
    insert_handle(db, pick_up, &row, session.session_id).await?;
    db.execute(
        "UPDATE grants SET hint_until = $2 WHERE grant_id = $1",
        args![row.login.grant_id, pick_up.now + READABLE_AFTER_END],
    )
    .await?;
    let record = AuditRecord::of_login(&row, pick_up.now, event::LOGIN_PICKED_UP, pick_up.attempt, by)
        .with_session(session.session_id);
    audit::append(db, context, record).await?;
    Ok(PickUpOutcome::First(Box::new(session.clone())))
}

/// The login is not approved: picked up before (also by an earlier run of this attempt), or in another state.
async fn not_first(
    db: &mut Db,
    context: &Context,
    pick_up: &PickUp,
    by: &Actor,
) -> Result<PickUpOutcome, Fault> {
    let login_id = pick_up.session.login_id;
    let Some(row) = logins::by_id(db, context, login_id).await? else {
        return Ok(PickUpOutcome::NotFound);
    };
    let LoginState::PickedUp { session_id, repeatable_until, .. } = row.login.state else {
        return Ok(PickUpOutcome::NotApproved(Box::new(row.login)));
    };
    let session = sessions::by_id(db, session_id)
        .await?
        .ok_or(Fault::Inconsistent { table: "logins", column: "session_id" })?;
    if let Some(done) = audit::done_by(db, login_id, pick_up.attempt).await? {
        let session = Box::new(session.session);
        return Ok(if done.event == event::LOGIN_PICKED_UP {
            PickUpOutcome::First(session)
        } else {
            PickUpOutcome::Repeated(session)
        });
    }
    repeat(db, context, pick_up, by, row, session, repeatable_until).await
}

async fn repeat(
    db: &mut Db,
    context: &Context,
    pick_up: &PickUp,
    by: &Actor,
    row: LoginRow,
    session: SessionRow,
    repeatable_until: Timestamp,
) -> Result<PickUpOutcome, Fault> {
    let session_id = session.session.session_id;
    // Repetitions of one pick-up go one after the other: each sees the handle that the one before has drawn.
    db.execute("UPDATE logins SET attempt = attempt WHERE login_id = $1", args![row.login.login_id]).await?;
    let in_time = pick_up.now <= repeatable_until && session.session.state == SessionState::Active;
    if in_time && kill_unused_handle(db, session_id, pick_up.now).await? {
        if !hold_active(db, session_id).await? {
            // It has ended since it was read: nobody picks up a session that is over.
            return Err(Fault::Again);
        }
        insert_handle(db, pick_up, &row, session_id).await?;
        db.execute(
            "UPDATE logins SET attempt = $2 WHERE login_id = $1",
            args![row.login.login_id, pick_up.attempt],
        )
        .await?;
        let record =
            AuditRecord::of_login(&row, pick_up.now, event::LOGIN_PICK_UP_REPEATED, pick_up.attempt, by)
                .with_session(session_id);
        audit::append(db, context, record).await?;
        return Ok(PickUpOutcome::Repeated(Box::new(session.session)));
    }
    if in_time && !handle_was_used(db, session_id).await? {
        // No living handle, and yet none was used: what was read has changed since.
        return Err(Fault::Again);
    }
    let record = AuditRecord::of_login(&row, pick_up.now, event::HANDLE_REPLAY, pick_up.attempt, by)
        .with_session(session_id);
    audit::append(db, context, record).await?;
    Ok(PickUpOutcome::AlreadyPickedUp(Box::new(row.login)))
}

/// The opposing write to [`sessions::record_use`].
async fn kill_unused_handle(db: &mut Db, session_id: SessionId, now: Timestamp) -> Result<bool, Fault> {
    let killed = db
        .execute(
            "UPDATE handles SET dead_since = $2
             WHERE session_id = $1 AND dead_since IS NULL AND first_used_at IS NULL",
            args![session_id, now],
        )
        .await?;
    Ok(killed > 0)
}

/// Keeps the session as it is until the commit, where it is still active. After the handle, as every use does it: two
/// orders would be a deadlock.
async fn hold_active(db: &mut Db, session_id: SessionId) -> Result<bool, Fault> {
    let held = db
        .execute(
            "UPDATE sessions SET attempt = attempt WHERE session_id = $1 AND status = 'active'",
            args![session_id],
        )
        .await?;
    Ok(held > 0)
}

async fn handle_was_used(db: &mut Db, session_id: SessionId) -> Result<bool, Fault> {
    let used = db
        .fetch_first(
            "SELECT 1 AS used FROM handles WHERE session_id = $1 AND first_used_at IS NOT NULL",
            args![session_id],
        )
        .await?;
    Ok(used.is_some())
}

async fn insert_session(db: &mut Db, session: &Session, row: &LoginRow) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO sessions (tenant, session_id, login_id, grant_id, application, registration, provider,
             environment, person, support_code, reference, x5t, exercice, created_at, expires_at, idle_us,
             last_used_at, grant_expires_at, due_at, version, attempt, refresh_due_at, status)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
             $22, 'active')",
        args![
            session.tenant.as_str(),
            session.session_id,
            session.login_id,
            session.grant_id,
            session.application.as_str(),
            session.registration.as_str(),
            session.provider.as_str(),
            session.environment.as_str(),
            row.person,
            session.support_code.compact(),
            session.reference.clone(),
            session.x5t.clone(),
            session.exercice.clone(),
            session.created_at,
            session.expires_at,
            logins::micros(session.idle),
            session.last_used_at,
            session.grant_expires_at,
            session.idle_expires_at(),
            session.version,
            session.attempt,
            session.refresh.due_at
        ],
    )
    .await?;
    Ok(())
}

async fn insert_handle(
    db: &mut Db,
    pick_up: &PickUp,
    row: &LoginRow,
    session_id: SessionId,
) -> Result<(), Fault> {
    db.execute(
        "INSERT INTO handles (hash, key_id, tenant, session_id, login_id, bound_jkt, bound_x5t, created_at)
         SELECT $1, $2, tenant, $3, login_id, bound_jkt, bound_x5t, $4 FROM logins
         WHERE login_id = $5",
        args![
            pick_up.handle.hash,
            pick_up.handle.key_id.as_str(),
            session_id,
            pick_up.now,
            row.login.login_id
        ],
    )
    .await?;
    Ok(())
}
