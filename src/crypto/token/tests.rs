use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::crypto::testing::{Seeded, ring};

const LOGIN: LoginId = LoginId(Uuid::from_u128(1));
const KEY: Uuid = Uuid::from_u128(2);

#[test]
fn r_e_01_a_token_has_prefix_256_random_bits_and_checksum() {
    let random = Seeded::new(1);
    let mut seen = HashSet::new();
    for _ in 0..100 {
        for (kind, text) in [
            (TokenKind::LoginToken, draw_login_token(&random).0),
            (TokenKind::SessionHandle, draw_session_handle(&random).0),
        ] {
            let text = text.expose();
            assert_eq!(text.len(), 53);
            assert!(text.starts_with(kind.prefix()));
            assert_eq!(URL_SAFE_NO_PAD.decode(&text[4..47]).map(|bytes| bytes.len()), Ok(32));
            assert_eq!(parse(text).kind(), Some(kind));
            assert!(seen.insert(text[4..47].to_owned()));
        }
    }
}

#[test]
fn r_e_14_a_notification_token_is_nothing_else_and_nothing_else_is_one() {
    let random = Seeded::new(7);
    let token = draw_notification_token(&random).0;
    assert_eq!((token.expose().len(), &token.expose()[..4]), (53, "rnt_"));
    assert!(parse(token.expose()).kind().is_none());
    let parsed = parse_notification_token(token.expose()).expect("one");
    assert_eq!(parsed.0.expose(), token.expose());
    for other in [draw_login_token(&random).0, draw_session_handle(&random).0] {
        assert!(parse_notification_token(other.expose()).is_none());
        let renamed = format!("rnt_{}", &other.expose()[4..]);
        assert!(parse_notification_token(&renamed).is_none(), "the checksum covers the prefix");
    }
    for bad in ["", "rnt_", "é", &token.expose()[..52], &format!("{}A", token.expose())] {
        assert!(parse_notification_token(bad).is_none(), "{bad}");
    }
    let ring = ring("2026-11");
    let stored = hash_notification_token(&ring, &parsed);
    assert!(notification_token_candidates(&ring, &parsed).contains(&stored));
    assert_ne!(stored.hash, hash_login_token(&ring, &LoginToken(token)).hash, "each purpose has its key");
}

#[test]
fn r_e_01_the_checksum_is_that_of_the_contract() {
    let body = "A".repeat(43);
    assert_eq!(format(TokenKind::SessionHandle.prefix(), &[0; 32]).expose(), format!("rsh_{body}Mgw6Dw"));
    assert_eq!(format(TokenKind::LoginToken.prefix(), &[0; 32]).expose(), format!("rlt_{body}moxwmA"));
    assert_eq!(checksum_of("abc"), "ungWvw", "first four bytes of the well-known SHA-256 of abc, ba7816bf");
}

#[test]
fn what_parse_gives_back_is_what_it_was_given() {
    let random = Seeded::new(2);
    let token = draw_login_token(&random);
    let Parsed::LoginToken(parsed) = parse(token.0.expose()) else { panic!("a login token") };
    assert_eq!(parsed.0.expose(), token.0.expose());
    let handle = draw_session_handle(&random);
    let Parsed::SessionHandle(parsed) = parse(handle.0.expose()) else { panic!("a handle") };
    assert_eq!(parsed.0.expose(), handle.0.expose());
}

#[test]
fn r_e_01_any_other_text_is_malformed() {
    let random = Seeded::new(3);
    let handle = draw_session_handle(&random);
    let text = handle.0.expose();
    for index in 0..text.len() {
        for other in ['A', 'B', '_', '=', ' ', 'é'] {
            if text[index..].starts_with(other) {
                continue;
            }
            let altered = format!("{}{other}{}", &text[..index], &text[index + 1..]);
            assert!(parse(&altered).kind().is_none(), "{altered}");
        }
        assert!(parse(&text[..index]).kind().is_none());
    }
    let swapped = text.replace("rsh_", "rlt_");
    let (longer, spaced) = (format!("{text}A"), format!(" {text}"));
    for other in ["", "rsh_", "rlt_é", &swapped, &longer, &spaced, &"é".repeat(30)] {
        assert!(parse(other).kind().is_none(), "{other}");
    }
}

#[test]
fn a_prefix_of_another_system_is_malformed_even_with_a_right_checksum() {
    let content = format!("rxx_{}", "A".repeat(43));
    assert!(parse(&format!("{content}{}", checksum_of(&content))).kind().is_none());
}

#[test]
fn a_derived_token_is_the_same_again_and_depends_on_login_key_and_ring_key() {
    let (ring, rotated) = (ring("2026-10"), ring("2026-11"));
    let derive = |ring: &KeyRing, key_id: &str, login: LoginId, key: Uuid| {
        derive_login_token(ring, key_id, login, &key).map(|token| token.0.expose().to_owned())
    };
    let token = derive(&ring, "2026-10", LOGIN, KEY);
    assert!(token.as_deref().is_some_and(|text| parse(text).kind() == Some(TokenKind::LoginToken)));
    assert_eq!(token, derive(&rotated, "2026-10", LOGIN, KEY), "the stored key id counts after a rotation");
    for other in [
        derive(&ring, "2026-11", LOGIN, KEY),
        derive(&ring, "2026-10", LoginId(Uuid::from_u128(3)), KEY),
        derive(&ring, "2026-10", LOGIN, Uuid::from_u128(3)),
    ] {
        assert!(other.is_some());
        assert_ne!(token, other);
    }
    assert_eq!(derive(&ring, "2026-09", LOGIN, KEY), None);
    assert_eq!(derive(&ring, "persons", LOGIN, KEY), None);
}

#[test]
fn r_e_02_the_stored_hash_is_keyed_and_found_again_after_a_rotation() {
    let random = Seeded::new(4);
    let (before, after) = (ring("2026-10"), ring("2026-11"));
    let (token, handle) = (draw_login_token(&random), draw_session_handle(&random));
    let stored = hash_login_token(&before, &token);
    assert_eq!(stored.key_id, "2026-10");
    assert!(login_token_candidates(&after, &token).contains(&stored));
    assert!(!login_token_candidates(&after, &draw_login_token(&random)).contains(&stored));
    let stored = hash_handle(&before, &handle);
    assert!(handle_candidates(&after, &handle).contains(&stored));
    let plain = digest(&SHA256, handle.0.expose().as_bytes());
    assert_ne!(stored.hash.as_slice(), plain.as_ref(), "without the key the hash cannot be made");
}

#[test]
fn a_login_token_and_a_handle_of_one_text_have_different_hashes() {
    let ring = ring("2026-11");
    let text = Secret::new("same");
    let token = hash_login_token(&ring, &LoginToken(text.clone()));
    assert_ne!(token, hash_handle(&ring, &SessionHandle(text)));
}

proptest! {
    /// What comes from the wire is cut at byte positions: no text may make that fail.
    #[test]
    fn no_text_makes_parsing_fail(text in "(rlt_|rsh_)?.{0,60}") {
        prop_assert!(parse(&text).kind().is_none());
    }
}
