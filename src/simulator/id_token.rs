//! ID tokens, true and altered.
//!
//! The members of a `token` fault: `alg`, `kid` and `typ` are set in the JOSE header, everything else is a claim;
//! `null` removes. The signature follows the header:
//! - `alg` `none`: no signature; `HS256`: HMAC under the client's secret (OIDC Core §10.1); `RS384`, `RS512`,
//!   `PS256`, `PS384`, `PS512`: a true signature of that kind; anything else: RS256 below a false header.
//! - `signature`: `"bad"` (one bit turned), `"foreign_key"` (signed by a key that is in no key set, below our
//!   `kid`), `"public_key_hmac"` (HMAC under the PEM text of the public key, with `alg` `HS256` unless overridden:
//!   key confusion). Any other value is a claim named `signature`.

use serde_json::{Map, Value, json};

use super::Simulator;
use super::jose::{SigningKey, base64url, hs256, sha256, signing_input};
use super::tokens::{Facts, common_claims, header};
use crate::domain::random::uuid_v4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    True,
    Bad,
    ForeignKey,
    PublicKeyHmac,
}

/// The ID token beside `access_token`, with what it says beyond the usual and what a fault alters.
pub(super) fn issue(
    simulator: &Simulator,
    facts: &Facts<'_>,
    access_token: &str,
    more: impl Iterator<Item = (String, Value)>,
) -> String {
    let inner = &simulator.inner;
    let mut claims = common_claims(simulator, facts);
    claims.insert("typ".to_owned(), json!("ID"));
    claims.insert("jti".to_owned(), json!(uuid_v4(&*inner.random)));
    claims.insert("at_hash".to_owned(), json!(base64url(&sha256(access_token.as_bytes())[..16])));
    let head = header("RS256", inner.signing_key.kid());
    altered(simulator, head, claims, more)
}

/// A JWT of ours, with what a fault alters.
pub(super) fn altered(
    simulator: &Simulator,
    mut head: Map<String, Value>,
    mut claims: Map<String, Value>,
    more: impl Iterator<Item = (String, Value)>,
) -> String {
    let mut signature = Signature::True;
    for (name, value) in more {
        match (name.as_str(), value.as_str()) {
            ("signature", Some("bad")) => signature = Signature::Bad,
            ("signature", Some("foreign_key")) => signature = Signature::ForeignKey,
            ("signature", Some("public_key_hmac")) => {
                signature = Signature::PublicKeyHmac;
                head.insert("alg".to_owned(), json!("HS256"));
            }
            ("alg" | "kid" | "typ", _) => set(&mut head, name, value),
            _ => set(&mut claims, name, value),
        }
    }
    let input = signing_input(&head, &claims);
    let alg = head.get("alg").and_then(Value::as_str).unwrap_or_default();
    format!("{input}.{}", base64url(&sign(simulator, signature, alg, &input)))
}

fn set(members: &mut Map<String, Value>, name: String, value: Value) {
    if value.is_null() {
        members.shift_remove(&name);
    } else {
        members.insert(name, value);
    }
}

fn sign(simulator: &Simulator, signature: Signature, alg: &str, input: &str) -> Vec<u8> {
    let inner = &simulator.inner;
    if signature == Signature::PublicKeyHmac {
        return hs256(&inner.signing_key.public_pem(), input);
    }
    if signature == Signature::ForeignKey {
        let key = inner.foreign_key.get_or_init(|| SigningKey::generate().ok());
        return key.as_ref().map(|key| key.sign(alg, input)).unwrap_or_default();
    }
    let mut bytes = match alg {
        "none" => Vec::new(),
        "HS256" => hs256(inner.client_secret.expose(), input),
        alg => inner.signing_key.sign(alg, input),
    };
    if signature == Signature::Bad
        && let Some(byte) = bytes.first_mut()
    {
        *byte ^= 1;
    }
    bytes
}
