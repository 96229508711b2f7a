//! Implements the engine's `Providers` port: an OpenID Provider with CIBA, seen from its client.

mod id_token;
mod jwt;
mod keys;
mod metadata;
mod oauth_error;
mod retry_after;
mod settings;
mod strict_json;
mod subject;
