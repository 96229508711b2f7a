//! The cryptography of a call, each on one core.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom as SystemSource;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use relais::app::clock::SystemClock;
use relais::crypto::random::SystemRandom;
use relais::crypto::ring::{KeyRing, RingKey};
use relais::crypto::seal::{DataKey, Place, WrapContext};
use relais::crypto::token::{draw_session_handle, handle_candidates};
use relais::domain::clock::Clock as _;
use relais::domain::ids::GrantId;
use relais::domain::secret::SecretBytes;
use serde_json::json;

use super::tell;

/// As long as the tokens of a PSC grant.
const TOKENS: usize = 4096;

const LONG_ENOUGH: Duration = Duration::from_millis(500);

pub fn run() {
    let random = SystemRandom;
    let ring = ring();
    let handle = draw_session_handle(&random);
    let candidates = per_second(|| {
        black_box(handle_candidates(&ring, black_box(&handle)));
    });
    tell("hash of a session handle", candidates, "/s");

    let place = Place::grant(GrantId(uuid::Uuid::from_u128(1)));
    let context = WrapContext { place, tenant: "practice", registration: "psc" };
    let plaintext = vec![7; TOKENS];
    let sealing = per_second(|| {
        let key = DataKey::draw(&random);
        black_box(ring.wrap(&random, &key, &context).expect("wrapped"));
        black_box(key.seal(&random, "tokens", place, &plaintext).expect("sealed"));
    });
    tell("seal of a grant (data key, wrap, 4 KiB)", sealing, "/s");

    let key = DataKey::draw(&random);
    let wraps = ring.wrap(&random, &key, &context).expect("wrapped");
    let sealed = key.seal(&random, "tokens", place, &plaintext).expect("sealed");
    let opening = per_second(|| {
        let key = ring.unwrap_key(&wraps, &context).expect("unwrapped");
        black_box(key.open("tokens", place, &sealed).expect("opened"));
    });
    tell("open of a grant (unwrap, 4 KiB)", opening, "/s");
    signatures();
}

/// RS256 with a key of 2048 bits, by the library that verifies ID tokens and by the one below TLS.
fn signatures() {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let message = vec![b'x'; 1500];
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemSource::new(), &message, &mut signature).expect("signed");
    let public = pair.public_key();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key: CoreJsonWebKey = serde_json::from_value(json!({
        "kty": "RSA",
        "n": number(public.modulus().big_endian_without_leading_zero()),
        "e": number(public.exponent().big_endian_without_leading_zero()),
    }))
    .expect("a key");
    let alg = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
    let by_openidconnect =
        per_second(|| key.verify_signature(&alg, black_box(&message), &signature).expect("verified"));
    tell("RS256 verified, as ID tokens are", by_openidconnect, "/s");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref());
    let by_aws_lc = per_second(|| key.verify(black_box(&message), &signature).expect("verified"));
    tell("RS256 verified by aws-lc", by_aws_lc, "/s");
}

fn ring() -> Arc<KeyRing> {
    let key = |id: &str, byte| RingKey { id: id.to_owned(), bytes: SecretBytes::new(vec![byte; 32]) };
    Arc::new(KeyRing::new("now", "persons", vec![key("now", 1), key("persons", 2)]).expect("a ring"))
}

/// The best of three, each long enough.
fn per_second(mut work: impl FnMut()) -> f64 {
    let clock = SystemClock::start();
    let mut once = || {
        let began = clock.monotonic();
        let mut rounds = 0_u32;
        loop {
            for _ in 0..64 {
                work();
            }
            rounds += 64;
            let length = clock.monotonic().since(began);
            if length >= LONG_ENOUGH {
                return f64::from(rounds) / length.as_secs_f64();
            }
        }
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}
