//! The contract of the stores: every test runs on SQLite and on PostgreSQL.

#![expect(clippy::panic, reason = "what several tests share fails the test that calls it")]

pub mod harness;

mod announcements;
mod arrows;
mod assertions;
mod audit;
mod cancel_safety;
mod commit_outcome;
mod id_tokens;
mod idempotency;
mod logout_races;
mod logouts;
mod migrations;
mod nodes;
mod outbox;
mod pick_ups;
mod plans;
mod refreshes;
mod sealing;
mod serve_lock;
mod sessions;
mod slots;
mod upkeep;
mod wake;
