//! Secret values.
//!
//! A secret has no `Debug`, no `Display` and no `Serialize`, so that it cannot reach a log, an error or an
//! answer by accident; it is wiped from memory when dropped. Whoever needs the text says [`Secret::expose`], and
//! that word is what a reviewer searches for.

use zeroize::Zeroizing;

/// A secret text: token, client secret, hint, key material in text form.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Secret bytes: keys, plaintext about to be sealed.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes in.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The secret that reads, cancels and picks up one login (`rlt_…`).
#[derive(Clone)]
pub struct LoginToken(pub Secret);

/// The secret that a provider proves itself with when it tells the outcome of one login by itself (`rnt_…`): the
/// `client_notification_token` of CIBA §7.1.
#[derive(Clone)]
pub struct NotificationToken(pub Secret);

/// The secret that uses one session (`rsh_…`): the *jeton applicatif* of the CI-SIS guide.
#[derive(Clone)]
pub struct SessionHandle(pub Secret);
