//! The key set of an application (RFC 7517), from its file.
//!
//! Whoever declares a key here lets its owner in, so nothing is passed over in silence: a key that could not be used,
//! a private key, or a shared one makes the whole set unusable, and so does a file that others may write. Only keys for
//! encryption are left out.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use thiserror::Error;

use super::private_file::mode_of;
use super::strict_json;
use crate::domain::assertion_key::{AssertionAlg, AssertionKey, KeyMaterial, SAME_KID};

/// The largest file that is read, in bytes.
const LIMIT: u64 = 64 * 1024;
/// The most keys of one application.
const MAX_KEYS: usize = 16;
/// NIST SP 800-131A; the upper bound keeps verification quick.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why a set is not used. Shows nothing of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum JwksError {
    /// No JSON object with an array `keys`.
    #[error("is no JSON Web Key Set ({{\"keys\": […]}}), or has a member twice")]
    Malformed,
    /// No key, or too many.
    #[error("holds no signing key, or more than 16 keys")]
    Count,
    /// Too many keys of one name: an assertion would cost a verification by each.
    #[error("holds more than 2 keys of one kid: give each key a name of its own")]
    Kid,
    /// A secret stands in it.
    #[error("holds a private or a shared key: give the public members alone, and make another key")]
    Private,
    /// A key that cannot be used.
    #[error(
        "holds a key that cannot be used: RSA (2048 to 4096 bits, RS256 or PS256), P-256 (ES256) or Ed25519 (EdDSA)"
    )]
    Unusable,
}

/// Why a file gives no key set.
#[derive(Debug, Error)]
pub enum JwksFileError {
    /// The file cannot be read.
    #[error("the key set {path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write it: whoever can, lets himself in.
    #[error(
        "the key set {path} may be written by others than its owner (mode {mode:04o}): run `chmod go-w {path}`, and make sure that the keys in it are the application's",
        path = .path.display()
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What stands in it does not do.
    #[error("the key set {path} cannot be used", path = .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: JwksError,
    },
}

/// The keys in a file.
pub fn load(path: &Path) -> Result<Vec<AssertionKey>, JwksFileError> {
    let unreadable = |source| JwksFileError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Of the open file, not of the path: another file may stand there a moment later.
    let mode = mode_of(&file.metadata().map_err(unreadable)?);
    if mode & 0o022 != 0 {
        return Err(JwksFileError::Writable { path: path.to_owned(), mode });
    }
    let mut content = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut content).map_err(unreadable)?;
    read(&content).map_err(|source| JwksFileError::Unusable { path: path.to_owned(), source })
}

/// The signing keys of a set.
pub fn read(content: &[u8]) -> Result<Vec<AssertionKey>, JwksError> {
    if content.len() as u64 > LIMIT {
        return Err(JwksError::Malformed);
    }
    let mut members = strict_json::object(content).map_err(|_| JwksError::Malformed)?;
    let Some(Value::Array(keys)) = members.remove("keys") else { return Err(JwksError::Malformed) };
    let is_for_signing =
        |key: &&Value| key.get("use").and_then(Value::as_str).is_none_or(|purpose| purpose == "sig");
    let count = keys.len();
    if keys.iter().any(is_secret) {
        return Err(JwksError::Private);
    }
    let keys: Vec<_> = keys.iter().filter(is_for_signing).map(key).collect::<Result<_, _>>()?;
    if keys.is_empty() || count > MAX_KEYS {
        return Err(JwksError::Count);
    }
    let of_its_name = |key: &AssertionKey| keys.iter().filter(|other| other.kid == key.kid).count();
    let is_crowded = |key: &AssertionKey| key.kid.is_some() && of_its_name(key) > SAME_KID;
    if keys.iter().any(is_crowded) { Err(JwksError::Kid) } else { Ok(keys) }
}

fn is_secret(key: &Value) -> bool {
    ["d", "p", "q", "k"].iter().any(|member| key.get(member).is_some()) || key["kty"] == "oct"
}

fn key(jwk: &Value) -> Result<AssertionKey, JwksError> {
    usable(jwk).ok_or(JwksError::Unusable)
}

fn usable(jwk: &Value) -> Option<AssertionKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let (material, by_type, canonical) = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            if !is_strong(&modulus, &exponent) {
                return None;
            }
            let canonical = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?);
            (
                KeyMaterial::Rsa { modulus, exponent },
                vec![AssertionAlg::Rs256, AssertionAlg::Ps256],
                canonical,
            )
        }
        ("EC", Some("P-256")) => {
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).ok()?;
            let (x, y) = (text("x")?, text("y")?);
            let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            (KeyMaterial::P256(point), vec![AssertionAlg::Es256], canonical)
        }
        ("OKP", Some("Ed25519")) => {
            let public = bytes("x")?;
            ParsedPublicKey::new(&ED25519, &public).ok()?;
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")?);
            (KeyMaterial::Ed25519(public), vec![AssertionAlg::EdDsa], canonical)
        }
        _ => return None,
    };
    let algs = match jwk.get("alg") {
        // PKCS #1 v1.5 is what older libraries know: whoever needs it says so.
        None => by_type.into_iter().filter(|alg| *alg != AssertionAlg::Rs256).collect(),
        Some(alg) => vec![alg.as_str().and_then(AssertionAlg::parse).filter(|alg| by_type.contains(alg))?],
    };
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
    Some(AssertionKey { kid, thumbprint, algs, material })
}

/// Long enough, and an odd exponent above 1 that nobody can make verification slow with.
fn is_strong(modulus: &[u8], exponent: &[u8]) -> bool {
    let Some(first) = modulus.first().filter(|byte| **byte != 0) else { return false };
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    RSA_BITS.contains(&bits) && is_odd && (1..=4).contains(&exponent.len()) && exponent != [1]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 7638 §3.1.
    const RFC: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn rsa() -> Value {
        json!({"kty": "RSA", "n": RFC, "e": "AQAB", "kid": "a"})
    }

    fn set(keys: &Value) -> Result<Vec<AssertionKey>, JwksError> {
        read(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let keys = set(&json!([rsa()])).expect("usable");
        assert_eq!(keys[0].thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(keys[0].algs, [AssertionAlg::Ps256], "RS256 has to be asked for");
        for (text, alg) in [("PS256", AssertionAlg::Ps256), ("RS256", AssertionAlg::Rs256)] {
            let keys = set(&json!([with(rsa(), "alg", json!(text))])).expect("usable");
            assert_eq!(keys[0].algs, [alg]);
        }
    }

    #[test]
    fn r_c_09_what_cannot_be_used_is_not_passed_over() {
        for (key, error) in [
            (with(rsa(), "alg", json!("HS256")), JwksError::Unusable),
            (with(rsa(), "alg", json!("ES256")), JwksError::Unusable),
            (with(rsa(), "alg", json!("none")), JwksError::Unusable),
            (with(rsa(), "alg", json!(null)), JwksError::Unusable),
            (with(rsa(), "n", json!("AQAB")), JwksError::Unusable),
            (with(rsa(), "e", json!("AQ")), JwksError::Unusable),
            (with(rsa(), "e", json!("Ag")), JwksError::Unusable),
            (with(rsa(), "kid", json!(1)), JwksError::Unusable),
            (with(rsa(), "d", json!("AQ")), JwksError::Private),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), JwksError::Private),
            (json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), JwksError::Unusable),
            (json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}), JwksError::Unusable),
            (json!("no key"), JwksError::Unusable),
        ] {
            assert_eq!(set(&json!([rsa(), key])), Err(error), "{key}");
        }
        assert_eq!(set(&json!([])), Err(JwksError::Count));
        assert_eq!(set(&json!([with(rsa(), "use", json!("enc"))])), Err(JwksError::Count));
        assert_eq!(set(&json!(vec![rsa(); 17])), Err(JwksError::Count));
        assert_eq!(
            set(&json!(vec![rsa(); 2])).map(|keys| keys.len()),
            Ok(2),
            "two of one name, for a rotation"
        );
        assert_eq!(set(&json!(vec![rsa(); 3])), Err(JwksError::Kid));
        assert_eq!(read(b"[]"), Err(JwksError::Malformed));
        assert_eq!(read(br#"{"keys":[],"keys":[]}"#), Err(JwksError::Malformed));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_write_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("set.json");
        std::fs::write(&path, json!({ "keys": [rsa()] }).to_string()).expect("written");
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            load(&path)
        };
        for mode in [0o664, 0o646, 0o620, 0o602] {
            let error = with_mode(mode).expect_err("refused");
            assert!(
                matches!(error, JwksFileError::Writable { mode: shown, .. } if shown == mode),
                "{mode:o}"
            );
            assert!(error.to_string().contains(&format!("chmod go-w {}", path.display())), "{error}");
        }
        for mode in [0o644, 0o640, 0o600, 0o444] {
            assert_eq!(with_mode(mode).expect("usable").len(), 1, "{mode:o}");
        }
    }
}
