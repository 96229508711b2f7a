//! The refresh of a session's tokens: an attempt is recorded before it is sent, its outcome where it still matters.
//!
//! `refresh_generation` says which tokens are meant. Who brings the first answer about them replaces them or ends the
//! session; whatever comes later finds another generation, or a session that is over, and changes nothing.

use std::time::Duration;

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::rows::{self, SessionRow, session_columns};
use super::{grants, logins, logout, sessions};
use crate::domain::ids::{Attempt, SessionId};
use crate::domain::session::{MOST_UNANSWERED, SessionState};
use crate::domain::time::Timestamp;
use crate::engine::ports::{
    Actor, ClaimRefresh, EndRefused, EndSession, GrantSecrets, RefreshClaim, RefreshMiss, Renewal,
    RenewalOutcome, SessionTransition, ToRefresh,
};

/// Records an attempt.
pub(super) async fn claim(
    db: &mut Db,
    context: &Context,
    claim: &ClaimRefresh,
) -> Result<RefreshClaim, Fault> {
    let Some(found) = sessions::by_id(db, claim.session_id).await? else { return Ok(RefreshClaim::Over) };
    if found.session.state != SessionState::Active {
        return Ok(RefreshClaim::Over);
    }
    // Read before the guard: tokens and generation change together, so what the guard lets pass has these tokens.
    let secrets = grants::open(db, context, found.session.grant_id).await?;
    let Some(GrantSecrets { tokens: Some(tokens), claims: Some(claims), .. }) = secrets else {
        return Ok(RefreshClaim::Over);
    };
    let Some(refresh_token) = tokens.refresh_token.clone() else { return Ok(RefreshClaim::NotNow) };
    let sql = db.dialect().claim_refresh;
    let row = db
        .fetch_first(
            sql,
            args![
                claim.session_id,
                claim.attempt,
                claim.owner,
                logins::micros(claim.reserve),
                claim.now,
                claim.generation,
                MOST_UNANSWERED
            ],
        )
        .await?;
    let session = match row {
        Some(row) => rows::session(&row)?.session,
        None => match refused(db, claim).await? {
            Refused::OwnEarlierRun(row) => row.session,
            Refused::Because(outcome) => return Ok(outcome),
        },
    };
    Ok(RefreshClaim::Won(Box::new(ToRefresh { session, tokens, refresh_token, claims })))
}

/// Why the guard let an attempt not pass.
enum Refused {
    /// It did: an earlier run of the same call was committed, and its answer was lost.
    OwnEarlierRun(Box<SessionRow>),
    Because(RefreshClaim),
}

async fn refused(db: &mut Db, claim: &ClaimRefresh) -> Result<Refused, Fault> {
    let sql = db.dialect().refresh_under_way;
    let Some(row) = db.fetch_first(sql, args![claim.session_id]).await? else {
        return Ok(Refused::Because(RefreshClaim::Over));
    };
    let attempt: Option<uuid::Uuid> = row.get("sessions", "refresh_attempt")?;
    let remaining: Option<i64> = row.get("sessions", "remaining")?;
    let due_at = Timestamp::from_micros(row.get("sessions", "due_at")?);
    let Some(found) = sessions::by_id(db, claim.session_id).await? else {
        return Ok(Refused::Because(RefreshClaim::Over));
    };
    let refresh = found.session.refresh;
    if found.session.state != SessionState::Active || due_at <= claim.now {
        return Ok(Refused::Because(RefreshClaim::Over));
    }
    if refresh.generation != claim.generation {
        return Ok(Refused::Because(RefreshClaim::Fresh));
    }
    if attempt.map(Attempt) == Some(claim.attempt) {
        return Ok(Refused::OwnEarlierRun(Box::new(found)));
    }
    let left = remaining.and_then(|left| u64::try_from(left).ok()).map(Duration::from_micros);
    if let Some(left) = left.filter(|left| !left.is_zero() && *left <= claim.reserve) {
        return Ok(Refused::Because(RefreshClaim::UnderWay { left }));
    }
    let is_held_back = refresh.not_before.is_some_and(|not_before| claim.now < not_before);
    if is_held_back || refresh.unanswered >= MOST_UNANSWERED {
        return Ok(Refused::Because(RefreshClaim::NotNow));
    }
    // What stood in the way has gone between the two statements.
    Err(Fault::Again)
}

/// Replaces the tokens.
pub(super) async fn renew(
    db: &mut Db,
    context: &Context,
    renewal: &Renewal,
) -> Result<RenewalOutcome, Fault> {
    if let Some(moved) = &renewal.moved
        && let Some(found) = sessions::by_id(db, renewal.session_id).await?
    {
        let session = &found.session;
        let named = (Some(moved.sid.as_str()), moved.sub.as_str());
        let has_left = logout::has_left(db, context, &session.provider, named, renewal.now).await?;
        // An earlier run that was committed has the next generation.
        let is_its_turn =
            session.state == SessionState::Active && session.refresh.generation == renewal.generation;
        if has_left && is_its_turn {
            return Ok(RenewalOutcome::LoggedOut);
        }
    }
    let row = db
        .fetch_first(
            concat!(
                "UPDATE sessions SET refresh_generation = refresh_generation + 1, refresh_attempt = NULL,
                     refresh_owner = NULL, refresh_deadline = NULL, refresh_unanswered = 0, refresh_failures = 0,
                     refresh_not_before = NULL, refresh_due_at = $3, grant_expires_at = $4,
                     due_at = CASE
                         WHEN expires_at <= last_used_at + idle_us AND ($4 IS NULL OR expires_at <= $4)
                             THEN expires_at
                         WHEN $4 IS NULL OR last_used_at + idle_us <= $4 THEN last_used_at + idle_us
                         ELSE $4 END
                 WHERE session_id = $1 AND refresh_generation = $2 AND status = 'active' RETURNING",
                session_columns!()
            ),
            args![
                renewal.session_id,
                renewal.generation,
                renewal.due_at,
                renewal.tokens.refresh_expires_at
            ],
        )
        .await?;
    let Some(row) = row else { return not_renewed(db, renewal).await };
    let row = rows::session(&row)?;
    if !grants::replace_tokens(db, context, row.session.grant_id, &renewal.tokens).await? {
        return Err(Fault::Inconsistent { table: "grants", column: "tokens" });
    }
    if let Some(moved) = &renewal.moved {
        logout::move_grant(db, context, &row.session, moved).await?;
    }
    let record = AuditRecord::of_session(
        &row,
        renewal.now,
        event::SESSION_REFRESHED,
        renewal.attempt,
        &Actor::engine(),
    );
    audit::append(db, context, record).await?;
    Ok(RenewalOutcome::Committed(Box::new(row.session)))
}

async fn not_renewed(db: &mut Db, renewal: &Renewal) -> Result<RenewalOutcome, Fault> {
    let Some(found) = sessions::by_id(db, renewal.session_id).await? else {
        return Ok(RenewalOutcome::Over);
    };
    // An earlier run of the same call may have been committed, whatever has happened to the session since.
    if audit::done_by(db, found.session.login_id, renewal.attempt).await?.is_some() {
        return Ok(RenewalOutcome::Committed(Box::new(found.session)));
    }
    Ok(match found.session.state {
        SessionState::Active => RenewalOutcome::Overtaken,
        SessionState::Ended { .. } => RenewalOutcome::Over,
    })
}

/// Notes an attempt that brought nothing. It is nobody's attempt afterwards, so that a second run changes nothing.
pub(super) async fn miss(db: &mut Db, miss: &RefreshMiss) -> Result<(), Fault> {
    db.execute(
        "UPDATE sessions SET refresh_attempt = NULL, refresh_owner = NULL, refresh_deadline = NULL,
             refresh_unanswered = CASE WHEN $4 = 1 THEN refresh_unanswered ELSE refresh_unanswered - 1 END,
             refresh_failures = refresh_failures + $5,
             refresh_not_before = $6
         WHERE session_id = $1 AND refresh_attempt = $2 AND refresh_generation = $3 AND status = 'active'",
        args![
            miss.session_id,
            miss.attempt,
            miss.generation,
            miss.is_unanswered,
            miss.not_before.is_some(),
            miss.not_before
        ],
    )
    .await?;
    Ok(())
}

/// Ends a session whose tokens the provider has refused, if they are still its tokens.
pub(super) async fn end_refused(
    db: &mut Db,
    context: &Context,
    end: &EndRefused,
) -> Result<SessionTransition, Fault> {
    if !still_has_them(db, end.session_id, end.generation).await? {
        return sessions::settle(db, end.session_id, end.attempt).await;
    }
    let EndRefused { session_id, attempt, now, reason, not_believed, .. } = *end;
    if not_believed && let Some(row) = sessions::by_id(db, session_id).await? {
        let by = Actor::engine();
        let record = AuditRecord::of_session(&row, now, event::SESSION_TOKEN_INVALID, attempt, &by);
        audit::append(db, context, record).await?;
    }
    let end = EndSession { session_id, attempt, now, reason };
    sessions::end(db, context, &(end, Actor::engine())).await
}

/// Whether a session is active with these tokens; it stays so until the commit.
async fn still_has_them(db: &mut Db, session_id: SessionId, generation: u32) -> Result<bool, Fault> {
    let held = db
        .execute(
            "UPDATE sessions SET refresh_generation = refresh_generation
             WHERE session_id = $1 AND refresh_generation = $2 AND status = 'active'",
            args![session_id, generation],
        )
        .await?;
    Ok(held > 0)
}
