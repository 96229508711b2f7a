//! A grant: what the provider gave. It lives from the acknowledgement to the end of logout, sealed in the store,
//! and is never visible outside.

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::subject::Subject;
use super::time::Timestamp;

/// What the ID token (and later userinfo) said about the person and how they authenticated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantClaims {
    /// Who it is.
    pub subject: Subject,
    /// What the person was asked for by, as the ID token confirmed it: the claim that equals the login hint.
    pub username: Option<String>,
    /// `acr` of the ID token.
    pub acr: Option<String>,
    /// `amr` of the ID token.
    pub amr: Vec<String>,
    /// `auth_time` of the ID token; on PSC it may be long before the login (single sign-on).
    pub auth_time: Option<Timestamp>,
    /// How the person authenticated, in the provider's word (`CARD`, `MOBILE`).
    pub authenticated_by: Option<String>,
    /// `sid` of the ID token: the provider's session.
    pub sid: Option<String>,
    /// The granted scope; where the provider does not say, the requested one.
    pub scope: Vec<String>,
}

/// The tokens of one grant.
#[derive(Clone)]
pub struct Tokens {
    /// The access token.
    pub access_token: Secret,
    /// When it dies, where the provider said so.
    pub access_expires_at: Option<Timestamp>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// When the refresh token dies, where the provider said so.
    pub refresh_expires_at: Option<Timestamp>,
    /// The ID token, kept as `id_token_hint` for the logout at the provider.
    pub id_token: Secret,
}
