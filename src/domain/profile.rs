//! What is particular to a kind of provider, as data.
//!
//! No code asks "is this PSC?": it reads a field here. A new kind of provider is a new constant.

use std::time::Duration;

use serde::Deserialize;

/// The name of a profile, as configuration writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// Pro Santé Connect.
    Psc,
    /// Keycloak as it comes.
    Keycloak,
    /// The letter of CIBA Core 1.0.
    Generic,
}

impl ProfileName {
    /// The data behind the name.
    #[must_use]
    pub const fn profile(self) -> &'static Profile {
        match self {
            Self::Psc => &PSC,
            Self::Keycloak => &KEYCLOAK,
            Self::Generic => &GENERIC,
        }
    }

    /// As configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Psc => "psc",
            Self::Keycloak => "keycloak",
            Self::Generic => "generic",
        }
    }
}

/// How a login hint is normalised and checked before anything is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintRule {
    /// Passes as it is (trimmed).
    Verbatim,
    /// French national identifiers: see [`super::hint`].
    FrenchNationalId,
}

/// Which texts a provider takes as `binding_message`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingRule {
    /// Exactly two digits (PSC; ANS's proxy API).
    TwoDigits,
    /// `^[a-zA-Z0-9-._+/!?#]{1,50}$` (Keycloak).
    KeycloakPlainText,
}

impl BindingRule {
    /// Whether the provider will take `text`.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::TwoDigits => text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()),
            Self::KeycloakPlainText => {
                (1..=50).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+/!?#".contains(&b))
            }
        }
    }
}

/// Where a kind of provider keeps what a subject is made of and OpenID Connect Core §5.1 has no name for: paths, in the
/// writing of [`super::claims::ClaimPath`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimPlaces {
    /// The national identifier: the first of these that holds one.
    pub national_id: &'static [&'static str],
    /// Groups: the first of these that holds some.
    pub groups: &'static [&'static str],
    /// The *situations d'exercice*, in PSC's shape; `None`: it knows none.
    pub exercices: Option<&'static str>,
}

/// Quirks of one kind of provider.
#[derive(PartialEq, Eq, Debug)]
pub struct Profile {
    /// As configuration writes it.
    pub name: ProfileName,
    /// How hints are normalised.
    pub hint_rule: HintRule,
    /// What `binding_message` may be; the server-drawn one is always two digits.
    pub binding_rule: BindingRule,
    /// Claims of the ID token whose first present one must equal the hint. Empty: no identity check.
    pub identity_claims: &'static [&'static str],
    /// Time-out of one token poll. CIBA §10.1 wants 30 s and more where the provider may long-poll.
    pub poll_timeout: Duration,
    /// How many polls of the provider are under way at once, those of all its registrations together. More where a
    /// poll may be held open until the person has decided.
    pub polls_at_once: usize,
    /// Added to the interval: Keycloak counts it from the arrival of the previous poll.
    pub poll_margin: Duration,
    /// Time-out of the backchannel authentication request.
    pub start_timeout: Duration,
    /// Time-out of a refresh. Nobody else sends the same refresh token until it, and two seconds, have passed.
    pub refresh_timeout: Duration,
    /// The form parameter that carries a login's channel, where the provider has one.
    pub channel_parameter: Option<&'static str>,
    /// `invalid_request` descriptions of the backchannel endpoint that mean "nobody by that hint".
    pub unknown_person_descriptions: &'static [&'static str],
    /// Where claims hold what the subject is made of.
    pub claims: ClaimPlaces,
    /// The claim that says how the person authenticated (`CARD`, `MOBILE`).
    pub authenticated_by_claim: Option<&'static str>,
    /// Whether the CN of a client certificate is expected to be the `client_id`.
    pub common_name_is_client_id: bool,
    /// Whether `acr_values_supported` of the metadata means anything (PSC's does not).
    pub trusts_advertised_acr: bool,
    /// Whether its logout tokens may lack `exp`: Keycloak wrote none before version 23, and Back-Channel Logout has required
    /// it since its final text only.
    pub logout_tokens_may_lack_exp: bool,
}

/// Claims without a standard that many providers name alike.
const GROUPS: &[&str] = &["groups", "memberOf"];

/// Pro Santé Connect, a customised Keycloak.
static PSC: Profile = Profile {
    name: ProfileName::Psc,
    hint_rule: HintRule::FrenchNationalId,
    binding_rule: BindingRule::TwoDigits,
    identity_claims: &["SubjectNameID", "preferred_username"],
    poll_timeout: Duration::from_secs(8),
    polls_at_once: 256,
    poll_margin: Duration::from_millis(250),
    start_timeout: Duration::from_secs(20),
    refresh_timeout: Duration::from_secs(8),
    channel_parameter: Some("channel"),
    unknown_person_descriptions: &["invalid user", "invalid_user"],
    claims: ClaimPlaces {
        national_id: &["SubjectNameID", "preferred_username"],
        groups: GROUPS,
        exercices: Some("SubjectRefPro.exercices"),
    },
    authenticated_by_claim: Some("authMode"),
    common_name_is_client_id: true,
    trusts_advertised_acr: false,
    logout_tokens_may_lack_exp: true,
};

/// Keycloak as it comes.
static KEYCLOAK: Profile = Profile {
    name: ProfileName::Keycloak,
    hint_rule: HintRule::Verbatim,
    binding_rule: BindingRule::KeycloakPlainText,
    identity_claims: &["preferred_username"],
    poll_timeout: Duration::from_secs(8),
    polls_at_once: 256,
    poll_margin: Duration::from_millis(250),
    start_timeout: Duration::from_secs(20),
    refresh_timeout: Duration::from_secs(8),
    channel_parameter: None,
    unknown_person_descriptions: &["invalid user", "invalid_user"],
    // A Keycloak that passes on what PSC says keeps PSC's names. Its own `preferred_username` is no national identifier.
    claims: ClaimPlaces {
        national_id: &["SubjectNameID"],
        groups: GROUPS,
        exercices: Some("SubjectRefPro.exercices"),
    },
    authenticated_by_claim: None,
    common_name_is_client_id: false,
    trusts_advertised_acr: true,
    logout_tokens_may_lack_exp: true,
};

/// The letter of CIBA Core 1.0.
static GENERIC: Profile = Profile {
    name: ProfileName::Generic,
    hint_rule: HintRule::Verbatim,
    binding_rule: BindingRule::KeycloakPlainText,
    identity_claims: &["preferred_username"],
    poll_timeout: Duration::from_secs(35),
    polls_at_once: 4096,
    poll_margin: Duration::ZERO,
    start_timeout: Duration::from_secs(20),
    refresh_timeout: Duration::from_secs(8),
    channel_parameter: None,
    unknown_person_descriptions: &[],
    claims: ClaimPlaces { national_id: &[], groups: GROUPS, exercices: None },
    authenticated_by_claim: None,
    common_name_is_client_id: false,
    trusts_advertised_acr: true,
    logout_tokens_may_lack_exp: false,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::claims::ClaimPath;

    #[test]
    fn the_places_of_claims_are_paths() {
        for name in [ProfileName::Psc, ProfileName::Keycloak, ProfileName::Generic] {
            let places = &name.profile().claims;
            for path in places.national_id.iter().chain(places.groups).chain(&places.exercices) {
                assert!(path.parse::<ClaimPath>().is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn rp_018_a_binding_message_is_what_the_provider_takes() {
        let fifty = "a".repeat(50);
        for good in ["4", "42", "A-b._+/!?#9", &fifty] {
            assert!(BindingRule::KeycloakPlainText.accepts(good), "{good}");
        }
        let long = "a".repeat(51);
        for bad in ["", "4 2", "é", "42\n", "a,b", "\0", &long] {
            assert!(!BindingRule::KeycloakPlainText.accepts(bad), "{bad:?}");
        }
        assert!(BindingRule::TwoDigits.accepts("07"));
        for bad in ["", "7", "007", "4a", "٤٢"] {
            assert!(!BindingRule::TwoDigits.accepts(bad), "{bad:?}");
        }
        // What Relais draws by itself must do everywhere.
        for name in [ProfileName::Psc, ProfileName::Keycloak, ProfileName::Generic] {
            assert!((0..100).all(|drawn| name.profile().binding_rule.accepts(&format!("{drawn:02}"))));
        }
    }
}
