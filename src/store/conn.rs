//! The layer that transitions are written over: typed values in, rows out, and what can go wrong.
//!
//! One implementation of [`Conn`] per database. A statement is constant text with `$1…` that both dialects take; the
//! few that differ are in [`super::dialect`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, Type};
use thiserror::Error;
use uuid::Uuid;

use super::dialect::Dialect;
use crate::crypto::ring::{KeyRing, Pseudonym};
use crate::crypto::seal::SealError;
use crate::domain::ids::{Attempt, GrantId, LoginId, NodeId, OutboxId, SessionId};
use crate::domain::random::Random;
use crate::domain::time::Timestamp;
use crate::engine::ports::StoreError;

/// A bound value. Nulls are typed, because PostgreSQL wants to know.
#[derive(Clone, Debug)]
pub(super) enum Value {
    I64(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    /// A list for `IN`: an array in PostgreSQL, JSON in SQLite (see [`Dialect`]).
    Uuids(Vec<Uuid>),
}

macro_rules! from {
    ($variant:ident: $($type:ty => $value:expr),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from(from: $type) -> Self {
                let convert: fn($type) -> _ = $value;
                Self::$variant(Some(convert(from)))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(from: Option<$type>) -> Self {
                let convert: fn($type) -> _ = $value;
                Self::$variant(from.map(convert))
            }
        })+
    };
}

from!(I64: i64 => |n| n, u32 => i64::from, u16 => i64::from, bool => i64::from, Timestamp => Timestamp::as_micros);
from!(Text: String => |t| t, &str => str::to_owned);
from!(Bytes: Vec<u8> => |b| b, [u8; 32] => |b| b.to_vec(), Pseudonym => |p| p.as_bytes().to_vec());
from!(Uuid: Uuid => |u| u, LoginId => |i| i.0, GrantId => |i| i.0, SessionId => |i| i.0, OutboxId => |i| i.0, NodeId => |i| i.0, Attempt => |i| i.0);

impl From<Vec<Uuid>> for Value {
    fn from(list: Vec<Uuid>) -> Self {
        Self::Uuids(list)
    }
}

/// The arguments of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::conn::Value::from($value)),*] };
}
pub(super) use args;

/// One row of either database.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of `column`; a type that does not fit is a row that does not fit.
    pub fn get<T>(&self, table: &'static str, column: &'static str) -> Result<T, Fault>
    where
        T: for<'r> Decode<'r, sqlx::Sqlite> + Type<sqlx::Sqlite>,
        T: for<'r> Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
    {
        match self {
            Self::Sqlite(row) => get_from(row, table, column),
            Self::Postgres(row) => get_from(row, table, column),
        }
    }
}

fn get_from<R, T>(row: &R, table: &'static str, column: &'static str) -> Result<T, Fault>
where
    R: sqlx::Row,
    R::Database: Database,
    for<'a> &'a str: ColumnIndex<R>,
    T: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).map_err(|_| Fault::Inconsistent { table, column })
}

/// A connection, inside a transaction where the work writes.
#[async_trait]
pub(super) trait Conn: Send {
    /// Where this database says things in its own way.
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement; how many rows it changed.
    async fn execute(&mut self, sql: &'static str, args: &[Value]) -> Result<u64, Fault>;

    /// Runs a statement; the rows it gives.
    async fn fetch(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, Fault>;
}

/// A connection behind the trait.
pub(super) type Db = dyn Conn;

impl dyn Conn {
    /// The first row that a statement gives.
    pub async fn fetch_first(&mut self, sql: &'static str, args: &[Value]) -> Result<Option<Row>, Fault> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }
}

/// What every transition needs besides a connection.
pub(super) struct Context {
    pub ring: Arc<KeyRing>,
    pub random: Arc<dyn Random>,
}

/// A piece of work that may have to run again: in a new transaction after a conflict, or on a new connection after
/// an unknown commit outcome, where it finds its own attempt.
pub(super) type Work<T> = Box<dyn for<'c> Fn(&'c mut Db) -> BoxFuture<'c, Result<T, Fault>> + Send + Sync>;

/// Why a piece of work stopped.
#[derive(Error)]
pub(super) enum Fault {
    /// The database or the way to it. No source: the driver's own error carries the values of a failing row.
    #[error("{}", said(.0))]
    Database(sqlx::Error),
    /// A row does not fit the model.
    #[error("{table}.{column} holds what the model does not know")]
    Inconsistent { table: &'static str, column: &'static str },
    /// A sealed value does not open.
    #[error("a sealed value of {table}.{column} does not open")]
    Sealed { table: &'static str, column: &'static str },
    /// A value could not be sealed or written as JSON.
    #[error("a value could not be prepared for storage")]
    Unsealable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody was faster between two statements: run again from the start.
    #[error("concurrent writers kept getting in each other's way")]
    Again,
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    TimedOut,
    /// The work panicked: a defect. Its text may quote a secret and is not kept.
    #[error("a piece of work panicked")]
    Panicked,
    /// This process may not do that with this database.
    #[error("{0}")]
    NotAllowed(&'static str),
}

/// As it is shown: what a derived one would print includes the values of a failing row.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.class())
    }
}

/// What the database said, with its code, and without the values that it was about.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            format!("the database answered {}: {}", database.code().unwrap_or_default(), database.message())
        }
        error => format!("the database did not answer: {error}"),
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SealError> for Fault {
    fn from(error: SealError) -> Self {
        Self::Unsealable(Box::new(error))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Unsealable(Box::new(error))
    }
}

/// What a fault means for whoever runs the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// The connection is gone; whether a commit arrived is unknown.
    Lost,
    /// Serialization failure, deadlock, or [`Fault::Again`]: the transaction is rolled back, run it again.
    Conflict,
    /// The database lives but cannot now.
    Busy,
    /// A defect, or a row that does not fit.
    Refused,
}

impl Fault {
    pub fn class(&self) -> Class {
        match self {
            Self::Database(error) => class_of(error),
            Self::Again => Class::Conflict,
            Self::TimedOut => Class::Lost,
            Self::Inconsistent { .. }
            | Self::Sealed { .. }
            | Self::Unsealable(_)
            | Self::Panicked
            | Self::NotAllowed(_) => Class::Refused,
        }
    }

    /// As the port says it.
    pub fn at(self, operation: &'static str) -> StoreError {
        match self {
            Self::Inconsistent { table, column } => StoreError::Inconsistent { table, column },
            Self::Sealed { table, column } => StoreError::Sealed { table, column },
            fault if fault.class() == Class::Refused => {
                StoreError::Refused { operation, source: Arc::new(fault) }
            }
            fault => StoreError::Unavailable { operation, source: Arc::new(fault) },
        }
    }
}

fn class_of(error: &sqlx::Error) -> Class {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            Class::Lost
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Class::Busy,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<PgDatabaseError>().is_some() {
                postgres_class(&code)
            } else {
                sqlite_class(&code)
            }
        }
        _ => Class::Refused,
    }
}

/// SQLSTATE, PostgreSQL appendix A.
fn postgres_class(code: &str) -> Class {
    match code {
        "40001" | "40P01" => Class::Conflict,
        // The server ends the connection: shutdown, crash, idle in a transaction for too long.
        "57P01" | "57P02" | "25P03" => Class::Lost,
        // Statement and lock time-outs; too many connections; starting up; read-only (a standby).
        "57014" | "55P03" | "57P03" | "25006" => Class::Busy,
        code if code.starts_with("08") => Class::Lost,
        code if code.starts_with("53") || code.starts_with("58") => Class::Busy,
        _ => Class::Refused,
    }
}

/// Result codes of SQLite; the low byte of an extended code is the primary one.
fn sqlite_class(code: &str) -> Class {
    match code.parse::<u32>().unwrap_or(1) & 0xff {
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
        5 | 6 | 7 | 8 | 10 | 13 | 14 => Class::Busy,
        _ => Class::Refused,
    }
}
