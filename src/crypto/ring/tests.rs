use std::collections::HashSet;

use super::*;
use crate::crypto::testing::{key, ring};

const PURPOSES: [Purpose; 5] = [
    Purpose::LoginToken,
    Purpose::SessionHandle,
    Purpose::IdempotencyKey,
    Purpose::ReplayBody,
    Purpose::AuditRecord,
];

fn error(active: &str, pseudonym: &str, keys: Vec<RingKey>) -> RingError {
    KeyRing::new(active, pseudonym, keys).err().expect("no ring")
}

#[test]
fn a_ring_that_cannot_be_is_refused_with_the_name_of_the_culprit() {
    let keys = || vec![key("a", 1), key("p", 2)];
    let id = |id: &str| id.to_owned();
    assert_eq!(error("b", "p", keys()), RingError::UnknownActive { id: id("b") });
    assert_eq!(error("a", "q", keys()), RingError::UnknownPseudonym { id: id("q") });
    assert_eq!(error("a", "a", keys()), RingError::PseudonymIsActive { id: id("a") });
    assert_eq!(
        error("a", "p", vec![key("a", 1), key("p", 2), key("a", 3)]),
        RingError::DuplicateId { id: id("a") }
    );
    assert_eq!(
        error("a", "p", vec![key("a", 1), key("p", 2), key("p", 3)]),
        RingError::DuplicateId { id: id("p") }
    );
    for length in [0, 31, 33] {
        let short = RingKey { id: id("c"), bytes: SecretBytes::new(vec![7; length]) };
        assert_eq!(
            error("a", "p", vec![key("a", 1), key("p", 2), short]),
            RingError::WrongLength { id: id("c"), length }
        );
    }
    for bad in ["", "A", "a|b", "a:b", "é", &"a".repeat(65)] {
        assert_eq!(
            error("a", "p", vec![key("a", 1), key("p", 2), key(bad, 3)]),
            RingError::MalformedId { id: id(bad) }
        );
    }
}

#[test]
fn a_hash_depends_on_purpose_key_and_value() {
    let ring = ring("2026-11");
    let mut seen = HashSet::new();
    for purpose in PURPOSES {
        for key_id in ["2026-11", "2026-10"] {
            for value in [b"one".as_slice(), b"two"] {
                assert!(seen.insert(ring.hash_with(purpose, key_id, value).expect("a ring key")));
            }
        }
    }
}

#[test]
fn the_active_key_hashes_and_comes_first_among_the_candidates() {
    for (active, other) in [("2026-11", "2026-10"), ("2026-10", "2026-11")] {
        let ring = ring(active);
        assert_eq!(ring.active_id(), active);
        let hash = ring.hash(Purpose::SessionHandle, b"value");
        assert_eq!(hash.key_id, active);
        assert_eq!(Some(hash.hash), ring.hash_with(Purpose::SessionHandle, active, b"value"));
        let candidates = ring.candidates(Purpose::SessionHandle, b"value");
        let ids: Vec<&str> = candidates.iter().map(|candidate| candidate.key_id.as_str()).collect();
        assert_eq!(ids, [active, other]);
        assert_eq!(candidates[0], hash);
    }
}

#[test]
fn r_k_02_what_was_hashed_before_a_rotation_is_found_after_it() {
    let stored = ring("2026-10").hash(Purpose::LoginToken, b"value");
    assert!(ring("2026-11").candidates(Purpose::LoginToken, b"value").contains(&stored));
}

#[test]
fn the_pseudonym_key_never_hashes() {
    let ring = ring("2026-11");
    assert_eq!(ring.hash_with(Purpose::LoginToken, "persons", b"value"), None);
    assert!(ring.sub_keys("persons").is_none());
}

#[test]
fn a_person_is_named_by_provider_and_hint_whatever_key_is_active() {
    let name = ring("2026-11").pseudonym("psc", "899700000001");
    assert_eq!(name, ring("2026-10").pseudonym("psc", "899700000001"));
    assert_ne!(name, ring("2026-11").pseudonym("psc", "899700000002"));
    assert_ne!(name, ring("2026-11").pseudonym("psc-bas", "899700000001"));
    assert_ne!(ring("2026-11").pseudonym("ab", "c"), ring("2026-11").pseudonym("a", "bc"));
    assert_eq!(Pseudonym::from_bytes(*name.as_bytes()), name);
}

#[test]
fn a_person_has_another_name_under_another_pseudonym_key() {
    let other = KeyRing::new("a", "p", vec![key("a", 3), key("p", 1)]).expect("a ring");
    assert_ne!(ring("2026-11").pseudonym("psc", "1"), other.pseudonym("psc", "1"));
}

/// RFC 5869 extract and expand, by HMAC alone: stored hashes outlive any library.
#[test]
fn the_sub_keys_are_those_of_rfc_5869() {
    let sign = |key: &[u8], value: &[u8]| tag_bytes(&hmac::sign(&hmac::Key::new(HMAC_SHA256, key), value));
    let root = sign(b"relais/ring/v1", &[2; 32]);
    let sub_key = sign(&root, b"hash/session-handle\x01");
    assert_eq!(ring("2026-11").hash(Purpose::SessionHandle, b"value").hash, sign(&sub_key, b"value"));
}
