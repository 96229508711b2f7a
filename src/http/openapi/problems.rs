//! The refusals of each call, for the document: which codes, with which status, in which shape.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::targets;
use crate::http::problem::Code;

/// What any call may answer.
const ANY: [Code; 7] = [
    Code::InvalidRequest,
    Code::DpopUnsupported,
    Code::ApplicationDisabled,
    Code::RateLimited,
    Code::Overloaded,
    Code::Sealed,
    Code::Internal,
];

const BY_APPLICATION: &[Code] = &[Code::ApplicationUnauthenticated, Code::CredentialMissing];

const WITH_BODY: &[Code] = &[Code::RequestTooLarge, Code::UnsupportedMediaType];

const OF_A_LOGIN: &[Code] = &[
    Code::ApplicationUnauthenticated,
    Code::CredentialMissing,
    Code::WrongTokenKind,
    Code::LoginNotFound,
    Code::StoreUnavailable,
];

const OF_A_SESSION: &[Code] = &[
    Code::ApplicationUnauthenticated,
    Code::CredentialMissing,
    Code::WrongTokenKind,
    Code::SessionEnded,
    Code::HandleInvalid,
    Code::StoreUnavailable,
];

const OF_A_START: &[Code] = &[
    Code::LoginHintMalformed,
    Code::BindingMessageMalformed,
    Code::IdempotencyKeyMalformed,
    Code::RegistrationNotAllowed,
    Code::ChannelNotAllowed,
    Code::AcrNotAllowed,
    Code::ScopeNotAllowed,
    Code::BindingMessageNotAllowed,
    Code::AlreadyPending,
    Code::IdempotencyKeyReused,
    Code::StoreUnavailable,
    Code::ProviderUnavailable,
];

const OF_A_PICK_UP: &[Code] = &[
    Code::NotApproved,
    Code::AlreadyPickedUp,
    Code::IdentityMismatch,
    Code::ExerciceUnknown,
    Code::PolicyNotMet,
];

const OF_A_TARGET: &[Code] = &[
    Code::RequestTooLarge,
    Code::TargetNotAllowed,
    Code::ExchangeRefused,
    Code::ExerciceRequired,
    Code::TargetUnknown,
    Code::TargetUnreachable,
    Code::TargetTlsFailed,
    Code::TargetRedirected,
    Code::ExchangeUnavailable,
    Code::TargetTimeout,
];

/// What the call with this `operationId` may answer beside [`ANY`].
fn own(operation_id: &str) -> &'static [&'static [Code]] {
    match operation_id {
        "readApplication" => &[BY_APPLICATION],
        "startLogin" => &[BY_APPLICATION, WITH_BODY, OF_A_START],
        "readLogin" | "followLogin" => &[OF_A_LOGIN],
        "cancelLogin" => &[OF_A_LOGIN, &[Code::AlreadyPickedUp]],
        "pickUpSession" => &[OF_A_LOGIN, WITH_BODY, OF_A_PICK_UP],
        "readSession" | "followSession" | "endSession" => &[OF_A_SESSION],
        "readUserinfo" => &[OF_A_SESSION, &[Code::ProviderUnavailable]],
        "introspect" => &[BY_APPLICATION, WITH_BODY, &[Code::StoreUnavailable]],
        "chooseExercice" => &[OF_A_SESSION, WITH_BODY, &[Code::ExerciceUnknown]],
        id if id.starts_with(targets::OPERATION) => &[OF_A_SESSION, OF_A_TARGET],
        _ => &[],
    }
}

/// The refusals of a call, by status.
pub(super) fn responses(operation_id: &str) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in ANY.iter().chain(own(operation_id).iter().copied().flatten()) {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), response(status, &codes))).collect()
}

fn response(status: u16, codes: &[Code]) -> Value {
    let mut description = String::new();
    for (place, code) in codes.iter().enumerate() {
        let separator = if place == 0 { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(description, "{separator}- `{}`: {}.", code.as_str(), code.title());
    }
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    if status == 401 {
        headers["WWW-Authenticate"] = json!({ "$ref": "#/components/headers/WwwAuthenticate" });
    }
    if matches!(status, 429 | 503) || codes.contains(&Code::AlreadyPending) {
        headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    json!({
        "description": description,
        "headers": headers,
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    })
}

/// Headers that several answers have.
pub(super) fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "Names this call in the log.",
            "schema": { "type": "string" },
        },
        "RetryAfter": {
            "description": "Seconds after which to try again.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "WwwAuthenticate": {
            "description": "What the call wants to be made with.",
            "schema": { "type": "string" },
        },
    })
}

/// RFC 9457, with the members that a problem of ours has.
pub(super) fn schema() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail", "request_id", "support_code", "user_message"],
        "properties": {
            "type": { "type": "string", "description": "`urn:relais:problem:` and the code." },
            "title": { "type": "string", "description": "For the developer, always the same for a code." },
            "status": { "type": "integer", "description": "The status of the answer." },
            "code": {
                "type": "string", "x-extensible-enum": codes,
                "description": "What a program looks at.",
            },
            "detail": { "type": "string", "description": "For the developer, about this case." },
            "request_id": { "type": "string", "description": "As `X-Request-Id`." },
            "support_code": { "$ref": "#/components/schemas/SupportCode" },
            "user_message": { "type": "string", "description": "One or two sentences to show to the person." },
            "reason": { "type": "string", "description": "Why the login or the session has ended." },
            "login_status": {
                "$ref": "#/components/schemas/LoginStatus",
                "description": "With `not_approved`: where the login stands.",
            },
            "expires_in": {
                "type": "integer", "minimum": 0,
                "description": "With `already_pending`: seconds until the person is free.",
            },
            "replaceable": {
                "type": "boolean",
                "description": "With `already_pending`: whether `if_pending: replace` would succeed.",
            },
            "limit": { "type": "string", "description": "With `rate_limited`: which limit." },
            "errors": {
                "type": "array",
                "description": "With 400: everything that is wrong with the request.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "rule", "message"],
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "description": "A JSON pointer into the body, `?name` of a query parameter, or the \
                                name of a header.",
                        },
                        "rule": { "type": "string", "description": "The rule that it breaks." },
                        "message": { "type": "string", "description": "For the developer." },
                    },
                },
            },
        },
    })
}
