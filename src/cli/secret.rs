//! `secret encrypt`: a secret on stdin, its `ENC(…)` on stdout.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use clap::Subcommand;
use zeroize::Zeroizing;

use super::End;

use super::output::{data, environment, failed, say};
use crate::app::clock::SystemClock;
use crate::config;
use crate::crypto::enc;
use crate::crypto::random::SystemRandom;
use crate::domain::clock::Clock as _;
use crate::domain::secret::Secret;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Read a secret on stdin and print ENC(…) for the configuration; needs --config for the key ring
    Encrypt,
}

/// Far more than any secret is long.
const LIMIT: u64 = 64 * 1024;

pub(super) fn run(config: Option<&Path>, verb: &Verb) -> End {
    match verb {
        Verb::Encrypt => encrypt(config),
    }
}

fn encrypt(config: Option<&Path>) -> End {
    let now = SystemClock::start().now();
    let ring = match environment().and_then(|environment| config::load_key_ring(config, environment, now)) {
        Ok(ring) => ring,
        Err(problems) => {
            say(problems);
            return End::Usage;
        }
    };
    let secret = match read_secret() {
        Ok(secret) => secret,
        Err(error) => return failed(&error),
    };
    if secret.expose().is_empty() {
        say("relais: no secret on stdin");
        return End::Usage;
    }
    match enc::encrypt(&ring, &SystemRandom, &secret) {
        Ok(text) => data(text),
        Err(error) => failed(&error),
    }
}

/// One secret: all of stdin without the line feed at its end; from a terminal, one line without echo.
fn read_secret() -> io::Result<Secret> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password("secret: ").map(Secret::new);
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin().lock().take(LIMIT).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}
