//! The network edge: the accept loop with its limits and certificates, and the outbound client builder.
//!
//! Every socket of the program that speaks HTTP passes through here, so that limits, certificate checks and the
//! rules about addresses stand in one place. This module knows no route, no protocol and no configuration: it
//! takes plain settings. [`install_provider`] must have been called before anything here does TLS.

pub mod listener;
pub mod outbound;
pub mod tls;

#[cfg(test)]
pub(crate) mod testing;

/// Makes aws-lc-rs the process's TLS provider. Call it first in `main` and in every test that does TLS; further
/// calls do nothing.
pub fn install_provider() {
    // The error says that one is installed already, which is what was wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
