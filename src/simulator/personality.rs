//! Whose manners the simulated provider has: data only, one table a personality.
//!
//! `keycloak` is Keycloak as it comes. `psc` is a customised Keycloak: paths, order of checks and texts are Keycloak's,
//! the `channel` parameter and the shape of the person are PSC's. `generic` follows the letter of CIBA Core 1.0. What
//! they do differently is a field of [`Traits`]; no code asks for a personality's name.

mod generic;
mod keycloak;
mod psc;

use std::str::FromStr;

use axum::http::StatusCode;
use thiserror::Error;

/// The providers that can be simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Personality {
    /// Pro Santé Connect.
    #[default]
    Psc,
    /// Keycloak as it comes.
    Keycloak,
    /// The letter of CIBA Core 1.0.
    Generic,
}

/// No personality has that name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a personality is: psc, keycloak or generic")]
pub struct UnknownPersonality;

impl FromStr for Personality {
    type Err = UnknownPersonality;
    fn from_str(text: &str) -> Result<Self, UnknownPersonality> {
        match text {
            "psc" => Ok(Self::Psc),
            "keycloak" => Ok(Self::Keycloak),
            "generic" => Ok(Self::Generic),
            _ => Err(UnknownPersonality),
        }
    }
}

impl Personality {
    /// Path of the issuer that the provider has in the field.
    #[must_use]
    pub const fn issuer_path(self) -> &'static str {
        self.traits().issuer_path
    }

    pub(super) const fn traits(self) -> &'static Traits {
        match self {
            Self::Psc => &psc::TRAITS,
            Self::Keycloak => &keycloak::TRAITS,
            Self::Generic => &generic::TRAITS,
        }
    }
}

/// What one personality does.
pub(super) struct Traits {
    pub issuer_path: &'static str,
    /// Names of the metadata document below `/.well-known/`.
    pub metadata_documents: &'static [&'static str],
    pub document: Document,
    /// `backchannel_token_delivery_modes_supported`.
    pub delivery_modes: &'static [&'static str],
    /// `acr_values_supported`.
    pub acr_values: &'static [&'static str],
    pub paths: Paths,
    /// Realm name in `WWW-Authenticate`.
    pub realm: &'static str,
    /// Scopes that a client may ask for.
    pub scopes: &'static [&'static str],
    pub hints: Hints,
    pub binding_message: BindingMessage,
    pub user_code: UserCode,
    /// Whether the acknowledgement's `expires_in` heeds `requested_expiry`; else it is an upper bound.
    pub acknowledges_requested_expiry: bool,
    /// Whether an `auth_req_id` is a JWE of a thousand characters.
    pub long_request_ids: bool,
    pub pace: Pace,
    pub shape: Shape,
    /// `acr` of a plain approval.
    pub acr: &'static str,
    /// Values of the `channel` parameter; the first counts where it is absent. Empty: the parameter is unknown, and
    /// so ignored.
    pub channels: &'static [Channel],
    /// Life of a refresh token, in seconds, until the settings say otherwise.
    pub refresh_expires_in: u64,
    /// First part of the access token's `jti`: how the session began.
    pub jti_prefix: &'static str,
    pub refusals: Refusals,
}

/// What the metadata document is made of.
pub(super) enum Document {
    /// Everything that Keycloak lists, whether it means it or not.
    Keycloak,
    /// What CIBA needs, and only what is true.
    Ciba,
}

/// Which hints are looked at.
pub(super) enum Hints {
    /// `login_hint`; the others are ignored.
    LoginHintAlone,
    /// Exactly one of the three (CIBA §7.1). The refusal of none and of several.
    ExactlyOne(Refusal),
}

/// What a `binding_message` may be.
#[derive(Clone, Copy)]
pub(super) enum BindingMessage {
    /// `^[a-zA-Z0-9-._+/!?#]{1,50}$`.
    KeycloakPlainText,
    /// Up to a hundred printable characters.
    Printable,
}

impl BindingMessage {
    pub(super) fn accepts(self, message: &str) -> bool {
        match self {
            Self::KeycloakPlainText => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+/!?#".contains(&byte);
                (1..=50).contains(&message.len()) && message.bytes().all(plain)
            }
            Self::Printable => {
                (1..=100).contains(&message.chars().count()) && !message.chars().any(char::is_control)
            }
        }
    }
}

/// What becomes of a `user_code`.
pub(super) enum UserCode {
    /// The refusal of any.
    Unsupported(Refusal),
    /// Everybody's is the last four characters of the hint, so that a test needs no directory. The refusal of another.
    LastFourOfTheHint(Refusal),
}

/// When a poll is too early, and what it looks at first.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Too early comes before the decision. The interval runs from the last accepted poll and never grows. An expired
    /// request is told apart from an unknown one for this many seconds beyond its interval.
    Keycloak {
        /// The seconds.
        expired_kept: u64,
    },
    /// The decision comes first. Each `slow_down` adds 5 s to the interval, for good (CIBA §11), and the interval runs
    /// from the last poll, whatever its answer.
    Ciba,
}

/// How tokens and userinfo write about a person.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `SubjectNameID`, `SubjectRefPro`, `authMode`, over Keycloak's members.
    Psc,
    /// Standard claims (OIDC Core §5.1) over Keycloak's members.
    Keycloak,
    /// Standard claims.
    Standard,
}

/// Paths below the issuer.
pub(super) struct Paths {
    pub backchannel: &'static str,
    pub token: &'static str,
    pub userinfo: &'static str,
    pub revocation: &'static str,
    pub logout: &'static str,
    pub jwks: &'static str,
}

/// One way to authenticate.
pub(super) struct Channel {
    /// As in the `channel` parameter and in `authMode`.
    pub name: &'static str,
    /// `amr` of a plain approval.
    pub amr: &'static [&'static str],
}

/// An OAuth error answer.
pub(super) struct Refusal {
    pub status: StatusCode,
    pub error: &'static str,
    pub description: &'static str,
    /// `WWW-Authenticate`, where there is one.
    pub challenge: Option<&'static str>,
}

/// The answers to what goes wrong, one for each cause.
pub(super) struct Refusals {
    pub unsupported_grant: Refusal,
    pub missing_grant_type: Refusal,
    pub duplicated_parameter: Refusal,
    pub two_client_credentials: Refusal,
    pub unknown_client: Refusal,
    pub wrong_credentials: Refusal,
    /// Its description is followed by the rule that is broken.
    pub signed_request: Refusal,
    pub missing_hint: Refusal,
    pub unknown_person: Refusal,
    pub missing_scope: Refusal,
    /// Its description is followed by the scopes.
    pub invalid_scope: Refusal,
    pub binding_message: Refusal,
    /// Of a `channel` that is not among [`Traits::channels`].
    pub channel: Option<Refusal>,
    pub requested_expiry: Refusal,
    pub too_many_requests: Refusal,
    pub missing_request_id: Refusal,
    pub garbage_request_id: Refusal,
    pub unknown_request_id: Refusal,
    pub expired: Refusal,
    pub slow_down: Refusal,
    pub denied: Refusal,
    pub pending: Refusal,
    pub missing_refresh_token: Refusal,
    /// Of a text that was never given out here.
    pub garbage_refresh_token: Refusal,
    pub expired_refresh_token: Refusal,
    pub reused_refresh_token: Refusal,
    /// Of a token whose session has ended.
    pub session_over: Refusal,
    /// The tokens are bound to another certificate.
    pub other_certificate: Refusal,
    /// A refresh asks for more than was granted.
    pub wider_scope: Refusal,
}

const fn refusal(status: StatusCode, error: &'static str, description: &'static str) -> Refusal {
    Refusal { status, error, description, challenge: None }
}

pub(super) const fn bad(error: &'static str, description: &'static str) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, error, description)
}
