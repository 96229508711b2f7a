//! Keys and JWTs of clients, made and read by a library that Relais does not use for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use relais::crypto::signing_key::SigningAlg;
use serde_json::{Value, json};

/// A key pair that signs.
#[derive(Clone)]
pub struct Key {
    pub kid: String,
    pub alg: Algorithm,
    private: EncodingKey,
    jwk: Value,
}

impl Key {
    /// The key in a PEM text.
    pub fn from_pem(pem: &str, alg: SigningAlg) -> Self {
        let pem = pem.as_bytes();
        let (alg, key) = match alg {
            SigningAlg::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
            SigningAlg::Ps256 => (Algorithm::PS256, EncodingKey::from_rsa_pem(pem)),
            SigningAlg::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        };
        let key = key.expect("a key");
        let public = Jwk::from_encoding_key(&key, alg).expect("a public key");
        let kid = public.thumbprint(ThumbprintHash::SHA256).expect("a thumbprint");
        let mut jwk = serde_json::to_value(public).expect("JSON");
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = serde_json::to_value(alg).expect("a name");
        Self { kid, alg, private: key, jwk }
    }

    /// A new key.
    pub fn generate(alg: SigningAlg) -> Self {
        Self::from_pem(relais::crypto::signing_key::generate(alg).expect("a key").expose(), alg)
    }

    /// Its public part.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// The usual header.
    pub fn header(&self) -> Value {
        json!({ "alg": serde_json::to_value(self.alg).expect("a name"), "kid": self.kid })
    }

    /// A JWT with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    /// A JWT with this header, signed by the key's own algorithm whatever the header says.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let input = unsigned(header, claims);
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &self.private, self.alg).expect("signed");
        format!("{input}.{signature}")
    }
}

/// Header and claims, joined.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A JWT under a shared secret.
pub fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let input = unsigned(header, claims);
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, Algorithm::HS256).expect("signed");
    format!("{input}.{signature}")
}

/// A set of public keys.
pub fn set(keys: &[&Key]) -> JwkSet {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    serde_json::from_value(json!({ "keys": keys })).expect("a key set")
}

/// Header and claims of a JWS that the key of this set has signed.
#[track_caller]
pub fn verified(keys: &JwkSet, token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "a JWS, never a JWE");
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let (header, claims) = (json(parts[0]), json(parts[1]));
    let jwk = keys.find(header["kid"].as_str().expect("a kid")).expect("a published key");
    let alg: Algorithm = serde_json::from_value(header["alg"].clone()).expect("an algorithm");
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let verifies = jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, alg).expect("readable");
    assert!(verifies, "the signature");
    (header, claims)
}

/// Bytes in hexadecimal, in small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
