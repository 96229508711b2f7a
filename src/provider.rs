//! Implements the engine's `Providers` port: an OpenID Provider with CIBA, seen from its client.
//!
//! [`Clients`] is the door. Below it: what is known of a provider (`metadata`, `keys`, `upstream`), how a
//! registration calls it (`call`, `client_auth`, `certificates`, `signing_keys`), the conversations
//! (`backchannel`, `token`, `refresh`, `userinfo`, `endings`, and `exchange` with authorization servers of targets), what
//! a token of its proves (`jwt`, `id_token`, `logout_token`), and who it names (`subject`).
//! [`examine`] looks whether all of it would work, and rings nobody.
//!
//! Invariants: an authentication request is sent at most once; endpoints come from validated metadata only,
//! those of exchanges from the configuration; a client certificate goes to its own provider and to the authorization
//! servers of the targets that its registration is configured for; nothing secret or personal reaches a log. This module decides
//! nothing about a login's states: it says which outcome of the state table an answer means.

mod backchannel;
mod call;
mod certificates;
mod client_auth;
mod clients;
mod endings;
mod examination;
mod exchange;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod id_token;
mod jwt;
mod keys;
mod logout_token;
mod metadata;
mod notification;
mod oauth_error;
mod refresh;
mod retry_after;
mod settings;
mod signing_keys;
mod subject;
mod token;
mod upstream;
mod userinfo;

use crate::crypto::strict_json;

pub use certificates::CertificateError;
pub use clients::Clients;
pub use examination::examine;
pub use settings::{
    AssertionAudience, CertificateFiles, Credential, ExchangeSettings, IdTokenAlg, ProviderSettings,
    RegistrationSettings, SettingsError, Signing, UnknownAlg,
};
pub use signing_keys::SigningKeyError;
