//! The command line: one file per verb.
//!
//! Data goes to stdout, everything else to stderr. A verb gives back how it ended; nothing else exits the process.
//! Secrets are never arguments: they come from stdin or a file.

mod bench;
mod check;
mod demo;
mod doctor;
mod keys;
pub mod login;
mod migrate;
mod openapi;
mod output;
mod pki;
mod secret;
mod serve;
mod simulator;
pub mod terminal;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::app::clock::SystemClock;
use crate::crypto::random::SystemRandom;

/// The command line of `relais`.
#[derive(Parser)]
#[command(
    name = "relais",
    version,
    about = "CIBA intermediary OpenID server",
    disable_help_subcommand = true
)]
struct Arguments {
    /// The configuration file; relative paths in it start from its folder
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

/// What `relais` can be asked to do.
#[derive(Subcommand)]
enum Verb {
    /// Serve; applies migrations first
    Serve(serve::Arguments),
    /// Everything in one process: simulated PSC, phone page, Relais, a terminal thick client
    Demo(demo::Arguments),
    /// The simulated provider alone
    Simulator(simulator::Arguments),
    /// Sign one person in, as a thick client does
    Login(Box<login::LoginArgs>),
    /// Load a running server of a test environment on this machine, and tell what came of it
    Bench(Box<bench::Arguments>),
    /// Read the configuration and tell every problem at once
    Check,
    /// Prove each registration end to end, and ring nobody
    Doctor(doctor::Arguments),
    /// Keep secrets out of the configuration in clear
    #[command(subcommand)]
    Secret(secret::Verb),
    /// Make keys
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Make certificates for development
    #[command(subcommand)]
    Pki(pki::Verb),
    /// Bring the database's schema up to date
    Migrate(migrate::Arguments),
    /// Print the OpenAPI document of the client API
    Openapi(openapi::Arguments),
    /// Say which version this is
    Version(version::Arguments),
}

/// How a verb ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Done.
    Done,
    /// It could not be done.
    Failed,
    /// The command line or the configuration is at fault.
    Usage,
    /// Done, and something deserves attention.
    Warnings,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Failed => Self::from(1),
            End::Usage => Self::from(2),
            End::Warnings => Self::from(3),
        }
    }
}

/// Reads the command line and does what it asks for. Usage errors end with code 2.
pub fn main() -> ExitCode {
    let Arguments { config, verb } = Arguments::parse();
    let config = config.as_deref();
    match verb {
        Verb::Serve(arguments) => wait_for(serve::run(config, arguments)),
        Verb::Demo(arguments) => wait_for(demo::run(arguments)),
        Verb::Simulator(arguments) => wait_for(simulator::run(arguments)),
        Verb::Login(arguments) => return log_in(*arguments),
        Verb::Bench(arguments) => wait_for(bench::run(*arguments)),
        Verb::Check => check::run(config),
        Verb::Doctor(arguments) => wait_for(doctor::run(config, arguments)),
        Verb::Secret(verb) => secret::run(config, &verb),
        Verb::Keys(verb) => keys::run(&verb),
        Verb::Pki(verb) => pki::run(&verb),
        Verb::Migrate(arguments) => wait_for(migrate::run(config, arguments)),
        Verb::Openapi(arguments) => openapi::run(&arguments),
        Verb::Version(arguments) => version::run(&arguments),
    }
    .into()
}

/// The one verb with endings of its own.
fn log_in(arguments: login::LoginArgs) -> ExitCode {
    match runtime() {
        Ok(runtime) => {
            let verb = login::run(arguments, Arc::new(SystemClock::start()), &SystemRandom);
            run_and_leave(runtime, verb)
        }
        Err(error) => output::failed(&error).into(),
    }
}

/// Runs a verb that waits.
fn wait_for(verb: impl Future<Output = End>) -> End {
    match runtime() {
        Ok(runtime) => run_and_leave(runtime, verb),
        Err(error) => output::failed(&error),
    }
}

/// Leaves without waiting for threads: one that reads from a terminal ends with the next line only.
fn run_and_leave<T>(runtime: tokio::runtime::Runtime, verb: impl Future<Output = T>) -> T {
    let end = runtime.block_on(verb);
    runtime.shutdown_background();
    end
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_verb_ends_although_a_line_is_still_awaited() {
        let (line, lines) = mpsc::channel::<()>();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            let verb = async {
                let (began, beginning) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    let _ = began.send(());
                    lines.recv()
                });
                beginning.await.expect("the read has begun");
                End::Done
            };
            let _ = ended.send(wait_for(verb));
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(End::Done));
        drop(line);
    }
}
