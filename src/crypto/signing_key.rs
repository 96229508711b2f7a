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

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeyPair as RsaPair;
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    fn rsa_bits(pem: &Secret) -> usize {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).expect("PKCS#8 PEM");
        RsaPair::from_pkcs8(der.secret_pkcs8_der()).expect("an RSA key").public_modulus_len() * 8
    }

    #[test]
    fn rsa_keys_have_3072_bits_and_the_simulator_s_2048() {
        assert_eq!(rsa_bits(&generate(SigningAlg::Rs256).expect("a key")), 3072);
        assert_eq!(rsa_bits(&generate(SigningAlg::Ps256).expect("a key")), 3072);
        assert_eq!(rsa_bits(&generate_rsa_2048().expect("a key")), 2048);
    }

    #[test]
    fn each_key_signs_a_jwt_of_its_algorithm() {
        use jsonwebtoken::{Algorithm, EncodingKey, Header};
        for alg in SigningAlg::ALL {
            let pem = generate(alg).expect("a key");
            let pem = pem.expose().as_bytes();
            let (algorithm, key) = match alg {
                SigningAlg::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
                SigningAlg::Ps256 => (Algorithm::PS256, EncodingKey::from_rsa_pem(pem)),
                SigningAlg::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            };
            let claims = serde_json::json!({ "sub": "relais" });
            let jwt = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key.expect("a key"));
            assert_eq!(jwt.expect("signed").split('.').count(), 3, "{}", alg.as_str());
        }
    }

    #[test]
    fn two_keys_are_never_alike() {
        let draw = || generate(SigningAlg::Es256).expect("a key").expose().to_owned();
        assert_ne!(draw(), draw());
    }

    #[test]
    fn names_are_those_of_the_alg_header() {
        for alg in SigningAlg::ALL {
            assert_eq!(SigningAlg::parse(alg.as_str()), Some(alg));
        }
        for other in ["none", "HS256", "rs256", ""] {
            assert_eq!(SigningAlg::parse(other), None);
        }
    }
}
