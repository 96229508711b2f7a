//! The integration tests: one binary, real HTTP, both stores.

#![expect(clippy::panic, reason = "a test that cannot go on says why and fails")]

mod cli_config;
mod cli_demo;
mod client;
mod flows;
mod house;
mod http;
mod model;
mod practice;
mod process;
mod provider;
mod store;
mod support;
