//! – → `starting`: idempotency key, person slot, login and grant, all or nothing.

use uuid::Uuid;

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, Row, args};
use super::logins::{self, CancelHidden};
use super::rows::{self, LoginRow};
use super::vault::{Vault, Whose};
use crate::crypto::ring::KeyedHash;
use crate::crypto::seal::Place;
use crate::domain::ids::{GrantId, LoginId};
use crate::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus, hidden_delay};
use crate::domain::names::TenantName;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Actor, EndLogin, IdempotencyClaim, NewLogin, Replay, SlotFate, StartOutcome};

/// One transaction. Nothing is written unless everything is.
pub(super) async fn start(
    db: &mut Db,
    context: &Context,
    (new, by): &(NewLogin, Actor),
) -> Result<StartOutcome, Fault> {
    if let Some(outcome) = replay(db, context, new).await? {
        return Ok(outcome);
    }
    let replaced = if new.replace { replace(db, context, new, by).await? } else { None };
    if replaced.is_none() && !take_slot(db, new).await? {
        return slot_is_taken(db, context, new).await;
    }
    if !insert_login(db, new).await? {
        // Only a second run finds its own row without its slot: the login has ended since.
        logins::free_slot_of(db, &new.login.provider, &new.person, new.login.login_id).await?;
        return started_before(db, new).await;
    }
    insert_grant(db, context, new).await?;
    if let Some(claim) = &new.idempotency {
        remember(db, new, claim).await?;
    }
    let row = LoginRow {
        login: new.login.clone(),
        person: new.person,
        token_key_id: new.token_hash.key_id.clone(),
        scope: Vec::new(),
        acr_values: Vec::new(),
        wraps: None,
    };
    let record = AuditRecord::of_login(&row, now(new), event::LOGIN_STARTED, new.login.attempt, by);
    audit::append(db, context, record.with_related(replaced)).await?;
    Ok(StartOutcome::Started { replaced })
}

/// A start happens when its login is created.
fn now(new: &NewLogin) -> Timestamp {
    new.login.created_at
}

/// What an earlier start with the same key led to.
async fn replay(db: &mut Db, context: &Context, new: &NewLogin) -> Result<Option<StartOutcome>, Fault> {
    let Some(claim) = &new.idempotency else { return Ok(None) };
    let sought = (new.login.tenant.clone(), claim.key.clone(), now(new));
    match replayed(db, context, &sought).await? {
        Some(replay) if replay.login.login_id == new.login.login_id => {
            started_before(db, new).await.map(Some)
        }
        Some(replay) => Ok(Some(StartOutcome::Replay(Box::new(replay)))),
        None => Ok(None),
    }
}

/// See [`crate::engine::ports::Store::replayed_start`].
pub(super) async fn replayed(
    db: &mut Db,
    context: &Context,
    (tenant, key, now): &(TenantName, Vec<KeyedHash>, Timestamp),
) -> Result<Option<Replay>, Fault> {
    for key in key {
        let row = db
            .fetch_first(
                "SELECT key_id, body_hash, login_id FROM replays
                 WHERE tenant = $1 AND kind = 'start' AND key_hash = $2 AND key_id = $3 AND until > $4",
                args![tenant.as_str(), key.hash, key.key_id.as_str(), *now],
            )
            .await?;
        let Some(row) = row else { continue };
        let body = KeyedHash {
            key_id: row.get("replays", "key_id")?,
            hash: rows::hash(&row, "replays", "body_hash")?,
        };
        let found = logins::by_id(db, context, LoginId(row.get("replays", "login_id")?))
            .await?
            .ok_or(Fault::Inconsistent { table: "replays", column: "login_id" })?;
        return Ok(Some(Replay { login: found.login, body, token_key_id: found.token_key_id }));
    }
    Ok(None)
}

/// The answer of a second run that finds what the first committed.
async fn started_before(db: &mut Db, new: &NewLogin) -> Result<StartOutcome, Fault> {
    let done = audit::done_by(db, new.login.login_id, new.login.attempt).await?;
    Ok(StartOutcome::Started { replaced: done.and_then(|done| done.related).map(LoginId) })
}

/// Cancels the pending login of the same application that holds the slot, and takes the slot from it.
///
/// The login is locked before its slot, as in every other transition: two orders would be a deadlock.
async fn replace(
    db: &mut Db,
    context: &Context,
    new: &NewLogin,
    by: &Actor,
) -> Result<Option<LoginId>, Fault> {
    let Some(holder) = holder(db, new).await? else { return Ok(None) };
    if !holder.replaceable || holder.slot_until <= now(new) {
        return Ok(None);
    }
    if holder.hidden {
        let cancel = CancelHidden {
            login_id: holder.login_id,
            attempt: new.login.attempt,
            now: now(new),
            reason: LoginReason::Superseded,
            by: by.clone(),
        };
        let row = logins::cancel_hidden_guarded(db, context, &cancel, Some(new.login.login_id)).await?;
        return if row.is_some() { hand_slot_over(db, new, &holder).await } else { Ok(None) };
    }
    let end = EndLogin {
        login_id: holder.login_id,
        attempt: new.login.attempt,
        from: &[LoginStatus::Pending],
        owner: None,
        now: now(new),
        status: EndStatus::Cancelled,
        reason: LoginReason::Superseded,
        slot: SlotFate::KeepUntil(new.slot_until),
        hidden_until: None,
    };
    if logins::end_guarded(db, context, &end, by, Some(new.login.login_id)).await?.is_none() {
        return Ok(None);
    }
    hand_slot_over(db, new, &holder).await
}

async fn hand_slot_over(db: &mut Db, new: &NewLogin, holder: &Holder) -> Result<Option<LoginId>, Fault> {
    let taken = db
        .execute(
            "UPDATE person_slots SET login_id = $3, until = $4
             WHERE provider = $1 AND person = $2 AND login_id = $5",
            args![
                new.login.provider.as_str(),
                new.person,
                new.login.login_id,
                new.slot_until,
                holder.login_id
            ],
        )
        .await?;
    if taken == 1 { Ok(Some(holder.login_id)) } else { Err(Fault::Again) }
}

async fn take_slot(db: &mut Db, new: &NewLogin) -> Result<bool, Fault> {
    let taken = db
        .fetch_first(
            "INSERT INTO person_slots (provider, person, login_id, until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (provider, person) DO UPDATE SET login_id = excluded.login_id, until = excluded.until
             WHERE person_slots.until <= $5 RETURNING login_id",
            args![new.login.provider.as_str(), new.person, new.login.login_id, new.slot_until, now(new)],
        )
        .await?;
    Ok(taken.is_some())
}

/// Who holds a person's slot.
struct Holder {
    login_id: LoginId,
    slot_until: Timestamp,
    /// The deadline of the login, where it is shown as pending.
    deadline: Option<Timestamp>,
    replaceable: bool,
    /// It is shown as pending, and nobody knows the person.
    hidden: bool,
}

async fn holder(db: &mut Db, new: &NewLogin) -> Result<Option<Holder>, Fault> {
    let row = db
        .fetch_first(
            "SELECT s.login_id AS holder, s.until AS slot_until, l.until AS deadline, l.status AS status,
                 l.tenant AS tenant, l.application AS application, l.hidden_until AS hidden_until, l.grant_id AS grant_id,
                 l.hidden_cancelled_at AS hidden_cancelled_at
             FROM person_slots s LEFT JOIN logins l ON l.login_id = s.login_id
             WHERE s.provider = $1 AND s.person = $2",
            args![new.login.provider.as_str(), new.person],
        )
        .await?;
    row.map(|row| read_holder(&row, &new.login)).transpose()
}

fn read_holder(row: &Row, new: &Login) -> Result<Holder, Fault> {
    let slots = "person_slots";
    let status: Option<String> = row.get("logins", "status")?;
    let tenant: Option<String> = row.get("logins", "tenant")?;
    let application: Option<String> = row.get("logins", "application")?;
    let deadline: Option<i64> = row.get("logins", "deadline")?;
    let hidden_until: Option<i64> = row.get("logins", "hidden_until")?;
    let hidden_cancelled_at: Option<i64> = row.get("logins", "hidden_cancelled_at")?;
    let hidden = hidden_cancelled_at.is_none()
        && hidden_until.is_some_and(|until| Timestamp::from_micros(until) > new.created_at);
    let pending = hidden || status.as_deref() == Some(LoginStatus::Pending.as_str());
    let grant_id: Option<Uuid> = row.get("logins", "grant_id")?;
    // Shown as a real one's would be.
    let hidden_deadline = hidden_until
        .zip(grant_id)
        .filter(|_| hidden)
        .map(|(until, grant_id)| Timestamp::from_micros(until) - hidden_delay(GrantId(grant_id)));
    Ok(Holder {
        hidden,
        login_id: LoginId(row.get(slots, "holder")?),
        slot_until: Timestamp::from_micros(row.get(slots, "slot_until")?),
        deadline: hidden_deadline.or(deadline.filter(|_| pending).map(Timestamp::from_micros)),
        replaceable: pending
            && tenant.as_deref() == Some(new.tenant.as_str())
            && application.as_deref() == Some(new.application.as_str()),
    })
}

/// The slot would not be had: by a start with the same key that was faster, by an earlier run of this one, or by
/// another login.
async fn slot_is_taken(db: &mut Db, context: &Context, new: &NewLogin) -> Result<StartOutcome, Fault> {
    if let Some(outcome) = replay(db, context, new).await? {
        return Ok(outcome);
    }
    let Some(holder) = holder(db, new).await? else { return Err(Fault::Again) };
    if holder.login_id == new.login.login_id {
        return started_before(db, new).await;
    }
    if holder.slot_until <= now(new) || (new.replace && holder.replaceable) {
        return Err(Fault::Again);
    }
    Ok(StartOutcome::AlreadyPending {
        until: holder.deadline.unwrap_or(holder.slot_until),
        replaceable: holder.replaceable,
    })
}

/// `false` where the row is already there.
async fn insert_login(db: &mut Db, new: &NewLogin) -> Result<bool, Fault> {
    let login = &new.login;
    let LoginState::Starting { until } = login.state else {
        return Err(Fault::NotAllowed("a new login is in state starting"));
    };
    let inserted = db
        .execute(
            "INSERT INTO logins (tenant, login_id, grant_id, application, registration, provider, environment,
                 person, support_code, reference, channel, binding_message, x5t, client_context, scope, acr_values,
                 token_hash, token_key_id, created_at, owner, version, attempt, status, until, delivery,
                 notification_hash, notification_key_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                 $22, 'starting', $23, $24, $25, $26)
             ON CONFLICT (tenant, login_id) DO NOTHING",
            args![
                login.tenant.as_str(),
                login.login_id,
                login.grant_id,
                login.application.as_str(),
                login.registration.as_str(),
                login.provider.as_str(),
                login.environment.as_str(),
                new.person,
                login.support_code.compact(),
                login.reference.clone(),
                login.channel.clone(),
                login.binding_message.as_str(),
                login.x5t.clone(),
                login.client_context.clone(),
                serde_json::to_string(&new.scope)?,
                serde_json::to_string(&new.acr_values)?,
                new.token_hash.hash,
                new.token_hash.key_id.as_str(),
                login.created_at,
                login.owner,
                login.version,
                login.attempt,
                until,
                login.delivery.as_str(),
                new.notification.as_ref().map(|it| it.hash.to_vec()),
                new.notification.as_ref().map(|it| it.key_id.clone())
            ],
        )
        .await?;
    Ok(inserted == 1)
}

async fn insert_grant(db: &mut Db, context: &Context, new: &NewLogin) -> Result<(), Fault> {
    let login = &new.login;
    let place = Place::grant(login.grant_id);
    let whose = Whose { place, tenant: &login.tenant, registration: &login.registration };
    let (vault, wraps) = Vault::create(context, &whose)?;
    let hint = login.login_hint.as_ref().map(|hint| vault.seal_text("hint", hint)).transpose()?;
    db.execute(
        "INSERT INTO grants (tenant, grant_id, login_id, registration, wraps, hint)
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            login.tenant.as_str(),
            login.grant_id,
            login.login_id,
            login.registration.as_str(),
            wraps,
            hint
        ],
    )
    .await?;
    Ok(())
}

/// Claims the idempotency key. Whoever finds it claimed waits for the other's commit here, and runs again to find it.
async fn remember(db: &mut Db, new: &NewLogin, claim: &IdempotencyClaim) -> Result<(), Fault> {
    let Some(key) = claim.key.first() else {
        return Err(Fault::NotAllowed("an idempotency claim carries a hash"));
    };
    let claimed = db
        .fetch_first(
            "INSERT INTO replays (tenant, kind, key_hash, key_id, body_hash, login_id, until)
             VALUES ($1, 'start', $2, $3, $4, $5, $6)
             ON CONFLICT (tenant, kind, key_hash) DO UPDATE SET key_id = excluded.key_id,
                 body_hash = excluded.body_hash, login_id = excluded.login_id, until = excluded.until
             WHERE replays.until <= $7 RETURNING login_id",
            args![
                new.login.tenant.as_str(),
                key.hash,
                key.key_id.as_str(),
                claim.body.hash,
                new.login.login_id,
                claim.until,
                now(new)
            ],
        )
        .await?;
    if claimed.is_some() { Ok(()) } else { Err(Fault::Again) }
}
