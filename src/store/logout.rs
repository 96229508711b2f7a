//! Whom a provider has logged out, what has been switched off, and who has too many sessions.
//!
//! Of a logout token and an approval, or a renewal, by the same session of the provider's, one comes first: the later one
//! sees what the earlier one has written. Where writes run side by side each takes a turn before it looks.

use aws_lc_rs::digest::{SHA256, digest};

use super::audit::{self, AuditRecord};
use super::conn::{Context, Db, Fault, Row, args};
use crate::crypto::ring::{KeyedHash, Purpose};
use crate::domain::grant::GrantClaims;
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::names::ProviderName;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::engine::ports::{Live, LoggedOut, Moved, SwitchedOff, TakeLogoutToken};

/// What a grant is found by when its provider logs somebody out.
pub(super) struct ByProvider {
    pub sid: Option<KeyedHash>,
    pub sub: KeyedHash,
}

impl ByProvider {
    pub fn of(context: &Context, provider: &ProviderName, claims: &GrantClaims) -> Self {
        Self::named(context, provider, claims.sid.as_deref(), &claims.subject.sub)
    }

    fn named(context: &Context, provider: &ProviderName, sid: Option<&str>, sub: &str) -> Self {
        let hash = |purpose, value: &str| context.ring.hash(purpose, &input(provider, value));
        Self {
            sid: sid.map(|sid| hash(Purpose::ProviderSession, sid)),
            sub: hash(Purpose::ProviderSubject, sub),
        }
    }
}

/// Whether the provider has logged out the session by which a grant is about to live. It stays so until the commit: no
/// logout token is taken meanwhile that names this session or this person, and one that is taken then finds the grant.
pub(super) async fn has_left(
    db: &mut Db,
    context: &Context,
    provider: &ProviderName,
    (sid, sub): (Option<&str>, &str),
    now: Timestamp,
) -> Result<bool, Fault> {
    if let Some(sql) = db.dialect().share_turns {
        let by = ByProvider::named(context, provider, sid, sub);
        let sub = turn(&by.sub);
        let sid = by.sid.as_ref().map_or(sub, turn);
        db.execute(sql, args![sid.min(sub), sid.max(sub)]).await?;
    }
    // By another statement than the turn: each sees what was committed when it began.
    let sids = sid.map(|sid| sid_candidates(context, provider, sid));
    for sid in sids.iter().flatten() {
        let found = db
            .fetch_first(
                "SELECT 1 AS found FROM logout_tokens
                 WHERE sid_hash = $1 AND sid_key_id = $2 AND provider = $3 AND until > $4 LIMIT 1",
                args![sid.hash, sid.key_id.as_str(), provider.as_str(), now],
            )
            .await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The other side of [`has_left`]: whoever approves by what a logout token names is waited for, or waits. Under every key of the
/// ring: another node may hash by another one. In one order, for two orders would be a deadlock.
async fn take_turns(db: &mut Db, context: &Context, take: &TakeLogoutToken) -> Result<(), Fault> {
    let Some(sql) = db.dialect().take_turn else { return Ok(()) };
    let named =
        [(Purpose::ProviderSession, take.sid.as_deref()), (Purpose::ProviderSubject, take.sub.as_deref())];
    let mut turns = Vec::new();
    for (purpose, value) in named {
        let candidates = value.map(|value| context.ring.candidates(purpose, &input(&take.provider, value)));
        turns.extend(candidates.iter().flatten().map(turn));
    }
    turns.sort_unstable();
    for turn in turns {
        db.execute(sql, args![turn]).await?;
    }
    Ok(())
}

/// Two that happen to have one turn wait for each other, and that is all.
fn turn(of: &KeyedHash) -> i64 {
    of.hash.first_chunk().copied().map_or(0, i64::from_be_bytes)
}

/// From now on a session's grant is found by this.
pub(super) async fn move_grant(
    db: &mut Db,
    context: &Context,
    session: &Session,
    moved: &Moved,
) -> Result<(), Fault> {
    let found_by = ByProvider::named(context, &session.provider, Some(&moved.sid), &moved.sub);
    db.execute(
        "UPDATE grants SET sid_hash = $2, sub_hash = $3, logout_key_id = $4
         WHERE grant_id = $1 AND tokens IS NOT NULL",
        args![session.grant_id, found_by.sid.map(|sid| sid.hash), found_by.sub.hash, found_by.sub.key_id],
    )
    .await?;
    Ok(())
}

/// One value at two providers has two hashes. The length keeps ("ab", "c") and ("a", "bc") apart.
fn input(provider: &ProviderName, value: &str) -> Vec<u8> {
    let provider = provider.as_str().as_bytes();
    [&(provider.len() as u64).to_be_bytes(), provider, value.as_bytes()].concat()
}

/// Under which hashes the grants of a provider's session may stand.
pub(super) fn sid_candidates(context: &Context, provider: &ProviderName, sid: &str) -> Vec<KeyedHash> {
    context.ring.candidates(Purpose::ProviderSession, &input(provider, sid))
}

/// See [`crate::engine::ports::Endings::take_logout_token`].
pub(super) async fn take_token(
    db: &mut Db,
    context: &Context,
    take: &TakeLogoutToken,
) -> Result<Option<Timestamp>, Fault> {
    take_turns(db, context, take).await?;
    let jti = digest(&SHA256, take.jti.as_bytes()).as_ref().to_vec();
    let hash = |sid: &str| context.ring.hash(Purpose::ProviderSession, &input(&take.provider, sid));
    let sid = take.sid.as_deref().map(hash);
    let taken = db
        .execute(
            "INSERT INTO logout_tokens (provider, jti, attempt, taken_at, until, sid_hash, sid_key_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (provider, jti) DO UPDATE SET attempt = excluded.attempt, taken_at = excluded.taken_at,
                 until = excluded.until, sid_hash = excluded.sid_hash, sid_key_id = excluded.sid_key_id
             WHERE logout_tokens.until <= $4 OR logout_tokens.attempt = excluded.attempt",
            args![
                take.provider.as_str(),
                jti.clone(),
                take.attempt,
                take.now,
                take.until,
                sid.as_ref().map(|sid| sid.hash),
                sid.as_ref().map(|sid| sid.key_id.clone())
            ],
        )
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    let row = db
        .fetch_first(
            "SELECT taken_at FROM logout_tokens WHERE provider = $1 AND jti = $2",
            args![take.provider.as_str(), jti],
        )
        .await?
        .ok_or(Fault::Again)?;
    audit::append(db, context, AuditRecord::of_logout_replay(take)).await?;
    Ok(Some(Timestamp::from_micros(row.get("logout_tokens", "taken_at")?)))
}

/// See [`crate::engine::ports::Endings::logged_out`]. A grant's hashes were made by one key of the ring: each is tried, the
/// active one last, because it is by that one that a grant is found anew after a renewal.
pub(super) async fn logged_out(
    db: &mut Db,
    context: &Context,
    (whom, limit): &(LoggedOut, u32),
) -> Result<Vec<Live>, Fault> {
    let candidates = |purpose, value: &Option<String>| {
        value.as_deref().map(|value| {
            let mut candidates = context.ring.candidates(purpose, &input(&whom.provider, value));
            candidates.reverse();
            candidates
        })
    };
    let sids = candidates(Purpose::ProviderSession, &whom.sid);
    let subs = candidates(Purpose::ProviderSubject, &whom.sub);
    let mut live = Vec::new();
    match (&sids, &subs) {
        (Some(sids), subs) => {
            for sid in sids {
                // Both were made by one key. A person's name under another one says nothing.
                let sub = subs.as_ref().map(|subs| subs.iter().find(|sub| sub.key_id == sid.key_id));
                let sub = sub.flatten().map(|sub| sub.hash.to_vec());
                live.extend(by_sid(db, whom, sid, sub, *limit).await?);
            }
            // Of a grant whose provider has named no session it says as much as a token without one.
            for sub in subs.iter().flatten() {
                live.extend(without_sid(db, whom, sub, *limit).await?);
            }
        }
        (None, Some(subs)) => {
            for sub in subs {
                live.extend(by_sub(db, whom, sub, *limit).await?);
            }
        }
        (None, None) => {}
    }
    live.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
    Ok(live)
}

/// What is live of the grants that a condition finds: `$1` the hash, `$2` its key, `$3` the provider, `$4` approved before,
/// `$5` the limit. Whenever a session was picked up: what the provider has logged out is the sign-in behind it.
macro_rules! live_of {
    ($condition:literal) => {
        concat!(
            "SELECT l.login_id AS login_id, s.session_id AS session_id FROM grants g
             JOIN logins l ON l.login_id = g.login_id
             LEFT JOIN sessions s ON s.session_id = l.session_id
             WHERE ",
            $condition,
            " AND g.logout_key_id = $2 AND l.provider = $3
                 AND (s.status = 'active' OR l.status = 'approved') AND ($4 IS NULL OR l.approved_at <= $4)
             ORDER BY l.login_id LIMIT $5"
        )
    };
}

async fn by_sid(
    db: &mut Db,
    whom: &LoggedOut,
    sid: &KeyedHash,
    sub: Option<Vec<u8>>,
    limit: u32,
) -> Result<Vec<Live>, Fault> {
    let found = db
        .fetch(
            live_of!("g.sid_hash = $1 AND ($6 IS NULL OR g.sub_hash = $6)"),
            args![sid.hash, sid.key_id.as_str(), whom.provider.as_str(), whom.before, limit, sub],
        )
        .await?;
    found.iter().map(live).collect()
}

async fn by_sub(db: &mut Db, whom: &LoggedOut, sub: &KeyedHash, limit: u32) -> Result<Vec<Live>, Fault> {
    let found = db
        .fetch(
            live_of!("g.sub_hash = $1"),
            args![sub.hash, sub.key_id.as_str(), whom.provider.as_str(), whom.before, limit],
        )
        .await?;
    found.iter().map(live).collect()
}

async fn without_sid(db: &mut Db, whom: &LoggedOut, sub: &KeyedHash, limit: u32) -> Result<Vec<Live>, Fault> {
    let found = db
        .fetch(
            live_of!("g.sub_hash = $1 AND g.sid_hash IS NULL"),
            args![sub.hash, sub.key_id.as_str(), whom.provider.as_str(), whom.before, limit],
        )
        .await?;
    found.iter().map(live).collect()
}

fn live(row: &Row) -> Result<Live, Fault> {
    let session: Option<uuid::Uuid> = row.get("sessions", "session_id")?;
    Ok(match session {
        Some(session_id) => Live::Session(SessionId(session_id)),
        None => Live::Login(LoginId(row.get("logins", "login_id")?)),
    })
}

/// See [`crate::engine::ports::Endings::switched_off`].
pub(super) async fn switched_off(
    db: &mut Db,
    (what, limit): &(SwitchedOff, u32),
) -> Result<Vec<SessionId>, Fault> {
    let found = match what {
        SwitchedOff::Application(tenant, application) => {
            db.fetch(
                "SELECT session_id FROM sessions WHERE ended_at IS NULL AND tenant = $1 AND application = $2 LIMIT $3",
                args![tenant.as_str(), application.as_str(), *limit],
            )
            .await?
        }
        SwitchedOff::Registration(registration) => {
            db.fetch(
                "SELECT session_id FROM sessions WHERE ended_at IS NULL AND registration = $1 LIMIT $2",
                args![registration.as_str(), *limit],
            )
            .await?
        }
    };
    sessions(&found)
}

/// See [`crate::engine::ports::Endings::surplus_sessions`]. Whoever comes later sees at least as much, and orders it in the
/// same way: two that look at once end the same ones. But never itself: by clocks that differ the newest may seem to be old.
pub(super) async fn surplus(
    db: &mut Db,
    (session_id, most): &(SessionId, u32),
) -> Result<Vec<SessionId>, Fault> {
    let found = db
        .fetch(
            "SELECT session_id FROM
                 (SELECT other.session_id AS session_id FROM sessions mine
                  JOIN sessions other ON other.tenant = mine.tenant AND other.application = mine.application
                      AND other.person = mine.person AND other.ended_at IS NULL
                  WHERE mine.session_id = $1
                  ORDER BY other.created_at DESC, other.session_id DESC LIMIT 1000 OFFSET $2) surplus
             WHERE session_id <> $1",
            args![*session_id, *most],
        )
        .await?;
    sessions(&found)
}

fn sessions(found: &[Row]) -> Result<Vec<SessionId>, Fault> {
    found.iter().map(|row| row.get("sessions", "session_id").map(SessionId)).collect()
}
