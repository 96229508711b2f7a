//! A store of either kind with a database of its own, and logins in every state.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::crypto::ring::{KeyRing, KeyedHash, Purpose, RingKey};
use relais::domain::grant::{GrantClaims, Tokens};
use relais::domain::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use relais::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus};
use relais::domain::random::{uuid_v4, uuid_v7};
use relais::domain::registration::{Delivery, Environment};
use relais::domain::secret::{Secret, SecretBytes};
use relais::domain::session::{RefreshState, Session, SessionState};
use relais::domain::subject::Subject;
use relais::domain::support_code::SupportCode;
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    Acknowledge, Actor, Approve, EndLogin, NewLogin, Note, PickUp, PickUpOutcome, SlotFate, StartOutcome,
    Store, Transition,
};
use relais::store::migrations::{Location, migrate};
use relais::store::postgres::{PostgresSettings, PostgresStore};
use relais::store::sqlite::{OpenMode, SqliteStore};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::support::postgres;

/// Defines each named test once for SQLite and once for PostgreSQL.
macro_rules! for_each_store {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::store::harness::Harness::sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::store::harness::Harness::postgres().await).await;
            })+
        }
    };
}
pub(super) use for_each_store;

/// The moment at which every test starts.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub const HINT: &str = "810000000009";
pub const AUTH_REQ_ID: &str = "auth-req-id-that-nobody-may-read";
pub const ACCESS_TOKEN: &str = "access-token-that-nobody-may-read";
pub const REFRESH_TOKEN: &str = "refresh-token-that-nobody-may-read";
pub const ID_TOKEN: &str = "id-token-that-nobody-may-read";
pub const FAMILY_NAME: &str = "DE-LA-CLAIM-SECRETE";
pub const USERINFO: &str = r#"{"userinfo":"that-nobody-may-read"}"#;

/// Seconds after [`NOW`].
pub fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// One store under test.
pub struct Harness {
    pub store: Arc<dyn Store>,
    pub ring: Arc<KeyRing>,
    pub raw: Raw,
    pub url: Secret,
    /// Only SQLite has one.
    pub file: Option<PathBuf>,
    /// Kept for its folder, which goes when this is dropped.
    pub folder: Option<tempfile::TempDir>,
}

/// The database from the side, for what the port does not allow.
pub enum Raw {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

impl Raw {
    /// Runs a statement; how many rows it changed.
    pub async fn run(&self, sql: &'static str) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => sqlx::query(sql).execute(pool).await?.rows_affected(),
            Self::Postgres(pool) => sqlx::query(sql).execute(pool).await?.rows_affected(),
        })
    }

    /// One number.
    pub async fn number(&self, sql: &'static str) -> i64 {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .expect("the statement gives a number")
    }

    /// A column of text.
    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("the statement gives texts")
    }

    pub const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// Keys that are the same for every store under test.
pub fn ring(active: &str) -> Arc<KeyRing> {
    let key = |id: &str, byte| RingKey { id: id.to_owned(), bytes: SecretBytes::new(vec![byte; 32]) };
    let keys = vec![key("2026-10", 1), key("2026-11", 2), key("persons", 3)];
    Arc::new(KeyRing::new(active, "persons", keys).expect("the ring is well-formed"))
}

impl Harness {
    /// What a migration is told.
    pub fn location(&self) -> Location {
        self.file.clone().map_or_else(|| Location::Postgres(self.url.clone()), Location::Sqlite)
    }

    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("relais.db");
        let url = Secret::new(format!("sqlite://{}", file.display()));
        migrate(&Location::Sqlite(file.clone())).await.expect("an empty file can be migrated");
        let ring = ring("2026-11");
        let store = SqliteStore::open(&file, Arc::clone(&ring), Arc::new(SystemRandom), OpenMode::Serve)
            .await
            .expect("a migrated file can be opened");
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let raw = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .expect("the file opens twice");
        Self {
            store: store.store(),
            ring,
            raw: Raw::Sqlite(raw),
            url,
            file: Some(file),
            folder: Some(folder),
        }
    }

    pub async fn postgres() -> Self {
        Self::postgres_with(16).await
    }

    /// With as many connections as there are calls at once: none waits for one, however slow the machine is.
    pub async fn postgres_with(max_connections: u32) -> Self {
        let url = postgres::database().await;
        let ring = ring("2026-11");
        let settings = PostgresSettings { url: url.clone(), listen_url: None, max_connections };
        let store = PostgresStore::connect_with(settings, Arc::clone(&ring), Arc::new(SystemRandom))
            .await
            .expect("a migrated database can be opened");
        let raw =
            PgPoolOptions::new().max_connections(1).connect(url.expose()).await.expect("the cluster answers");
        Self { store: store.store(), ring, raw: Raw::Postgres(raw), url, file: None, folder: None }
    }

    /// A login that is not in the store yet.
    pub fn new_login(&self, hint: &str) -> NewLogin {
        let login_id = LoginId(uuid_v7(&SystemRandom, NOW));
        let token = format!("rlt_{login_id}");
        NewLogin {
            login: Login {
                login_id,
                grant_id: GrantId(uuid_v7(&SystemRandom, NOW)),
                tenant: "cabinet".parse().expect("a name"),
                application: "logiciel".parse().expect("a name"),
                registration: "lps-bas".parse().expect("a name"),
                provider: "psc-bas".parse().expect("a name"),
                environment: Environment::Test,
                support_code: SupportCode::draw(&SystemRandom),
                delivery: Delivery::Poll,
                reference: Some("poste 3".to_owned()),
                channel: Some("MOBILE".to_owned()),
                binding_message: "42".to_owned(),
                login_hint: Some(Secret::new(hint)),
                x5t: Some("thumbprint".to_owned()),
                client_context: Some(r#"{"workstation":"accueil"}"#.to_owned()),
                created_at: NOW,
                owner: node(),
                version: 1,
                attempt: attempt(),
                state: LoginState::Starting { until: at(25) },
            },
            token_hash: self.ring.hash(Purpose::LoginToken, token.as_bytes()),
            notification: None,
            person: self.ring.pseudonym("psc-bas", hint),
            slot_until: at(150),
            replace: false,
            idempotency: None,
            scope: vec!["openid".to_owned(), "scope_all".to_owned()],
            acr_values: vec!["eidas1".to_owned()],
        }
    }

    /// The candidates of the token of [`Harness::new_login`].
    pub fn token_of(&self, login_id: LoginId) -> Vec<KeyedHash> {
        self.ring.candidates(Purpose::LoginToken, format!("rlt_{login_id}").as_bytes())
    }

    pub fn handle(&self, handle: &str) -> KeyedHash {
        self.ring.hash(Purpose::SessionHandle, handle.as_bytes())
    }

    /// A login in state starting.
    pub async fn starting(&self, hint: &str) -> NewLogin {
        let new = self.new_login(hint);
        started(self.store.start_login(new.clone(), &application()).await.expect("the store works"));
        new
    }

    /// A login in state pending.
    pub async fn pending(&self, hint: &str) -> NewLogin {
        let new = self.starting(hint).await;
        won(self.store.acknowledge(acknowledge(new.login.login_id)).await.expect("the store works"));
        new
    }

    /// A login in state approved.
    pub async fn approved(&self, hint: &str) -> NewLogin {
        let new = self.pending(hint).await;
        won(self.store.approve(approve(new.login.login_id)).await.expect("the store works"));
        new
    }

    /// A login in state picked up, whose handle is `handle`.
    pub async fn picked_up(&self, hint: &str, handle: &str) -> (NewLogin, Session) {
        let new = self.approved(hint).await;
        let pick_up = self.pick_up(&new.login, handle);
        let outcome = self.store.pick_up(pick_up, &holder()).await.expect("the store works");
        let PickUpOutcome::First(session) = outcome else { panic!("the first pick-up wins") };
        (new, *session)
    }

    /// A login in `status`, for those that have no session.
    pub async fn in_status(&self, status: LoginStatus, hint: &str) -> NewLogin {
        let end = match status {
            LoginStatus::Starting => return self.starting(hint).await,
            LoginStatus::Pending => return self.pending(hint).await,
            LoginStatus::Approved => return self.approved(hint).await,
            LoginStatus::PickedUp => return self.picked_up(hint, &format!("rsh_{hint}")).await.0,
            LoginStatus::Denied => EndStatus::Denied,
            LoginStatus::Expired => EndStatus::Expired,
            LoginStatus::Failed => EndStatus::Failed,
            LoginStatus::Cancelled => EndStatus::Cancelled,
        };
        let new = self.pending(hint).await;
        won(self.store.end_login(end_login(new.login.login_id, end), &holder()).await.expect("works"));
        new
    }

    /// A first pick-up of `login`.
    pub fn pick_up(&self, login: &Login, handle: &str) -> PickUp {
        let attempt = attempt();
        PickUp {
            session: Session {
                session_id: SessionId(uuid_v7(&SystemRandom, NOW)),
                login_id: login.login_id,
                grant_id: login.grant_id,
                tenant: login.tenant.clone(),
                application: login.application.clone(),
                registration: login.registration.clone(),
                provider: login.provider.clone(),
                environment: login.environment,
                support_code: login.support_code.clone(),
                reference: login.reference.clone(),
                x5t: login.x5t.clone(),
                exercice: None,
                created_at: at(10),
                expires_at: at(4 * 3600),
                idle: Duration::from_secs(1800),
                last_used_at: at(10),
                grant_expires_at: None,
                refresh: RefreshState { due_at: Some(at(900)), ..RefreshState::default() },
                version: 1,
                attempt,
                state: SessionState::Active,
            },
            attempt,
            now: at(10),
            handle: self.handle(handle),
            repeatable_until: at(70),
        }
    }

    /// The login as it is now.
    pub async fn read(&self, login_id: LoginId) -> Login {
        self.store.login(login_id).await.expect("the store works").expect("the login exists")
    }

    pub async fn status(&self, login_id: LoginId) -> LoginStatus {
        self.read(login_id).await.state.status()
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

pub fn node() -> NodeId {
    NodeId(uuid::Uuid::from_u128(7))
}

pub fn attempt() -> Attempt {
    Attempt(uuid_v4(&SystemRandom))
}

pub fn application() -> Actor {
    Actor {
        kind: relais::engine::ports::ActorKind::Application,
        request_id: Some("request-1".to_owned()),
        address: Some(([192, 0, 2, 1], 4711).into()),
        certificate_dn: Some("CN=logiciel,O=cabinet".to_owned()),
    }
}

pub fn provider() -> Actor {
    Actor {
        kind: relais::engine::ports::ActorKind::Provider,
        request_id: Some("request-2".to_owned()),
        address: Some(([192, 0, 2, 2], 4712).into()),
        certificate_dn: None,
    }
}

pub fn note(login_id: LoginId, seconds: u64) -> Note {
    Note { login_id, attempt: attempt(), now: at(seconds), by: provider() }
}

pub fn holder() -> Actor {
    Actor { kind: relais::engine::ports::ActorKind::Holder, ..Actor::engine() }
}

pub fn acknowledge(login_id: LoginId) -> Acknowledge {
    Acknowledge {
        login_id,
        attempt: attempt(),
        owner: node(),
        now: at(1),
        until: at(121),
        interval: Duration::from_secs(5),
        auth_req_id: Secret::new(AUTH_REQ_ID),
        request: None,
        slot_until: at(180),
    }
}

pub fn claims() -> GrantClaims {
    GrantClaims {
        subject: Subject {
            iss: "https://idp.example".to_owned(),
            sub: "sub-1".to_owned(),
            national_id: Some(HINT.to_owned()),
            national_id_kind: None,
            name: None,
            given_name: None,
            family_name: Some(FAMILY_NAME.to_owned()),
            exercices: Vec::new(),
            groups: Vec::new(),
            complete: false,
        },
        acr: Some("eidas1".to_owned()),
        amr: vec!["mfa".to_owned()],
        auth_time: Some(at(4)),
        authenticated_by: Some("MOBILE".to_owned()),
        sid: Some("sid-1".to_owned()),
        scope: vec!["openid".to_owned()],
    }
}

pub fn approve(login_id: LoginId) -> Approve {
    Approve {
        login_id,
        attempt: attempt(),
        by: Actor::engine(),
        now: at(6),
        until: at(306),
        tokens: Tokens {
            access_token: Secret::new(ACCESS_TOKEN),
            access_expires_at: Some(at(126)),
            refresh_token: Some(Secret::new(REFRESH_TOKEN)),
            refresh_expires_at: Some(at(1800)),
            // No two logins have the same.
            id_token: Secret::new(format!("{ID_TOKEN}.{login_id}.signature")),
        },
        claims: claims(),
    }
}

/// From any open state to `status`, freeing the slot.
pub fn end_login(login_id: LoginId, status: EndStatus) -> EndLogin {
    EndLogin {
        login_id,
        attempt: attempt(),
        from: &[LoginStatus::Starting, LoginStatus::Pending, LoginStatus::Approved],
        owner: None,
        now: at(8),
        status,
        reason: match status {
            EndStatus::Denied => LoginReason::UserDenied,
            EndStatus::Expired => LoginReason::Expired,
            EndStatus::Failed => LoginReason::Internal,
            EndStatus::Cancelled => LoginReason::Cancelled,
        },
        slot: SlotFate::Free,
        hidden_until: None,
    }
}

pub fn won(transition: Transition) -> Login {
    match transition {
        Transition::Won(login) => *login,
        Transition::Lost(login) => panic!("lost; the login is {:?}", login.state),
        Transition::NotFound => panic!("not found"),
    }
}

pub fn lost(transition: Transition) -> Login {
    match transition {
        Transition::Lost(login) => *login,
        Transition::Won(login) => panic!("won; the login is {:?}", login.state),
        Transition::NotFound => panic!("not found"),
    }
}

/// The login that a start replaced.
#[expect(clippy::needless_pass_by_value, reason = "an outcome is looked at once")]
pub fn started(outcome: StartOutcome) -> Option<LoginId> {
    match outcome {
        StartOutcome::Started { replaced } => replaced,
        StartOutcome::Replay { .. } => panic!("a replay"),
        StartOutcome::AlreadyPending { replaceable, .. } => {
            panic!("already pending, replaceable: {replaceable}")
        }
    }
}
