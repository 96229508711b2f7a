//! Where the facts about a person stand in what a provider says: paths into its claims, as an operator writes them.
//!
//! A path is the names of members from the outside inwards, with dots between them: `realm_access.roles`. A name that
//! holds a dot or anything else than letters, digits, `_`, `-`, `:`, `/` and `@` stands in double quotes. An array, on
//! the way or at the end, stands for each of its items.

use std::str::FromStr;

use thiserror::Error;

/// The most names of a path.
const LONGEST: usize = 16;

/// A path into claims; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimPath(Vec<String>);

/// Why a text is no path. Says what to write instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ClaimPathError {
    /// Nothing between two dots, before the first or after the last.
    #[error("has a name without characters: write names with one dot between them")]
    EmptyName,
    /// A bracket: many path languages have them.
    #[error("has a bracket: an array stands for each of its items without one")]
    Bracket,
    /// A character that a name has only between quotes.
    #[error("has a character that a name has only in double quotes, as in '\"https://example.fr/groups\"'")]
    Character,
    /// A quote that is not closed, or that is closed before the end of its name.
    #[error("has a double quote that does not enclose a whole name")]
    Quote,
    /// More names than [`LONGEST`].
    #[error("has more than 16 names")]
    TooLong,
}

impl ClaimPath {
    /// The names, from the outside inwards.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or(ClaimPathError::Quote)?,
                None => bare(rest)?,
            };
            if name.is_empty() {
                return Err(ClaimPathError::EmptyName);
            }
            names.push(name.to_owned());
            if names.len() > LONGEST {
                return Err(ClaimPathError::TooLong);
            }
            rest = match after.strip_prefix('.') {
                Some(next) => next,
                None if after.is_empty() => return Ok(Self(names)),
                None => return Err(ClaimPathError::Quote),
            };
        }
    }
}

/// A name without quotes, and what follows it.
fn bare(text: &str) -> Result<(&str, &str), ClaimPathError> {
    let (name, after) = text.split_at(text.find('.').unwrap_or(text.len()));
    for c in name.chars() {
        match c {
            '[' | ']' => return Err(ClaimPathError::Bracket),
            '"' => return Err(ClaimPathError::Quote),
            '_' | '-' | ':' | '/' | '@' => {}
            c if c.is_alphanumeric() => {}
            _ => return Err(ClaimPathError::Character),
        }
    }
    Ok((name, after))
}

/// Where a registration finds what a subject is made of. What is `None` stands where the provider's profile says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClaimPaths {
    /// The national identifier.
    pub national_id: Option<ClaimPath>,
    /// Full name.
    pub name: Option<ClaimPath>,
    /// Given names.
    pub given_name: Option<ClaimPath>,
    /// Family name.
    pub family_name: Option<ClaimPath>,
    /// Groups.
    pub groups: Option<ClaimPath>,
    /// The *situations d'exercice*.
    pub exercices: Option<ClaimPath>,
    /// What one of them is made of; `None`: they have PSC's shape.
    pub exercice: Option<ExercicePaths>,
}

/// Where the members of one *situation d'exercice* stand, seen from it. What is `None` is not read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExercicePaths {
    /// Code of the profession.
    pub profession: Option<ClaimPath>,
    /// Code of the *savoir-faire*.
    pub savoir_faire: Option<ClaimPath>,
    /// Code of the mode of practice.
    pub mode: Option<ClaimPath>,
    /// Code of the role.
    pub role: Option<ClaimPath>,
    /// Name of the place.
    pub site_name: Option<ClaimPath>,
    /// SIRET of the place.
    pub site_siret: Option<ClaimPath>,
    /// FINESS of the place.
    pub site_finess: Option<ClaimPath>,
    /// Technical identifier of the structure.
    pub site_structure_id: Option<ClaimPath>,
    /// Postal code of the place.
    pub site_postal_code: Option<ClaimPath>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, ClaimPathError> {
        text.parse::<ClaimPath>().map(|path| path.names().map(str::to_owned).collect())
    }

    #[test]
    fn a_path_is_names_with_dots_between_them() {
        for (text, expected) in [
            ("groups", &["groups"][..]),
            ("realm_access.roles", &["realm_access", "roles"]),
            ("urn:example:groups", &["urn:example:groups"]),
            ("élus.nom-d-usage", &["élus", "nom-d-usage"]),
            (r#""https://example.fr/groups""#, &["https://example.fr/groups"]),
            (r#"a."b.c"."d e[0]".f"#, &["a", "b.c", "d e[0]", "f"]),
        ] {
            assert_eq!(names(text), Ok(expected.iter().map(|&name| name.to_owned()).collect()), "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_what_is_wrong_about_it() {
        for (text, error) in [
            ("", ClaimPathError::EmptyName),
            (".", ClaimPathError::EmptyName),
            ("a..b", ClaimPathError::EmptyName),
            ("a.", ClaimPathError::EmptyName),
            (".a", ClaimPathError::EmptyName),
            (r#""""#, ClaimPathError::EmptyName),
            ("a[0].b", ClaimPathError::Bracket),
            ("a.*", ClaimPathError::Character),
            ("a b", ClaimPathError::Character),
            ("$.a", ClaimPathError::Character),
            ("a\n", ClaimPathError::Character),
            (r#""a"#, ClaimPathError::Quote),
            (r#""a"b"#, ClaimPathError::Quote),
            (r#"a"b""#, ClaimPathError::Quote),
            (&["a"; 17].join("."), ClaimPathError::TooLong),
        ] {
            assert_eq!(names(text), Err(error), "{text:?}");
        }
        assert!(names(&["a"; 16].join(".")).is_ok());
    }
}
