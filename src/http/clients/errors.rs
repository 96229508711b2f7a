//! What each engine error is to a caller: one exhaustive match per operation, so that a new error cannot go out
//! unseen. Internal causes are logged by [`Problem::internal`] and [`Problem::store`].

use std::error::Error;

use crate::domain::login::{Login, LoginReason};
use crate::domain::target::PathRefused;
use crate::domain::time::Timestamp;
use crate::engine::cancel_login::CancelLoginError;
use crate::engine::exchange::ExchangeError;
use crate::engine::forward::{ForwardError, ForwardRefusal};
use crate::engine::introspect::IntrospectError;
use crate::engine::pick_up::PickUpError;
use crate::engine::ports::TargetError;
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

/// Calling a target.
pub(super) fn forward(error: &ForwardError) -> Problem {
    match error {
        ForwardError::Session(source) => session(source),
        ForwardError::Refused { why, .. } => refused(why),
    }
}

fn refused(why: &ForwardRefusal) -> Problem {
    match why {
        ForwardRefusal::Unknown => Problem::new(Code::TargetUnknown),
        ForwardRefusal::Closed => Problem::new(Code::TargetNotAllowed)
            .detail("The target is not open to this application with this registration."),
        ForwardRefusal::NotAllowed => {
            Problem::new(Code::TargetNotAllowed).detail("The target does not allow this method at this path.")
        }
        ForwardRefusal::Path(source) => Problem::new(Code::TargetNotAllowed).detail(path_detail(*source)),
        ForwardRefusal::LengthMissing => Problem::invalid_request(vec![FieldError::new(
            "",
            "length",
            "the body of a GET or HEAD must announce its length (Content-Length)",
        )]),
        ForwardRefusal::TooLarge => too_large(),
        ForwardRefusal::Overloaded => Problem::new(Code::Overloaded)
            .detail("Too many calls of this target are under way, in all or of this session."),
        ForwardRefusal::Exchange(source) => exchange(source),
        ForwardRefusal::Target(source) => target(*source),
    }
}

fn exchange(error: &ExchangeError) -> Problem {
    match error {
        ExchangeError::ExerciceRequired(support_code) => {
            Problem::new(Code::ExerciceRequired).about(support_code)
        }
        ExchangeError::Refused(support_code) => Problem::new(Code::ExchangeRefused).about(support_code),
        ExchangeError::Unavailable { support_code, retry_after } => Problem::new(Code::ExchangeUnavailable)
            .retry_after(retry_after.as_secs().max(1))
            .about(support_code),
        ExchangeError::Session(source) => session(source),
        ExchangeError::Store(source) => Problem::store(source),
    }
}

fn target(error: TargetError) -> Problem {
    match error {
        TargetError::BodyBroken => Problem::invalid_request(vec![FieldError::new(
            "",
            "incomplete",
            "the body did not arrive in whole",
        )]),
        TargetError::Redirected => Problem::new(Code::TargetRedirected),
        TargetError::TimedOut => Problem::new(Code::TargetTimeout),
        TargetError::TlsFailed => Problem::new(Code::TargetTlsFailed),
        TargetError::TooLarge => too_large(),
        TargetError::Unreachable => Problem::new(Code::TargetUnreachable),
    }
}

fn too_large() -> Problem {
    Problem::new(Code::RequestTooLarge).detail("The body is longer than the target's request_max.")
}

/// For the developer: what of the path no target is called with.
const fn path_detail(refused: PathRefused) -> &'static str {
    match refused {
        PathRefused::NoSlash => "The path does not begin with a slash.",
        PathRefused::Character => {
            "The path has a character that must be percent-encoded (RFC 3986, section 3.3)."
        }
        PathRefused::Encoding => "The percent-encoding of the path is broken, or its bytes are not UTF-8.",
        PathRefused::Disguised => {
            "The path hides a slash, backslash, dot, percent sign, semicolon or control character."
        }
        PathRefused::EmptySegment => "The path has an empty segment.",
        PathRefused::DotSegment => "The path has a segment . or ..",
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
