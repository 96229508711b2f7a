//! From rows to facts: one exhaustive match per state column.
//!
//! A combination that the model does not know is [`Fault::Inconsistent`], never a guess.

use std::time::Duration;

use super::conn::{Context, Fault, Row};
use super::vault::{Vault, Whose};
use crate::crypto::ring::{KeyedHash, Pseudonym};
use crate::crypto::seal::Place;
use crate::domain::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use crate::domain::login::{EndStatus, Hidden, Login, LoginReason, LoginState, LoginStatus};
use crate::domain::registration::{Delivery, Environment};
use crate::domain::session::{RefreshState, Session, SessionEndReason, SessionState};
use crate::domain::support_code::SupportCode;
use crate::domain::time::Timestamp;

/// What every statement that gives logins selects or returns: the row, and what opens its hint.
macro_rules! login_columns {
    () => {
        " tenant, login_id, grant_id, application, registration, provider, environment, person, support_code,
          reference, channel, binding_message, x5t, client_context, scope, acr_values, token_key_id, created_at,
          owner, version, attempt, status, until, interval_us, not_before, provider_slow, approved_at, session_id,
          repeatable_until, reason, ended_at, hidden_until, hidden_cancelled_at, hidden_reason, delivery,
          (SELECT g.wraps FROM grants g WHERE g.grant_id = logins.grant_id) AS grant_wraps,
          (SELECT g.hint FROM grants g WHERE g.grant_id = logins.grant_id) AS grant_hint "
    };
}
pub(super) use login_columns;

/// What every statement that gives sessions selects or returns.
macro_rules! session_columns {
    () => {
        " tenant, session_id, login_id, grant_id, application, registration, provider, environment, person,
          support_code, reference, x5t, exercice, created_at, expires_at, idle_us, last_used_at, grant_expires_at,
          refresh_generation, refresh_due_at, refresh_not_before, refresh_failures, refresh_unanswered,
          version, attempt, status, reason, ended_at "
    };
}
pub(super) use session_columns;

/// A login with what the engine is not shown.
pub(super) struct LoginRow {
    pub login: Login,
    pub person: Pseudonym,
    pub token_key_id: String,
    pub scope: Vec<String>,
    pub acr_values: Vec<String>,
    /// What opens its grant; `None` once wiped.
    pub wraps: Option<String>,
}

impl LoginRow {
    /// Its grant.
    pub fn whose(&self) -> Whose<'_> {
        Whose {
            place: Place::grant(self.login.grant_id),
            tenant: &self.login.tenant,
            registration: &self.login.registration,
        }
    }

    /// The key to its secrets.
    pub fn vault<'c>(&self, context: &'c Context) -> Result<Vault<'c>, Fault> {
        let wraps = self.wraps.as_deref().ok_or(Fault::Sealed { table: "grants", column: "wraps" })?;
        Vault::open(context, &self.whose(), wraps)
    }
}

/// A session with what the engine is not shown.
pub(super) struct SessionRow {
    pub session: Session,
    pub person: Pseudonym,
}

/// A row being read as one of `table`.
struct Reader<'r> {
    row: &'r Row,
    table: &'static str,
}

impl Reader<'_> {
    fn bad<T>(&self, column: &'static str) -> Result<T, Fault> {
        Err(Fault::Inconsistent { table: self.table, column })
    }

    fn text(&self, column: &'static str) -> Result<String, Fault> {
        self.row.get(self.table, column)
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>, Fault> {
        self.row.get(self.table, column)
    }

    fn parsed<T>(&self, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
        parse(&self.text(column)?).map_or_else(|| self.bad(column), Ok)
    }

    fn uuid(&self, column: &'static str) -> Result<uuid::Uuid, Fault> {
        self.row.get(self.table, column)
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, Fault> {
        self.row.get(self.table, column).map(Timestamp::from_micros)
    }

    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, Fault> {
        let micros: Option<i64> = self.row.get(self.table, column)?;
        Ok(micros.map(Timestamp::from_micros))
    }

    fn opt_length(&self, column: &'static str) -> Result<Option<Duration>, Fault> {
        let micros: Option<i64> = self.row.get(self.table, column)?;
        match micros.map(u64::try_from) {
            None => Ok(None),
            Some(Ok(micros)) => Ok(Some(Duration::from_micros(micros))),
            Some(Err(_)) => self.bad(column),
        }
    }

    fn number(&self, column: &'static str) -> Result<u32, Fault> {
        let number: i64 = self.row.get(self.table, column)?;
        u32::try_from(number).or_else(|_| self.bad(column))
    }

    fn flag(&self, column: &'static str) -> Result<bool, Fault> {
        match self.row.get::<i64>(self.table, column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.bad(column),
        }
    }

    fn list(&self, column: &'static str) -> Result<Vec<String>, Fault> {
        serde_json::from_str(&self.text(column)?).or_else(|_| self.bad(column))
    }

    fn person(&self) -> Result<Pseudonym, Fault> {
        hash(self.row, self.table, "person").map(Pseudonym::from_bytes)
    }

    fn environment(&self) -> Result<Environment, Fault> {
        self.parsed("environment", |text| {
            [Environment::Production, Environment::Test].into_iter().find(|known| known.as_str() == text)
        })
    }
}

/// 32 bytes.
pub(super) fn hash(row: &Row, table: &'static str, column: &'static str) -> Result<[u8; 32], Fault> {
    let bytes: Vec<u8> = row.get(table, column)?;
    bytes.try_into().map_err(|_| Fault::Inconsistent { table, column })
}

/// A keyed hash and, beside it, the key that made it.
pub(super) fn keyed_hash(
    row: &Row,
    table: &'static str,
    (hash, key_id): (&'static str, &'static str),
) -> Result<Option<KeyedHash>, Fault> {
    let bytes: Option<Vec<u8>> = row.get(table, hash)?;
    let id: Option<String> = row.get(table, key_id)?;
    match (bytes.map(<[u8; 32]>::try_from), id) {
        (None, None) => Ok(None),
        (Some(Ok(hash)), Some(key_id)) => Ok(Some(KeyedHash { key_id, hash })),
        _ => Err(Fault::Inconsistent { table, column: hash }),
    }
}

/// Reads what [`login_columns!`] selects, and opens the hint.
pub(super) fn login(context: &Context, row: &Row) -> Result<LoginRow, Fault> {
    let read = Reader { row, table: "logins" };
    let login = Login {
        login_id: LoginId(read.uuid("login_id")?),
        grant_id: GrantId(read.uuid("grant_id")?),
        tenant: read.parsed("tenant", |text| text.parse().ok())?,
        application: read.parsed("application", |text| text.parse().ok())?,
        registration: read.parsed("registration", |text| text.parse().ok())?,
        provider: read.parsed("provider", |text| text.parse().ok())?,
        environment: read.environment()?,
        support_code: SupportCode::from_compact(read.text("support_code")?),
        delivery: read
            .parsed("delivery", |text| Delivery::ALL.into_iter().find(|known| known.as_str() == text))?,
        reference: read.opt_text("reference")?,
        channel: read.opt_text("channel")?,
        binding_message: read.text("binding_message")?,
        login_hint: None,
        x5t: read.opt_text("x5t")?,
        client_context: read.opt_text("client_context")?,
        created_at: read.time("created_at")?,
        owner: NodeId(read.uuid("owner")?),
        version: read.number("version")?,
        attempt: Attempt(read.uuid("attempt")?),
        state: login_state(&read)?,
    };
    let mut whole = LoginRow {
        login,
        person: read.person()?,
        token_key_id: read.text("token_key_id")?,
        scope: read.list("scope")?,
        acr_values: read.list("acr_values")?,
        wraps: row.get("grants", "grant_wraps")?,
    };
    let hint: Option<Vec<u8>> = row.get("grants", "grant_hint")?;
    if let Some(hint) = hint {
        // A hint that does not open must not keep the login from ending: it is shown without one, and its tokens
        // can match nobody.
        whole.login.login_hint = whole
            .vault(context)
            .and_then(|vault| vault.open_text("hint", &hint))
            .inspect_err(|_| tracing::error!(login.id = %whole.login.login_id, "a sealed hint does not open"))
            .ok();
    }
    Ok(whole)
}

/// The facts of each state; all that a state lacks must be absent.
fn login_state(read: &Reader<'_>) -> Result<LoginState, Fault> {
    let status = read.parsed("status", LoginStatus::parse)?;
    let until = read.opt_time("until")?;
    let interval = read.opt_length("interval_us")?;
    let approved_at = read.opt_time("approved_at")?;
    let session: Option<uuid::Uuid> = read.row.get(read.table, "session_id")?;
    let repeatable = read.opt_time("repeatable_until")?;
    let reason = match read.opt_text("reason")? {
        None => None,
        Some(text) => Some(LoginReason::parse(&text).map_or_else(|| read.bad("reason"), Ok)?),
    };
    let ended_at = read.opt_time("ended_at")?;
    let ended = |status| match (until, interval, session, reason, ended_at) {
        (None, None, None, Some(reason), Some(at)) => {
            Ok(LoginState::Ended { status, reason, at, hidden: hidden(read)? })
        }
        _ => read.bad("status"),
    };
    match status {
        LoginStatus::Starting => match (until, interval, approved_at, session, reason, ended_at) {
            (Some(until), None, None, None, None, None) => Ok(LoginState::Starting { until }),
            _ => read.bad("status"),
        },
        LoginStatus::Pending => match (until, interval, approved_at, session, reason, ended_at) {
            (Some(until), Some(interval), None, None, None, None) => Ok(LoginState::Pending {
                until,
                interval,
                not_before: read.opt_time("not_before")?,
                provider_slow: read.flag("provider_slow")?,
            }),
            _ => read.bad("status"),
        },
        LoginStatus::Approved => match (until, interval, approved_at, session, reason, ended_at) {
            (Some(until), None, Some(at), None, None, None) => Ok(LoginState::Approved { at, until }),
            _ => read.bad("status"),
        },
        LoginStatus::PickedUp => match (until, interval, session, repeatable, reason, ended_at) {
            (None, None, Some(session), Some(repeatable_until), None, Some(at)) => {
                Ok(LoginState::PickedUp { at, session_id: SessionId(session), repeatable_until })
            }
            _ => read.bad("status"),
        },
        LoginStatus::Denied => ended(EndStatus::Denied),
        LoginStatus::Expired => ended(EndStatus::Expired),
        LoginStatus::Failed => ended(EndStatus::Failed),
        LoginStatus::Cancelled => ended(EndStatus::Cancelled),
    }
}

fn hidden(read: &Reader<'_>) -> Result<Option<Hidden>, Fault> {
    let reason = match read.opt_text("hidden_reason")? {
        None => None,
        Some(text) => Some(LoginReason::parse(&text).map_or_else(|| read.bad("hidden_reason"), Ok)?),
    };
    match (read.opt_time("hidden_until")?, read.opt_time("hidden_cancelled_at")?, reason) {
        (None, None, None) => Ok(None),
        (Some(until), None, None) => Ok(Some(Hidden { until, cancelled: None })),
        (Some(until), Some(at), Some(reason)) => Ok(Some(Hidden { until, cancelled: Some((at, reason)) })),
        _ => read.bad("hidden_cancelled_at"),
    }
}

/// Reads what [`session_columns!`] selects.
pub(super) fn session(row: &Row) -> Result<SessionRow, Fault> {
    let read = Reader { row, table: "sessions" };
    let session = Session {
        session_id: SessionId(read.uuid("session_id")?),
        login_id: LoginId(read.uuid("login_id")?),
        grant_id: GrantId(read.uuid("grant_id")?),
        tenant: read.parsed("tenant", |text| text.parse().ok())?,
        application: read.parsed("application", |text| text.parse().ok())?,
        registration: read.parsed("registration", |text| text.parse().ok())?,
        provider: read.parsed("provider", |text| text.parse().ok())?,
        environment: read.environment()?,
        support_code: SupportCode::from_compact(read.text("support_code")?),
        reference: read.opt_text("reference")?,
        x5t: read.opt_text("x5t")?,
        exercice: read.opt_text("exercice")?,
        created_at: read.time("created_at")?,
        expires_at: read.time("expires_at")?,
        idle: read.opt_length("idle_us")?.map_or_else(|| read.bad("idle_us"), Ok)?,
        last_used_at: read.time("last_used_at")?,
        grant_expires_at: read.opt_time("grant_expires_at")?,
        refresh: RefreshState {
            generation: read.number("refresh_generation")?,
            due_at: read.opt_time("refresh_due_at")?,
            not_before: read.opt_time("refresh_not_before")?,
            failures: read.number("refresh_failures")?,
            unanswered: read.number("refresh_unanswered")?,
        },
        version: read.number("version")?,
        attempt: Attempt(read.uuid("attempt")?),
        state: session_state(&read)?,
    };
    Ok(SessionRow { session, person: read.person()? })
}

fn session_state(read: &Reader<'_>) -> Result<SessionState, Fault> {
    let reason = match read.opt_text("reason")? {
        None => None,
        Some(text) => Some(SessionEndReason::parse(&text).map_or_else(|| read.bad("reason"), Ok)?),
    };
    match (read.text("status")?.as_str(), reason, read.opt_time("ended_at")?) {
        ("active", None, None) => Ok(SessionState::Active),
        ("ended", Some(reason), Some(at)) => Ok(SessionState::Ended { reason, at }),
        _ => read.bad("status"),
    }
}
