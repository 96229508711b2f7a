//! Logs and metrics: every name in one place.

pub mod error_chain;
pub mod exporter;
pub mod log;
pub mod metrics;
