//! Implements the engine's `Store` port on SQLite and PostgreSQL.
