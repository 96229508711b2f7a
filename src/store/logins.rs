//! The transitions of a login after its start, and the ways to read one.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, args};
use super::logout::{self, ByProvider};
use super::outbox::{self, Cause, Over, Owner};
use super::rows::{self, LoginRow, login_columns};
use crate::crypto::ring::{KeyedHash, Pseudonym};
use crate::domain::ids::{Attempt, LoginId, NodeId};
use crate::domain::login::{EndStatus, LoginReason, LoginStatus, READABLE_AFTER_END};
use crate::domain::names::ProviderName;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Acknowledge, Actor, Approve, EndLogin, Pace, SlotFate, Transition};

/// By its identifier.
pub(super) async fn by_id(
    db: &mut Db,
    context: &Context,
    login_id: LoginId,
) -> Result<Option<LoginRow>, Fault> {
    db.fetch_first(concat!("SELECT", login_columns!(), "FROM logins WHERE login_id = $1"), args![login_id])
        .await?
        .map(|row| rows::login(context, &row))
        .transpose()
}

/// By any of a token's candidate hashes.
pub(super) async fn by_token(
    db: &mut Db,
    context: &Context,
    token: &[KeyedHash],
) -> Result<Option<LoginRow>, Fault> {
    for candidate in token {
        let row = db
            .fetch_first(
                concat!(
                    "SELECT",
                    login_columns!(),
                    "FROM logins WHERE token_hash = $1 AND token_key_id = $2"
                ),
                args![candidate.hash, candidate.key_id.as_str()],
            )
            .await?;
        if let Some(row) = row {
            return rows::login(context, &row).map(Some);
        }
    }
    Ok(None)
}

/// `starting` → `pending`.
pub(super) async fn acknowledge(
    db: &mut Db,
    context: &Context,
    ack: &Acknowledge,
) -> Result<Transition, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET status = 'pending', until = $2, interval_us = $3, not_before = NULL,
                     provider_slow = 0, attempt = $4, owner = $5, version = version + 1, request_hash = $6,
                     request_key_id = $7,
                     announced_at = CASE WHEN early_hash = $6 AND early_key_id = $7 THEN $8 ELSE NULL END,
                     early_hash = NULL, early_key_id = NULL
                 WHERE login_id = $1 AND status = 'starting' RETURNING announced_at,",
                login_columns!()
            ),
            args![
                ack.login_id,
                ack.until,
                micros(ack.interval),
                ack.attempt,
                ack.owner,
                ack.request.as_ref().map(|it| it.hash.to_vec()),
                ack.request.as_ref().map(|it| it.key_id.clone()),
                ack.now
            ],
        )
        .await?;
    let Some(row) = row else { return late_acknowledgement(db, context, ack).await };
    let announced_at: Option<i64> = row.get("logins", "announced_at")?;
    let row = rows::login(context, &row)?;
    let request = row.vault(context)?.seal_text("request", &ack.auth_req_id)?;
    db.execute("UPDATE grants SET request = $2 WHERE grant_id = $1", args![row.login.grant_id, request])
        .await?;
    keep_slot(db, &row, ack.slot_until).await?;
    let record =
        AuditRecord::of_login(&row, ack.now, event::LOGIN_ACKNOWLEDGED, ack.attempt, &Actor::engine());
    audit::append(db, context, record).await?;
    if announced_at.is_some() {
        // By whom and from where was recorded when it came.
        let record =
            AuditRecord::of_login(&row, ack.now, event::LOGIN_ANNOUNCED, ack.attempt, &Actor::engine());
        audit::append(db, context, record).await?;
    }
    Ok(Transition::Won(Box::new(row.login)))
}

/// An acknowledgement that finds its login no longer starting. A cancelled one keeps its slot only until now: the
/// provider has answered, and nobody will poll.
async fn late_acknowledgement(
    db: &mut Db,
    context: &Context,
    ack: &Acknowledge,
) -> Result<Transition, Fault> {
    let found = settle(db, context, ack.login_id, ack.attempt).await?;
    let Transition::Lost(login) = found else { return Ok(found) };
    if login.state.status() == LoginStatus::Cancelled
        && let Some(row) = by_id(db, context, ack.login_id).await?
        && free_slot(db, &row).await?
    {
        let record = AuditRecord::of_login(
            &row,
            ack.now,
            event::LOGIN_ACKNOWLEDGED_LATE,
            ack.attempt,
            &Actor::engine(),
        );
        audit::append(db, context, record).await?;
    }
    Ok(Transition::Lost(login))
}

/// `pending` → `approved`.
pub(super) async fn approve(db: &mut Db, context: &Context, approve: &Approve) -> Result<Transition, Fault> {
    // Its provider never changes.
    let Some(row) = by_id(db, context, approve.login_id).await? else { return Ok(Transition::NotFound) };
    let (provider, claims) = (&row.login.provider, &approve.claims);
    let named = (claims.sid.as_deref(), claims.subject.sub.as_str());
    if logout::has_left(db, context, provider, named, approve.now).await? {
        return settle(db, context, approve.login_id, approve.attempt).await;
    }
    let found_by = ByProvider::of(context, provider, claims);
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET status = 'approved', approved_at = $2, until = $3, interval_us = NULL,
                     not_before = NULL, provider_slow = 0, attempt = $4, version = version + 1, id_token_sha256 = $5
                 WHERE login_id = $1 AND status = 'pending'
                     AND NOT EXISTS (SELECT 1 FROM logins other WHERE other.id_token_sha256 = $5) RETURNING",
                login_columns!()
            ),
            args![
                approve.login_id,
                approve.now,
                approve.until,
                approve.attempt,
                signed_part(&approve.tokens.id_token)
            ],
        )
        .await?;
    let Some(row) = row else { return settle(db, context, approve.login_id, approve.attempt).await };
    let row = rows::login(context, &row)?;
    let vault = row.vault(context)?;
    db.execute(
        "UPDATE grants SET request = NULL, tokens = $2, claims = $3, sid_hash = $4, sub_hash = $5, logout_key_id = $6
         WHERE grant_id = $1",
        args![
            row.login.grant_id,
            vault.seal_tokens(&approve.tokens)?,
            vault.seal_claims(&approve.claims)?,
            found_by.sid.map(|sid| sid.hash),
            found_by.sub.hash,
            found_by.sub.key_id
        ],
    )
    .await?;
    free_slot(db, &row).await?;
    let record =
        AuditRecord::of_login(&row, approve.now, event::LOGIN_APPROVED, approve.attempt, &approve.by);
    audit::append(db, context, record).await?;
    Ok(Transition::Won(Box::new(row.login)))
}

/// What makes an ID token the same: its header and claims. Some signatures can be written in more than one way.
pub(super) fn signed_part(id_token: &Secret) -> [u8; 32] {
    let text = id_token.expose();
    let mut hash = [0; 32];
    hash.copy_from_slice(
        digest(&SHA256, text.rsplit_once('.').map_or(text, |(signed, _)| signed).as_bytes()).as_ref(),
    );
    hash
}

/// To an end without a session.
pub(super) async fn end(
    db: &mut Db,
    context: &Context,
    (end, by): &(EndLogin, Actor),
) -> Result<Transition, Fault> {
    match end_guarded(db, context, end, by, None).await? {
        Some(row) => Ok(Transition::Won(Box::new(row.login))),
        None => settle(db, context, end.login_id, end.attempt).await,
    }
}

/// The guarded write of [`end`]; `None` where the guard did not hold. `replaced_by` goes to the audit.
pub(super) async fn end_guarded(
    db: &mut Db,
    context: &Context,
    end: &EndLogin,
    by: &Actor,
    replaced_by: Option<LoginId>,
) -> Result<Option<LoginRow>, Fault> {
    let from = |status| end.from.contains(&status) && arrow_exists(status, end.status);
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET status = $2, reason = $3, ended_at = $4, hidden_until = $5, attempt = $6,
                     until = NULL, interval_us = NULL, not_before = NULL, provider_slow = 0, version = version + 1,
                     early_hash = NULL, early_key_id = NULL
                 WHERE login_id = $1 AND ($7 IS NULL OR owner = $7)
                     AND (($8 = 1 AND status = 'starting') OR ($9 = 1 AND status = 'pending')
                         OR ($10 = 1 AND status = 'approved'))
                 RETURNING",
                login_columns!()
            ),
            args![
                end.login_id,
                end.status.status().as_str(),
                end.reason.as_str(),
                end.now,
                end.hidden_until,
                end.attempt,
                end.owner,
                from(LoginStatus::Starting),
                from(LoginStatus::Pending),
                from(LoginStatus::Approved)
            ],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let row = rows::login(context, &row)?;
    let over = Over {
        owner: Owner::login(&row),
        grant_id: row.login.grant_id,
        now: end.now,
        // Only a provider that has logged the person out takes an approval back.
        cause: if end.reason == LoginReason::ProviderRefused { Cause::Provider } else { Cause::Unasked },
    };
    outbox::take_over(db, context, &over).await?;
    wipe_but_hint(db, &row, end.hidden_until.unwrap_or(end.now)).await?;
    match end.slot {
        SlotFate::Free => {
            free_slot(db, &row).await?;
        }
        SlotFate::KeepUntil(until) => keep_slot(db, &row, until).await?,
    }
    let record = AuditRecord::of_login(&row, end.now, end_event(end.status), end.attempt, by)
        .with_reason(end.reason.as_str())
        .with_related(replaced_by);
    audit::append(db, context, record).await?;
    Ok(Some(row))
}

/// The arrows of the state table that lead to an end without a session.
const fn arrow_exists(from: LoginStatus, to: EndStatus) -> bool {
    match from {
        LoginStatus::Starting => matches!(to, EndStatus::Failed | EndStatus::Cancelled),
        LoginStatus::Pending => true,
        LoginStatus::Approved => matches!(to, EndStatus::Expired | EndStatus::Failed | EndStatus::Cancelled),
        LoginStatus::PickedUp
        | LoginStatus::Denied
        | LoginStatus::Expired
        | LoginStatus::Failed
        | LoginStatus::Cancelled => false,
    }
}

const fn end_event(status: EndStatus) -> &'static str {
    match status {
        EndStatus::Denied => event::LOGIN_DENIED,
        EndStatus::Expired => event::LOGIN_EXPIRED,
        EndStatus::Failed => event::LOGIN_FAILED,
        EndStatus::Cancelled => event::LOGIN_CANCELLED,
    }
}

/// A cancellation of a login that has failed without anybody being told.
pub(super) struct CancelHidden {
    pub login_id: LoginId,
    pub attempt: Attempt,
    pub now: Timestamp,
    pub reason: LoginReason,
    pub by: Actor,
}

/// Marks a hidden failure as cancelled.
pub(super) async fn cancel_hidden(
    db: &mut Db,
    context: &Context,
    cancel: &CancelHidden,
) -> Result<Transition, Fault> {
    match cancel_hidden_guarded(db, context, cancel, None).await? {
        Some(row) => Ok(Transition::Won(Box::new(row.login))),
        None => settle(db, context, cancel.login_id, cancel.attempt).await,
    }
}

/// The guarded write of [`cancel_hidden`]; `None` where the guard did not hold.
pub(super) async fn cancel_hidden_guarded(
    db: &mut Db,
    context: &Context,
    cancel: &CancelHidden,
    replaced_by: Option<LoginId>,
) -> Result<Option<LoginRow>, Fault> {
    let row = db
        .fetch_first(
            concat!(
                "UPDATE logins SET hidden_cancelled_at = $2, attempt = $3, hidden_reason = $4,
                     version = version + 1
                 WHERE login_id = $1 AND status = 'failed' AND hidden_until > $2 AND hidden_cancelled_at IS NULL
                 RETURNING",
                login_columns!()
            ),
            args![cancel.login_id, cancel.now, cancel.attempt, cancel.reason.as_str()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let row = rows::login(context, &row)?;
    wipe_but_hint(db, &row, cancel.now).await?;
    if replaced_by.is_none() {
        // No phone rang: the person may be asked for again at once, as after the cancellation of a real one.
        free_slot(db, &row).await?;
    }
    let record = AuditRecord::of_login(&row, cancel.now, event::LOGIN_CANCELLED, cancel.attempt, &cancel.by)
        .with_reason(cancel.reason.as_str())
        .with_related(replaced_by);
    audit::append(db, context, record).await?;
    Ok(Some(row))
}

/// Frees the slot of a login that was cancelled while starting.
pub(super) async fn free_slot_of_cancelled(
    db: &mut Db,
    context: &Context,
    login_id: &LoginId,
) -> Result<(), Fault> {
    if let Some(row) = by_id(db, context, *login_id).await?
        && row.login.state.status() == LoginStatus::Cancelled
    {
        free_slot(db, &row).await?;
    }
    Ok(())
}

/// A new pace of a pending login.
pub(super) async fn set_pace(
    db: &mut Db,
    context: &Context,
    (login_id, owner, pace): &(LoginId, NodeId, Pace),
) -> Result<Option<LoginRow>, Fault> {
    db.fetch_first(
        concat!(
            "UPDATE logins SET interval_us = $3, not_before = $4, provider_slow = $5,
                 version = version + CASE WHEN provider_slow <> $5 THEN 1 ELSE 0 END
             WHERE login_id = $1 AND owner = $2 AND status = 'pending' RETURNING",
            login_columns!()
        ),
        args![*login_id, *owner, micros(pace.interval), pace.not_before, pace.provider_slow],
    )
    .await?
    .map(|row| rows::login(context, &row))
    .transpose()
}

/// Which of `due` are pending and `owner`'s.
pub(super) async fn still_mine(
    db: &mut Db,
    (owner, due): &(NodeId, Vec<Uuid>),
) -> Result<Vec<LoginId>, Fault> {
    let sql = db.dialect().still_mine;
    let found = db.fetch(sql, args![*owner, due.clone()]).await?;
    found.iter().map(|row| row.get("logins", "login_id").map(LoginId)).collect()
}

/// See [`crate::engine::ports::Store::overdue_logins`].
pub(super) async fn overdue(
    db: &mut Db,
    (now, owners_before, limit): &(Timestamp, Timestamp, u32),
) -> Result<Vec<(LoginId, LoginStatus)>, Fault> {
    let found = db
        .fetch(
            "SELECT login_id, status FROM logins
             WHERE ended_at IS NULL
                 AND ((status = 'approved' AND until <= $1)
                     OR (status IN ('starting', 'pending') AND until < $2))
             ORDER BY until LIMIT $3",
            args![*now, *owners_before, *limit],
        )
        .await?;
    found
        .iter()
        .map(|row| {
            let status: String = row.get("logins", "status")?;
            let status = LoginStatus::parse(&status)
                .ok_or(Fault::Inconsistent { table: "logins", column: "status" })?;
            Ok((LoginId(row.get("logins", "login_id")?), status))
        })
        .collect()
}

/// What a guard that did not hold means: an earlier run of the same attempt won, somebody else did, or there is no
/// such login.
async fn settle(
    db: &mut Db,
    context: &Context,
    login_id: LoginId,
    attempt: Attempt,
) -> Result<Transition, Fault> {
    let Some(row) = by_id(db, context, login_id).await? else { return Ok(Transition::NotFound) };
    let login = Box::new(row.login);
    if login.attempt == attempt || audit::done_by(db, login_id, attempt).await?.is_some() {
        return Ok(Transition::Won(login));
    }
    Ok(Transition::Lost(login))
}

/// Wipes what a login that ended without a session leaves, but for the hint, which is shown for as long as the login
/// is readable after `shown_end`.
async fn wipe_but_hint(db: &mut Db, row: &LoginRow, shown_end: Timestamp) -> Result<(), Fault> {
    db.execute(
        "UPDATE grants SET request = NULL, tokens = NULL, claims = NULL, userinfo = NULL, sid_hash = NULL,
             sub_hash = NULL, logout_key_id = NULL, hint_until = $2
         WHERE grant_id = $1",
        args![row.login.grant_id, shown_end + READABLE_AFTER_END],
    )
    .await?;
    Ok(())
}

async fn free_slot(db: &mut Db, row: &LoginRow) -> Result<bool, Fault> {
    free_slot_of(db, &row.login.provider, &row.person, row.login.login_id).await
}

/// Frees a person's slot where `login_id` still holds it.
pub(super) async fn free_slot_of(
    db: &mut Db,
    provider: &ProviderName,
    person: &Pseudonym,
    login_id: LoginId,
) -> Result<bool, Fault> {
    let freed = db
        .execute(
            "DELETE FROM person_slots WHERE provider = $1 AND person = $2 AND login_id = $3",
            args![provider.as_str(), *person, login_id],
        )
        .await?;
    Ok(freed > 0)
}

async fn keep_slot(db: &mut Db, row: &LoginRow, until: Timestamp) -> Result<(), Fault> {
    db.execute(
        "UPDATE person_slots SET until = $4 WHERE provider = $1 AND person = $2 AND login_id = $3",
        args![row.login.provider.as_str(), row.person, row.login.login_id, until],
    )
    .await?;
    Ok(())
}

/// A length of time, as stored.
pub(super) fn micros(length: std::time::Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}
