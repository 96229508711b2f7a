//! What providers are still to be told: it enters in the transaction of the end that it follows, is claimed by one node at
//! a time, and goes with everything sealed in it once it has been told or given up.

use super::audit::{self, AuditRecord, event};
use super::conn::{Context, Db, Fault, Row, args};
use super::rows::{self, LoginRow, SessionRow};
use super::vault::{Vault, Whose};
use crate::crypto::ring::Pseudonym;
use crate::crypto::seal::Place;
use crate::domain::grant::Tokens;
use crate::domain::ids::{Attempt, GrantId, LoginId, OutboxId, SessionId};
use crate::domain::login::LoginState;
use crate::domain::names::{ApplicationName, ProviderName, RegistrationName, TenantName};
use crate::domain::random::uuid_v4;
use crate::domain::session::SessionEndReason;
use crate::domain::support_code::SupportCode;
use crate::domain::time::Timestamp;
use crate::engine::ports::{
    Actor, ClaimOutbox, CloseOutbox, GIVE_UP_AFTER, Left, OutboxEnd, OutboxEntry, PostponeOutbox, SoFar,
};

/// Whose tokens they were.
pub(super) struct Owner<'a> {
    pub tenant: &'a TenantName,
    pub login_id: LoginId,
    pub session_id: Option<SessionId>,
    pub application: &'a ApplicationName,
    pub registration: &'a RegistrationName,
    pub provider: &'a ProviderName,
    pub person: Pseudonym,
    pub support_code: &'a SupportCode,
    pub x5t: Option<&'a str>,
}

impl<'a> Owner<'a> {
    pub fn login(row: &'a LoginRow) -> Self {
        let login = &row.login;
        let session_id = match login.state {
            LoginState::PickedUp { session_id, .. } => Some(session_id),
            _ => None,
        };
        Self {
            tenant: &login.tenant,
            login_id: login.login_id,
            session_id,
            application: &login.application,
            registration: &login.registration,
            provider: &login.provider,
            person: row.person,
            support_code: &login.support_code,
            x5t: login.x5t.as_deref(),
        }
    }

    pub fn session(row: &'a SessionRow) -> Self {
        let session = &row.session;
        Self {
            tenant: &session.tenant,
            login_id: session.login_id,
            session_id: Some(session.session_id),
            application: &session.application,
            registration: &session.registration,
            provider: &session.provider,
            person: row.person,
            support_code: &session.support_code,
            x5t: session.x5t.as_deref(),
        }
    }
}

/// Why something is over, as far as its provider is concerned. One session there may carry several grants here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The person or the operator wants it: it is over there too, whatever else lives by that session.
    Wanted,
    /// Nobody has asked for it: the session there goes on while another grant lives by it.
    Unasked,
    /// The provider has said so itself, and is not told back.
    Provider,
}

/// What a grant is wiped of, in the transaction of its end.
pub(super) struct Over<'a> {
    pub owner: Owner<'a>,
    pub grant_id: GrantId,
    pub now: Timestamp,
    pub cause: Cause,
}

/// Moves the tokens of a grant that is over into the outbox. Tokens that do not open are told to nobody: they must not keep
/// what they belong to from ending.
pub(super) async fn take_over(db: &mut Db, context: &Context, over: &Over<'_>) -> Result<(), Fault> {
    let row = db
        .fetch_first(
            "SELECT wraps, tokens,
                 (SELECT count(*) FROM grants other WHERE other.sid_hash = mine.sid_hash
                     AND other.logout_key_id = mine.logout_key_id AND other.grant_id <> mine.grant_id) AS sharers
             FROM grants mine WHERE grant_id = $1",
            args![over.grant_id],
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let (wraps, sealed): (Option<String>, Option<Vec<u8>>) =
        (row.get("grants", "wraps")?, row.get("grants", "tokens")?);
    let (Some(wraps), Some(sealed)) = (wraps, sealed) else { return Ok(()) };
    let sharers: i64 = row.get("grants", "sharers")?;
    let owner = &over.owner;
    let place = Place::grant(over.grant_id);
    let whose = Whose { place, tenant: owner.tenant, registration: owner.registration };
    let tokens = Vault::open(context, &whose, &wraps).and_then(|vault| vault.open_tokens(&sealed));
    match tokens {
        Ok(tokens) => {
            let outbox_id = OutboxId(uuid_v4(context.random.as_ref()));
            let left = left(&tokens, over.now, over.cause, sharers > 0);
            enter(db, context, owner, &Entry { outbox_id, tokens: &tokens, now: over.now, left })
                .await
                .map(drop)
        }
        Err(fault) => {
            tracing::error!(%fault, login.id = %owner.login_id, "sealed tokens do not open: their provider is not told");
            Ok(())
        }
    }
}

impl Cause {
    pub const fn of_session(reason: SessionEndReason) -> Self {
        match reason {
            SessionEndReason::Logout | SessionEndReason::Revoked => Self::Wanted,
            SessionEndReason::IdpLogout => Self::Provider,
            SessionEndReason::Idle
            | SessionEndReason::Absolute
            | SessionEndReason::ReauthRequired
            | SessionEndReason::Superseded => Self::Unasked,
        }
    }
}

/// What of these a provider must be told. A token that has died needs no revocation; with a refresh token some providers end
/// the session that it came from.
pub(super) fn left(tokens: &Tokens, now: Timestamp, cause: Cause, is_shared: bool) -> Left {
    let lives = |until: Option<Timestamp>| until.is_none_or(|until| now < until);
    let spared = is_shared && cause == Cause::Unasked;
    Left {
        refresh_token: !spared && tokens.refresh_token.is_some() && lives(tokens.refresh_expires_at),
        access_token: lives(tokens.access_expires_at),
        session: !spared && cause != Cause::Provider,
    }
}

/// What is about to enter.
pub(super) struct Entry<'a> {
    pub outbox_id: OutboxId,
    pub tokens: &'a Tokens,
    pub now: Timestamp,
    pub left: Left,
}

/// `false` where there is nothing to tell, or it is there already.
pub(super) async fn enter(
    db: &mut Db,
    context: &Context,
    owner: &Owner<'_>,
    entry: &Entry<'_>,
) -> Result<bool, Fault> {
    let &Entry { outbox_id, tokens, now, left } = entry;
    if left.is_nothing() {
        return Ok(false);
    }
    let place = Place::outbox(outbox_id);
    let whose = Whose { place, tenant: owner.tenant, registration: owner.registration };
    let (vault, wraps) = Vault::create(context, &whose)?;
    let inserted = db
        .execute(
            "INSERT INTO outbox (tenant, outbox_id, login_id, session_id, application, registration, provider, person,
                 support_code, x5t, created_at, give_up_at, due_at, tries, refresh_token_left, access_token_left,
                 session_left, so_far, wraps, tokens)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, 0, $13, $14, $15, 'nothing', $16, $17)
             ON CONFLICT (tenant, outbox_id) DO NOTHING",
            args![
                owner.tenant.as_str(),
                outbox_id,
                owner.login_id,
                owner.session_id,
                owner.application.as_str(),
                owner.registration.as_str(),
                owner.provider.as_str(),
                owner.person,
                owner.support_code.compact(),
                owner.x5t,
                now,
                now + GIVE_UP_AFTER,
                left.refresh_token,
                left.access_token,
                left.session,
                wraps,
                vault.seal_tokens(tokens)?
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// See [`crate::engine::ports::Endings::outbox_due`].
pub(super) async fn due(db: &mut Db, now: &Timestamp) -> Result<Vec<ProviderName>, Fault> {
    let found = db
        .fetch("SELECT DISTINCT provider FROM outbox WHERE due_at <= $1 ORDER BY provider", args![*now])
        .await?;
    found.iter().map(|row| name(row, "provider")).collect()
}

/// See [`crate::engine::ports::Endings::claim_outbox`]. The claim is written first and read then, so that a second run after
/// an unknown commit outcome finds what the first one took.
pub(super) async fn claim(
    db: &mut Db,
    context: &Context,
    claim: &ClaimOutbox,
) -> Result<Vec<OutboxEntry>, Fault> {
    db.execute(
        "UPDATE outbox SET claim = $1, due_at = $2, tries = tries + 1
         WHERE outbox_id IN (SELECT outbox_id FROM outbox WHERE provider = $3 AND due_at <= $4 ORDER BY due_at LIMIT $5)
             AND due_at <= $4",
        args![claim.attempt, claim.until, claim.provider.as_str(), claim.now, claim.limit],
    )
    .await?;
    let found = db
        .fetch(
            "SELECT tenant, outbox_id, login_id, session_id, registration, provider, support_code, x5t, tries, give_up_at,
                 refresh_token_left, access_token_left, session_left, so_far, wraps, tokens
             FROM outbox WHERE provider = $1 AND claim = $2 ORDER BY created_at",
            args![claim.provider.as_str(), claim.attempt],
        )
        .await?;
    // One that cannot be read must not keep the others from being told.
    Ok(found
        .iter()
        .filter_map(|row| match entry(context, row) {
            Ok(entry) => Some(entry),
            Err(fault) => {
                tracing::error!(%fault, "an entry of the outbox cannot be read");
                None
            }
        })
        .collect())
}

/// See [`crate::engine::ports::Endings::postpone_outbox`].
pub(super) async fn postpone(db: &mut Db, later: &PostponeOutbox) -> Result<bool, Fault> {
    let written = db
        .execute(
            "UPDATE outbox SET due_at = CASE WHEN $3 < give_up_at THEN $3 ELSE give_up_at END, claim = NULL,
                 refresh_token_left = $4, access_token_left = $5, session_left = $6, so_far = $7
             WHERE outbox_id = $1 AND claim = $2",
            args![
                later.outbox_id,
                later.claim,
                later.due_at,
                later.left.refresh_token,
                later.left.access_token,
                later.left.session,
                later.so_far.as_str()
            ],
        )
        .await?;
    Ok(written == 1)
}

/// See [`crate::engine::ports::Endings::close_outbox`].
pub(super) async fn close(db: &mut Db, context: &Context, close: &CloseOutbox) -> Result<bool, Fault> {
    let row = db
        .fetch_first(
            "DELETE FROM outbox WHERE outbox_id = $1 AND claim = $2
             RETURNING tenant, application, registration, person, login_id, session_id",
            args![close.outbox_id, close.claim],
        )
        .await?;
    let Some(row) = row else {
        return Ok(audit::done_by(db, close.login_id, close.attempt).await?.is_some());
    };
    record(db, context, &row, (close.now, close.attempt), close.end).await?;
    Ok(true)
}

/// Removes what nobody has come to give up: the places of a provider that does not answer are taken, or an entry cannot be
/// read.
pub(super) async fn give_up(
    db: &mut Db,
    context: &Context,
    (now, before): (Timestamp, Timestamp),
    attempt: Attempt,
    limit: u32,
) -> Result<u64, Fault> {
    let gone = db
        .fetch(
            "DELETE FROM outbox WHERE give_up_at <= $1 AND outbox_id IN
                 (SELECT outbox_id FROM outbox WHERE give_up_at <= $1 ORDER BY give_up_at LIMIT $2)
             RETURNING tenant, application, registration, person, login_id, session_id",
            args![before, limit],
        )
        .await?;
    for row in &gone {
        record(db, context, row, (now, attempt), OutboxEnd::GivenUp).await?;
    }
    Ok(gone.len() as u64)
}

async fn record(
    db: &mut Db,
    context: &Context,
    row: &Row,
    (now, attempt): (Timestamp, Attempt),
    end: OutboxEnd,
) -> Result<(), Fault> {
    let (event, reason) = match end {
        OutboxEnd::Told => (event::PROVIDER_TOLD, None),
        OutboxEnd::Refused | OutboxEnd::NotOffered | OutboxEnd::GivenUp => {
            (event::PROVIDER_NOT_TOLD, Some(end.as_str()))
        }
    };
    let about = audit::About {
        tenant: row.get("outbox", "tenant")?,
        application: row.get("outbox", "application")?,
        registration: row.get("outbox", "registration")?,
        person: Pseudonym::from_bytes(rows::hash(row, "outbox", "person")?),
        login_id: LoginId(row.get("outbox", "login_id")?),
        session_id: row.get::<Option<uuid::Uuid>>("outbox", "session_id")?.map(SessionId),
    };
    let record = AuditRecord::about(about, now, event, attempt, &Actor::engine());
    let record = match reason {
        Some(reason) => record.with_reason(reason),
        None => record,
    };
    audit::append(db, context, record).await
}

/// An entry of which one column is not as it should be is an error; one whose seal does not open is told so.
fn entry(context: &Context, row: &Row) -> Result<OutboxEntry, Fault> {
    let tenant: TenantName = name(row, "tenant")?;
    let registration: RegistrationName = name(row, "registration")?;
    let outbox_id = OutboxId(row.get("outbox", "outbox_id")?);
    let (wraps, sealed): (String, Vec<u8>) = (row.get("outbox", "wraps")?, row.get("outbox", "tokens")?);
    let whose = Whose { place: Place::outbox(outbox_id), tenant: &tenant, registration: &registration };
    let tokens = Vault::open(context, &whose, &wraps).and_then(|vault| vault.open_tokens(&sealed));
    let flag = |column: &'static str| row.get::<i64>("outbox", column).map(|flag| flag != 0);
    let so_far: String = row.get("outbox", "so_far")?;
    let tries: i64 = row.get("outbox", "tries")?;
    Ok(OutboxEntry {
        outbox_id,
        login_id: LoginId(row.get("outbox", "login_id")?),
        session_id: row.get::<Option<uuid::Uuid>>("outbox", "session_id")?.map(SessionId),
        provider: name(row, "provider")?,
        support_code: SupportCode::from_compact(row.get("outbox", "support_code")?),
        x5t: row.get("outbox", "x5t")?,
        tries: u32::try_from(tries).map_err(|_| bad("tries"))?,
        give_up_at: Timestamp::from_micros(row.get("outbox", "give_up_at")?),
        left: Left {
            refresh_token: flag("refresh_token_left")?,
            access_token: flag("access_token_left")?,
            session: flag("session_left")?,
        },
        so_far: SoFar::ALL.into_iter().find(|known| known.as_str() == so_far).ok_or_else(|| bad("so_far"))?,
        tokens: tokens
            .inspect_err(|fault| {
                tracing::error!(%fault, outbox.id = %outbox_id, "sealed tokens in the outbox do not open");
            })
            .ok(),
        registration,
    })
}

const fn bad(column: &'static str) -> Fault {
    Fault::Inconsistent { table: "outbox", column }
}

fn name<T: std::str::FromStr>(row: &Row, column: &'static str) -> Result<T, Fault> {
    let text: String = row.get("outbox", column)?;
    text.parse().map_err(|_| bad(column))
}
