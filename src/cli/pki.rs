//! `pki dev`: an authority, a server and a client certificate for development.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::End;

use super::output::{failed, say};
use crate::app::clock::SystemClock;
use crate::crypto::pki::DevPki;
use crate::domain::clock::Clock as _;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Write ca.pem, server.pem, server.key, client.pem and client.key; nothing is overwritten
    Dev {
        /// The folder; made where it does not exist
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The CN of the client certificate
        #[arg(long, value_name = "ID", default_value = "relais-demo")]
        client_id: String,
    },
}

pub(super) fn run(verb: &Verb) -> End {
    match verb {
        Verb::Dev { out, client_id } => dev(out, client_id),
    }
}

fn dev(out: &Path, client_id: &str) -> End {
    let written = DevPki::generate(client_id, SystemClock::start().now()).and_then(|pki| pki.write(out));
    match written {
        Ok(()) => {
            say(format_args!("{} written to {}", DevPki::FILES.join(", "), out.display()));
            End::Done
        }
        Err(error) => failed(&error),
    }
}
