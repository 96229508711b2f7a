//! The integration tests: one binary, real HTTP, both stores.

mod cli_config;
mod client;
mod flows;
mod house;
<<<<<<< HEAD
mod provider;
=======
mod http;
>>>>>>> 36b35a7 (Tests of the client API over the engine and SQLite)
mod support;
