//! An exercice as PSC writes it in `SubjectRefPro` (the *référentiel*'s view of a professional).
//!
//! `SubjectRefPro.exercices[].activities[]`: an exercice is a profession, an activity is a place and a mode of
//! practising it. A *situation d'exercice* is one pair of the two; an exercice without activities gives one.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::domain::subject::{Code, Exercice, Site};
use crate::provider::strict_json::Object;

use super::mapped;
use super::professions;

/// What makes a situation the same at every login: codes and places. Neither labels nor addresses nor telephone
/// numbers, which may be corrected without the situation becoming another one.
const OF_EXERCICE: [&str; 4] =
    ["codeProfession", "codeCategorieProfessionnelle", "codeTypeSavoirFaire", "codeSavoirFaire"];
const OF_ACTIVITY: [&str; 13] = [
    "codeModeExercice",
    "codeSecteurDactivite",
    "codeSectionPharmacien",
    "codeRole",
    "codeGenreActivite",
    "numeroSiretSite",
    "numeroSirenSite",
    "numeroFinessSite",
    "numeroFinessetablissementJuridique",
    "identifiantTechniqueDeLaStructure",
    "raisonSocialeSite",
    "enseigneCommercialeSite",
    "codePostal",
];

/// The situations of one exercice, in the provider's order.
pub(super) fn situations(exercice: &Object) -> Vec<Exercice> {
    let nothing = Object::new();
    let mut activities: Vec<_> = objects(exercice.get("activities")).collect();
    if activities.is_empty() {
        activities.push(&nothing);
    }
    activities.into_iter().map(|activity| situation(exercice, activity)).collect()
}

fn objects(array: Option<&Value>) -> impl Iterator<Item = &Object> {
    array.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn situation(exercice: &Object, activity: &Object) -> Exercice {
    let bare = |code: String| Code { code, label: None };
    // A situation without profession stays a situation; its empty code says that the provider gave none.
    let profession = scalar(exercice, "codeProfession").unwrap_or_default();
    Exercice {
        id: id(exercice, activity),
        profession: Code { label: professions::profession(&profession), code: profession },
        savoir_faire: scalar(exercice, "codeSavoirFaire").map(bare),
        mode: scalar(activity, "codeModeExercice").map(|code| Code { label: professions::mode(&code), code }),
        role: scalar(activity, "codeRole").map(bare),
        site: site(activity),
    }
}

fn site(activity: &Object) -> Option<Site> {
    let site = Site {
        name: scalar(activity, "raisonSocialeSite").or_else(|| scalar(activity, "enseigneCommercialeSite")),
        siret: scalar(activity, "numeroSiretSite"),
        finess: scalar(activity, "numeroFinessSite"),
        structure_id: scalar(activity, "identifiantTechniqueDeLaStructure"),
        postal_code: scalar(activity, "codePostal"),
    };
    (site != Site::default()).then_some(site)
}

fn id(exercice: &Object, activity: &Object) -> String {
    let content: Vec<Option<String>> = OF_EXERCICE
        .iter()
        .map(|name| scalar(exercice, name))
        .chain(OF_ACTIVITY.iter().map(|name| scalar(activity, name)))
        .collect();
    id_of(&content.iter().collect::<Vec<_>>())
}

/// The first 16 hexadecimal digits of SHA-256 over the identifying members as a JSON array (`null`: absent).
pub(super) fn id_of(content: &[&Option<String>]) -> String {
    let canonical = serde_json::json!(content).to_string();
    let hash = digest(&SHA256, canonical.as_bytes());
    hash.as_ref().iter().take(8).fold(String::with_capacity(16), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

fn scalar(object: &Object, name: &str) -> Option<String> {
    object.get(name).and_then(mapped::scalar)
}
