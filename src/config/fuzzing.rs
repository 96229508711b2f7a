//! What must hold of a configuration whatever text it is: see [`crate::crypto::fuzzing`].

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use toml::{Table, Value};

use super::{Problems, load};
use crate::domain::time::Timestamp;

/// What inputs write into a secret.
const CANARY: &str = "zq7vk2";

/// Where a secret may stand in clear: below a name in a section.
const SECRETS: [(&str, &str); 2] = [("registrations", "client_secret"), ("applications", "secret")];

/// A configuration file: read or refused with what is wrong, and no problem repeats a secret.
pub fn configuration(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("relais.toml");
    std::fs::write(&file, text).expect("the file is written");
    // What a good one may name.
    for (name, byte) in [("key", 1), ("persons", 2)] {
        let mut private = OpenOptions::new();
        private.write(true).create_new(true).mode(0o600);
        let mut file = private.open(folder.path().join(name)).expect("a new file");
        file.write_all(URL_SAFE_NO_PAD.encode([byte; 32]).as_bytes()).expect("the key is written");
    }
    let loaded = load(Some(&file), std::iter::empty(), &[], Timestamp::from_secs(1_800_000_000));
    let is_good = loaded.is_ok();
    let told = match loaded {
        Ok(config) => Problems(config.warnings),
        Err(problems) => problems,
    };
    assert!(is_good || !told.0.is_empty(), "refused without a reason");
    let told = told.to_string();
    if text.matches(CANARY).count() == 1 && is_secret(text) {
        assert!(!told.contains(CANARY), "a problem repeats a secret");
    }
    is_good
}

/// Whether the canary stands in a secret.
fn is_secret(text: &str) -> bool {
    let Ok(table) = text.parse::<Table>() else { return false };
    SECRETS.iter().any(|(section, key)| {
        let named = table.get(*section).and_then(Value::as_table).into_iter().flatten();
        let mut secrets = named.filter_map(|(_, named)| named.get(*key)?.as_str());
        secrets.any(|secret| secret.contains(CANARY))
    })
}
