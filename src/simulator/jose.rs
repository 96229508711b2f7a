//! Signing and checking, for the simulated provider alone: it must be able to sign badly as well.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, KeyPair as _, RsaEncoding, RsaKeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use super::SimulatorError;
use crate::crypto::signing_key::generate_rsa_2048;
use crate::domain::random::Random;

/// Base64url without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes behind base64url without padding.
pub(super) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// What is signed in a compact JWS (RFC 7515 §5.1).
pub(super) fn signing_input(header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
    let part =
        |members: &Map<String, Value>| base64url(Value::Object(members.clone()).to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// An RSA key pair with its key id.
pub(super) struct SigningKey {
    pair: RsaKeyPair,
    kid: String,
}

impl SigningKey {
    /// A new 2048-bit key. Its id is derived from the public key, as Keycloak's are.
    pub(super) fn generate() -> Result<Self, SimulatorError> {
        let pem = generate_rsa_2048().map_err(|_| SimulatorError::Key)?;
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| SimulatorError::Key)?;
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| SimulatorError::Key)?;
        let der =
            AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| SimulatorError::Key)?;
        let kid = base64url(&sha256(der.as_ref()));
        Ok(Self { pair, kid })
    }

    /// The key id.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a JWK (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        let components = PublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        json!({
            "kid": self.kid,
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "n": base64url(&components.n),
            "e": base64url(&components.e),
        })
    }

    /// The public key as PEM text (`SubjectPublicKeyInfo`), which a confused verifier takes for an HMAC secret.
    pub(super) fn public_pem(&self) -> String {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(self.pair.public_key());
        let text = der.map(|der| STANDARD.encode(der.as_ref())).unwrap_or_default();
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The signature over `input` by the algorithm named `alg`; RS256 where this key cannot do that one.
    pub(super) fn sign(&self, alg: &str, input: &str) -> Vec<u8> {
        let encoding: &'static dyn RsaEncoding = match alg {
            "RS384" => &signature::RSA_PKCS1_SHA384,
            "RS512" => &signature::RSA_PKCS1_SHA512,
            "PS256" => &signature::RSA_PSS_SHA256,
            "PS384" => &signature::RSA_PSS_SHA384,
            "PS512" => &signature::RSA_PSS_SHA512,
            _ => &signature::RSA_PKCS1_SHA256,
        };
        let mut bytes = vec![0; self.pair.public_modulus_len()];
        let done = self.pair.sign(encoding, &rand::SystemRandom::new(), input.as_bytes(), &mut bytes);
        // Signing with a generated key fails only when memory does; an empty signature verifies nowhere.
        if done.is_ok() { bytes } else { Vec::new() }
    }

    /// The claims of a compact RS256 JWS that this key has signed.
    pub(super) fn verified_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (input, signature) = token.rsplit_once('.')?;
        let key =
            UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref());
        key.verify(input.as_bytes(), &from_base64url(signature)?).ok()?;
        let (_, claims) = input.split_once('.')?;
        serde_json::from_slice(&from_base64url(claims)?).ok()
    }
}

/// A symmetric key.
pub(super) struct HmacKey(hmac::Key, hmac::Key);

impl HmacKey {
    /// A new key.
    pub(super) fn draw(random: &dyn Random) -> Self {
        let mut bytes = [0; 64];
        random.fill(&mut bytes);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes), hmac::Key::new(hmac::HMAC_SHA512, &bytes))
    }

    /// HMAC-SHA-256, shortened to the 16 bytes of an A128CBC-HS256 tag.
    pub(super) fn tag(&self, input: &str) -> [u8; 16] {
        let mut tag = [0; 16];
        tag.copy_from_slice(&hmac::sign(&self.0, input.as_bytes()).as_ref()[..16]);
        tag
    }

    /// HMAC-SHA-512 (`HS512`).
    pub(super) fn hs512(&self, input: &str) -> Vec<u8> {
        hmac::sign(&self.1, input.as_bytes()).as_ref().to_vec()
    }
}

/// HMAC-SHA-256 (`HS256`) under any text.
pub(super) fn hs256(secret: &str, input: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), input.as_bytes()).as_ref().to_vec()
}
