//! What the unit tests of this folder share: a seeded source of randomness and a small ring.

use std::sync::Mutex;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::ring::{KeyRing, RingKey};
use crate::domain::random::Random;
use crate::domain::secret::SecretBytes;

/// Random bytes that are the same at each run.
pub struct Seeded(Mutex<ChaCha20Rng>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().expect("no test panics while it draws").fill_bytes(bytes);
    }
}

/// A key whose 32 bytes all are `byte`.
pub fn key(id: &str, byte: u8) -> RingKey {
    RingKey { id: id.to_owned(), bytes: SecretBytes::new(vec![byte; 32]) }
}

/// `2026-11` and `2026-10`, of which `active` seals, and the pseudonym key `persons`.
pub fn ring(active: &str) -> KeyRing {
    let Ok(ring) =
        KeyRing::new(active, "persons", vec![key("2026-10", 1), key("2026-11", 2), key("persons", 3)])
    else {
        panic!("the ring of the tests is well-formed")
    };
    ring
}
