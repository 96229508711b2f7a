//! `[registrations.<name>.claims]`: where the provider's claims hold what a subject is made of.

use crate::config::reader::Reader;
use crate::domain::claims::{ClaimPath, ClaimPathError, ClaimPaths, ExercicePaths};
use crate::domain::profile::Profile;

pub(super) fn read(reader: &Reader<'_>, profile: Option<&Profile>) -> ClaimPaths {
    let claims = reader.section("claims");
    let paths = ClaimPaths {
        national_id: read_path(&claims, "national_id"),
        name: read_path(&claims, "name"),
        given_name: read_path(&claims, "given_name"),
        family_name: read_path(&claims, "family_name"),
        groups: read_path(&claims, "groups"),
        exercices: read_path(&claims, "exercices"),
        exercice: claims.has("exercice").then(|| read_exercice(&claims.section("exercice"))),
    };
    let is_sub = |path: &ClaimPath| path.names().eq(["sub"]);
    if paths.national_id.as_ref().is_some_and(is_sub) {
        claims.problem(
            "national_id",
            "is \"sub\", which is the provider's own name of a person",
            "write where the national identifier stands, or leave it out",
        );
    }
    let knows_none = profile.is_some_and(|profile| profile.claims.exercices.is_none());
    if claims.has("exercice") && !claims.has("exercices") && knows_none {
        claims.problem(
            "exercices",
            "is missing: claims.exercice says what each of them is made of",
            "write where the list of them stands",
        );
    }
    paths
}

fn read_exercice(exercice: &Reader<'_>) -> ExercicePaths {
    let site = exercice.section("site");
    ExercicePaths {
        profession: read_path(exercice, "profession"),
        savoir_faire: read_path(exercice, "savoir_faire"),
        mode: read_path(exercice, "mode"),
        role: read_path(exercice, "role"),
        site_name: read_path(&site, "name"),
        site_siret: read_path(&site, "siret"),
        site_finess: read_path(&site, "finess"),
        site_structure_id: read_path(&site, "structure_id"),
        site_postal_code: read_path(&site, "postal_code"),
    }
}

fn read_path(reader: &Reader<'_>, key: &str) -> Option<ClaimPath> {
    let text = reader.text(key)?;
    let refused = |error: ClaimPathError| {
        let fix = "write names from the outside inwards, such as \"realm_access.roles\"";
        reader.problem(key, format!("{text:?} {error}"), fix);
    };
    text.parse().map_err(refused).ok()
}
