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
use crate::domain::assertion_key::{AssertionAlg, AssertionKey, KeyMaterial, SAME_KID};

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
    /// None of the keys has that name and signs by that algorithm; or it names none, and several do.
    #[error("not one key of that name and algorithm")]
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
        // Who sends it has proven nothing yet: what it costs is bounded before any signature is looked at.
        let most = if kid.is_some() { SAME_KID } else { 1 };
        let candidates: Vec<_> = keys.iter().filter(may_have_signed).take(most + 1).collect();
        if candidates.is_empty() || candidates.len() > most {
            return Err(AssertionError::Key);
        }
        let has_signed = |key: &&AssertionKey| {
            self.compact.signature.len() == key.material.signature_length() && self.is_signed_by(key)
        };
        let key = candidates.into_iter().find(has_signed).ok_or(AssertionError::Signature)?;
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::signer::Signer;
    use crate::crypto::signing_key::{SigningAlg, generate, generate_rsa_2048};
    use crate::crypto::{jwks, key_file};
    use crate::domain::secret::Secret;

    /// The key in a PEM text, as its owner publishes it under this name.
    fn published(pem: &Secret, alg: SigningAlg, kid: Option<&str>) -> AssertionKey {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        key_file::write_new(&file, pem).expect("written");
        let mut jwk = Signer::load(&file).expect("a key").jwk(alg);
        jwk["kid"] = json!(kid.unwrap_or_default());
        if kid.is_none() {
            jwk.as_object_mut().expect("an object").remove("kid");
        }
        let set = json!({ "keys": [jwk] }).to_string();
        jwks::read(set.as_bytes()).expect("usable").remove(0)
    }

    fn signed(pem: &Secret, alg: SigningAlg, kid: Option<&str>) -> String {
        let pem = pem.expose().as_bytes();
        let (algorithm, key) = match alg {
            SigningAlg::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
            SigningAlg::Ps256 => (Algorithm::PS256, EncodingKey::from_rsa_pem(pem)),
            SigningAlg::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        };
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, &json!({ "iss": "desk" }), &key.expect("a key")).expect("signed")
    }

    /// The thumbprint of the key that is found to have signed.
    fn verified(jwt: &str, keys: &[AssertionKey]) -> Result<String, AssertionError> {
        Assertion::read(jwt)?.verify(keys).map(|(claims, key)| {
            assert_eq!(claims.get("iss").and_then(Value::as_str), Some("desk"));
            key.thumbprint.clone()
        })
    }

    #[test]
    fn few_keys_are_tried_and_without_a_name_the_only_one() {
        let alg = SigningAlg::Es256;
        let pems: Vec<Secret> = (0..3).map(|_| generate(alg).expect("a key")).collect();
        let named = |name| pems.iter().map(|pem| published(pem, alg, name)).collect::<Vec<_>>();
        let keys = named(None);
        let by_first = signed(&pems[0], alg, None);
        assert_eq!(verified(&by_first, &keys[..1]), Ok(keys[0].thumbprint.clone()));
        assert_eq!(verified(&by_first, &keys[1..2]), Err(AssertionError::Signature));
        assert_eq!(verified(&by_first, &keys[..2]), Err(AssertionError::Key), "which of the two?");
        assert_eq!(verified(&by_first, &[]), Err(AssertionError::Key));
        // A key of another kind is not among those that fit.
        let rsa = published(&generate_rsa_2048().expect("a key"), SigningAlg::Ps256, None);
        assert_eq!(verified(&by_first, &[rsa, keys[0].clone()]), Ok(keys[0].thumbprint.clone()));

        let keys = named(Some("a"));
        let by_second = signed(&pems[1], alg, Some("a"));
        assert_eq!(verified(&by_second, &keys[..2]), Ok(keys[1].thumbprint.clone()), "both of its name");
        assert_eq!(verified(&by_second, &keys[..1]), Err(AssertionError::Signature));
        assert_eq!(verified(&by_second, &keys), Err(AssertionError::Key), "more than may be tried");
        assert_eq!(verified(&signed(&pems[1], alg, Some("b")), &keys[..2]), Err(AssertionError::Key));
    }

    #[test]
    fn a_signature_has_the_length_that_its_key_makes() {
        let rsa = generate_rsa_2048().expect("a key");
        for (pem, alg) in [
            (&rsa, SigningAlg::Ps256),
            (&rsa, SigningAlg::Rs256),
            (&generate(SigningAlg::Es256).expect("a key"), SigningAlg::Es256),
        ] {
            let key = published(pem, alg, None);
            let jwt = signed(pem, alg, None);
            let (message, signature) = jwt.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            assert_eq!(signature.len(), key.material.signature_length());
            assert!(verified(&jwt, std::slice::from_ref(&key)).is_ok());
            let longer = [signature.as_slice(), &[0]].concat();
            for other in [&signature[1..], &signature[..signature.len() - 1], longer.as_slice(), &[]] {
                let jwt = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
                let refused = verified(&jwt, std::slice::from_ref(&key));
                assert_eq!(refused, Err(AssertionError::Signature), "{} bytes", other.len());
            }
        }
    }
}
