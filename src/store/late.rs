//! Tokens that came too late to be anybody's: their provider is told like that of a grant that is over, but for what somebody
//! lives by, here or there.

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::outbox::{self, Cause, Entry, Owner};
use super::rows::{LoginRow, SessionRow};
use super::{logins, logout, sessions};
use crate::domain::grant::Tokens;
use crate::domain::ids::{LoginId, OutboxId};
use crate::domain::login::LoginState;
use crate::domain::session::SessionState;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Actor, LateTokens};

/// See [`crate::engine::ports::Endings::late_tokens`].
pub(super) async fn late(db: &mut Db, context: &Context, late: &LateTokens) -> Result<bool, Fault> {
    // First: an earlier run may have been committed, and its entry told since.
    if audit::done_by(db, late.login_id, late.attempt).await?.is_some() {
        return Ok(true);
    }
    let Some(row) = logins::by_id(db, context, late.login_id).await? else { return Ok(false) };
    let cause = match late.session_id {
        Some(session_id) => {
            sessions::by_id(db, session_id).await?.map_or(Cause::Unasked, |row| cause_of(&row))
        }
        None => match row.login.state {
            // Their commit was given up and had worked: they end with what they have approved.
            LoginState::Approved { .. } | LoginState::PickedUp { .. } => return Ok(false),
            _ => Cause::Unasked,
        },
    };
    let tokens = Late { outbox_id: late.outbox_id, tokens: &late.tokens, now: late.now, cause };
    if !enter(db, context, &row, &tokens, late.sid.as_deref()).await? {
        return Ok(false);
    }
    let record = AuditRecord::of_login(&row, late.now, event::TOKENS_LATE, late.attempt, &Actor::engine());
    let record = match Owner::login(&row).session_id {
        Some(session_id) => record.with_session(session_id),
        None => record,
    };
    audit::append(db, context, record).await?;
    Ok(true)
}

fn cause_of(row: &SessionRow) -> Cause {
    match row.session.state {
        SessionState::Ended { reason, .. } => Cause::of_session(reason),
        SessionState::Active => Cause::Unasked,
    }
}

/// Tokens that never were a grant's.
pub(super) struct Late<'a> {
    pub outbox_id: OutboxId,
    pub tokens: &'a Tokens,
    pub now: Timestamp,
    pub cause: Cause,
}

/// Enters tokens that came too late for `row`. Not those of another login that lives: they are good.
pub(super) async fn enter(
    db: &mut Db,
    context: &Context,
    row: &LoginRow,
    late: &Late<'_>,
    sid: Option<&str>,
) -> Result<bool, Fault> {
    if approves_another(db, row.login.login_id, late.tokens).await? {
        return Ok(false);
    }
    let is_shared = is_lived_by(db, context, row, sid).await?;
    let left = outbox::left(late.tokens, late.now, late.cause, is_shared);
    let entry = Entry { outbox_id: late.outbox_id, tokens: late.tokens, now: late.now, left };
    outbox::enter(db, context, &Owner::login(row), &entry).await
}

/// Whether a login that lives has been approved by this very ID token.
async fn approves_another(db: &mut Db, login_id: LoginId, tokens: &Tokens) -> Result<bool, Fault> {
    let found = db
        .fetch_first(
            "SELECT l.login_id FROM logins l LEFT JOIN sessions s ON s.session_id = l.session_id
             WHERE l.id_token_sha256 = $1 AND l.login_id <> $2 AND (l.status = 'approved' OR s.status = 'active')",
            args![logins::signed_part(&tokens.id_token), login_id],
        )
        .await?;
    Ok(found.is_some())
}

/// Whether a grant of another login lives by this session of the provider's.
async fn is_lived_by(
    db: &mut Db,
    context: &Context,
    row: &LoginRow,
    sid: Option<&str>,
) -> Result<bool, Fault> {
    let Some(sid) = sid else { return Ok(false) };
    for candidate in logout::sid_candidates(context, &row.login.provider, sid) {
        let found = db
            .fetch_first(
                "SELECT grant_id FROM grants WHERE sid_hash = $1 AND logout_key_id = $2 AND grant_id <> $3 LIMIT 1",
                args![candidate.hash, candidate.key_id.as_str(), row.login.grant_id],
            )
            .await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
