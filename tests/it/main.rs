//! The integration tests: one binary, real HTTP, both stores.

mod cli_config;
mod client;
mod flows;
mod house;
mod http;
mod model;
mod process;
mod provider;
mod store;
mod support;
