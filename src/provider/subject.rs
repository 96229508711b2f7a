//! Claims of an ID token or of userinfo as a [`Subject`], in one shape for every provider.
//!
//! What a provider leaves out, empties, or writes in another type than expected is absent: no claim can make a
//! valid answer fail here. The answer itself is kept whole beside the subject, so nothing is lost.

mod professions;
mod psc;

use serde_json::Value;

use crate::domain::grant::GrantClaims;
use crate::domain::profile::{Profile, SubjectRule};
use crate::domain::subject::{NationalIdKind, Subject};
use crate::domain::time::Timestamp;

use super::jwt::numeric_date;
use super::strict_json::{Object, text};

/// The claims of a validated ID token; `subject.complete` is false.
pub fn from_id_token(claims: &Object, profile: &Profile, scope: Vec<String>) -> GrantClaims {
    let own = |name| text(claims, name).map(str::to_owned);
    let iss = own("iss").unwrap_or_default();
    let sub = own("sub").unwrap_or_default();
    GrantClaims {
        subject: subject(claims, profile, iss, sub),
        acr: own("acr"),
        amr: texts(claims.get("amr")),
        auth_time: claims.get("auth_time").and_then(numeric_date).map(Timestamp::from_secs),
        authenticated_by: profile.authenticated_by_claim.and_then(own),
        // Keycloak wrote the provider's session as `session_state` before it wrote `sid`.
        sid: own("sid").or_else(|| own("session_state")),
        scope,
    }
}

/// The claims of a grant with what userinfo adds; `subject.complete` is true. What userinfo leaves out stays as
/// the ID token said it.
pub fn with_userinfo(claims: &GrantClaims, userinfo: &Object, profile: &Profile) -> GrantClaims {
    let known = &claims.subject;
    let told = subject(userinfo, profile, known.iss.clone(), known.sub.clone());
    let national_id = known.national_id.clone().or(told.national_id);
    let authenticated_by = profile.authenticated_by_claim.and_then(|name| text(userinfo, name));
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

/// The national identifier that these claims give, where the profile knows one.
pub fn national_id<'a>(claims: &'a Object, profile: &Profile) -> Option<&'a str> {
    match profile.subject_rule {
        SubjectRule::Psc => psc::national_id(claims),
        SubjectRule::Standard => None,
    }
}

fn subject(claims: &Object, profile: &Profile, iss: String, sub: String) -> Subject {
    let own = |name| text(claims, name).map(str::to_owned);
    let (given_name, family_name) = (own("given_name"), own("family_name"));
    let national_id = national_id(claims, profile).map(str::to_owned);
    let composed = || match (&given_name, &family_name) {
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    };
    Subject {
        iss,
        sub,
        national_id_kind: national_id.as_deref().map(NationalIdKind::of),
        national_id,
        name: own("name").or_else(composed),
        given_name,
        family_name,
        exercices: match profile.subject_rule {
            SubjectRule::Psc => psc::exercices(claims),
            SubjectRule::Standard => Vec::new(),
        },
        groups: groups(claims),
        complete: false,
    }
}

fn groups(claims: &Object) -> Vec<String> {
    let named = texts(claims.get("groups"));
    if named.is_empty() { texts(claims.get("memberOf")) } else { named }
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
