//! The composition root: puts store, providers, engine and listeners together, runs, drains and reloads them.

pub mod clock;
