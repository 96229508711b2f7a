//! Carries calls out against a store, and looks at what is stored from the side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use relais::domain::ids::{LoginId, SessionId};
use relais::domain::login::{Login, LoginState};
use relais::domain::names::RegistrationName;
use relais::domain::session::{Session, SessionState};
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    Actor, DeadFor, PickUpOutcome, RefreshClaim, RenewalOutcome, SessionTransition, StartOutcome, Store,
    StoreError, Transition,
};
use sqlx::Row as _;
use uuid::Uuid;

use super::world::{Call, ModelLogin, ModelSession, Outcome, Record, SessionView, View, World};
use crate::store::harness::{Raw, application, holder};

/// How long another node's lease is given.
const LEASE: Duration = Duration::from_hours(1);

/// How long an owner must have been dead to be adopted from.
const DEAD_FOR: DeadFor = DeadFor { pending: Duration::ZERO, starting: Duration::ZERO };

pub fn view(login: &Login) -> View {
    View {
        state: login.state.clone(),
        version: login.version,
        attempt: login.attempt,
        owner: login.owner,
        hint: login.login_hint.is_some(),
    }
}

pub fn session_view(session: &Session) -> SessionView {
    SessionView {
        state: session.state,
        version: session.version,
        attempt: session.attempt,
        exercice: session.exercice.clone(),
        refresh: session.refresh,
    }
}

fn transition(outcome: Transition) -> Outcome {
    match outcome {
        Transition::Won(login) => Outcome::Won(view(&login)),
        Transition::Lost(login) => Outcome::Lost(login.login_id, view(&login)),
        Transition::NotFound => Outcome::NotFound,
    }
}

fn of_session(outcome: SessionTransition) -> Outcome {
    match outcome {
        SessionTransition::Won(session) => Outcome::SessionWon(session_view(&session)),
        SessionTransition::Lost(session) => Outcome::SessionLost(session_view(&session)),
        SessionTransition::NotFound => Outcome::NotFound,
    }
}

fn of_start(outcome: StartOutcome) -> Outcome {
    match outcome {
        StartOutcome::Started { replaced } => Outcome::Started { replaced },
        StartOutcome::Replay(replay) => Outcome::Replay {
            login_id: replay.login.login_id,
            view: view(&replay.login),
            body: replay.body.hash,
        },
        StartOutcome::AlreadyPending { until, replaceable } => Outcome::AlreadyPending { until, replaceable },
    }
}

const fn of_claim(outcome: &RefreshClaim) -> Outcome {
    Outcome::Claim(match outcome {
        RefreshClaim::Won(_) => "won",
        RefreshClaim::UnderWay { .. } => "under way",
        RefreshClaim::Fresh => "fresh",
        RefreshClaim::NotNow => "not now",
        RefreshClaim::Over => "over",
    })
}

const fn of_renewal(outcome: &RenewalOutcome) -> Outcome {
    Outcome::Renewal(match outcome {
        RenewalOutcome::Committed(_) => "committed",
        RenewalOutcome::Overtaken => "overtaken",
        RenewalOutcome::Over => "over",
        RenewalOutcome::LoggedOut => "logged out",
    })
}

fn of_pick_up(outcome: PickUpOutcome) -> Outcome {
    match outcome {
        PickUpOutcome::First(session) => Outcome::First(session.session_id),
        PickUpOutcome::Repeated(session) => Outcome::Repeated(session.session_id),
        PickUpOutcome::NotApproved(login) => Outcome::NotApproved(login.login_id, view(&login)),
        PickUpOutcome::AlreadyPickedUp(login) => Outcome::AlreadyPickedUp(login.login_id, view(&login)),
        PickUpOutcome::NotFound => Outcome::NotFound,
    }
}

/// Carries `call` out. Only `known` logins count in what concerns the whole database.
pub async fn execute(
    store: &dyn Store,
    registration: &RegistrationName,
    known: &BTreeSet<LoginId>,
    call: Call,
) -> Result<Outcome, StoreError> {
    Ok(match call {
        Call::Start(new) => of_start(store.start_login(*new, &application()).await?),
        Call::Acknowledge(ack) => transition(store.acknowledge(ack).await?),
        Call::End(end) => transition(store.end_login(end, &holder()).await?),
        Call::CancelHidden { login_id, attempt, now } => {
            transition(store.cancel_hidden(login_id, attempt, now, &holder()).await?)
        }
        Call::FreeSlotOfCancelled { login_id } => done(store.free_slot_of_cancelled(login_id).await?),
        Call::Approve(approve) => transition(store.approve(*approve).await?),
        Call::SetPace { login_id, owner, pace } => {
            Outcome::Paced(store.set_pace(login_id, owner, pace).await?.as_ref().map(view))
        }
        Call::StillMine { owner, due } => {
            Outcome::Mine(store.still_mine(owner, &due).await?.into_iter().collect())
        }
        Call::PickUp(pick_up) => of_pick_up(store.pick_up(*pick_up, &holder()).await?),
        Call::Use(used) => Outcome::Used(store.record_use(used).await?),
        Call::Exercice { session_id, attempt, now, exercice } => {
            of_session(store.choose_exercice(session_id, attempt, now, &exercice, &holder()).await?)
        }
        Call::EndSession(end) => of_session(store.end_session(end, &Actor::engine()).await?),
        Call::ClaimRefresh(claim) => of_claim(&store.claim_refresh(claim).await?),
        Call::Renew(renewal) => of_renewal(&store.renew(*renewal).await?),
        Call::MissRefresh(miss) => done(store.miss_refresh(miss).await?),
        Call::EndRefused(end) => of_session(store.end_refused(end).await?),
        Call::Adopt { node } => {
            let adopted = store.adopt(node, registration, DEAD_FOR).await?;
            let pending = adopted.pending.iter().map(|job| job.login.login_id).collect();
            Outcome::Adopted { pending, starting: adopted.starting.into_iter().collect() }
        }
        Call::Lease { node, alive: true } => done(store.renew_lease(node, LEASE).await?),
        Call::Lease { node, alive: false } => done(store.leave(node).await?),
        Call::Overdue { now } => overdue(store, known, now).await?,
        Call::Housekeep { now } => done(store.housekeep(now).await.map(|_| ())?),
    })
}

const fn done((): ()) -> Outcome {
    Outcome::Done
}

async fn overdue(
    store: &dyn Store,
    known: &BTreeSet<LoginId>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let logins = store.overdue_logins(now, now - Duration::from_secs(45), 1000).await?;
    let logins = logins.into_iter().map(|(login_id, _)| login_id).filter(|id| known.contains(id)).collect();
    let mut sessions = BTreeMap::new();
    for (session_id, reason) in store.overdue_sessions(now, 1000).await? {
        let session = store.session(session_id).await?;
        if session.is_some_and(|session| known.contains(&session.login_id)) {
            sessions.insert(session_id, reason.as_str());
        }
    }
    Ok(Outcome::Overdue { logins, sessions })
}

/// What is stored of one login, as the database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    pub status: String,
    pub reason: Option<String>,
    pub version: i64,
    pub attempt: Uuid,
    pub owner: Uuid,
    pub until: Option<i64>,
    pub hidden_cancelled: bool,
    /// 1 hint, 2 request, 4 tokens, 8 claims, 16 userinfo, 32 the wrapped data key.
    pub secrets: i64,
    /// Status, reason, version, last use.
    pub session: Option<(String, Option<String>, i64, i64)>,
    /// Generation, failures, unanswered sendings, whose attempt is recorded.
    pub refresh: Option<(i64, i64, i64, Option<Uuid>)>,
    pub live_handles: i64,
    /// While the session is active: afterwards it means nothing any more.
    pub used_handles: i64,
    /// Holder and end of the person slot.
    pub slot: Option<(Uuid, i64)>,
}

macro_rules! facts_sql {
    ($list:literal) => {
        concat!(
            "SELECT l.login_id, l.status, l.reason, l.version, l.attempt, l.owner, l.until,
                 CAST(CASE WHEN l.hidden_cancelled_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS hidden_cancelled,
                 CAST((CASE WHEN g.hint IS NULL THEN 0 ELSE 1 END)
                     + (CASE WHEN g.request IS NULL THEN 0 ELSE 2 END)
                     + (CASE WHEN g.tokens IS NULL THEN 0 ELSE 4 END)
                     + (CASE WHEN g.claims IS NULL THEN 0 ELSE 8 END)
                     + (CASE WHEN g.userinfo IS NULL THEN 0 ELSE 16 END)
                     + (CASE WHEN g.wraps IS NULL THEN 0 ELSE 32 END) AS BIGINT) AS secrets,
                 s.status AS s_status, s.reason AS s_reason, s.version AS s_version, s.last_used_at AS s_used,
                 s.refresh_generation, s.refresh_failures, s.refresh_unanswered, s.refresh_attempt,
                 (SELECT count(*) FROM handles h WHERE h.session_id = l.session_id AND h.dead_since IS NULL)
                     AS live_handles,
                 (SELECT count(*) FROM handles h WHERE h.session_id = s.session_id AND s.status = 'active'
                     AND h.first_used_at IS NOT NULL) AS used_handles,
                 p.login_id AS p_login, p.until AS p_until
             FROM logins l
             LEFT JOIN grants g ON g.tenant = l.tenant AND g.grant_id = l.grant_id
             LEFT JOIN sessions s ON s.tenant = l.tenant AND s.session_id = l.session_id
             LEFT JOIN person_slots p ON p.provider = l.provider AND p.person = l.person
             WHERE l.login_id ",
            $list
        )
    };
}

macro_rules! read_facts {
    ($row:expr) => {{
        let row = &$row;
        let session: Option<String> = row.get("s_status");
        let slot: Option<Uuid> = row.get("p_login");
        let generation: Option<i64> = row.get("refresh_generation");
        let facts = Facts {
            status: row.get("status"),
            reason: row.get("reason"),
            version: row.get("version"),
            attempt: row.get("attempt"),
            owner: row.get("owner"),
            until: row.get("until"),
            hidden_cancelled: row.get::<i64, _>("hidden_cancelled") == 1,
            secrets: row.get("secrets"),
            session: session
                .map(|status| (status, row.get("s_reason"), row.get("s_version"), row.get("s_used"))),
            refresh: generation.map(|generation| {
                let (failures, unanswered) = (row.get("refresh_failures"), row.get("refresh_unanswered"));
                (generation, failures, unanswered, row.get("refresh_attempt"))
            }),
            live_handles: row.get("live_handles"),
            used_handles: row.get("used_handles"),
            slot: slot.map(|holder| (holder, row.get("p_until"))),
        };
        (LoginId(row.get("login_id")), facts)
    }};
}

/// A list of identifiers as SQLite's statements take it.
fn json(ids: &[Uuid]) -> String {
    let mut text = "[".to_owned();
    for (place, id) in ids.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(text, "{comma}\"{}\"", id.simple()).expect("a string takes everything");
    }
    text + "]"
}

/// What the database holds of `logins`.
pub async fn look(raw: &Raw, logins: &BTreeSet<LoginId>) -> BTreeMap<LoginId, Facts> {
    let ids: Vec<Uuid> = logins.iter().map(|id| id.0).collect();
    match raw {
        Raw::Sqlite(pool) => {
            let sql = facts_sql!("IN (SELECT unhex(value) FROM json_each($1))");
            let rows = sqlx::query(sql).bind(json(&ids)).fetch_all(pool).await.expect("it can be read");
            rows.iter().map(|row| read_facts!(row)).collect()
        }
        Raw::Postgres(pool) => {
            let sql = facts_sql!("= ANY($1)");
            let rows = sqlx::query(sql).bind(ids).fetch_all(pool).await.expect("it can be read");
            rows.iter().map(|row| read_facts!(row)).collect()
        }
    }
}

/// Audit records by login, in the order in which they were written: event, reason, attempt.
pub type Audit = BTreeMap<LoginId, Vec<(String, Option<String>, Uuid)>>;

/// What happens to a login is in one order, and what happens to its session; on PostgreSQL the two orders are not
/// one, because a repeated pick-up and the end of the session lock different rows.
fn in_comparable_order(mut audit: Audit, strict: bool) -> Audit {
    if !strict {
        for records in audit.values_mut() {
            records.sort_by_key(|(event, _, _)| event.starts_with("session."));
        }
    }
    audit
}

/// The audit records of `logins`.
pub async fn audit(raw: &Raw, logins: &BTreeSet<LoginId>) -> Audit {
    macro_rules! read {
        ($pool:expr, $list:literal, $ids:expr) => {{
            let sql = concat!(
                "SELECT login_id, event, reason, attempt FROM audit WHERE login_id ",
                $list,
                " ORDER BY seq"
            );
            let rows = sqlx::query(sql).bind($ids).fetch_all($pool).await.expect("it can be read");
            rows.iter()
                .map(|row| {
                    (LoginId(row.get("login_id")), (row.get("event"), row.get("reason"), row.get("attempt")))
                })
                .collect::<Vec<_>>()
        }};
    }
    let ids: Vec<Uuid> = logins.iter().map(|id| id.0).collect();
    let records = match raw {
        Raw::Sqlite(pool) => read!(pool, "IN (SELECT unhex(value) FROM json_each($1))", json(&ids)),
        Raw::Postgres(pool) => read!(pool, "= ANY($1)", ids),
    };
    let mut by_login: Audit = BTreeMap::new();
    for (login_id, record) in records {
        by_login.entry(login_id).or_default().push(record);
    }
    in_comparable_order(by_login, raw.is_sqlite())
}

/// What the model says that the audit must hold.
pub fn expected_audit(world: &World) -> Audit {
    let living = world.logins.iter().map(|(login_id, login)| (login_id, &login.audit));
    let told = |records: &Vec<Record>| {
        let records = records.iter();
        records
            .map(|(event, reason, attempt)| ((*event).to_owned(), reason.map(str::to_owned), attempt.0))
            .collect()
    };
    let all = living.chain(&world.buried).map(|(login_id, records)| (*login_id, told(records)));
    in_comparable_order(all.collect(), !world.many_nodes)
}

/// What the model says that the database must hold.
pub fn expected(world: &World) -> BTreeMap<LoginId, Facts> {
    let slot = world.slot.map(|slot| (slot.holder.0, slot.until.as_micros()));
    world.logins.iter().map(|(login_id, login)| (*login_id, facts(login, slot))).collect()
}

fn facts(login: &ModelLogin, slot: Option<(Uuid, i64)>) -> Facts {
    let state = &login.view.state;
    let (until, reason, hidden_cancelled) = match state {
        LoginState::Starting { until }
        | LoginState::Pending { until, .. }
        | LoginState::Approved { until, .. } => (Some(until.as_micros()), None, false),
        LoginState::PickedUp { .. } => (None, None, false),
        LoginState::Ended { reason, hidden, .. } => {
            (None, Some(reason.as_str().to_owned()), hidden.is_some_and(|hidden| hidden.cancelled.is_some()))
        }
    };
    let kept =
        i64::from(login.view.hint) + if login.request { 2 } else { 0 } + if login.tokens { 4 + 8 } else { 0 };
    let active = login.session.as_ref().is_some_and(|session| session.view.state == SessionState::Active);
    let handles = login.session.as_ref().map_or(&[][..], |session| &session.handles);
    let count = |number: usize| i64::try_from(number).expect("a few");
    Facts {
        status: state.status().as_str().to_owned(),
        reason,
        version: i64::from(login.view.version),
        attempt: login.view.attempt.0,
        owner: login.view.owner.0,
        until,
        hidden_cancelled,
        secrets: if kept == 0 { 0 } else { kept + 32 },
        session: login.session.as_ref().map(session_facts),
        refresh: login.session.as_ref().map(refresh_facts),
        live_handles: count(handles.iter().filter(|handle| !handle.dead).count()),
        used_handles: if active { count(handles.iter().filter(|handle| handle.used).count()) } else { 0 },
        slot,
    }
}

fn session_facts(session: &ModelSession) -> (String, Option<String>, i64, i64) {
    let (status, reason) = match session.view.state {
        SessionState::Active => ("active", None),
        SessionState::Ended { reason, .. } => ("ended", Some(reason.as_str().to_owned())),
    };
    let version = i64::from(session.view.version);
    (status.to_owned(), reason, version, session.last_used_at.as_micros())
}

fn refresh_facts(session: &ModelSession) -> (i64, i64, i64, Option<Uuid>) {
    let refresh = session.view.refresh;
    let attempt = session.refreshing.map(|(attempt, _)| attempt.0);
    (i64::from(refresh.generation), i64::from(refresh.failures), i64::from(refresh.unanswered), attempt)
}

/// Compares what the port says of each session and handle with the model.
pub async fn handles_open_what_they_should(
    store: &dyn Store,
    world: &World,
    keyed: impl Fn([u8; 32]) -> relais::crypto::ring::KeyedHash,
) -> Result<(), String> {
    let sessions = world.logins.values().filter_map(|login| Some((login, login.session.as_ref()?)));
    for (login, session) in sessions {
        for handle in &session.handles {
            let presented = store.session_by_handle(&[keyed(handle.hash)]).await;
            let presented = presented.map_err(|error| error.to_string())?;
            if presented.is_some() == handle.dead {
                return Err(format!("handle {handle:?} opens: {}", presented.is_some()));
            }
            let Some(presented) = presented else { continue };
            let same = presented.session.session_id == session.id
                && session_view(&presented.session) == session.view
                && (presented.used == handle.used || session.view.state != SessionState::Active)
                && presented.claims.is_some() == login.tokens;
            if !same {
                return Err(format!("handle {handle:?} opens something else: {:?}", session.view));
            }
        }
    }
    Ok(())
}

/// The session of a login, for those that have one.
pub fn session_of(world: &World, login_id: LoginId) -> Option<SessionId> {
    world.logins.get(&login_id).and_then(ModelLogin::session_id)
}
