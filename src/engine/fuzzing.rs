//! What must hold of an application's assertion whatever bytes come: see [`crate::crypto::fuzzing`].

use std::sync::LazyLock;

use serde_json::json;

use super::assertion::judge;
use crate::crypto::assertion::Assertion;
use crate::crypto::fuzzing::{jwt, parts, public_key};
use crate::crypto::jwks;
use crate::crypto::jws::numeric_date;
use crate::domain::assertion_key::AssertionKey;
use crate::domain::time::Timestamp;

const NOW: i64 = 1_800_000_000;
const NAME: &str = "desk";
const AUDIENCE: &str = "https://relais.example.fr:8443";

/// The key that signs here, and one of each other kind that signs nothing: RFC 7517 A.1, RFC 7638 §3.1.
static KEYS: LazyLock<Vec<AssertionKey>> = LazyLock::new(|| {
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "own", "x": public_key()},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "RSA", "kid": "rsa", "alg": "PS256", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
    ]});
    jwks::read(set.to_string().as_bytes()).expect("usable keys")
});

/// A client assertion: nobody gets in whose key has not signed, and what has been signed lives as shortly as it must.
pub fn client_assertion(input: &[u8]) -> bool {
    let Some(jwt) = jwt(input) else { return false };
    let Ok(assertion) = Assertion::read(&jwt.text) else { return false };
    let (header, payload) = parts(&jwt.text);
    let alg = header["alg"].as_str().unwrap_or_default();
    assert!(["RS256", "PS256", "ES256", "EdDSA"].contains(&alg), "the algorithm {alg:?}");
    assert_eq!(assertion.issuer().unwrap_or_default(), payload["iss"].as_str().unwrap_or_default());
    let Ok((claims, key)) = assertion.verify(&KEYS) else { return false };
    assert!(jwt.is_signed, "nobody has signed it");
    assert_eq!((key.kid.as_deref(), alg), (Some("own"), "EdDSA"), "by another key");
    let now = Timestamp::from_secs(NOW);
    let Ok(told) = judge(claims, NAME, AUDIENCE, now) else { return false };
    for (claim, expected) in [("iss", NAME), ("sub", NAME), ("aud", AUDIENCE)] {
        assert_eq!(payload[claim], expected, "{claim}");
    }
    assert_eq!(payload["jti"], told.jti.as_str());
    let left = told.exp.as_secs() - NOW;
    assert!((1..=60).contains(&left), "it lives {left} s");
    if let Some(iat) = payload.get("iat") {
        let made = numeric_date(iat).expect("a date of its making that is none");
        assert!(told.exp.as_secs() - made <= 65, "it was made to live longer");
    }
    true
}
