//! What providers say by themselves about a login: finding it by the token that they come with, and noting, once, that
//! its outcome has been announced, or that tokens came too late. Each note is recorded as the provider's.

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::late::{self, Late};
use super::outbox::Cause;
use super::rows::{self, LoginRow, login_columns};
use crate::crypto::ring::KeyedHash;
use crate::domain::ids::{LoginId, NodeId};
use crate::engine::ports::{DropTokens, Note, Notifiable};

/// See [`crate::engine::ports::Store::notifiable`].
pub(super) async fn by_token(
    db: &mut Db,
    context: &Context,
    token: &[KeyedHash],
) -> Result<Option<Notifiable>, Fault> {
    for candidate in token {
        let row = db
            .fetch_first(
                concat!(
                    "SELECT",
                    login_columns!(),
                    ", request_hash, request_key_id, announced_at
                     FROM logins WHERE notification_hash = $1 AND notification_key_id = $2"
                ),
                args![candidate.hash, candidate.key_id.as_str()],
            )
            .await?;
        if let Some(row) = row {
            let request = rows::keyed_hash(&row, "logins", ("request_hash", "request_key_id"))?;
            let announced_at: Option<i64> = row.get("logins", "announced_at")?;
            let found = rows::login(context, &row)?;
            return Ok(Some(Notifiable {
                login: found.login,
                scope: found.scope,
                acr_values: found.acr_values,
                request,
                is_announced: announced_at.is_some(),
            }));
        }
    }
    Ok(None)
}

/// See [`crate::engine::ports::Store::remember_announcement`]. What was remembered already is not recorded again.
pub(super) async fn remember(
    db: &mut Db,
    context: &Context,
    (note, request): &(Note, KeyedHash),
) -> Result<bool, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET early_hash = $2, early_key_id = $3
                 WHERE login_id = $1 AND status = 'starting'
                     AND (early_hash IS NULL OR early_hash <> $2 OR early_key_id <> $3) RETURNING",
                login_columns!()
            ),
            args![note.login_id, request.hash, request.key_id.as_str()],
        )
        .await?;
    if let Some(row) = row {
        record(db, context, &rows::login(context, &row)?, note, event::LOGIN_ANNOUNCED_EARLY).await?;
        return Ok(true);
    }
    let remembered = db
        .fetch_first(
            "SELECT login_id FROM logins
             WHERE login_id = $1 AND status = 'starting' AND early_hash = $2 AND early_key_id = $3",
            args![note.login_id, request.hash, request.key_id.as_str()],
        )
        .await?;
    Ok(remembered.is_some())
}

/// See [`crate::engine::ports::Store::announce`].
pub(super) async fn announce(db: &mut Db, context: &Context, note: &Note) -> Result<bool, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET announced_at = $2
                 WHERE login_id = $1 AND status = 'pending' AND announced_at IS NULL RETURNING",
                login_columns!()
            ),
            args![note.login_id, note.now],
        )
        .await?;
    let Some(row) = row else {
        // A second run after an unknown commit outcome finds its own attempt.
        return Ok(audit::done_by(db, note.login_id, note.attempt).await?.is_some());
    };
    record(db, context, &rows::login(context, &row)?, note, event::LOGIN_ANNOUNCED).await?;
    Ok(true)
}

/// See [`crate::engine::ports::Store::drop_tokens`].
pub(super) async fn drop_tokens(db: &mut Db, context: &Context, dropped: &DropTokens) -> Result<bool, Fault> {
    let note = &dropped.note;
    // Nothing changes but who may look: two who drop at once come here one after the other.
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET attempt = attempt
                 WHERE login_id = $1 AND status IN ('denied', 'expired', 'failed', 'cancelled') RETURNING",
                login_columns!()
            ),
            args![note.login_id],
        )
        .await?;
    let Some(row) = row else { return Ok(false) };
    let recorded = db
        .fetch_first(
            "SELECT seq FROM audit WHERE login_id = $1 AND event = $2 LIMIT 1",
            args![note.login_id, event::LOGIN_TOKENS_DROPPED],
        )
        .await?;
    if recorded.is_some() {
        // A second run after an unknown commit outcome finds its own attempt.
        return Ok(audit::done_by(db, note.login_id, note.attempt).await?.is_some());
    }
    let row = rows::login(context, &row)?;
    if let Some(tokens) = &dropped.tokens {
        let tokens = Late { outbox_id: dropped.outbox_id, tokens, now: note.now, cause: Cause::Unasked };
        late::enter(db, context, &row, &tokens, dropped.sid.as_deref()).await?;
    }
    record(db, context, &row, note, event::LOGIN_TOKENS_DROPPED).await?;
    Ok(true)
}

async fn record(
    db: &mut Db,
    context: &Context,
    row: &LoginRow,
    note: &Note,
    event: &'static str,
) -> Result<(), Fault> {
    let record = AuditRecord::of_login(row, note.now, event, note.attempt, &note.by);
    audit::append(db, context, record).await
}

/// See [`crate::engine::ports::Store::announced`].
pub(super) async fn announced(db: &mut Db, owner: &NodeId) -> Result<Vec<LoginId>, Fault> {
    let rows = db
        .fetch(
            "SELECT login_id FROM logins
             WHERE owner = $1 AND status = 'pending' AND announced_at IS NOT NULL",
            args![*owner],
        )
        .await?;
    rows.iter().map(|row| row.get("logins", "login_id").map(LoginId)).collect()
}

/// See [`crate::engine::ports::Store::is_announced`].
pub(super) async fn is_announced(db: &mut Db, login_id: &LoginId) -> Result<bool, Fault> {
    let found = db
        .fetch_first(
            "SELECT login_id FROM logins
             WHERE login_id = $1 AND status = 'pending' AND announced_at IS NOT NULL",
            args![*login_id],
        )
        .await?;
    Ok(found.is_some())
}
