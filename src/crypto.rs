//! Keys, seals, hashes and certificates: everything cryptographic that is not TLS itself.
//!
//! One ring of keys ([`ring`]) is the root. From each of its keys one sub-key per purpose is derived, so that no
//! value made for one purpose is of any use for another: keyed hashes, login tokens ([`token`]), wrapped data keys
//! ([`seal`]), configuration secrets ([`enc`]). Certificates are read in [`x509`] and, for development, made in [`pki`].
//! What Relais signs as a client is made by [`signer`]; what its own clients sign is read in [`assertion`].
//!
//! Nothing here reads a clock, knows a database or opens a connection; only [`key_file`], [`file_stamp`], [`x509`],
//! [`pki`], [`signer`] and [`jwks`] touch files. Types with key material have no `Debug`, no `Display` and no `Serialize`.

pub mod assertion;
pub mod enc;
mod envelope;
pub mod file_stamp;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod jwks;
pub mod jws;
pub mod key_file;
pub mod pki;
pub mod private_file;
pub mod random;
pub mod ring;
pub mod seal;
pub mod signer;
pub mod signing_key;
pub mod strict_json;
#[cfg(test)]
mod testing;
pub mod token;
pub mod x509;

#[cfg(test)]
mod no_leak;
