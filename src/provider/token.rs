//! The token request of a pending login (CIBA §10.1, §11): one poll, and what its answer means.
//!
//! A token answer is given once: whatever can be tolerated without weakening what it proves is tolerated, since a
//! second attempt would find nothing.

pub mod answer;

use http::{HeaderMap, StatusCode};

use crate::crypto::signer::SigningFailed;
use crate::domain::login::{EndStatus, LoginReason};
use crate::domain::time::Timestamp;
use crate::engine::ports::{Approved, PollAnswer, PollRequest, Polled};
use crate::net::outbound::{OutboundError, OutboundResponse, UnknownCause};

use super::backchannel::Sender;
use super::call::{Call, Channel};
use super::client_auth::Form;
use super::id_token::{Came, Companions, NO_SIGNING_KEY, NotVerified, Received, Refusal, Terms};
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::retry_after;
use super::settings::IdTokenAlg;
use super::strict_json::Object;
use super::subject;

use answer::TokenAnswer;

/// CIBA §4.
pub const GRANT_TYPE: &str = "urn:openid:params:grant-type:ciba";

/// Sends one token request and judges the answer.
pub async fn poll(
    sender: &Sender<'_>,
    metadata: &Metadata,
    algs: &[IdTokenAlg],
    request: &PollRequest,
) -> Polled {
    let channel = &sender.channel;
    let profile = channel.upstream.profile();
    let Some(url) = metadata.endpoint(Endpoint::Token, channel.with_certificate) else {
        return UNSENT;
    };
    let Ok(form) = form(sender, metadata, request) else {
        tracing::error!(registration = %channel.registration, "nothing could be signed");
        return UNSENT;
    };
    let (headers, body) = form.finish();
    let call = Call {
        endpoint: "token",
        url: url.clone(),
        headers,
        form: Some(body),
        timeout: profile.poll_timeout,
        max_body: answer::MAX_SIZE,
    };
    let (sent, outcome) = channel.send_timed(call).await;
    let now = channel.upstream.clock().now();
    let answer = match outcome {
        // Tokens were given, and asking again would bring `invalid_grant`. Where it is no success, its text is not
        // the protocol's.
        Err(OutboundError::OutcomeUnknown {
            cause: UnknownCause::TooLarge { status } | UnknownCause::Encoded { status },
        }) if status.is_success() => failed(LoginReason::ProviderInvalidAnswer),
        Err(_) => UNREACHABLE,
        Ok(answer) if answer.status.is_success() => {
            let terms = Terms {
                issuer: channel.upstream.issuer(),
                client_id: &sender.registration.client_id,
                algs,
                profile,
                expectation: &request.expectation,
                auth_req_id: &request.auth_req_id,
                came: Came::Asked,
                max_age: sender.registration.max_age,
                now,
            };
            success(channel, &terms, &answer).await
        }
        Ok(answer) => {
            let error = OAuthError::read(&answer.body);
            let verdict = judge(answer.status, error.as_ref(), &answer.headers, now);
            let is_expected = !matches!(
                verdict,
                PollAnswer::Unreachable { .. } | PollAnswer::Ended { status: EndStatus::Failed, .. }
            );
            channel.log_error_answer("token", answer.status, error.as_ref(), is_expected);
            verdict
        }
    };
    Polled { sent, answer }
}

fn form(sender: &Sender<'_>, metadata: &Metadata, request: &PollRequest) -> Result<Form, SigningFailed> {
    let mut form = sender.identity().form(metadata.endpoint(Endpoint::Token, false))?;
    form.add("grant_type", GRANT_TYPE);
    form.add("auth_req_id", request.auth_req_id.expose());
    Ok(form)
}

/// Nothing came back: poll on until the deadline.
const UNREACHABLE: PollAnswer = PollAnswer::Unreachable { retry_after: None };

/// Nothing could be sent: poll on until the deadline.
pub const UNSENT: Polled = Polled { sent: None, answer: UNREACHABLE };

const fn failed(reason: LoginReason) -> PollAnswer {
    PollAnswer::Ended { status: EndStatus::Failed, reason }
}

/// What an answer without success means. A code that CIBA gives a meaning to decides, whatever the status; where
/// there is none, the status does.
pub fn judge(
    status: StatusCode,
    error: Option<&OAuthError>,
    headers: &HeaderMap,
    now: Timestamp,
) -> PollAnswer {
    let retry_after = retry_after::of(headers, now);
    let unreachable = PollAnswer::Unreachable { retry_after };
    match error.map(|error| error.code.as_str()) {
        Some("authorization_pending") => PollAnswer::Pending { retry_after },
        Some("slow_down") => PollAnswer::SlowDown { retry_after },
        Some("access_denied") => {
            PollAnswer::Ended { status: EndStatus::Denied, reason: LoginReason::UserDenied }
        }
        Some("expired_token") => {
            PollAnswer::Ended { status: EndStatus::Expired, reason: LoginReason::Expired }
        }
        Some("invalid_grant") => failed(LoginReason::AnswerLost),
        Some("invalid_client" | "unauthorized_client") => failed(LoginReason::ProviderRejectedClient),
        Some(_) if is_busy(status) => unreachable,
        Some(_) => failed(LoginReason::ProviderRefused),
        // By HTTP's own rules the credentials were not accepted (RFC 9110 §15.5.2).
        None if status == StatusCode::UNAUTHORIZED => failed(LoginReason::ProviderRejectedClient),
        None if is_busy(status) || is_of_intermediary(status) => unreachable,
        // A refusal in no words that the protocol knows.
        None => failed(LoginReason::ProviderInvalidAnswer),
    }
}

/// Nothing has been decided. RFC 9110 §15.5.9: at 408 the server gave up waiting for the request.
fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) || status.is_server_error()
}

/// A token endpoint redirects nobody, is not missing while a login is under way, and says OAuth errors where it
/// forbids (RFC 6749 §5.2): this is a gateway, a firewall or a deployment in progress.
fn is_of_intermediary(status: StatusCode) -> bool {
    status.is_redirection() || matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

async fn success(channel: &Channel<'_>, terms: &Terms<'_>, answer: &OutboundResponse) -> PollAnswer {
    let answer = match TokenAnswer::read(&answer.body) {
        Ok(answer) => answer,
        Err(rule) => {
            channel.log_invalid_answer("token", rule);
            return failed(LoginReason::ProviderInvalidAnswer);
        }
    };
    match approved(channel, terms, answer).await {
        Ok(approved) => PollAnswer::Approved(Box::new(approved)),
        Err(refusal) => failed(refusal.reason),
    }
}

/// What a token answer comes to, however it came here, once its ID token has passed every check.
pub async fn approved(
    channel: &Channel<'_>,
    terms: &Terms<'_>,
    answer: TokenAnswer,
) -> Result<Approved, Refusal> {
    let claims = validate(channel, terms, &answer).await.inspect_err(|refusal| {
        tracing::warn!(
            provider = %channel.upstream.name(),
            registration = %channel.registration,
            rule = refusal.rule,
            reason = refusal.reason.as_str(),
            "the ID token is refused"
        );
    })?;
    let scope = answer.scope.clone().unwrap_or_else(|| terms.expectation.scope.clone());
    Ok(Approved {
        claims: subject::from_id_token(&claims, channel.claims, scope),
        tokens: answer.tokens(terms.now),
    })
}

/// Validates the ID token, with newer keys where it names one that is not known.
async fn validate(channel: &Channel<'_>, terms: &Terms<'_>, answer: &TokenAnswer) -> Result<Object, Refusal> {
    let received = Received::read(answer.id_token.expose(), terms)?;
    let companions =
        Companions { access_token: &answer.access_token, refresh_token: answer.refresh_token.as_ref() };
    let keys = channel.upstream.keys(channel).await.ok_or(NO_SIGNING_KEY)?;
    match received.verify(&keys, &companions, terms) {
        Ok(claims) => return Ok(claims.clone()),
        Err(NotVerified::Refused(refusal)) => return Err(refusal),
        Err(NotVerified::UnknownKey) => {}
    }
    let newer = channel.upstream.newer_keys(channel, &keys).await.ok_or(NO_SIGNING_KEY)?;
    match received.verify(&newer, &companions, terms) {
        Ok(claims) => Ok(claims.clone()),
        Err(NotVerified::Refused(refusal)) => Err(refusal),
        Err(NotVerified::UnknownKey) => Err(NO_SIGNING_KEY),
    }
}

#[cfg(test)]
mod tests;
