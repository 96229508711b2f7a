//! The scripted provider's signing keys, and tokens of every form, well made or not.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use relais::crypto::signing_key;
use serde_json::{Value, json};

/// A key with a name.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: &'static str,
    pub alg: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl SigningKey {
    fn new(kid: &'static str, alg: Algorithm, key: EncodingKey) -> Self {
        let public = Jwk::from_encoding_key(&key, alg).expect("a public key");
        Self { kid, alg, key, public: serde_json::to_value(public).expect("JSON") }
    }

    /// As the key set publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Without a name.
    pub fn anonymous_jwk(&self) -> Value {
        let mut jwk = self.jwk();
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    }

    /// The same key under another algorithm.
    pub fn with_alg(&self, alg: Algorithm) -> Self {
        Self { alg, ..self.clone() }
    }

    pub fn header(&self) -> Value {
        let alg = serde_json::to_value(self.alg).expect("a name");
        json!({"alg": alg, "kid": self.kid, "typ": "JWT"})
    }

    /// Signs these claims under the usual header.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header(), &claims.to_string())
    }

    /// Signs whatever is given.
    pub fn sign_text(&self, header: &Value, payload: &str) -> String {
        let message = unsigned(header, payload);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.alg).expect("a signature");
        format!("{message}.{signature}")
    }
}

/// Header and payload, joined.
pub fn unsigned(header: &Value, payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", part(&header.to_string()), part(payload))
}

/// Signs with a shared secret.
pub fn sign_hs256(claims: &Value, secret: &[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    SigningKey { kid: "rsa-1", alg: Algorithm::HS256, key, public: Value::Null }.sign(claims)
}

fn rsa(kid: &'static str) -> SigningKey {
    let pem = signing_key::generate_rsa_2048().expect("a key");
    let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).expect("a key");
    SigningKey::new(kid, Algorithm::RS256, key)
}

/// The provider's usual key.
pub fn rsa_1() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| rsa("rsa-1")).clone()
}

/// Its next one.
pub fn rsa_2() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| rsa("rsa-2")).clone()
}

/// An elliptic one.
pub fn ec() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pem = signing_key::generate(signing_key::SigningAlg::Es256).expect("a key");
        let key = EncodingKey::from_ec_pem(pem.expose().as_bytes()).expect("a key");
        SigningKey::new("ec-1", Algorithm::ES256, key)
    })
    .clone()
}

/// An Edwards one.
pub fn ed() -> SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("a key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA"});
        SigningKey { kid: "ed-1", alg: Algorithm::EdDSA, key, public }
    })
    .clone()
}
