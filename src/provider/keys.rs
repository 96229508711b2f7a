//! A provider's signing keys (RFC 7517): which of a set are usable, and which fit a signature.
//!
//! Only public signing keys of known kinds are kept: a set is as strong as its weakest key that somebody accepts
//! (R-C-09). A key that cannot be used is skipped, never an error: providers publish encryption keys, and keys of
//! kinds that do not exist yet, in the same set.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JwsSigningAlgorithm as _};
use serde_json::Value;
use thiserror::Error;

use super::strict_json;

/// The largest set that is read, in bytes.
pub const MAX_SIZE: usize = 64 * 1024;
/// The most keys that are looked at.
const MAX_KEYS: usize = 64;
/// NIST SP 800-131A; the upper bound is what the verifying library takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why a key set is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeysError {
    /// No JSON object with an array `keys`.
    #[error("the document is no JSON Web Key Set, or has a member twice")]
    Malformed,
    /// More keys than are looked at.
    #[error("the set holds more than 64 keys")]
    TooMany,
    /// Nothing in it can verify a signature.
    #[error("the set holds no usable signing key")]
    NoneUsable,
}

/// The usable keys of one set.
#[derive(Clone, Debug)]
pub struct Keys(Vec<CoreJsonWebKey>);

impl Keys {
    /// Reads a set and keeps what can verify a signature.
    pub fn read(body: &[u8]) -> Result<Self, KeysError> {
        let mut members = strict_json::object(body).map_err(|_| KeysError::Malformed)?;
        let Some(Value::Array(keys)) = members.remove("keys") else { return Err(KeysError::Malformed) };
        if keys.len() > MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let usable: Vec<_> = keys.into_iter().filter_map(usable).collect();
        if usable.is_empty() { Err(KeysError::NoneUsable) } else { Ok(Self(usable)) }
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The keys that a signature may have been made with: of the right kind and, where `kid` is given, of that
    /// name. Several where names repeat or are missing; the caller tries each.
    pub fn candidates(&self, kid: Option<&str>, alg: &CoreJwsSigningAlgorithm) -> Vec<&CoreJsonWebKey> {
        let named = |key: &&CoreJsonWebKey| match kid {
            Some(kid) => key.key_id().is_some_and(|id| id.as_str() == kid),
            None => true,
        };
        self.0.iter().filter(named).filter(|key| fits(key, alg)).collect()
    }
}

fn fits(key: &CoreJsonWebKey, alg: &CoreJwsSigningAlgorithm) -> bool {
    let right_kind = alg.key_type().is_some_and(|kind| kind == *key.key_type());
    let right_alg = match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(own) => own == alg,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    right_kind && right_alg
}

fn usable(mut key: Value) -> Option<CoreJsonWebKey> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") || !may_verify(&key) {
        return None;
    }
    match text("kty")? {
        "RSA" if RSA_BITS.contains(&bits(text("n")?)?) && has_sane_exponent(text("e")?) => {}
        "EC" => {
            let alg = curve_alg(text("crv")?)?;
            if key.get("alg").is_some_and(|own| !own.is_null() && own != alg) {
                return None;
            }
            key["alg"] = alg.into();
        }
        "OKP" if text("crv")? == "Ed25519" => {}
        _ => return None,
    }
    serde_json::from_value(key).ok()
}

/// The one algorithm that keys on a curve sign with (RFC 7518 §3.4), whether they name it or not.
fn curve_alg(curve: &str) -> Option<&'static str> {
    match curve {
        "P-256" => Some("ES256"),
        "P-384" => Some("ES384"),
        _ => None,
    }
}

fn may_verify(key: &Value) -> bool {
    key.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
    })
}

fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let significant = &bytes[bytes.iter().position(|byte| *byte != 0)?..];
    let leading = usize::try_from(significant.first()?.leading_zeros()).ok()?;
    Some(significant.len() * 8 - leading)
}

/// Odd, above 2, and small enough that nobody can make verification slow with it.
fn has_sane_exponent(exponent: &str) -> bool {
    let odd = URL_SAFE_NO_PAD
        .decode(exponent)
        .is_ok_and(|bytes| bytes.last().is_some_and(|last| last % 2 == 1) && bytes != [1]);
    odd && bits(exponent).is_some_and(|bits| (2..=32).contains(&bits))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::settings::IdTokenAlg;

    fn rsa(bytes: usize, extra: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(vec![0xff; bytes]), "e": "AQAB"});
        for (name, value) in extra.as_object().expect("an object") {
            key[name] = value.clone();
        }
        key
    }

    fn read(keys: &Value) -> Result<usize, KeysError> {
        Keys::read(json!({ "keys": keys }).to_string().as_bytes()).map(|keys| keys.count())
    }

    #[test]
    fn rp_014_usable_keys_are_kept_among_unusable_ones() {
        let keys = json!([
            rsa(256, &json!({"kid": "good", "use": "sig", "alg": "RS256", "key_ops": ["verify"]})),
            rsa(256, &json!({"kid": "enc", "use": "enc", "alg": "RSA-OAEP"})),
            rsa(256, &json!({"kid": "wrap", "key_ops": ["wrapKey"]})),
            rsa(256, &json!({"kid": "text", "key_ops": "verify"})),
            rsa(256, &json!({"kid": "null", "key_ops": null})),
            {"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])},
            {"kty": "ML-DSA", "kid": "new"},
            {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
            {"kty": "RSA", "n": 12, "e": "AQAB"},
            {"kty": "oct", "k": "c2VjcmV0"},
            "no key at all",
        ]);
        let keys = Keys::read(json!({ "keys": keys }).to_string().as_bytes()).expect("usable");
        assert_eq!(keys.count(), 1);
        let rs256 = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
        assert_eq!(keys.candidates(Some("good"), &rs256).len(), 1, "and not one of the others");
    }

    #[test]
    fn r_c_09_the_bits_of_a_modulus_are_counted_from_its_first_one() {
        let modulus = |first: &[u8], rest: usize| {
            let bytes = [first, &vec![0xff; rest]].concat();
            read(&json!([rsa(256, &json!({"n": URL_SAFE_NO_PAD.encode(bytes)}))]))
        };
        assert_eq!(modulus(&[0x80], 255), Ok(1), "2048");
        assert_eq!(modulus(&[0, 0x80], 255), Ok(1), "2048, written longer");
        assert_eq!(modulus(&[0x7f], 255), Err(KeysError::NoneUsable), "2047");
        assert_eq!(modulus(&[0, 0xff], 254), Err(KeysError::NoneUsable), "2040, written longer");
        assert_eq!(modulus(&[0xff], 511), Ok(1), "4096");
        assert_eq!(modulus(&[1], 512), Err(KeysError::NoneUsable), "4097");
    }

    #[test]
    fn r_c_09_short_rsa_keys_bad_exponents_and_huge_sets_are_refused() {
        assert_eq!(read(&json!([rsa(128, &json!({}))])), Err(KeysError::NoneUsable));
        assert_eq!(read(&json!([rsa(1024, &json!({}))])), Err(KeysError::NoneUsable));
        for exponent in ["AQ", "Ag", "AA", "", "AQAAAAAB"] {
            assert_eq!(
                read(&json!([rsa(256, &json!({"e": exponent}))])),
                Err(KeysError::NoneUsable),
                "{exponent}"
            );
        }
        assert_eq!(read(&json!(vec![rsa(256, &json!({})); 64])), Ok(64));
        assert_eq!(read(&json!(vec![rsa(256, &json!({})); 65])), Err(KeysError::TooMany));
    }

    #[test]
    fn rp_013_duplicate_names_give_several_candidates_of_the_right_kind_only() {
        let body = json!({"keys": [
            rsa(256, &json!({"kid": "k"})),
            rsa(256, &json!({"kid": "k", "alg": "PS256"})),
            rsa(256, &json!({"kid": "k", "alg": "RS256"})),
            {"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([1; 32]), "kid": "k"},
        ]});
        let keys = Keys::read(body.to_string().as_bytes()).expect("usable");
        let count = |kid, alg| keys.candidates(kid, &alg).len();
        assert_eq!(count(Some("k"), CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256), 2);
        assert_eq!(count(None, CoreJwsSigningAlgorithm::EdDsa), 1);
        assert_eq!(count(Some("other"), CoreJwsSigningAlgorithm::EdDsa), 0);
    }
    #[test]
    fn r_c_01_the_curve_of_a_key_decides_its_algorithm() {
        let ec = |crv: &str, alg: Value| json!({"kty": "EC", "crv": crv, "x": "AA", "y": "AA", "alg": alg});
        let mut unnamed = ec("P-384", json!(null));
        unnamed.as_object_mut().expect("an object").remove("alg");
        for (key, fitting) in [
            (ec("P-256", json!(null)), Some("ES256")),
            (ec("P-256", json!("ES256")), Some("ES256")),
            (ec("P-384", json!("ES384")), Some("ES384")),
            (unnamed, Some("ES384")),
            (ec("P-256", json!("ES384")), None),
            (ec("P-384", json!("ES256")), None),
            (ec("P-384", json!("ECDH-ES")), None),
            (ec("P-384", json!(384)), None),
            (ec("P-521", json!("ES384")), None),
        ] {
            let keys = Keys::read(json!({ "keys": [key] }).to_string().as_bytes());
            assert_eq!(keys.is_ok(), fitting.is_some(), "{key}");
            for alg in IdTokenAlg::ALL {
                let fits = keys.as_ref().is_ok_and(|keys| !keys.candidates(None, &alg.jws()).is_empty());
                assert_eq!(fits, fitting == Some(alg.as_str()), "{key}, {}", alg.as_str());
            }
        }
    }
}
