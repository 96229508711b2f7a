//! Relais: a CIBA intermediary OpenID server.
//!
//! The folders are the architecture and arrows point one way (`tests/it/house.rs` checks them):
//!
//! - [`domain`]: facts and states, no I/O; knows nobody.
//! - [`crypto`]: key ring, seal, keyed hashes, certificates.
//! - [`net`]: accept loop, TLS, limits; outbound client builder.
//! - [`engine`]: the use cases, and the ports they need.
//! - [`store`], [`provider`], [`target`], [`http`]: adapters; they never know each other.
//! - [`client`]: a typed thick client of the client API.
//! - [`practice`]: plays a practice's software in the demo.
//! - [`mod@bench`]: load on a running server.
//! - [`simulator`]: the simulated provider, with wire types of its own.
//! - [`config`]: configuration into domain values and plain settings.
//! - [`app`]: puts everything together.
//! - [`cli`]: the verbs.
//! - [`telemetry`]: logs and metrics.

pub mod app;
pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod engine;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod net;
pub mod practice;
pub mod provider;
pub mod simulator;
pub mod store;
pub mod target;
pub mod telemetry;
