//! The integration tests: one binary, real HTTP, both stores.

mod provider;
mod support;
