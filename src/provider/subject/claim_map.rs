//! Where the claims of one registration hold what a subject is made of: what is configured, else what the profile says.

use serde_json::Value;

use crate::domain::claims::{ClaimPath, ClaimPaths, ExercicePaths};
use crate::domain::profile::Profile;
use crate::provider::strict_json::Object;

/// The places, ready to be read.
#[derive(Debug)]
pub struct ClaimMap {
    /// The provider's quirks.
    pub(super) profile: &'static Profile,
    pub(super) national_id: Vec<ClaimPath>,
    pub(super) name: Vec<ClaimPath>,
    pub(super) given_name: Vec<ClaimPath>,
    pub(super) family_name: Vec<ClaimPath>,
    pub(super) groups: Vec<ClaimPath>,
    pub(super) exercices: Vec<ClaimPath>,
    /// Of what one of them is made; `None`: they have PSC's shape.
    pub(super) exercice: Option<ExercicePaths>,
}

impl ClaimMap {
    /// The places that are configured; where none is, those of the profile.
    pub fn new(profile: &'static Profile, configured: &ClaimPaths) -> Self {
        let places = |own: &Option<ClaimPath>, usual: &[&str]| match own {
            Some(path) => vec![path.clone()],
            // They are paths: a test of the profiles says so.
            None => usual.iter().filter_map(|path| path.parse().ok()).collect(),
        };
        let usual = &profile.claims;
        Self {
            profile,
            national_id: places(&configured.national_id, usual.national_id),
            name: places(&configured.name, &["name"]),
            given_name: places(&configured.given_name, &["given_name"]),
            family_name: places(&configured.family_name, &["family_name"]),
            groups: places(&configured.groups, usual.groups),
            exercices: places(&configured.exercices, usual.exercices.as_slice()),
            exercice: configured.exercice.clone(),
        }
    }

    /// The names of top-level claims that say who somebody is.
    pub fn identifying(&self) -> Vec<&str> {
        let national_id = self.national_id.iter().filter_map(|path| path.names().next());
        ["sub", "iss", "aud"].into_iter().chain(national_id).collect()
    }
}

/// Every value at a path. An array, on the way or at the end, stands for each of its items.
pub(super) fn values<'a>(claims: &'a Object, path: &ClaimPath) -> Vec<&'a Value> {
    let mut names = path.names();
    let first = names.next().and_then(|name| claims.get(name));
    let found: Vec<&Value> = names.fold(first.into_iter().collect(), |found, name| {
        found.into_iter().flat_map(items).filter_map(|value| value.get(name)).collect()
    });
    found.into_iter().flat_map(items).collect()
}

/// The items of an array, those of arrays in it among them; anything else is its only item.
fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(self::items).collect(),
        other => vec![other],
    }
}

/// The first text at the first path that holds one; an empty text is none.
pub(super) fn first_text<'a>(claims: &'a Object, paths: &[ClaimPath]) -> Option<&'a str> {
    paths.iter().find_map(|path| values(claims, path).into_iter().find_map(text))
}

/// The text at the first path that holds any, where it holds one and no other: of several identifiers nobody can say
/// which one is meant, and an array need not keep its order.
pub(super) fn only_text<'a>(claims: &'a Object, paths: &[ClaimPath]) -> Option<&'a str> {
    let texts =
        paths.iter().map(|path| values(claims, path).into_iter().filter_map(text).collect::<Vec<_>>());
    let found = texts.into_iter().find(|texts| !texts.is_empty())?;
    let first = *found.first()?;
    found.iter().all(|text| *text == first).then_some(first)
}

/// The values of the first path that holds any text, each once.
pub(super) fn texts(claims: &Object, paths: &[ClaimPath]) -> Vec<String> {
    let of = |path: &ClaimPath| {
        let mut seen = std::collections::HashSet::new();
        let texts = values(claims, path).into_iter().filter_map(text);
        texts.filter(|text| seen.insert(*text)).map(str::to_owned).collect::<Vec<_>>()
    };
    paths.iter().map(of).find(|texts| !texts.is_empty()).unwrap_or_default()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}
