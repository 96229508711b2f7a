//! What the tests stand on: a whole stack in this process (simulated provider over TLS with client certificates,
//! Relais on either store), and callers that speak plain HTTP to it.

pub mod clock;
pub mod database;
pub mod desk;
pub mod downstream;
pub mod http;
pub mod jwt;
pub mod log;
pub mod openapi;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod stack;
pub mod targets;
