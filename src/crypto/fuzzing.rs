//! What must hold of the readers of this folder whatever bytes come: for the fuzzer, and for the replay of its corpus.
//!
//! Exists under `cfg(fuzzing)` and in tests only. Each target takes any bytes and panics where a property does not hold.
//! The key that signs here is in the source: what it signs is worth nothing anywhere.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use super::assertion::Assertion;
use super::enc::EncError;
use super::jws::{Compact, FORBIDDEN, numeric_date};
use super::ring::{KeyRing, RingKey};
use super::token::{Parsed, parse, parse_notification_token};
use super::x509::Certificate;
use crate::domain::assertion_key::AssertionAlg;
use crate::domain::random::Random;
use crate::domain::secret::{Secret, SecretBytes};

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"));

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let key = |id: &str, byte| RingKey { id: id.to_owned(), bytes: SecretBytes::new(vec![byte; 32]) };
    let Ok(ring) = KeyRing::new("now", "persons", vec![key("now", 1), key("old", 2), key("persons", 3)])
    else {
        unreachable!("the names and the lengths are right")
    };
    ring
});

/// The same bytes at each run: what is found is found again.
pub struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// The public half of the key that signs here, base64url.
#[must_use]
pub fn public_key() -> String {
    URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref())
}

/// A JWT, as an input writes it.
pub struct Jwt {
    /// In compact form.
    pub text: String,
    /// Whether it was signed here; otherwise nobody has signed it.
    pub is_signed: bool,
}

/// An input of two lines is header and payload, which are signed here: so everything behind the signature is reached.
/// An input of one line is the JWT itself.
#[must_use]
pub fn jwt(input: &[u8]) -> Option<Jwt> {
    let Some(at) = input.iter().position(|byte| *byte == b'\n') else {
        return Some(Jwt { text: std::str::from_utf8(input).ok()?.to_owned(), is_signed: false });
    };
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", part(&input[..at]), part(&input[at + 1..]));
    let signature = part(KEY.sign(message.as_bytes()).as_ref());
    Some(Jwt { text: format!("{message}.{signature}"), is_signed: true })
}

/// Header and payload of a JWT, by an ordinary reader.
#[must_use]
pub fn parts(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).unwrap_or_default()
    });
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// JSON from a provider: whatever is taken is what an ordinary reader finds in it, and is taken again as it is written.
pub fn strict_json(input: &[u8]) -> bool {
    let Ok(members) = super::strict_json::object(input) else { return false };
    let taken = Value::Object(members);
    let ordinary: Value = serde_json::from_slice(input).expect("what is taken is JSON");
    assert_eq!(taken, ordinary, "read differently");
    assert!(depth(&taken) <= usize::from(super::strict_json::MAX_DEPTH), "nested too deeply");
    assert!(
        super::strict_json::object(taken.to_string().as_bytes()).is_ok(),
        "refused once it is written again"
    );
    true
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A compact JWS: one spelling for each, no header parameter that chooses the key or changes the reading.
pub fn jws(input: &[u8]) -> bool {
    const MAX: usize = 32 * 1024;
    let Some(Jwt { text, .. }) = jwt(input) else { return false };
    let Ok(compact) = Compact::read(&text, MAX) else { return false };
    assert!(text.len() <= MAX, "longer than it may be");
    assert!(FORBIDDEN.iter().all(|name| !compact.header.contains_key(*name)), "a forbidden parameter");
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts[1], URL_SAFE_NO_PAD.encode(&compact.payload_bytes), "a second spelling of the payload");
    assert_eq!(parts[2], URL_SAFE_NO_PAD.encode(&compact.signature), "a second spelling of the signature");
    assert_eq!(compact.message, format!("{}.{}", parts[0], parts[1]), "another text is verified");
    for name in compact.header.keys() {
        let told = compact.header_text(name).is_ok_and(|text| text.is_some());
        assert_eq!(told, compact.header[name].is_string(), "a parameter of another type");
    }
    let _ = compact.is_of_type(&["jwt"]);
    let in_calendar = |secs: i64| (0..=253_402_300_799).contains(&secs);
    assert!(compact.payload.values().filter_map(numeric_date).all(in_calendar), "no date");
    true
}

/// `ENC(…)`: what is encrypted opens, nothing else does, and no error shows what was sealed.
pub fn enc(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let sealed = super::enc::encrypt(&RING, &Zeros, &Secret::new(text)).expect("the ring seals");
    let Ok(opened) = super::enc::decrypt(&RING, &sealed) else { unreachable!("it was sealed here") };
    assert_eq!(opened.expose(), text, "another secret came out");
    let Err(error) = super::enc::decrypt(&RING, text) else { unreachable!("nobody has sealed it") };
    // The name of the key is told; what follows it is not.
    let value = text.trim().trim_end_matches(')').rsplit(':').next().unwrap_or_default();
    let mut told = error.to_string();
    if let EncError::UnknownKey { key_id } | EncError::NotAuthentic { key_id } = &error {
        told = told.replace(&format!("{key_id:?}"), "");
    }
    let is_sealed =
        value.len() >= 16 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    assert!(!is_sealed || !told.contains(value), "the error shows the value");
    super::enc::is_encrypted(text)
}

/// Login tokens, session handles and notification tokens: of one length, of one kind, whole.
pub fn tokens(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    // With the checksum made right, since no input would find it.
    let checksum = URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..4]);
    let mut is_token = false;
    for text in [text, &format!("{text}{checksum}")] {
        let (kind, notifies) = (parse(text).kind(), parse_notification_token(text).is_some());
        let prefixes = kind.iter().map(|kind| kind.prefix()).chain(notifies.then_some("rnt_"));
        let prefixes: Vec<&str> = prefixes.collect();
        assert!(prefixes.len() <= 1, "two kinds of token at once");
        is_token |= !prefixes.is_empty();
        for prefix in prefixes {
            assert!(text.len() == 53 && text.starts_with(prefix), "no such token");
            assert!(URL_SAFE_NO_PAD.decode(&text[4..47]).is_ok_and(|body| body.len() == 32), "no 256 bits");
        }
        if let Parsed::LoginToken(token) = parse(text) {
            assert_eq!(token.0.expose(), text, "another token");
        }
    }
    is_token
}

/// The key set of an application: all of it can be used, or none; and none of it takes a signature of nobody.
pub fn application_jwks(input: &[u8]) -> bool {
    let Ok(keys) = super::jwks::read(input) else { return false };
    assert!((1..=16).contains(&keys.len()), "none, or too many");
    let ordinary: Value = serde_json::from_slice(input).expect("what is taken is JSON");
    let is_private = |key: &Value| ["d", "p", "q", "k"].iter().any(|name| key.get(name).is_some());
    assert!(!ordinary["keys"].as_array().is_some_and(|keys| keys.iter().any(is_private)), "a private key");
    for key in &keys {
        assert!(key.thumbprint.len() == 43 && !key.algs.is_empty(), "a key that signs nothing");
    }
    for alg in AssertionAlg::ALL {
        for length in [0, 64, 256, 512] {
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let header = format!(r#"{{"alg":"{}"}}"#, alg.as_str());
            let text = format!("{}.{}.{}", part(header.as_bytes()), part(b"{}"), part(&vec![1; length]));
            let Ok(assertion) = Assertion::read(&text) else { unreachable!("it is well-formed") };
            assert!(assertion.verify(&keys).is_err(), "nobody has signed it");
        }
    }
    true
}

/// A certificate: its subject is compared with configured names, so none of them is the normal form of two. Only one
/// with attribute types that are no OID cannot be configured at all.
pub fn x509(input: &[u8]) -> bool {
    let Ok(certificate) = Certificate::parse(&CertificateDer::from(input)) else { return false };
    let subject = certificate.subject_dn();
    if !subject.is_empty() {
        let normal = super::x509::dn::normalise(&subject);
        let is_odd = normal.is_err() && subject.contains("=#");
        assert!(is_odd || normal.as_ref() == Ok(&subject), "{subject:?} is configured as {normal:?}");
    }
    assert!(certificate.common_names().is_empty() || subject.contains("CN="), "a name that is in no subject");
    let is_said =
        |name: &String| name.is_empty() || input.windows(name.len()).any(|part| part == name.as_bytes());
    assert!(certificate.san_dns().iter().all(is_said), "a name that the certificate does not say");
    true
}

/// A configured distinguished name: its normal form is its own.
pub fn dn(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(once) = super::x509::dn::normalise(text) else { return false };
    assert_eq!(super::x509::dn::normalise(&once).as_ref(), Ok(&once), "normalised twice, it is another");
    true
}
