//! A signed JWT in its parts, before anything in it is believed (RFC 7515, RFC 7519).
//!
//! The header decides which key and algorithm are tried, so it is judged first and strictly: one of the pinned
//! algorithms, and none of the parameters that would let the sender choose the key or change how the signature is
//! read (R-C-01, R-C-03).

use std::time::Duration;

use openidconnect::JsonWebKey as _;
use openidconnect::core::CoreJsonWebKey;
use thiserror::Error;

use crate::crypto::jws::{Compact, CompactError};
use crate::domain::time::Timestamp;

use super::keys::Keys;
use super::settings::IdTokenAlg;
use super::strict_json::Object;

pub use crate::crypto::jws::numeric_date;

/// The largest JWT that is looked at, in bytes.
pub const MAX_SIZE: usize = 32 * 1024;

/// Tolerated difference of clocks for `exp` and `nbf`.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// How far what has been (`iat`, `auth_time`) may lie ahead.
pub const AHEAD: Duration = Duration::from_secs(60);

/// Which `typ` a JWT may have.
pub struct Kind(&'static [&'static str]);

/// An ID token: `typ` absent, `JWT`, or what providers write for it.
pub const ID_TOKEN: Kind = Kind(&["jwt", "id", "id_token", "id_token+jwt", "id-token+jwt"]);
/// A logout token. Before `logout+jwt` was registered providers wrote `JWT`, and some still do.
pub const LOGOUT: Kind = Kind(&["jwt", "logout+jwt"]);
/// A signed userinfo answer.
pub const USERINFO: Kind = Kind(&["jwt", "userinfo+jwt"]);

/// Why a JWT is refused. Says nothing of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum JwtError {
    /// Longer than [`MAX_SIZE`].
    #[error("longer than a token is")]
    Size,
    /// Not three parts of base64url, header and payload JSON objects without duplicate members.
    #[error("not a compact JWS")]
    Form,
    /// `alg` is not pinned.
    #[error("the algorithm is not pinned")]
    Alg,
    /// A forbidden header parameter.
    #[error("a header parameter that is not acceptable")]
    Header,
    /// A JWT of another kind.
    #[error("a JWT of another kind")]
    Typ,
    /// No key that the signature may have been made with.
    #[error("no key that the signature may have been made with")]
    NoKey,
    /// No candidate key verifies the signature.
    #[error("the signature does not verify")]
    Signature,
}

impl From<CompactError> for JwtError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::Size => Self::Size,
            CompactError::Form => Self::Form,
            CompactError::Header => Self::Header,
        }
    }
}

/// A JWT whose header is acceptable. Nothing of its payload is to be believed yet.
pub struct Unverified<'a> {
    /// The algorithm of the header: one of the pinned ones.
    pub alg: IdTokenAlg,
    /// The name of the key.
    pub kid: Option<String>,
    /// The payload.
    pub payload: Object,
    payload_bytes: Vec<u8>,
    message: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart and judges its header.
    pub fn read(text: &'a str, kind: &Kind, algs: &[IdTokenAlg]) -> Result<Self, JwtError> {
        let compact = Compact::read(text, MAX_SIZE)?;
        let alg = compact.header_text("alg")?.and_then(|name| name.parse().ok()).ok_or(JwtError::Alg)?;
        if !algs.contains(&alg) {
            return Err(JwtError::Alg);
        }
        if !compact.is_of_type(kind.0)? {
            return Err(JwtError::Typ);
        }
        let key_name = compact.header_text("kid")?.map(str::to_owned);
        let Compact { payload, payload_bytes, message, signature, .. } = compact;
        Ok(Self { alg, kid: key_name, payload, payload_bytes, message, signature })
    }

    /// The payload as it was sent.
    pub fn payload_bytes(&self) -> &[u8] {
        &self.payload_bytes
    }

    /// Verifies the signature, with each key that may have made it, and gives the one that did.
    pub fn verify<'k>(&self, keys: &'k Keys) -> Result<&'k CoreJsonWebKey, JwtError> {
        let alg = self.alg.jws();
        let candidates = keys.candidates(self.kid.as_deref(), &alg);
        if candidates.is_empty() {
            return Err(JwtError::NoKey);
        }
        candidates
            .into_iter()
            .find(|key| key.verify_signature(&alg, self.message.as_bytes(), &self.signature).is_ok())
            .ok_or(JwtError::Signature)
    }
}

/// The name of the broken rule, for the log.
pub const fn rule(error: JwtError) -> &'static str {
    match error {
        JwtError::Size => "size",
        JwtError::Form => "form",
        JwtError::Alg => "alg",
        JwtError::Header => "header",
        JwtError::Typ => "typ",
        JwtError::NoKey => "signing_key",
        JwtError::Signature => "signature",
    }
}

/// Checks `exp`, `nbf` and `iat` where they are there; the error is the name of the broken rule.
pub fn check_times(claims: &Object, now: Timestamp) -> Result<(), &'static str> {
    let at = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(claim) => numeric_date(claim).map(|secs| Some(Timestamp::from_secs(secs))).ok_or(name),
    };
    if at("exp")?.is_some_and(|exp| exp <= now - LEEWAY) {
        return Err("exp");
    }
    if at("nbf")?.is_some_and(|nbf| nbf > now + LEEWAY) {
        return Err("nbf");
    }
    if at("iat")?.is_some_and(|iat| iat > now + AHEAD) {
        return Err("iat");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use crate::crypto::jws::FORBIDDEN;

    use super::*;

    const ALGS: &[IdTokenAlg] = &[IdTokenAlg::Rs256];

    fn token(header: &Value, payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(&header.to_string()), part(payload), part("x"))
    }

    fn refusal(header: &Value) -> Option<JwtError> {
        Unverified::read(&token(header, "{}"), &ID_TOKEN, ALGS).err()
    }

    #[test]
    fn rp_068_only_pinned_algorithms_are_taken() {
        assert_eq!(refusal(&json!({"alg": "RS256"})), None);
        for alg in
            [json!("none"), json!("None"), json!("HS256"), json!("PS256"), json!(""), json!(7), json!(null)]
        {
            assert!(refusal(&json!({ "alg": alg })).is_some(), "{alg}");
        }
        assert_eq!(refusal(&json!({})), Some(JwtError::Alg));
    }

    #[test]
    fn r_c_03_headers_that_choose_the_key_or_change_the_reading_are_refused() {
        for name in FORBIDDEN {
            let mut header = json!({"alg": "RS256"});
            header[name] = json!(["exp"]);
            assert_eq!(refusal(&header), Some(JwtError::Header), "{name}");
        }
    }

    #[test]
    fn a_token_of_another_kind_is_refused() {
        for typ in ["logout+jwt", "at+jwt", "application/logout+jwt", "dpop+jwt"] {
            assert_eq!(refusal(&json!({"alg": "RS256", "typ": typ})), Some(JwtError::Typ), "{typ}");
        }
        for typ in ["JWT", "jwt", "application/jwt", "ID"] {
            assert_eq!(refusal(&json!({"alg": "RS256", "typ": typ})), None, "{typ}");
        }
    }

    #[test]
    fn a_claim_that_stands_there_twice_is_refused() {
        let twice = token(&json!({"alg": "RS256"}), r#"{"sub":"a","sub":"b"}"#);
        assert_eq!(Unverified::read(&twice, &ID_TOKEN, ALGS).err(), Some(JwtError::Form));
    }

    #[test]
    fn parts_and_size_are_bounded() {
        let good = token(&json!({"alg": "RS256"}), "{}");
        for bad in ["", "a.b", "..", &format!("{good}.x"), &good.replace('.', "=.")] {
            assert_eq!(Unverified::read(bad, &ID_TOKEN, ALGS).err(), Some(JwtError::Form), "{bad}");
        }
        assert_eq!(Unverified::read(&"a".repeat(MAX_SIZE + 1), &ID_TOKEN, ALGS).err(), Some(JwtError::Size));
    }
}
