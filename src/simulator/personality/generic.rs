//! The letter of CIBA Core 1.0: its error codes, its order, its pace.
//!
//! Where CIBA leaves a choice, the one that asks most of a client is taken: an id of few characters, a life that
//! `requested_expiry` shortens in the acknowledgement too, an interval that grows with every `slow_down`.

use axum::http::StatusCode;

use super::{
    BindingMessage, Document, Hints, Pace, Paths, Refusal, Refusals, Shape, Traits, UserCode, bad, refusal,
};

/// RFC 6749 §5.2: a client that came with an `Authorization` header is told which scheme is understood. It is told
/// always: one that came without has come without credentials.
const CHALLENGE: Option<&str> = Some("Basic realm=\"op\"");

const UNKNOWN_CLIENT: Refusal = Refusal {
    challenge: CHALLENGE,
    ..refusal(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "The client is unknown or its credentials are wrong.",
    )
};

const UNKNOWN_REQUEST: Refusal =
    bad("invalid_grant", "The auth_req_id is unknown, has been used or belongs to another client.");

const UNKNOWN_REFRESH_TOKEN: Refusal = bad(
    "invalid_grant",
    "The refresh token is unknown, has expired, has been used or revoked, or belongs to another client.",
);

pub(super) static TRAITS: Traits = Traits {
    issuer_path: "/op",
    metadata_documents: &["openid-configuration"],
    document: Document::Ciba,
    delivery_modes: &["poll", "ping", "push"],
    acr_values: &["substantial"],
    paths: Paths {
        backchannel: "/bc-authorize",
        token: "/token",
        userinfo: "/userinfo",
        revocation: "/revoke",
        logout: "/logout",
        jwks: "/jwks",
    },
    realm: "op",
    scopes: &["openid", "profile", "offline_access"],
    hints: Hints::ExactlyOne(bad(
        "invalid_request",
        "Exactly one of login_hint, login_hint_token and id_token_hint is required.",
    )),
    binding_message: BindingMessage::Printable,
    user_code: UserCode::LastFourOfTheHint(bad("invalid_user_code", "The user code is wrong.")),
    acknowledges_requested_expiry: true,
    long_request_ids: false,
    pace: Pace::Ciba,
    shape: Shape::Standard,
    acr: "substantial",
    channels: &[],
    refresh_expires_in: 1800,
    jti_prefix: "",
    refusals: Refusals {
        unsupported_grant: bad("unsupported_grant_type", "The grant type is not supported."),
        missing_grant_type: bad("invalid_request", "The parameter grant_type is missing."),
        duplicated_parameter: bad("invalid_request", "A parameter occurs more than once."),
        two_client_credentials: bad(
            "invalid_request",
            "More than one client authentication method was used.",
        ),
        unknown_client: UNKNOWN_CLIENT,
        wrong_credentials: UNKNOWN_CLIENT,
        signed_request: bad("invalid_request", "The signed authentication request is not valid: "),
        missing_hint: bad("invalid_request", "No other hint than login_hint is understood."),
        unknown_person: bad("unknown_user_id", "The hint names nobody."),
        missing_scope: bad("invalid_request", "The parameter scope is missing."),
        invalid_scope: bad("invalid_scope", "The scope lacks openid, or holds an unknown value: "),
        binding_message: bad(
            "invalid_binding_message",
            "The binding message is empty, longer than 100 characters or not printable.",
        ),
        channel: None,
        requested_expiry: bad("invalid_request", "The requested_expiry is no positive integer."),
        too_many_requests: refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Too many requests are under way.",
        ),
        missing_request_id: bad("invalid_request", "The parameter auth_req_id is missing."),
        garbage_request_id: UNKNOWN_REQUEST,
        unknown_request_id: UNKNOWN_REQUEST,
        expired: bad("expired_token", "The auth_req_id has expired."),
        slow_down: bad("slow_down", "The interval has not passed; it is 5 seconds longer from now on."),
        denied: bad("access_denied", "The end-user denied the request."),
        pending: bad("authorization_pending", "The end-user has not yet been authenticated."),
        missing_refresh_token: bad("invalid_request", "The parameter refresh_token is missing."),
        garbage_refresh_token: UNKNOWN_REFRESH_TOKEN,
        expired_refresh_token: UNKNOWN_REFRESH_TOKEN,
        reused_refresh_token: UNKNOWN_REFRESH_TOKEN,
        session_over: UNKNOWN_REFRESH_TOKEN,
        other_certificate: UNKNOWN_REFRESH_TOKEN,
        wider_scope: bad("invalid_scope", "The scope exceeds what was granted."),
    },
};
