//! `keys generate`: a new key in a new file.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::End;
use super::output::{failed, say};
use crate::crypto::key_file;
use crate::crypto::random::SystemRandom;
use crate::crypto::signing_key::{self, SigningAlg};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Write a new key (32 random bytes, base64url) into a new file that only its owner may read
    Generate {
        /// The file; it must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Make a signing key (PKCS#8, PEM) for this algorithm instead
        #[arg(long, value_enum, value_name = "ALG")]
        signing: Option<Signing>,
    },
}

/// As RFC 7518 §3.1 writes them.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Signing {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "PS256")]
    Ps256,
    #[value(name = "ES256")]
    Es256,
}

impl From<Signing> for SigningAlg {
    fn from(signing: Signing) -> Self {
        match signing {
            Signing::Rs256 => Self::Rs256,
            Signing::Ps256 => Self::Ps256,
            Signing::Es256 => Self::Es256,
        }
    }
}

pub(super) fn run(verb: &Verb) -> End {
    match verb {
        Verb::Generate { out, signing } => generate(out, *signing),
    }
}

fn generate(out: &Path, signing: Option<Signing>) -> End {
    let key = match signing {
        None => key_file::generate(&SystemRandom),
        Some(signing) => match signing_key::generate(signing.into()) {
            Ok(key) => key,
            Err(error) => return failed(&error),
        },
    };
    match key_file::write_new(out, &key) {
        Ok(()) => {
            say(format_args!("{} written", out.display()));
            End::Done
        }
        Err(error) => failed(&error),
    }
}
