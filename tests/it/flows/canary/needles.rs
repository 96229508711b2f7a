//! What must not be found, in every form in which it could be written down.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The shortest text that is searched for: anything shorter is found by chance.
const SHORTEST: usize = 5;

/// Secrets and what is personal.
#[derive(Default)]
pub struct Needles(BTreeMap<Vec<u8>, String>);

impl Needles {
    /// A secret called `what`, as it is, encoded, and as a plain hash.
    pub fn add(&mut self, what: &str, secret: &str) {
        let bytes = secret.as_bytes();
        self.form(what, bytes.to_vec());
        self.form(&format!("{what}, hexadecimal"), hex(bytes));
        self.form(&format!("{what}, base64"), STANDARD_NO_PAD.encode(bytes).into_bytes());
        self.form(&format!("{what}, base64url"), URL_SAFE_NO_PAD.encode(bytes).into_bytes());
        self.form(&format!("{what}, percent-encoded"), percent_encoded(bytes));
        let hash = digest(&SHA256, bytes);
        self.form(&format!("{what}, hashed"), hash.as_ref().to_vec());
        self.form(&format!("{what}, hashed, hexadecimal"), hex(hash.as_ref()));
        self.form(&format!("{what}, hashed, base64url"), URL_SAFE_NO_PAD.encode(hash).into_bytes());
    }

    /// A token: also the telling parts of one that has parts. The first is a header, the same in all.
    pub fn add_token(&mut self, what: &str, token: &str) {
        self.add(what, token);
        for part in token.split(['.', '_']).skip(1).filter(|part| part.len() >= 16) {
            self.form(&format!("part of {what}"), part.as_bytes().to_vec());
            self.form(&format!("start of {what}"), part.as_bytes()[..16].to_vec());
        }
    }

    /// A national identifier, in the spellings that people use.
    pub fn add_person(&mut self, hint: &str) {
        self.add("national id", hint);
        if hint.len() == 12 && hint.bytes().all(|b| b.is_ascii_digit()) {
            self.add("national id without prefix", &hint[1..]);
            for between in [" ", ".", "-"] {
                let groups = [&hint[..4], &hint[4..8], &hint[8..]].join(between);
                self.form("national id in groups", groups.into_bytes());
            }
        }
    }

    /// A UUID, also as its bytes.
    pub fn add_uuid(&mut self, what: &str, uuid: &str) {
        self.add(what, uuid);
        let parsed = uuid::Uuid::parse_str(uuid).expect("a UUID");
        self.form(what, parsed.as_bytes().to_vec());
        self.form(what, parsed.simple().to_string().into_bytes());
    }

    fn form(&mut self, what: &str, bytes: Vec<u8>) {
        if bytes.len() >= SHORTEST {
            self.0.entry(bytes).or_insert_with(|| what.to_owned());
        }
    }

    /// What of it stands in `hay`, by name (never the secret itself).
    pub fn found_in(&self, hay: &[u8]) -> BTreeSet<&str> {
        let mut by_start: HashMap<&[u8], Vec<(&[u8], &str)>> = HashMap::new();
        for (needle, what) in &self.0 {
            by_start.entry(&needle[..SHORTEST]).or_default().push((needle, what));
        }
        let mut found = BTreeSet::new();
        for (at, start) in hay.windows(SHORTEST).enumerate() {
            if let Some(needles) = by_start.get(start) {
                found.extend(
                    needles.iter().filter(|(it, _)| hay[at..].starts_with(it)).map(|(_, what)| *what),
                );
            }
        }
        found
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

fn percent_encoded(bytes: &[u8]) -> Vec<u8> {
    url::form_urlencoded::byte_serialize(bytes).flat_map(str::bytes).collect()
}

#[test]
fn what_is_planted_is_found_in_every_form() {
    let mut needles = Needles::default();
    needles.add_token("token", "rlt_AAAABBBBCCCCDDDD");
    needles.add_person("899700000001");
    needles.add_uuid("key", "0193a5f0-1111-4222-8333-444455556666");
    let found = |hay: &[u8]| needles.found_in(hay).into_iter().collect::<Vec<_>>();
    assert_eq!(found(b"nothing 89970000000 to see"), Vec::<&str>::new());
    assert_eq!(found(b"x rlt_AAAABBBBCCCCDDDD"), ["part of token", "token"]);
    assert_eq!(found(b"[AAAABBBBCCCCDDDD"), ["part of token"]);
    assert_eq!(found(b"8997 0000 0001"), ["national id in groups"]);
    assert_eq!(found(b"(99700000001)"), ["national id without prefix"]);
    assert_eq!(
        found(&[&b"\x01\x93\xa5\xf0\x11\x11\x42\x22\x83\x33\x44\x44\x55\x55\x66\x66"[..], b"."].concat()),
        ["key"]
    );
    assert_eq!(
        found(&hex(b"899700000001")),
        ["national id without prefix, hexadecimal", "national id, hexadecimal"]
    );
}
