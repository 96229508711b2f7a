use super::*;
use crate::crypto::testing::{Seeded, key, ring};

const GRANT: Place = Place::grant(GrantId(Uuid::from_u128(1)));
const OTHER: Place = Place::grant(GrantId(Uuid::from_u128(2)));
const OUTBOX: Place = Place::outbox(OutboxId(Uuid::from_u128(1)));

fn context(place: Place, tenant: &'static str, registration: &'static str) -> WrapContext<'static> {
    WrapContext { place, tenant, registration }
}

fn opened(result: Result<SecretBytes, SealError>) -> Result<Vec<u8>, SealError> {
    result.map(|bytes| bytes.expose().to_vec())
}

#[test]
fn what_was_sealed_opens_in_its_place() {
    let random = Seeded::new(1);
    let key = DataKey::draw(&random);
    for plaintext in [b"".as_slice(), b"token", &[0xff; 5000]] {
        let sealed = key.seal(&random, "tokens", GRANT, plaintext).expect("sealed");
        assert_eq!(sealed[0], 1, "the suite stands first");
        assert_eq!(sealed.len(), 1 + 12 + plaintext.len() + 16);
        assert_eq!(opened(key.open("tokens", GRANT, &sealed)), Ok(plaintext.to_vec()));
    }
}

#[test]
fn r_k_01_a_ciphertext_moved_to_another_row_column_or_table_does_not_open() {
    let random = Seeded::new(2);
    let key = DataKey::draw(&random);
    let sealed = key.seal(&random, "tokens", GRANT, b"secret").expect("sealed");
    assert_eq!(opened(key.open("tokens", OTHER, &sealed)), Err(SealError::NotAuthentic));
    assert_eq!(opened(key.open("claims", GRANT, &sealed)), Err(SealError::NotAuthentic));
    assert_eq!(opened(key.open("tokens", OUTBOX, &sealed)), Err(SealError::NotAuthentic));
    let other_key = DataKey::draw(&random);
    assert_eq!(opened(other_key.open("tokens", GRANT, &sealed)), Err(SealError::NotAuthentic));
}

#[test]
fn r_k_01_a_ciphertext_altered_in_any_byte_or_cut_anywhere_does_not_open() {
    let random = Seeded::new(3);
    let key = DataKey::draw(&random);
    let sealed = key.seal(&random, "tokens", GRANT, b"secret").expect("sealed");
    for index in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[index] ^= 1;
        assert_eq!(opened(key.open("tokens", GRANT, &altered)), Err(SealError::NotAuthentic), "{index}");
        assert_eq!(
            opened(key.open("tokens", GRANT, &sealed[..index])),
            Err(SealError::NotAuthentic),
            "{index}"
        );
    }
}

#[test]
fn one_value_sealed_twice_gives_two_ciphertexts() {
    let random = Seeded::new(4);
    let key = DataKey::draw(&random);
    let seal = || key.seal(&random, "tokens", GRANT, b"secret").expect("sealed");
    let (first, second) = (seal(), seal());
    assert_ne!(first[1..13], second[1..13], "nonces");
    assert_ne!(first[13..], second[13..]);
}

#[test]
fn the_associated_data_is_the_documented_one() {
    assert_eq!(
        column_aad("tokens", GRANT).as_deref(),
        Ok("1|grants|tokens|00000000-0000-0000-0000-000000000001")
    );
    assert_eq!(
        column_aad("tokens", OUTBOX).as_deref(),
        Ok("1|outbox|tokens|00000000-0000-0000-0000-000000000001")
    );
    assert_eq!(
        wrap_aad("2026-11", &context(GRANT, "cabinet", "lps-bas")).as_deref(),
        Ok("1|2026-11|grants|00000000-0000-0000-0000-000000000001|cabinet|lps-bas")
    );
}

#[test]
fn a_name_with_the_separator_in_it_is_refused() {
    let random = Seeded::new(5);
    let (ring, key) = (ring("2026-11"), DataKey::draw(&random));
    assert_eq!(key.seal(&random, "a|b", GRANT, b""), Err(SealError::MalformedContext));
    assert_eq!(ring.wrap(&random, &key, &context(GRANT, "a|b", "c")), Err(SealError::MalformedContext));
    assert_eq!(ring.wrap(&random, &key, &context(GRANT, "a", "b|c")), Err(SealError::MalformedContext));
}

#[test]
fn a_wrapped_key_opens_what_it_sealed() {
    let random = Seeded::new(6);
    let (ring, key) = (ring("2026-11"), DataKey::draw(&random));
    let sealed = key.seal(&random, "tokens", GRANT, b"secret").expect("sealed");
    let context = context(GRANT, "cabinet", "lps-bas");
    let wraps = ring.wrap(&random, &key, &context).expect("wrapped");
    let list: serde_json::Value = serde_json::from_str(&wraps).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!((&list[0]["suite"], &list[0]["key_id"]), (&1.into(), &"2026-11".into()));
    let again = ring.unwrap_key(&wraps, &context).expect("unwrapped");
    assert_eq!(opened(again.open("tokens", GRANT, &sealed)), Ok(b"secret".to_vec()));
}

#[test]
fn r_k_01_a_wrap_moved_to_another_grant_tenant_or_registration_does_not_open() {
    let random = Seeded::new(7);
    let (ring, key) = (ring("2026-11"), DataKey::draw(&random));
    let wraps = ring.wrap(&random, &key, &context(GRANT, "cabinet", "lps-bas")).expect("wrapped");
    for moved in [
        context(OTHER, "cabinet", "lps-bas"),
        context(OUTBOX, "cabinet", "lps-bas"),
        context(GRANT, "clinique", "lps-bas"),
        context(GRANT, "cabinet", "lps-prod"),
    ] {
        assert_eq!(ring.unwrap_key(&wraps, &moved).err(), Some(SealError::NotAuthentic));
    }
}

#[test]
fn a_wrap_under_the_name_of_another_ring_key_does_not_open() {
    let random = Seeded::new(8);
    let (ring, key) = (ring("2026-11"), DataKey::draw(&random));
    let context = context(GRANT, "cabinet", "lps-bas");
    let wraps = ring.wrap(&random, &key, &context).expect("wrapped").replace("2026-11", "2026-10");
    assert_eq!(ring.unwrap_key(&wraps, &context).err(), Some(SealError::NotAuthentic));
}

#[test]
fn r_k_02_what_an_older_ring_key_wrapped_still_opens() {
    let random = Seeded::new(9);
    let (before, after, key) = (ring("2026-10"), ring("2026-11"), DataKey::draw(&random));
    let context = context(GRANT, "cabinet", "lps-bas");
    let wraps = before.wrap(&random, &key, &context).expect("wrapped");
    let again = after.unwrap_key(&wraps, &context).expect("unwrapped");
    assert_eq!(*again.0, *key.0);
    assert!(after.wrap(&random, &again, &context).expect("wrapped").contains("2026-11"));
}

#[test]
fn a_key_that_left_the_ring_is_named() {
    let random = Seeded::new(10);
    let data_key = DataKey::draw(&random);
    let context = context(GRANT, "cabinet", "lps-bas");
    let wraps = ring("2026-10").wrap(&random, &data_key, &context).expect("wrapped");
    let without = KeyRing::new("2026-11", "persons", vec![key("2026-11", 2), key("persons", 3)]);
    let error = without.expect("a ring").unwrap_key(&wraps, &context).err();
    assert_eq!(error, Some(SealError::UnknownKey { key_id: "2026-10".into() }));
}

#[test]
fn the_pseudonym_key_opens_nothing() {
    let random = Seeded::new(11);
    let data_key = DataKey::draw(&random);
    let context = context(GRANT, "cabinet", "lps-bas");
    let keys = vec![key("persons", 3), key("other", 4)];
    let made_with_it = KeyRing::new("persons", "other", keys).expect("a ring");
    let wraps = made_with_it.wrap(&random, &data_key, &context).expect("wrapped");
    let error = ring("2026-11").unwrap_key(&wraps, &context).err();
    assert_eq!(error, Some(SealError::UnknownKey { key_id: "persons".into() }));
}

#[test]
fn wraps_of_another_suite_or_key_beside_ours_are_passed_over() {
    let random = Seeded::new(12);
    let (ring, key) = (ring("2026-11"), DataKey::draw(&random));
    let context = context(GRANT, "cabinet", "lps-bas");
    let ours = ring.wrap(&random, &key, &context).expect("wrapped");
    let ours = ours.trim_start_matches('[');
    let wraps = format!(
        r#"[{{"suite":2,"key_id":"handle","salt":"x"}},{{"suite":1,"key_id":"gone","wrapped":""}},{ours}"#
    );
    assert_eq!(ring.unwrap_key(&wraps, &context).ok().map(|again| *again.0), Some(*key.0));
}

#[test]
fn a_list_that_is_none_is_malformed() {
    let ring = ring("2026-11");
    let context = context(GRANT, "cabinet", "lps-bas");
    for bad in
        ["", "{}", "[]", r#"[{"suite":2,"key_id":"x"}]"#, r#"[{"suite":1,"key_id":"2026-11","wrapped":"!"}]"#]
    {
        assert_eq!(ring.unwrap_key(bad, &context).err(), Some(SealError::MalformedWraps), "{bad}");
    }
}
