//! The readers of what others send, each with what must hold of it, by the name of its target in `fuzz/`.
//!
//! Exists under `cfg(fuzzing)`, for the crate there, and in tests, which play the kept corpus again: an input that once
//! broke something is a test for good. Each folder says for itself what must hold of its readers.

pub use crate::client::fuzzing::{answers, events};
pub use crate::config::fuzzing::configuration;
pub use crate::crypto::fuzzing::{application_jwks, dn, enc, jws, strict_json, tokens, x509};
pub use crate::engine::fuzzing::client_assertion;
pub use crate::http::fuzzing::{basic, body, form, heads, login_start};
pub use crate::provider::fuzzing::{
    backchannel, exchange, id_token, jwks, metadata, notification, token, userinfo,
};

/// Takes any bytes and says whether they were taken for something good; panics where something does not hold.
pub type Target = fn(&[u8]) -> bool;

/// Every target.
pub const TARGETS: [(&str, Target); 24] = [
    ("answers", answers),
    ("application_jwks", application_jwks),
    ("backchannel", backchannel),
    ("basic", basic),
    ("body", body),
    ("client_assertion", client_assertion),
    ("configuration", configuration),
    ("dn", dn),
    ("enc", enc),
    ("events", events),
    ("exchange", exchange),
    ("form", form),
    ("heads", heads),
    ("id_token", id_token),
    ("jwks", jwks),
    ("jws", jws),
    ("login_start", login_start),
    ("metadata", metadata),
    ("notification", notification),
    ("strict_json", strict_json),
    ("token", token),
    ("tokens", tokens),
    ("userinfo", userinfo),
    ("x509", x509),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};

    use super::*;

    /// All of the corpus, in bytes.
    const CORPUS_MAX: u64 = 1024 * 1024;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files
    }

    fn stems(folder: &Path) -> BTreeSet<String> {
        let stem =
            |file: &PathBuf| file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        files(folder).iter().map(stem).collect()
    }

    #[test]
    fn r_n_02_whatever_was_found_stays_mended() {
        let mut broken = Vec::new();
        for (name, target) in TARGETS {
            let mut verdicts = BTreeSet::new();
            for input in files(&folder("corpus").join(name)) {
                let bytes = fs::read(&input).expect("a readable input");
                match catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
                    Ok(is_taken) => {
                        verdicts.insert(is_taken);
                    }
                    Err(_) => broken.push(input),
                }
            }
            // What must hold of what is taken is looked at only where something is.
            assert_eq!(verdicts.len(), 2, "{name}: all or nothing of its corpus is taken");
        }
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn every_target_has_its_program_and_its_corpus_and_nothing_else_is_there() {
        let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.len(), TARGETS.len());
        assert_eq!(stems(&folder("fuzz_targets")), names);
        assert_eq!(stems(&folder("corpus")), names);
        assert!(stems(&folder("dictionaries")).is_subset(&names));
        let manifest: toml::Table =
            fs::read_to_string(folder("Cargo.toml")).expect("a manifest").parse().expect("TOML");
        let programs = manifest["bin"].as_array().expect("programs");
        let declared: BTreeSet<String> =
            programs.iter().filter_map(|program| program["name"].as_str()).map(str::to_owned).collect();
        assert_eq!(declared, names);
        for name in &names {
            let text =
                fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).expect("a program");
            assert!(
                text.contains(&format!("{{ relais::fuzzing::{name}(input); }}")),
                "{name} plays another target"
            );
        }
    }

    #[test]
    fn the_corpus_stays_small() {
        let inputs = TARGETS.iter().flat_map(|(name, _)| files(&folder("corpus").join(name)));
        let total: u64 = inputs.map(|input| fs::metadata(input).expect("a file").len()).sum();
        assert!(total < CORPUS_MAX, "{total} bytes");
    }
}
