//! The integration tests: one binary, real HTTP, both stores.

mod store;
mod support;
