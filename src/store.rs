//! Implements the engine's [`Store`](crate::engine::ports::Store) and [`Wake`](crate::engine::ports::Wake) ports on
//! SQLite (one node, embedded) and PostgreSQL 15+ (one or many nodes).
//!
//! Every transition is written once, over a small layer of our own ([`conn`]); [`sqlite`] and [`postgres`] only
//! know how a piece of work gets a connection, a transaction and a commit whose outcome is known. Where the dialects
//! differ there is a table of constants ([`dialect`]).
//!
//! Invariants: a transition is one guarded statement, never a read followed by a write that trusts it; it writes
//! the caller's attempt and its audit record in the same transaction; SQL text is constant; nothing secret is stored
//! in clear ([`vault`]). No transaction, connection or SQL type leaves this folder.

mod announcements;
mod assertions;
pub mod audit;
mod conn;
mod dialect;
mod facade;
mod grants;
mod late;
mod logins;
mod logout;
pub mod migrations;
mod nodes;
mod outbox;
mod pick_up;
pub mod postgres;
mod refreshes;
mod rows;
mod sessions;
pub mod sqlite;
mod start;
mod upkeep;
mod vault;
