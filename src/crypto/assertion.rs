//! A client assertion (RFC 7523 §3): who says that it signed, and whether one of its keys did.
//!
//! The key and its type decide which algorithm counts; the assertion only names one of those. What its claims must say
//! is the engine's business.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use thiserror::Error;

use super::jws::{Compact, CompactError};
use super::strict_json::{self, Object};
use crate::domain::assertion_key::{AssertionAlg, AssertionKey, KeyMaterial};

/// The longest assertion that is looked at, in bytes.
const MAX_SIZE: usize = 8 * 1024;

/// RFC 10070, and what clients of RFC 7523 have written.
const TYPES: [&str; 2] = ["client-authentication+jwt", "jwt"];

/// Why a text is no assertion, or not of these keys. Says nothing of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AssertionError {
    /// No JWT, or a header parameter that is not acceptable.
    #[error("no acceptable JWT")]
    Form,
    /// A JWT of another kind.
    #[error("a JWT of another kind")]
    Typ,
    /// `none`, a symmetric algorithm, or one that no key signs with.
    #[error("no algorithm that an assertion may have")]
    Alg,
    /// None of the keys has that name and signs by that algorithm.
    #[error("no key of that name and algorithm")]
    Key,
    /// None of those that may have signed has.
    #[error("the signature does not verify")]
    Signature,
}

impl AssertionError {
    /// The name of the broken rule, for the log.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Typ => "typ",
            Self::Alg => "alg",
            Self::Key => "kid",
            Self::Signature => "signature",
        }
    }
}

impl From<CompactError> for AssertionError {
    fn from(_: CompactError) -> Self {
        Self::Form
    }
}

/// An assertion whose signature nobody has looked at yet.
pub struct Assertion<'a> {
    compact: Compact<'a>,
    alg: AssertionAlg,
}

impl<'a> Assertion<'a> {
    /// Takes it apart and judges its header.
    pub fn read(text: &'a str) -> Result<Self, AssertionError> {
        let compact = Compact::read(text, MAX_SIZE)?;
        let alg = compact.header_text("alg")?.and_then(AssertionAlg::parse).ok_or(AssertionError::Alg)?;
        if !compact.is_of_type(&TYPES)? {
            return Err(AssertionError::Typ);
        }
        Ok(Self { compact, alg })
    }

    /// Who says that it signed: only whose keys to try.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        strict_json::text(&self.compact.payload, "iss")
    }

    /// The claims, once one of `keys` has been found to have signed them, and that key.
    pub fn verify<'k>(
        &self,
        keys: &'k [AssertionKey],
    ) -> Result<(&Object, &'k AssertionKey), AssertionError> {
        let kid = self.compact.header_text("kid")?;
        let may_have_signed = |key: &&AssertionKey| {
            key.algs.contains(&self.alg) && (kid.is_none() || key.kid.as_deref() == kid)
        };
        let mut candidates = keys.iter().filter(may_have_signed).peekable();
        if candidates.peek().is_none() {
            return Err(AssertionError::Key);
        }
        let key = candidates.find(|key| self.is_signed_by(key)).ok_or(AssertionError::Signature)?;
        Ok((&self.compact.payload, key))
    }

    fn is_signed_by(&self, key: &AssertionKey) -> bool {
        let (message, signature) = (self.compact.message.as_bytes(), self.compact.signature.as_slice());
        match (&key.material, self.alg) {
            (KeyMaterial::Rsa { modulus, exponent }, AssertionAlg::Rs256 | AssertionAlg::Ps256) => {
                let public = RsaPublicKeyComponents { n: modulus, e: exponent };
                let padding = if self.alg == AssertionAlg::Ps256 {
                    &RSA_PSS_2048_8192_SHA256
                } else {
                    &RSA_PKCS1_2048_8192_SHA256
                };
                public.verify(padding, message, signature).is_ok()
            }
            (KeyMaterial::P256(point), AssertionAlg::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (KeyMaterial::Ed25519(public), AssertionAlg::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}
