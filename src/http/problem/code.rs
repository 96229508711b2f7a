//! The problem codes, which are contract, with the status and the title of each.

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// A problem's code.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(in crate::http) enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub(in crate::http) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As answers show it.
            pub(in crate::http) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The status of an answer with this code.
            pub(in crate::http) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// For the developer, always the same.
            pub(in crate::http) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request is not valid";
    DpopUnsupported = "dpop_unsupported", BAD_REQUEST, "DPoP is not supported yet";
    LoginHintMalformed = "login_hint_malformed", BAD_REQUEST, "The login_hint is not valid";
    BindingMessageMalformed = "binding_message_malformed", BAD_REQUEST,
        "The provider does not take this binding_message";
    IdempotencyKeyMalformed = "idempotency_key_malformed", BAD_REQUEST, "The Idempotency-Key is not a UUID";
    ApplicationUnauthenticated = "application_unauthenticated", UNAUTHORIZED,
        "The application is not authenticated";
    CredentialMissing = "credential_missing", UNAUTHORIZED, "The request carries no credential";
    WrongTokenKind = "wrong_token_kind", UNAUTHORIZED, "Another kind of token belongs here";
    SessionEnded = "session_ended", UNAUTHORIZED, "The session has ended";
    HandleInvalid = "handle_invalid", UNAUTHORIZED, "The session handle opens nothing";
    ApplicationDisabled = "application_disabled", FORBIDDEN, "The application is disabled";
    RegistrationNotAllowed = "registration_not_allowed", FORBIDDEN,
        "The registration is not open to the application";
    ChannelNotAllowed = "channel_not_allowed", FORBIDDEN, "The registration has no such channel";
    AcrNotAllowed = "acr_not_allowed", FORBIDDEN, "The registration does not have these acr_values";
    ScopeNotAllowed = "scope_not_allowed", FORBIDDEN, "The registration does not have this scope";
    BindingMessageNotAllowed = "binding_message_not_allowed", FORBIDDEN,
        "The application may not send its own binding_message";
    TargetNotAllowed = "target_not_allowed", FORBIDDEN, "The target is not open to this call";
    ExchangeRefused = "exchange_refused", FORBIDDEN, "The target's authorization server gives no token";
    ExerciceRequired = "exercice_required", FORBIDDEN, "The target needs a chosen exercice";
    PolicyNotMet = "policy_not_met", FORBIDDEN, "The login is not allowed any more";
    NotFound = "not_found", NOT_FOUND, "There is nothing here";
    LoginNotFound = "login_not_found", NOT_FOUND, "There is no such login for this token";
    TargetUnknown = "target_unknown", NOT_FOUND, "There is no such target";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    AlreadyPending = "already_pending", CONFLICT, "A login for this person is under way";
    NotApproved = "not_approved", CONFLICT, "The login is not approved";
    AlreadyPickedUp = "already_picked_up", CONFLICT, "The login has been picked up";
    IdentityMismatch = "identity_mismatch", CONFLICT, "Another person than expected has approved";
    ExerciceUnknown = "exercice_unknown", CONFLICT, "The subject has no such exercice";
    RequestTooLarge = "request_too_large", PAYLOAD_TOO_LARGE, "The request is too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is not of the media type that the call takes";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used with another body";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    Internal = "internal", INTERNAL_SERVER_ERROR, "An internal error";
    TargetUnreachable = "target_unreachable", BAD_GATEWAY, "The target cannot be reached";
    TargetTlsFailed = "target_tls_failed", BAD_GATEWAY, "There is no trusted connection to the target";
    TargetRedirected = "target_redirected", BAD_GATEWAY, "The target leads elsewhere";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much is under way";
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "The store is unavailable";
    Sealed = "sealed", SERVICE_UNAVAILABLE, "The server is sealed";
    ProviderUnavailable = "provider_unavailable", SERVICE_UNAVAILABLE, "The provider is unavailable";
    ExchangeUnavailable = "exchange_unavailable", SERVICE_UNAVAILABLE,
        "The target's authorization server is unavailable";
    TargetTimeout = "target_timeout", GATEWAY_TIMEOUT, "The target does not answer in time";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::texts::PROBLEM_CODES;

    #[test]
    fn every_code_of_the_contract_has_a_status_and_a_title_of_its_own() {
        let codes: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes, HashSet::from(PROBLEM_CODES));
        let titles: HashSet<_> = Code::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
        }
    }
}
