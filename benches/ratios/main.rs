//! What is worth a ratio: `GET /v1/session` over PostgreSQL against a bare handler with one indexed read, in the same
//! run; and how often a second the cryptography of a call can be done.
//!
//! `scripts/bench` runs it. By hand: `RELAIS_BENCH_POSTGRES_URL=… cargo bench --bench ratios`, the URL of an empty database. Logs are written as in
//! production (stderr), because they are part of what a call costs. Prints lines of a name and a value.

#![expect(clippy::panic, reason = "a measurement that cannot go on says why and fails")]

mod primitives;
mod session;

use std::io::Write as _;

use relais::telemetry::log;

#[tokio::main]
async fn main() {
    log::init(&log::Options { format: log::Format::Json, filter: None }).expect("nobody has set up logs");
    relais::net::install_provider();
    primitives::run();
    session::run().await;
}

/// Tells one measured value.
fn tell(name: &str, value: f64, unit: &str) {
    writeln!(std::io::stdout().lock(), "{name:<44} {value:>12.3} {unit}").expect("stdout is open");
}
