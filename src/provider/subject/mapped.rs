//! *Situations d'exercice* of a provider that has a shape of its own: each member stands where the configuration says.

use serde_json::Value;

use crate::domain::claims::{ClaimPath, ExercicePaths};
use crate::domain::subject::{Code, Exercice, Site};
use crate::provider::strict_json::Object;

use super::claim_map::values;
use super::{professions, psc};

/// One situation; `None` where nothing of it could be read.
pub(super) fn situation(item: &Object, paths: &ExercicePaths) -> Option<Exercice> {
    let read = |path: &Option<ClaimPath>| {
        let path = path.as_ref()?;
        values(item, path).into_iter().find_map(scalar)
    };
    let bare = |code: String| Code { code, label: None };
    let (profession, mode) = (read(&paths.profession), read(&paths.mode));
    let (savoir_faire, role) = (read(&paths.savoir_faire), read(&paths.role));
    let site = Site {
        name: read(&paths.site_name),
        siret: read(&paths.site_siret),
        finess: read(&paths.site_finess),
        structure_id: read(&paths.site_structure_id),
        postal_code: read(&paths.site_postal_code),
    };
    let content = [
        &profession,
        &savoir_faire,
        &mode,
        &role,
        &site.siret,
        &site.finess,
        &site.structure_id,
        &site.name,
        &site.postal_code,
    ];
    if content.iter().all(|member| member.is_none()) {
        return None;
    }
    let id = psc::id_of(&content);
    let profession = profession.unwrap_or_default();
    Some(Exercice {
        id,
        profession: Code { label: professions::profession(&profession), code: profession },
        savoir_faire: savoir_faire.map(bare),
        mode: mode.map(|code| Code { label: professions::mode(&code), code }),
        role: role.map(bare),
        site: (site != Site::default()).then_some(site),
    })
}

/// The situation of somebody of whom nothing but the profession is told.
pub(super) fn of_profession(code: &str) -> Exercice {
    Exercice {
        id: psc::id_of(&[&Some(code.to_owned())]),
        profession: Code { label: professions::profession(code), code: code.to_owned() },
        savoir_faire: None,
        mode: None,
        role: None,
        site: None,
    }
}

/// A value as text, whether it was written as one or as a number; empty counts as absent.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
