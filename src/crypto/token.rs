//! Login tokens, session handles and notification tokens: how they are drawn, derived, recognised and hashed.
//!
//! A token is `rlt_` (login token), `rsh_` (session handle) or `rnt_` (notification token: what a provider comes with,
//! never a client), 43 characters base64url of 32 bytes, and 6 characters of
//! checksum: base64url of the first 4 bytes of SHA-256 over what stands before. The prefix and the checksum let a
//! secret scanner find it and let the server tell a mistyped token from an unknown one without asking the store.
//! Only keyed hashes of them are ever stored (R-E-01, R-E-02).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ring::{KeyRing, KeyedHash, Purpose, tag_bytes};
use crate::domain::ids::LoginId;
use crate::domain::random::Random;
use crate::domain::secret::{LoginToken, NotificationToken, Secret, SessionHandle};

const PREFIX: usize = 4;
const BODY: usize = 43;
const CHECKSUM: usize = 6;
const LENGTH: usize = PREFIX + BODY + CHECKSUM;
const NOTIFICATION: &str = "rnt_";

/// Which of the two kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    /// `rlt_…`
    LoginToken,
    /// `rsh_…`
    SessionHandle,
}

impl TokenKind {
    /// The four characters that a token of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::LoginToken => "rlt_",
            Self::SessionHandle => "rsh_",
        }
    }
}

/// What a text presented as a token is.
pub enum Parsed {
    /// A well-formed login token, known or not.
    LoginToken(LoginToken),
    /// A well-formed session handle, known or not.
    SessionHandle(SessionHandle),
    /// Neither.
    Malformed,
}

impl Parsed {
    /// Which kind it is; `None` where it is malformed.
    #[must_use]
    pub const fn kind(&self) -> Option<TokenKind> {
        match self {
            Self::LoginToken(_) => Some(TokenKind::LoginToken),
            Self::SessionHandle(_) => Some(TokenKind::SessionHandle),
            Self::Malformed => None,
        }
    }
}

/// A login token of 256 random bits.
#[must_use]
pub fn draw_login_token(random: &dyn Random) -> LoginToken {
    LoginToken(draw(TokenKind::LoginToken.prefix(), random))
}

/// A session handle of 256 random bits.
#[must_use]
pub fn draw_session_handle(random: &dyn Random) -> SessionHandle {
    SessionHandle(draw(TokenKind::SessionHandle.prefix(), random))
}

/// A notification token of 256 random bits, in the characters of RFC 6750 §2.1.
#[must_use]
pub fn draw_notification_token(random: &dyn Random) -> NotificationToken {
    NotificationToken(draw(NOTIFICATION, random))
}

/// The login token of a start that had an `Idempotency-Key`: an HMAC over the login and the key, so that a repeated
/// start gets the same token although none is stored. `None` where the ring has no key named `key_id`.
///
/// `key_id` is the active key when the login is started, and is stored beside the token's hash, which is made with the
/// same key: from then on the stored name counts, even after a rotation.
#[must_use]
pub fn derive_login_token(
    ring: &KeyRing,
    key_id: &str,
    login_id: LoginId,
    idempotency_key: &Uuid,
) -> Option<LoginToken> {
    let mut mac = hmac::Context::with_key(&ring.sub_keys(key_id)?.token_derivation);
    mac.update(login_id.0.as_bytes());
    mac.update(idempotency_key.as_bytes());
    let bytes = Zeroizing::new(tag_bytes(&mac.sign()));
    Some(LoginToken(format(TokenKind::LoginToken.prefix(), &bytes)))
}

/// Recognises a token by its form alone.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    match prefix_of(text) {
        Some("rlt_") => Parsed::LoginToken(LoginToken(Secret::new(text))),
        Some("rsh_") => Parsed::SessionHandle(SessionHandle(Secret::new(text))),
        _ => Parsed::Malformed,
    }
}

/// Recognises a notification token by its form alone; `None` for everything else.
#[must_use]
pub fn parse_notification_token(text: &str) -> Option<NotificationToken> {
    (prefix_of(text)? == NOTIFICATION).then(|| NotificationToken(Secret::new(text)))
}

/// The prefix of what is otherwise well-formed.
fn prefix_of(text: &str) -> Option<&str> {
    let (content, checksum) = text.split_at_checked(PREFIX + BODY)?;
    let (prefix, body) = content.split_at_checked(PREFIX)?;
    let mut bytes = Zeroizing::new([0; 32]);
    let well_formed = text.len() == LENGTH
        && URL_SAFE_NO_PAD.decode_slice(body, &mut *bytes) == Ok(32)
        && verify_slices_are_equal(checksum.as_bytes(), checksum_of(content).as_bytes()).is_ok();
    well_formed.then_some(prefix)
}

/// The hash under which a new login token is stored.
#[must_use]
pub fn hash_login_token(ring: &KeyRing, token: &LoginToken) -> KeyedHash {
    ring.hash(Purpose::LoginToken, token.0.expose().as_bytes())
}

/// The hashes under which a presented login token may be stored.
#[must_use]
pub fn login_token_candidates(ring: &KeyRing, token: &LoginToken) -> Vec<KeyedHash> {
    ring.candidates(Purpose::LoginToken, token.0.expose().as_bytes())
}

/// The hash under which a new session handle is stored.
#[must_use]
pub fn hash_handle(ring: &KeyRing, handle: &SessionHandle) -> KeyedHash {
    ring.hash(Purpose::SessionHandle, handle.0.expose().as_bytes())
}

/// The hashes under which a presented session handle may be stored.
#[must_use]
pub fn handle_candidates(ring: &KeyRing, handle: &SessionHandle) -> Vec<KeyedHash> {
    ring.candidates(Purpose::SessionHandle, handle.0.expose().as_bytes())
}

/// The hash under which a new notification token is stored.
#[must_use]
pub fn hash_notification_token(ring: &KeyRing, token: &NotificationToken) -> KeyedHash {
    ring.hash(Purpose::NotificationToken, token.0.expose().as_bytes())
}

/// The hashes under which a presented notification token may be stored.
#[must_use]
pub fn notification_token_candidates(ring: &KeyRing, token: &NotificationToken) -> Vec<KeyedHash> {
    ring.candidates(Purpose::NotificationToken, token.0.expose().as_bytes())
}

fn draw(prefix: &str, random: &dyn Random) -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(&mut *bytes);
    format(prefix, &bytes)
}

fn format(prefix: &str, bytes: &[u8; 32]) -> Secret {
    // Reserved at once: a text that grows would leave a copy of its beginning behind.
    let mut text = String::with_capacity(LENGTH);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    let checksum = checksum_of(&text);
    text.push_str(&checksum);
    Secret::new(text)
}

fn checksum_of(content: &str) -> String {
    let hash = digest(&SHA256, content.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..4])
}

#[cfg(test)]
mod tests;
