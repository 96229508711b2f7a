//! Whose manners the simulated provider has: data only, so that another personality is another table.
//!
//! `psc` is a customised Keycloak: paths, order of checks and texts are Keycloak's, the `channel` parameter and
//! the shape of the person are PSC's.

use std::str::FromStr;

use axum::http::StatusCode;
use thiserror::Error;

/// The providers that can be simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Personality {
    /// Pro Santé Connect.
    #[default]
    Psc,
}

/// No personality has that name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a personality is: psc")]
pub struct UnknownPersonality;

impl FromStr for Personality {
    type Err = UnknownPersonality;
    fn from_str(text: &str) -> Result<Self, UnknownPersonality> {
        match text {
            "psc" => Ok(Self::Psc),
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
            Self::Psc => &PSC,
        }
    }
}

/// What one personality does.
pub(super) struct Traits {
    pub issuer_path: &'static str,
    /// Names of the metadata document below `/.well-known/`.
    pub metadata_documents: &'static [&'static str],
    pub paths: Paths,
    /// Realm name in `WWW-Authenticate`.
    pub realm: &'static str,
    /// Scopes that a client may ask for.
    pub scopes: &'static [&'static str],
    /// `acr` of a plain approval.
    pub acr: &'static str,
    /// Values of the `channel` parameter; the first counts where it is absent.
    pub channels: &'static [Channel],
    /// Life of a refresh token, in seconds.
    pub refresh_expires_in: i64,
    /// An expired request is still told apart from an unknown one for this many seconds beyond its interval.
    pub expired_kept: u64,
    /// First part of the access token's `jti`: how the session began.
    pub jti_prefix: &'static str,
    pub refusals: Refusals,
}

/// Paths below the issuer.
pub(super) struct Paths {
    pub backchannel: &'static str,
    pub token: &'static str,
    pub userinfo: &'static str,
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
    pub user_code: Refusal,
    pub channel: Refusal,
    pub requested_expiry: Refusal,
    pub too_many_requests: Refusal,
    pub missing_request_id: Refusal,
    pub garbage_request_id: Refusal,
    pub unknown_request_id: Refusal,
    pub expired: Refusal,
    pub slow_down: Refusal,
    pub denied: Refusal,
    pub pending: Refusal,
}

const fn bad(error: &'static str, description: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, error, description }
}

/// PSC, measured in 2025–2026, on top of Keycloak 26.
static PSC: Traits = Traits {
    issuer_path: "/auth/realms/esante-wallet",
    metadata_documents: &["wallet-openid-configuration", "openid-configuration"],
    paths: Paths {
        backchannel: "/protocol/openid-connect/ext/ciba/auth",
        token: "/protocol/openid-connect/token",
        userinfo: "/protocol/openid-connect/userinfo",
        jwks: "/protocol/openid-connect/certs",
    },
    realm: "esante-wallet",
    scopes: &[
        "openid",
        "microprofile-jwt",
        "rpps",
        "referentiel",
        "web-origins",
        "basic",
        "identity",
        "acr",
        "offline_access",
        "eidas1",
        "profile",
        "roles",
        "email",
        "scope_all",
        "phone",
        "interop",
        "scope_1",
        "address",
        "scope_2",
        "eidas2",
    ],
    acr: "eidas1",
    channels: &[
        Channel { name: "MOBILE", amr: &["swk", "pin", "mfa"] },
        Channel { name: "CARD", amr: &["sc", "pin", "mfa", "hwk"] },
    ],
    refresh_expires_in: 1800,
    expired_kept: 10,
    jti_prefix: "onrtci:",
    refusals: Refusals {
        unsupported_grant: bad("unsupported_grant_type", "Unsupported grant_type"),
        missing_grant_type: bad("invalid_request", "Missing form parameter: grant_type"),
        duplicated_parameter: bad("invalid_request", "duplicated parameter"),
        // Keycloak takes the first that it finds. Two at once break RFC 6749 §2.3 and hide a client's mistake.
        two_client_credentials: bad("invalid_request", "more than one client authentication method"),
        // Keycloak since 17 tells a client that it does not know from one whose proof is wrong by the code
        // alone: an honest client meets the second one when its secret or certificate was renewed.
        unknown_client: Refusal {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: "Invalid client or Invalid client credentials",
        },
        wrong_credentials: Refusal {
            status: StatusCode::UNAUTHORIZED,
            error: "unauthorized_client",
            description: "Invalid client or Invalid client credentials",
        },
        signed_request: bad("invalid_request", "Invalid signed authentication request: "),
        missing_hint: bad("invalid_request", "missing parameter : login_hint"),
        unknown_person: bad("invalid_request", "invalid user"),
        missing_scope: bad("invalid_request", "missing parameter : scope"),
        invalid_scope: bad("invalid_scope", "Invalid scopes: "),
        binding_message: bad(
            "invalid_binding_message",
            "the binding_message value has to be max 50 characters in length and must contain only basic \
             plain-text characters without spaces",
        ),
        user_code: bad("invalid_request", "User code not supported"),
        channel: bad("invalid_request", "invalid channel"),
        requested_expiry: bad("invalid_request", "invalid parameter : requested_expiry"),
        too_many_requests: Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "server_error",
            description: "Failed to send authentication request",
        },
        missing_request_id: bad("invalid_request", "Missing parameter: auth_req_id"),
        garbage_request_id: bad("invalid_grant", "Invalid Auth Req ID"),
        unknown_request_id: bad("invalid_grant", "Invalid auth_req_id"),
        expired: bad("expired_token", "authentication timed out"),
        slow_down: bad("slow_down", "too early to access"),
        denied: bad("access_denied", "not authorized"),
        pending: bad(
            "authorization_pending",
            "The authorization request is still pending as the end-user hasn't yet been authenticated.",
        ),
    },
};
