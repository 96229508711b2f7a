//! What lies sealed in `grants` and `outbox`: one data key per row, each column sealed for itself.
//!
//! The engine hands over clear values and gets clear values back; SQL sees ciphertext only. A value that was moved
//! to another row or column does not open, and that is an error, never an absence.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::conn::{Context, Fault};
use crate::crypto::seal::{DataKey, Place, WrapContext};
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::names::{RegistrationName, TenantName};
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::time::Timestamp;

/// Whose secrets: what the wrapped data key is bound to.
pub(super) struct Whose<'a> {
    pub place: Place,
    pub tenant: &'a TenantName,
    pub registration: &'a RegistrationName,
}

impl Whose<'_> {
    fn wrap_context(&self) -> WrapContext<'_> {
        WrapContext {
            place: self.place,
            tenant: self.tenant.as_str(),
            registration: self.registration.as_str(),
        }
    }
}

/// The data key of one row, at hand.
pub(super) struct Vault<'c> {
    context: &'c Context,
    place: Place,
    key: DataKey,
}

impl<'c> Vault<'c> {
    /// Draws a data key for a new row; the wraps to store.
    pub fn create(context: &'c Context, whose: &Whose<'_>) -> Result<(Self, String), Fault> {
        let key = DataKey::draw(context.random.as_ref());
        let wraps = context.ring.wrap(context.random.as_ref(), &key, &whose.wrap_context())?;
        Ok((Self { context, place: whose.place, key }, wraps))
    }

    /// Unwraps the data key of a stored row.
    pub fn open(context: &'c Context, whose: &Whose<'_>, wraps: &str) -> Result<Self, Fault> {
        let key = context
            .ring
            .unwrap_key(wraps, &whose.wrap_context())
            .map_err(|_| Fault::Sealed { table: whose.place.table(), column: "wraps" })?;
        Ok(Self { context, place: whose.place, key })
    }

    /// Seals a text for `column`.
    pub fn seal_text(&self, column: &'static str, text: &Secret) -> Result<Vec<u8>, Fault> {
        self.seal(column, text.expose().as_bytes())
    }

    /// Opens a text of `column`.
    pub fn open_text(&self, column: &'static str, sealed: &[u8]) -> Result<Secret, Fault> {
        let bytes = self.open_bytes(column, sealed)?;
        let text = std::str::from_utf8(bytes.expose())
            .map_err(|_| Fault::Inconsistent { table: self.place.table(), column })?;
        Ok(Secret::new(text))
    }

    /// Seals tokens.
    pub fn seal_tokens(&self, tokens: &Tokens) -> Result<Vec<u8>, Fault> {
        self.seal_json("tokens", &StoredTokens::of(tokens))
    }

    /// Opens tokens.
    pub fn open_tokens(&self, sealed: &[u8]) -> Result<Tokens, Fault> {
        let bytes = self.open_bytes("tokens", sealed)?;
        let stored: StoredTokensOwned = serde_json::from_slice(bytes.expose())
            .map_err(|_| Fault::Inconsistent { table: self.place.table(), column: "tokens" })?;
        Ok(stored.into_tokens())
    }

    /// Seals claims.
    pub fn seal_claims(&self, claims: &GrantClaims) -> Result<Vec<u8>, Fault> {
        self.seal_json("claims", claims)
    }

    /// Opens claims.
    pub fn open_claims(&self, sealed: &[u8]) -> Result<GrantClaims, Fault> {
        let bytes = self.open_bytes("claims", sealed)?;
        serde_json::from_slice(bytes.expose())
            .map_err(|_| Fault::Inconsistent { table: self.place.table(), column: "claims" })
    }

    fn seal_json(&self, column: &'static str, value: &impl Serialize) -> Result<Vec<u8>, Fault> {
        let clear = Zeroizing::new(serde_json::to_vec(value)?);
        self.seal(column, &clear)
    }

    fn seal(&self, column: &'static str, clear: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.key.seal(self.context.random.as_ref(), column, self.place, clear)?)
    }

    fn open_bytes(&self, column: &'static str, sealed: &[u8]) -> Result<SecretBytes, Fault> {
        let Self { place, key, .. } = self;
        key.open(column, *place, sealed).map_err(|_| Fault::Sealed { table: place.table(), column })
    }
}

/// Tokens as they are written, before they are sealed.
#[derive(Serialize)]
struct StoredTokens<'a> {
    access_token: &'a str,
    access_expires_at: Option<i64>,
    refresh_token: Option<&'a str>,
    refresh_expires_at: Option<i64>,
    id_token: &'a str,
}

impl<'a> StoredTokens<'a> {
    fn of(tokens: &'a Tokens) -> Self {
        Self {
            access_token: tokens.access_token.expose(),
            access_expires_at: tokens.access_expires_at.map(Timestamp::as_micros),
            refresh_token: tokens.refresh_token.as_ref().map(Secret::expose),
            refresh_expires_at: tokens.refresh_expires_at.map(Timestamp::as_micros),
            id_token: tokens.id_token.expose(),
        }
    }
}

/// Tokens as they are read.
#[derive(Deserialize)]
struct StoredTokensOwned {
    access_token: String,
    access_expires_at: Option<i64>,
    refresh_token: Option<String>,
    refresh_expires_at: Option<i64>,
    id_token: String,
}

impl StoredTokensOwned {
    fn into_tokens(self) -> Tokens {
        Tokens {
            access_token: Secret::new(self.access_token),
            access_expires_at: self.access_expires_at.map(Timestamp::from_micros),
            refresh_token: self.refresh_token.map(Secret::new),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp::from_micros),
            id_token: Secret::new(self.id_token),
        }
    }
}
