//! What providers say by themselves about a login: finding it by the token that they come with, and noting, once, that
//! its outcome has been announced.

use super::conn::{Context, Db, Fault, args};
use super::rows::{self, login_columns};
use crate::crypto::ring::KeyedHash;
use crate::domain::ids::{LoginId, NodeId};
use crate::domain::time::Timestamp;
use crate::engine::ports::Notifiable;

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

/// See [`crate::engine::ports::Store::remember_announcement`].
pub(super) async fn remember(db: &mut Db, (login_id, request): &(LoginId, KeyedHash)) -> Result<bool, Fault> {
    let written = db
        .execute(
            "UPDATE logins SET early_hash = $2, early_key_id = $3 WHERE login_id = $1 AND status = 'starting'",
            args![*login_id, request.hash, request.key_id.as_str()],
        )
        .await?;
    Ok(written > 0)
}

/// See [`crate::engine::ports::Store::announce`].
pub(super) async fn announce(db: &mut Db, (login_id, now): &(LoginId, Timestamp)) -> Result<bool, Fault> {
    let written = db
        .execute(
            "UPDATE logins SET announced_at = $2
             WHERE login_id = $1 AND status = 'pending' AND announced_at IS NULL",
            args![*login_id, *now],
        )
        .await?;
    Ok(written > 0)
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
