//! The integration tests: one binary, real HTTP, both stores.

mod cli_config;
mod cli_demo;
mod client;
mod flows;
mod house;
mod http;
mod provider;
mod store;
mod support;
