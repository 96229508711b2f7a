//! Golden files: userinfo as providers write it, and the subject that each profile makes of it.
//!
//! `tests/golden/claims/NAME.userinfo.json` is a sample, `NAME.PROFILE.json` the subject. [`BLESS`] writes the subjects:
//! look at what has changed before they are kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use relais::domain::claims::{ClaimPath, ClaimPaths, ExercicePaths};
use relais::domain::grant::GrantClaims;
use relais::domain::profile::ProfileName;
use relais::domain::secret::Secret;
use relais::domain::subject::Subject;
use relais::engine::ports::{Providers as _, Userinfo};
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{CLIENT_ID, Setup};
use super::signing::rsa_1;

/// Set, the subjects are written instead of compared.
const BLESS: &str = "RELAIS_BLESS";

const SAMPLE: &str = ".userinfo.json";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/claims")
}

fn files() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the golden files");
    entries.map(|entry| entry.expect("a file").file_name().into_string().expect("a name")).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_default()
}

fn path(text: &str) -> ClaimPath {
    text.parse().expect("a path")
}

/// What the example configuration shows.
fn configured() -> ClaimPaths {
    ClaimPaths {
        national_id: Some(path("ids.rpps")),
        name: Some(path("identity.display")),
        given_name: Some(path("identity.given")),
        family_name: Some(path("identity.family")),
        groups: Some(path("realm_access.roles")),
        exercices: Some(path("practices")),
        exercice: Some(ExercicePaths {
            profession: Some(path("job.code")),
            savoir_faire: Some(path("job.speciality")),
            mode: Some(path("mode")),
            role: Some(path("role")),
            site_name: Some(path("place.label")),
            site_siret: Some(path("place.siret")),
            site_finess: Some(path("place.finess")),
            site_structure_id: Some(path("place.structure")),
            site_postal_code: Some(path("place.address.postal_code")),
        }),
    }
}

/// A provider of each kind, and how its golden files are called.
async fn kinds() -> Vec<(&'static str, Setup)> {
    let mut kinds = Vec::new();
    for (kind, profile, claims) in [
        ("psc", ProfileName::Psc, ClaimPaths::default()),
        ("keycloak", ProfileName::Keycloak, ClaimPaths::default()),
        ("generic", ProfileName::Generic, ClaimPaths::default()),
        ("configured", ProfileName::Keycloak, configured()),
    ] {
        let setup = Setup::with(|provider, registration| {
            provider.provider.profile = profile.profile();
            registration.claims = claims;
        });
        kinds.push((kind, setup.await));
    }
    kinds
}

/// What an ID token says that names nobody but by its `sub`.
fn known() -> GrantClaims {
    GrantClaims {
        subject: Subject {
            iss: "https://op.example".to_owned(),
            sub: "f:op:1".to_owned(),
            national_id: None,
            national_id_kind: None,
            name: None,
            given_name: None,
            family_name: None,
            exercices: Vec::new(),
            groups: Vec::new(),
            complete: false,
        },
        username: None,
        acr: None,
        amr: Vec::new(),
        auth_time: None,
        authenticated_by: None,
        sid: None,
        scope: Vec::new(),
    }
}

async fn userinfo(setup: &Setup, reply: Reply) -> Option<Userinfo> {
    setup.op.next("userinfo", reply);
    setup.clients.userinfo(&setup.registration, None, &Secret::new("at"), &known()).await.ok()
}

#[tokio::test]
async fn userinfo_becomes_the_subject_that_is_kept() {
    let kinds = kinds().await;
    let mut changed = Vec::new();
    for sample in files().iter().filter(|name| name.ends_with(SAMPLE)) {
        let (name, text) = (sample.trim_end_matches(SAMPLE), read(sample));
        for (kind, setup) in &kinds {
            let plain = userinfo(setup, Reply::raw(200, "application/json", text.clone())).await;
            let plain = plain.unwrap_or_else(|| panic!("{name} is refused by {kind}"));
            assert!(plain.claims.subject.complete, "{name}, {kind}");
            assert_eq!(plain.document.expose(), text, "{name}, {kind}: as it came");
            let golden = format!("{:#}\n", json!(plain.claims.subject));
            let file = format!("{name}.{kind}.json");
            if std::env::var_os(BLESS).is_some() {
                fs::write(folder().join(&file), &golden).expect("written");
            }
            if read(&file) != golden {
                changed.push(format!("{file}: {golden}"));
            }
            // Signed it says the same.
            let mut claims: Value = serde_json::from_str(&text).expect("JSON");
            (claims["iss"], claims["aud"]) = (json!(setup.op.base), json!(CLIENT_ID));
            let signed = userinfo(setup, Reply::raw(200, "application/jwt", rsa_1().sign(&claims))).await;
            let signed = signed.unwrap_or_else(|| panic!("{name}, signed, is refused by {kind}"));
            assert!(signed.claims.subject == plain.claims.subject, "{name}, {kind}: another subject");
        }
    }
    assert!(changed.is_empty(), "look at the changes, then run this with {BLESS}=1:\n{}", changed.join("\n"));
}

#[test]
fn every_golden_file_belongs_to_a_sample_and_every_sample_has_them_all() {
    let files = files();
    let samples: Vec<&str> = files.iter().filter_map(|name| name.strip_suffix(SAMPLE)).collect();
    assert!(samples.len() >= 12, "{samples:?}");
    let kinds = ["userinfo", "psc", "keycloak", "generic", "configured"];
    let expected: BTreeSet<String> =
        samples.iter().flat_map(|name| kinds.map(|kind| format!("{name}.{kind}.json"))).collect();
    assert_eq!(files, expected);
}
