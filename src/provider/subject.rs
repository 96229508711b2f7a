//! Claims of an ID token or of userinfo as a [`Subject`], in one shape for every provider.
//!
//! What a provider leaves out, empties, or writes in another type than expected is absent: no claim can make a
//! valid answer fail here. The answer itself is kept whole beside the subject, so nothing is lost.

mod claim_map;
mod mapped;
mod professions;
mod psc;

use std::collections::HashSet;

use serde_json::Value;

use crate::domain::grant::GrantClaims;
use crate::domain::subject::{Exercice, NationalIdKind, Subject};
use crate::domain::time::Timestamp;

use super::jwt::numeric_date;
use super::strict_json::{Object, text};

pub use claim_map::ClaimMap;

/// The claims of a validated ID token; `subject.complete` is false.
pub fn from_id_token(claims: &Object, map: &ClaimMap, scope: Vec<String>) -> GrantClaims {
    let own = |name| text(claims, name).map(str::to_owned);
    let iss = own("iss").unwrap_or_default();
    let sub = own("sub").unwrap_or_default();
    GrantClaims {
        subject: subject(claims, map, iss, sub),
        username: map.profile.identity_claims.iter().find_map(|name| own(name)),
        acr: own("acr"),
        amr: texts(claims.get("amr")),
        auth_time: claims.get("auth_time").and_then(numeric_date).map(Timestamp::from_secs),
        authenticated_by: map.profile.authenticated_by_claim.and_then(own),
        // Keycloak wrote the provider's session as `session_state` before it wrote `sid`.
        sid: own("sid").or_else(|| own("session_state")),
        scope,
    }
}

/// The claims of a grant with what userinfo adds; `subject.complete` is true. What userinfo leaves out stays as
/// the ID token said it.
pub fn with_userinfo(claims: &GrantClaims, userinfo: &Object, map: &ClaimMap) -> GrantClaims {
    let known = &claims.subject;
    let told = subject(userinfo, map, known.iss.clone(), known.sub.clone());
    let national_id = known.national_id.clone().or(told.national_id);
    let authenticated_by = map.profile.authenticated_by_claim.and_then(|name| text(userinfo, name));
    GrantClaims {
        subject: Subject {
            national_id_kind: national_id.as_deref().map(NationalIdKind::of),
            national_id,
            name: told.name.or_else(|| known.name.clone()),
            given_name: told.given_name.or_else(|| known.given_name.clone()),
            family_name: told.family_name.or_else(|| known.family_name.clone()),
            exercices: if told.exercices.is_empty() { known.exercices.clone() } else { told.exercices },
            groups: if told.groups.is_empty() { known.groups.clone() } else { told.groups },
            complete: true,
            ..known.clone()
        },
        authenticated_by: claims.authenticated_by.clone().or_else(|| authenticated_by.map(str::to_owned)),
        ..claims.clone()
    }
}

/// The national identifier that these claims give, where it is known where they would. Names of claims are
/// case-sensitive; `sub` is never one.
pub fn national_id<'a>(claims: &'a Object, map: &ClaimMap) -> Option<&'a str> {
    claim_map::only_text(claims, &map.national_id)
}

fn subject(claims: &Object, map: &ClaimMap, iss: String, sub: String) -> Subject {
    let own = |paths| claim_map::first_text(claims, paths).map(str::to_owned);
    let (given_name, family_name) = (own(&map.given_name), own(&map.family_name));
    let national_id = claim_map::only_text(claims, &map.national_id).map(str::to_owned);
    let composed = || match (&given_name, &family_name) {
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    Subject {
        iss,
        sub,
        national_id_kind: national_id.as_deref().map(NationalIdKind::of),
        national_id,
        name: own(&map.name).or_else(composed),
        given_name,
        family_name,
        exercices: exercices(claims, map),
        groups: claim_map::texts(claims, &map.groups),
        complete: false,
    }
}

/// Every situation, in the provider's order, each once. A text in the place of one is the code of a profession.
fn exercices(claims: &Object, map: &ClaimMap) -> Vec<Exercice> {
    let mut seen = HashSet::new();
    let items = map.exercices.iter().flat_map(|path| claim_map::values(claims, path));
    let situations = items.flat_map(|item| match (item, &map.exercice) {
        (Value::Object(item), Some(paths)) => mapped::situation(item, paths).into_iter().collect(),
        (Value::Object(item), None) => psc::situations(item),
        (Value::String(_), _) => {
            mapped::scalar(item).map(|code| mapped::of_profession(&code)).into_iter().collect()
        }
        _ => Vec::new(),
    });
    situations.filter(|situation| seen.insert(situation.id.clone())).collect()
}

/// The texts of an array; a single text counts as one.
fn texts(value: Option<&Value>) -> Vec<String> {
    let of = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(of).collect(),
        Some(other) => of(other).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
