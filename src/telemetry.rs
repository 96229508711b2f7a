//! Logs and metrics: every name in one place.

pub mod metrics;
