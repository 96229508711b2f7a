//! What each engine error is to a caller: one exhaustive match per operation, so that a new error cannot go out
//! unseen. Internal causes are logged by [`Problem::internal`] and [`Problem::store`].

use std::error::Error;

use crate::domain::login::{Login, LoginReason};
use crate::domain::time::Timestamp;
use crate::engine::cancel_login::CancelLoginError;
use crate::engine::introspect::IntrospectError;
use crate::engine::pick_up::PickUpError;
use crate::engine::read_login::ReadLoginError;
use crate::engine::session::SessionError;
use crate::engine::start_login::StartLoginError;
use crate::http::json::FieldError;
use crate::http::problem::{Code, Problem};

/// Starting a login.
pub(super) fn start(error: &StartLoginError, now: Timestamp) -> Problem {
    match error {
        StartLoginError::AcrNotAllowed => Problem::new(Code::AcrNotAllowed),
        StartLoginError::AlreadyPending { until, replaceable } => {
            let expires_in = until.seconds_from(now).max(1);
            Problem::new(Code::AlreadyPending)
                .with("expires_in", expires_in)
                .with("replaceable", *replaceable)
                .retry_after(expires_in)
        }
        StartLoginError::BindingMessageNotAllowed => Problem::new(Code::BindingMessageNotAllowed),
        StartLoginError::BindingMessageMalformed => {
            let error =
                FieldError::new("/binding_message", "profile", "the provider does not take this text");
            Problem::new(Code::BindingMessageMalformed).errors(vec![error])
        }
        StartLoginError::ChannelNotAllowed => Problem::new(Code::ChannelNotAllowed),
        StartLoginError::CutShort(_) => Problem::internal(error),
        StartLoginError::Hint(hint) => {
            let error = FieldError::new("/login_hint", hint.rule(), hint.to_string());
            Problem::new(Code::LoginHintMalformed).errors(vec![error])
        }
        StartLoginError::IdempotencyKeyReused => Problem::new(Code::IdempotencyKeyReused),
        StartLoginError::ProviderUnavailable => Problem::new(Code::ProviderUnavailable),
        StartLoginError::RegistrationNotAllowed => Problem::new(Code::RegistrationNotAllowed),
        StartLoginError::ScopeNotAllowed => Problem::new(Code::ScopeNotAllowed),
        StartLoginError::Store(source) => Problem::store(source),
    }
}

/// Reading a login, waiting for it, following it.
pub(super) fn read(error: &ReadLoginError) -> Problem {
    match error {
        ReadLoginError::ApplicationDisabled => Problem::new(Code::ApplicationDisabled),
        ReadLoginError::CertificateMissing => certificate_missing(),
        ReadLoginError::NotFound => Problem::new(Code::LoginNotFound),
        ReadLoginError::Store(source) => Problem::store(source),
    }
}

/// Cancelling a login.
pub(super) fn cancel(error: &CancelLoginError) -> Problem {
    match error {
        CancelLoginError::AlreadyPickedUp(login) => about(Code::AlreadyPickedUp, login),
        CancelLoginError::CutShort(_) => Problem::internal(error),
        CancelLoginError::Read(source) => read(source),
        CancelLoginError::Store(source) => Problem::store(source),
    }
}

/// What a pick-up comes to, where it is no session.
pub(super) enum NoSession {
    /// Still open after the wait that was asked for: the login as it is.
    StillOpen(Box<Login>),
    /// A refusal.
    Refused(Problem),
}

/// Picking a session up.
pub(super) fn pick_up(error: PickUpError, now: Timestamp) -> NoSession {
    NoSession::Refused(match error {
        PickUpError::StillOpen(login) => return NoSession::StillOpen(login),
        PickUpError::NotApproved(login) => {
            let shown = login.shown(now);
            about(Code::NotApproved, &login)
                .with("login_status", shown.status.as_str())
                .reason(shown.reason.map(LoginReason::as_str))
        }
        PickUpError::AlreadyPickedUp(login) => about(Code::AlreadyPickedUp, &login),
        PickUpError::CutShort(_) => Problem::internal(&error as &(dyn Error + 'static)),
        PickUpError::ExerciceUnknown(login) => about(Code::ExerciceUnknown, &login),
        PickUpError::IdentityMismatch(login) => about(Code::IdentityMismatch, &login),
        PickUpError::PolicyNotMet(login) => about(Code::PolicyNotMet, &login),
        PickUpError::Read(source) => read(&source),
        PickUpError::Store(source) => Problem::store(&source),
    })
}

/// Every call with a session handle.
pub(super) fn session(error: &SessionError) -> Problem {
    match error {
        SessionError::ApplicationDisabled => Problem::new(Code::ApplicationDisabled),
        SessionError::CertificateMissing => certificate_missing(),
        SessionError::CutShort(_) => Problem::internal(error),
        SessionError::Ended { support_code, reason } => {
            Problem::new(Code::SessionEnded).reason(Some(reason.as_str())).about(support_code)
        }
        SessionError::ExerciceUnknown(support_code) => {
            Problem::new(Code::ExerciceUnknown).about(support_code)
        }
        SessionError::HandleInvalid => Problem::new(Code::HandleInvalid),
        SessionError::Store(source) => Problem::store(source),
        SessionError::UserinfoUnavailable(support_code) => Problem::new(Code::ProviderUnavailable)
            .detail("The provider does not give userinfo now.")
            .about(support_code),
    }
}

/// Introspection.
pub(super) fn introspect(error: &IntrospectError) -> Problem {
    match error {
        IntrospectError::CutShort(_) => Problem::internal(error),
        IntrospectError::Store(source) => Problem::store(source),
    }
}

/// A problem with a login that is known.
fn about(code: Code, login: &Login) -> Problem {
    Problem::new(code).about(&login.support_code)
}

/// A token that came without its application's certificate.
fn certificate_missing() -> Problem {
    Problem::new(Code::ApplicationUnauthenticated)
        .detail("The connection carries no certificate of the token's application.")
        .challenge_token()
}
