//! Keys that sign: Relais's own at a provider (`private_key_jwt`), and the simulated provider's.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use thiserror::Error;

use crate::domain::secret::Secret;

/// How assertions are signed (RFC 7518 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SigningAlg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
}

impl SigningAlg {
    /// Every one that Relais signs with.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Ps256, Self::Es256];

    /// As the `alg` header writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm that [`SigningAlg::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }
}

/// aws-lc could not make the key.
#[derive(Debug, Error)]
#[error("the signing key could not be generated")]
pub struct SigningKeyError(#[source] rcgen::Error);

/// A new private key for `alg`, PKCS#8 in PEM: RSA with 3072 bits, or P-256.
pub fn generate(alg: SigningAlg) -> Result<Secret, SigningKeyError> {
    match alg {
        SigningAlg::Rs256 | SigningAlg::Ps256 => rsa(RsaKeySize::_3072),
        SigningAlg::Es256 => {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(SigningKeyError)?;
            Ok(Secret::new(pair.serialize_pem()))
        }
    }
}

/// A new RSA key with 2048 bits, PKCS#8 in PEM: what providers sign with, and quicker to make. Not for our own use.
pub fn generate_rsa_2048() -> Result<Secret, SigningKeyError> {
    rsa(RsaKeySize::_2048)
}

fn rsa(size: RsaKeySize) -> Result<Secret, SigningKeyError> {
    // The algorithm named here has no part in the key: the same one signs RS256 and PS256.
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).map_err(SigningKeyError)?;
    Ok(Secret::new(pair.serialize_pem()))
}
