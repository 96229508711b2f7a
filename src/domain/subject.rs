//! Who a session belongs to, in one shape for every provider.
//!
//! The key of a person is (`iss`, `sub`), never `national_id` alone. Empty strings from a provider count as
//! absent. Code systems are kept as the provider writes them (`10^1.2.250…` or `10`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The person behind a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    /// Issuer of the ID token.
    pub iss: String,
    /// `sub` of the ID token.
    pub sub: String,
    /// The national identifier, where the provider gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub national_id: Option<String>,
    /// What kind of identifier `national_id` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub national_id_kind: Option<NationalIdKind>,
    /// Full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Given names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub family_name: Option<String>,
    /// The *situations d'exercice*: one per (exercice × activity).
    pub exercices: Vec<Exercice>,
    /// Groups (`memberOf`-like), where the provider gives them.
    pub groups: Vec<String>,
    /// Whether userinfo has been read.
    pub complete: bool,
}

/// The kinds of national identifier. Clients must expect more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NationalIdKind {
    /// `8` and 11 digits.
    Rpps,
    /// `0` and 9 digits.
    Adeli,
    /// Issued by a structure: contains a slash.
    Structure,
    /// A UUID: Pro Santé Identité.
    Psi,
    /// A test identity (`ANS…`).
    Test,
    /// None of these.
    Other,
}

impl NationalIdKind {
    /// The kind of an identifier, by its form.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if id.len() == 12 && id.starts_with('8') && digits(id) {
            Self::Rpps
        } else if id.len() == 10 && id.starts_with('0') && digits(id) {
            Self::Adeli
        } else if id.contains('/') {
            Self::Structure
        } else if uuid::Uuid::parse_str(id).is_ok() {
            Self::Psi
        } else if id.starts_with("ANS") {
            Self::Test
        } else {
            Self::Other
        }
    }
}

/// One *situation d'exercice*: a person practising one profession in one place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exercice {
    /// Derived from the content: the same at every login.
    pub id: String,
    /// The profession.
    pub profession: Code,
    /// *Savoir-faire* (speciality).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub savoir_faire: Option<Code>,
    /// Mode of practice (*libéral*, *salarié*).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mode: Option<Code>,
    /// Role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub role: Option<Code>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub site: Option<Site>,
}

/// A code of a nomenclature, with its label where it is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NomenclatureCode)]
pub struct Code {
    /// As the provider writes it.
    pub code: String,
    /// In French, as the nomenclature says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label: Option<String>,
}

/// A place of practice.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// SIRET.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub siret: Option<String>,
    /// FINESS of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub finess: Option<String>,
    /// Technical identifier of the structure.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structure_id: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub postal_code: Option<String>,
}
