//! The audit: who did what to which login or session, when and from where.
//!
//! A record is written in the transaction of the change it tells of; if it cannot be written, the change does not
//! happen. Records carry no hint and no name, only the person's pseudonym, and an HMAC of their own content. The
//! table takes inserts and nothing else. Two records are about no login: that somebody came with a spent assertion, or with a
//! logout token that had been taken.

use std::fmt::Write as _;

use uuid::Uuid;

use super::conn::{Context, Db, Fault, args};
use super::rows::{LoginRow, SessionRow};
use crate::crypto::ring::{Pseudonym, Purpose};
use crate::domain::ids::{Attempt, LoginId, SessionId};
use crate::domain::time::Timestamp;
use crate::engine::ports::{Actor, SpendAssertion, TakeLogoutToken};

/// The words for what happened.
pub mod event {
    /// – → starting.
    pub const LOGIN_STARTED: &str = "login.started";
    /// starting → pending.
    pub const LOGIN_ACKNOWLEDGED: &str = "login.acknowledged";
    /// The acknowledgement of a login that had been cancelled: its slot is freed.
    pub const LOGIN_ACKNOWLEDGED_LATE: &str = "login.acknowledged_late";
    /// A provider has named a request of the login before its acknowledgement was here.
    pub const LOGIN_ANNOUNCED_EARLY: &str = "login.announced_early";
    /// The outcome has been announced: the login is asked about at once.
    pub const LOGIN_ANNOUNCED: &str = "login.announced";
    /// pending → approved.
    pub const LOGIN_APPROVED: &str = "login.approved";
    /// pending → denied.
    pub const LOGIN_DENIED: &str = "login.denied";
    /// → expired.
    pub const LOGIN_EXPIRED: &str = "login.expired";
    /// → failed.
    pub const LOGIN_FAILED: &str = "login.failed";
    /// → cancelled.
    pub const LOGIN_CANCELLED: &str = "login.cancelled";
    /// Tokens came for a login that had ended without a session: nobody uses them.
    pub const LOGIN_TOKENS_DROPPED: &str = "login.tokens_dropped";
    /// approved → picked up.
    pub const LOGIN_PICKED_UP: &str = "login.picked_up";
    /// A lost answer was asked for again: the earlier handle is dead.
    pub const LOGIN_PICK_UP_REPEATED: &str = "login.pick_up_repeated";
    /// Somebody asked for a handle that had already been used, or too late.
    pub const HANDLE_REPLAY: &str = "handle_replay";
    /// Somebody came with an assertion that had been taken. The reason is `jkt:` and the thumbprint of its key.
    pub const ASSERTION_REPLAY: &str = "assertion_replay";
    /// A *situation d'exercice* was chosen.
    pub const SESSION_EXERCICE: &str = "session.exercice_chosen";
    /// The provider has replaced a session's tokens.
    pub const SESSION_REFRESHED: &str = "session.refreshed";
    /// A refresh brought an ID token that must not be believed: the session ends.
    pub const SESSION_TOKEN_INVALID: &str = "session.token_invalid";
    /// active → ended.
    pub const SESSION_ENDED: &str = "session.ended";
    /// Tokens came for what had ended; their provider is to be told.
    pub const TOKENS_LATE: &str = "tokens.late";
    /// The provider has been told of an end.
    pub const PROVIDER_TOLD: &str = "provider.told";
    /// A provider's logout token came again.
    pub const LOGOUT_TOKEN_REPLAY: &str = "logout_token_replay";
    /// The provider has not been told of an end, and will not be.
    pub const PROVIDER_NOT_TOLD: &str = "provider.not_told";
}

/// What a record is about, where there is no row of a login or a session at hand.
pub(super) struct About {
    pub tenant: String,
    pub application: String,
    pub registration: String,
    pub person: Pseudonym,
    pub login_id: LoginId,
    pub session_id: Option<SessionId>,
}

/// One record, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// When, in the time of the caller.
    pub at: Timestamp,
    /// One of [`event`].
    pub event: String,
    /// Of the application.
    pub tenant: String,
    /// Whose login it is.
    pub application: String,
    /// The registration it runs over.
    pub registration: String,
    /// The person's pseudonym, hexadecimal.
    pub person: String,
    /// The login.
    pub login_id: Uuid,
    /// The session, where there is one.
    pub session_id: Option<Uuid>,
    /// Another login that has to do with it: the replaced one at a start, the replacing one at a cancellation.
    pub related_id: Option<Uuid>,
    /// Why, where it ended.
    pub reason: Option<String>,
    /// The attempt that made the change.
    pub attempt: Uuid,
    /// The kind of actor.
    pub actor: String,
    /// From which address.
    pub address: Option<String>,
    /// From which port.
    pub port: Option<u16>,
    /// Subject of the connection's client certificate.
    pub certificate_dn: Option<String>,
    /// The request that it came with.
    pub request_id: Option<String>,
}

impl AuditRecord {
    fn new(at: Timestamp, event: &str, attempt: Attempt, by: &Actor) -> Self {
        Self {
            at,
            event: event.to_owned(),
            tenant: String::new(),
            application: String::new(),
            registration: String::new(),
            person: String::new(),
            login_id: Uuid::nil(),
            session_id: None,
            related_id: None,
            reason: None,
            attempt: attempt.0,
            actor: by.kind.as_str().to_owned(),
            address: by.address.map(|address| address.ip().to_string()),
            port: by.address.map(|address| address.port()),
            certificate_dn: by.certificate_dn.clone(),
            request_id: by.request_id.clone(),
        }
    }

    /// About a login.
    pub(super) fn of_login(row: &LoginRow, at: Timestamp, event: &str, attempt: Attempt, by: &Actor) -> Self {
        let login = &row.login;
        Self {
            tenant: login.tenant.to_string(),
            application: login.application.to_string(),
            registration: login.registration.to_string(),
            person: hex(&row.person),
            login_id: login.login_id.0,
            ..Self::new(at, event, attempt, by)
        }
    }

    /// About an assertion that comes again; no login has to do with it.
    pub(super) fn of_replay(spend: &SpendAssertion, by: &Actor) -> Self {
        Self {
            tenant: spend.tenant.to_string(),
            application: spend.application.to_string(),
            ..Self::new(spend.now, event::ASSERTION_REPLAY, spend.attempt, by)
        }
        .with_reason(&format!("jkt:{}", spend.jkt))
    }

    /// About a logout token that comes again; whose sessions it meant nobody looks up for that.
    pub(super) fn of_logout_replay(take: &TakeLogoutToken) -> Self {
        Self {
            registration: take.registration.to_string(),
            ..Self::new(take.now, event::LOGOUT_TOKEN_REPLAY, take.attempt, &take.by)
        }
    }

    /// About a session.
    pub(super) fn of_session(
        row: &SessionRow,
        at: Timestamp,
        event: &str,
        attempt: Attempt,
        by: &Actor,
    ) -> Self {
        let session = &row.session;
        Self {
            tenant: session.tenant.to_string(),
            application: session.application.to_string(),
            registration: session.registration.to_string(),
            person: hex(&row.person),
            login_id: session.login_id.0,
            session_id: Some(session.session_id.0),
            ..Self::new(at, event, attempt, by)
        }
    }

    /// About what is only known by its names.
    pub(super) fn about(about: About, at: Timestamp, event: &str, attempt: Attempt, by: &Actor) -> Self {
        Self {
            tenant: about.tenant,
            application: about.application,
            registration: about.registration,
            person: hex(&about.person),
            login_id: about.login_id.0,
            session_id: about.session_id.map(|session_id| session_id.0),
            ..Self::new(at, event, attempt, by)
        }
    }

    pub(super) fn with_session(mut self, session_id: SessionId) -> Self {
        self.session_id = Some(session_id.0);
        self
    }

    pub(super) fn with_related(mut self, login_id: Option<LoginId>) -> Self {
        self.related_id = login_id.map(|login_id| login_id.0);
        self
    }

    pub(super) fn with_reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    /// What the HMAC is over: every field in a fixed order, each with its length, so that no two records give one
    /// text.
    #[must_use]
    pub fn mac_input(&self) -> Vec<u8> {
        let mut input = b"relais/audit/1".to_vec();
        let mut field = |bytes: Option<&[u8]>| match bytes {
            None => input.push(0),
            Some(bytes) => {
                input.push(1);
                input.extend((bytes.len() as u64).to_be_bytes());
                input.extend(bytes);
            }
        };
        field(Some(&self.at.as_micros().to_be_bytes()));
        for text in [&self.event, &self.tenant, &self.application, &self.registration, &self.person] {
            field(Some(text.as_bytes()));
        }
        field(Some(self.login_id.as_bytes()));
        field(self.session_id.as_ref().map(|id| id.as_bytes().as_slice()));
        field(self.related_id.as_ref().map(|id| id.as_bytes().as_slice()));
        field(self.reason.as_ref().map(String::as_bytes));
        field(Some(self.attempt.as_bytes()));
        field(Some(self.actor.as_bytes()));
        field(self.address.as_ref().map(String::as_bytes));
        field(self.port.map(u16::to_be_bytes).as_ref().map(<[u8; 2]>::as_slice));
        field(self.certificate_dn.as_ref().map(String::as_bytes));
        field(self.request_id.as_ref().map(String::as_bytes));
        input
    }
}

/// Writes `record` in the transaction of `db`.
pub(super) async fn append(db: &mut Db, context: &Context, record: AuditRecord) -> Result<(), Fault> {
    let mac = context.ring.hash(Purpose::AuditRecord, &record.mac_input());
    db.execute(
        "INSERT INTO audit (at, event, tenant, application, registration, person, login_id, session_id, related_id,
             reason, attempt, actor, address, port, certificate_dn, request_id, key_id, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        args![
            record.at,
            record.event,
            record.tenant,
            record.application,
            record.registration,
            record.person,
            record.login_id,
            record.session_id,
            record.related_id,
            record.reason,
            record.attempt,
            record.actor,
            record.address,
            record.port,
            record.certificate_dn,
            record.request_id,
            mac.key_id,
            mac.hash
        ],
    )
    .await?;
    Ok(())
}

/// What `attempt` already did to `login_id`, if anything.
///
/// The row's own attempt says who made the *last* transition; the audit says it of every one. So a caller whose
/// commit outcome was unknown learns that it won even when somebody has moved on from there since.
pub(super) async fn done_by(db: &mut Db, login_id: LoginId, attempt: Attempt) -> Result<Option<Done>, Fault> {
    let row = db
        .fetch_first(
            "SELECT event, related_id FROM audit WHERE login_id = $1 AND attempt = $2
                 AND event NOT IN ('handle_replay', 'login.acknowledged_late') ORDER BY seq LIMIT 1",
            args![login_id, attempt],
        )
        .await?;
    row.map(|row| Ok(Done { event: row.get("audit", "event")?, related: row.get("audit", "related_id")? }))
        .transpose()
}

/// See [`done_by`].
pub(super) struct Done {
    pub event: String,
    pub related: Option<Uuid>,
}

fn hex(person: &Pseudonym) -> String {
    person.as_bytes().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
