//! Keycloak 26 as it comes: what `psc` is built on.

use axum::http::StatusCode;

use super::{
    BindingMessage, Document, Hints, Pace, Paths, Refusal, Refusals, Shape, Traits, UserCode, bad, refusal,
};

pub(super) static TRAITS: Traits = Traits {
    issuer_path: "/realms/relais",
    metadata_documents: &["openid-configuration"],
    document: Document::Keycloak,
    delivery_modes: &["poll", "ping"],
    acr_values: &["0", "1"],
    paths: PATHS,
    realm: "relais",
    scopes: &[
        "openid",
        "profile",
        "email",
        "address",
        "phone",
        "offline_access",
        "roles",
        "web-origins",
        "microprofile-jwt",
        "acr",
        "basic",
    ],
    hints: Hints::LoginHintAlone,
    binding_message: BindingMessage::KeycloakPlainText,
    user_code: UserCode::Unsupported(USER_CODE),
    acknowledges_requested_expiry: false,
    long_request_ids: true,
    pace: PACE,
    shape: Shape::Keycloak,
    acr: "1",
    channels: &[],
    refresh_expires_in: 1800,
    jti_prefix: "onrtci:",
    refusals: REFUSALS,
};

pub(super) const PATHS: Paths = Paths {
    backchannel: "/protocol/openid-connect/ext/ciba/auth",
    token: "/protocol/openid-connect/token",
    userinfo: "/protocol/openid-connect/userinfo",
    revocation: "/protocol/openid-connect/revoke",
    logout: "/protocol/openid-connect/logout",
    jwks: "/protocol/openid-connect/certs",
};

pub(super) const PACE: Pace = Pace::Keycloak { expired_kept: 10 };

pub(super) const USER_CODE: Refusal = bad("invalid_request", "User code not supported");

pub(super) const REFUSALS: Refusals = Refusals {
    unsupported_grant: bad("unsupported_grant_type", "Unsupported grant_type"),
    missing_grant_type: bad("invalid_request", "Missing form parameter: grant_type"),
    duplicated_parameter: bad("invalid_request", "duplicated parameter"),
    // Keycloak takes the first that it finds. Two at once break RFC 6749 §2.3 and hide a client's mistake.
    two_client_credentials: bad("invalid_request", "more than one client authentication method"),
    // Keycloak since 17 tells a client that it does not know from one whose proof is wrong by the code
    // alone: an honest client meets the second one when its secret or certificate was renewed.
    unknown_client: refusal(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "Invalid client or Invalid client credentials",
    ),
    wrong_credentials: refusal(
        StatusCode::UNAUTHORIZED,
        "unauthorized_client",
        "Invalid client or Invalid client credentials",
    ),
    signed_request: bad("invalid_request", "Invalid signed authentication request: "),
    missing_hint: bad("invalid_request", "missing parameter : login_hint"),
    unknown_person: bad("invalid_request", "invalid user"),
    missing_scope: bad("invalid_request", "missing parameter : scope"),
    invalid_scope: bad("invalid_scope", "Invalid scopes: "),
    binding_message: bad(
        "invalid_binding_message",
        "the binding_message value has to be max 50 characters in length and must contain only basic plain-text \
         characters without spaces",
    ),
    channel: None,
    requested_expiry: bad("invalid_request", "invalid parameter : requested_expiry"),
    too_many_requests: refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "server_error",
        "Failed to send authentication request",
    ),
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
    missing_refresh_token: bad("invalid_request", "No refresh token"),
    garbage_refresh_token: bad("invalid_grant", "Invalid refresh token"),
    expired_refresh_token: bad("invalid_grant", "Token is not active"),
    reused_refresh_token: bad("invalid_grant", "Maximum allowed refresh token reuse exceeded"),
    session_over: bad("invalid_grant", "Session not active"),
    other_certificate: bad(
        "unauthorized_client",
        "Client certificate missing, or its thumbprint and one in the refresh token did NOT match",
    ),
    wider_scope: bad("invalid_scope", "Invalid scopes requested"),
};
