//! A private key that signs JWTs as a client of a provider (`private_key_jwt`, signed authentication requests), and
//! what is published of it.
//!
//! The name of a key (`kid`) is its thumbprint (RFC 7638), so that nobody has to invent one and two keys never share
//! it. The private part stays inside aws-lc; nothing here shows it.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::private_file::{self, PrivateRead, Readers};
use super::signing_key::SigningAlg;
use crate::domain::secret::Secret;

/// Far more than a private key is long, far less than hurts.
const LIMIT: u64 = 64 * 1024;

/// Why a file gives no signing key. Names the file and says what to do.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The file cannot be read.
    #[error("the signing key {path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "the signing key {path} may be read by others than its owner (mode {mode:04o}): run `chmod 0600 {path}`, and if others had access to it, make another key",
        path = .path.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No key that signs stands in it.
    #[error(
        "the signing key {path} is no PKCS#8 key in PEM, RSA (2048 bits and more) or P-256: make one with `relais keys generate --signing ALG`",
        path = .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// aws-lc did not sign.
#[derive(Clone, Copy, Debug, Error)]
#[error("the key does not sign by this algorithm")]
pub struct SigningFailed;

/// A key pair.
pub struct Signer {
    pair: Pair,
    kid: String,
    /// The members that make the key, of its JWK.
    public: Map<String, Value>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    /// Reads a key from a file that only its owner may read.
    pub fn load(path: &Path) -> Result<Self, SignerError> {
        let path = path.to_path_buf();
        let pem = match private_file::read(&path, Readers::OwnerOnly, LIMIT) {
            Ok(PrivateRead::Content(pem)) => pem,
            Ok(PrivateRead::Shared { mode }) => return Err(SignerError::Shared { path, mode }),
            Err(source) => return Err(SignerError::Unreadable { path, source }),
        };
        Self::from_pem(&pem).ok_or(SignerError::NoKey { path })
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        let der = der.secret_pkcs8_der();
        let rsa = RsaKeyPair::from_pkcs8(der).ok().filter(|pair| pair.public_modulus_len() * 8 >= 2048);
        let pair = match rsa {
            Some(pair) => Pair::Rsa(pair),
            None => Pair::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?),
        };
        let public = pair.public()?;
        // RFC 7638 §3: the required members in lexicographic order, without white space.
        let mut members: Vec<_> = public.iter().collect();
        members.sort_by_key(|(name, _)| name.as_str());
        let canonical: Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let canonical = Value::Object(canonical).to_string();
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        Some(Self { pair, kid, public })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether it can sign by `alg`.
    #[must_use]
    pub const fn fits(&self, alg: SigningAlg) -> bool {
        matches!(
            (&self.pair, alg),
            (Pair::Rsa(_), SigningAlg::Rs256 | SigningAlg::Ps256) | (Pair::P256(_), SigningAlg::Es256)
        )
    }

    /// The public key as a JWK (RFC 7517); `alg` is said where it fits.
    #[must_use]
    pub fn jwk(&self, alg: SigningAlg) -> Value {
        let mut jwk = self.public.clone();
        jwk.insert("kid".to_owned(), json!(self.kid));
        jwk.insert("use".to_owned(), json!("sig"));
        if self.fits(alg) {
            jwk.insert("alg".to_owned(), json!(alg.as_str()));
        }
        Value::Object(jwk)
    }

    /// A compact JWS over `claims`.
    pub fn sign(
        &self,
        alg: SigningAlg,
        typ: Option<&str>,
        claims: &Map<String, Value>,
    ) -> Result<Secret, SigningFailed> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(alg.as_str()));
        if let Some(typ) = typ {
            header.insert("typ".to_owned(), json!(typ));
        }
        header.insert("kid".to_owned(), json!(self.kid));
        let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let json = |members: &Map<String, Value>| serde_json::to_vec(members).map_err(|_| SigningFailed);
        let input = format!("{}.{}", part(json(&header)?), part(json(claims)?));
        let signature = self.signature(alg, input.as_bytes())?;
        Ok(Secret::new(format!("{input}.{}", part(signature))))
    }

    fn signature(&self, alg: SigningAlg, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let random = SystemRandom::new();
        let padding = match (&self.pair, alg) {
            (Pair::Rsa(_), SigningAlg::Rs256) => &RSA_PKCS1_SHA256,
            (Pair::Rsa(_), SigningAlg::Ps256) => &RSA_PSS_SHA256,
            (Pair::P256(pair), SigningAlg::Es256) => {
                let signature = pair.sign(&random, input).map_err(|_| SigningFailed)?;
                return Ok(signature.as_ref().to_vec());
            }
            _ => return Err(SigningFailed),
        };
        let Pair::Rsa(pair) = &self.pair else { return Err(SigningFailed) };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &random, input, &mut signature).map_err(|_| SigningFailed)?;
        Ok(signature)
    }
}

impl Pair {
    fn public(&self) -> Option<Map<String, Value>> {
        let text = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
        let members = match self {
            Self::Rsa(pair) => {
                let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&components.n), "e": text(&components.e) })
            }
            Self::P256(pair) => {
                // An uncompressed point: 4, then both coordinates.
                let point = pair.public_key().as_ref().get(1..65)?;
                let (x, y) = point.split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
        };
        members.as_object().cloned()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    use super::*;
    use crate::crypto::signing_key::{generate, generate_rsa_2048};
    use crate::domain::secret::Secret;

    fn algorithm(alg: SigningAlg) -> Algorithm {
        match alg {
            SigningAlg::Rs256 => Algorithm::RS256,
            SigningAlg::Ps256 => Algorithm::PS256,
            SigningAlg::Es256 => Algorithm::ES256,
        }
    }

    fn signer(pem: &Secret) -> Signer {
        Signer::from_pem(pem.expose().as_bytes()).expect("a key")
    }

    #[test]
    fn another_library_verifies_what_is_signed_with_what_is_published() {
        for alg in SigningAlg::ALL {
            let signer = signer(&generate(alg).expect("a key"));
            let claims = json!({ "sub": "relais" });
            let claims = claims.as_object().expect("an object");
            let jwt = signer.sign(alg, Some("client-authentication+jwt"), claims).expect("signed");
            let jwk: Jwk = serde_json::from_value(signer.jwk(alg)).expect("a JWK");
            assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).expect("a thumbprint"), signer.kid());
            let mut validation = Validation::new(algorithm(alg));
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            let key = DecodingKey::from_jwk(&jwk).expect("a key");
            let read = jsonwebtoken::decode::<Value>(jwt.expose(), &key, &validation).expect("verifies");
            assert_eq!(read.header.kid.as_deref(), Some(signer.kid()));
            assert_eq!(read.header.typ.as_deref(), Some("client-authentication+jwt"));
            assert_eq!(read.claims["sub"], "relais");
            assert_eq!(signer.jwk(alg)["alg"], alg.as_str());
        }
    }

    #[test]
    fn a_key_signs_by_its_own_kind_only_and_its_private_part_is_not_published() {
        let rsa = signer(&generate_rsa_2048().expect("a key"));
        let ec = signer(&generate(SigningAlg::Es256).expect("a key"));
        let claims = Map::new();
        assert!(rsa.sign(SigningAlg::Es256, None, &claims).is_err());
        assert!(ec.sign(SigningAlg::Rs256, None, &claims).is_err());
        assert!(rsa.fits(SigningAlg::Ps256) && !rsa.fits(SigningAlg::Es256));
        let members = |jwk: &Value| jwk.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&rsa.jwk(SigningAlg::Es256)), ["kty", "n", "e", "kid", "use"]);
        assert_eq!(members(&ec.jwk(SigningAlg::Es256)), ["kty", "crv", "x", "y", "kid", "use", "alg"]);
    }

    #[test]
    fn what_is_no_signing_key_is_refused() {
        for bad in [&b""[..], b"x", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(Signer::from_pem(bad).is_none());
        }
    }
}
