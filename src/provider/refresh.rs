//! The refresh request (RFC 6749 §6, OpenID Connect Core §12): one sending, and what its answer means.
//!
//! A refresh token is good for one sending. So the first question about every failure is whether it may have been
//! spent: an answer in the provider's own words says that it has not, silence says nothing. Only `invalid_grant` says
//! that it is worth nothing any more.

use http::{HeaderMap, StatusCode};

use crate::crypto::signer::SigningFailed;
use crate::domain::time::Timestamp;
use crate::engine::ports::{FreshTokens, KEYS_PATIENCE, RefreshAnswer, RefreshRequest};
use crate::net::outbound::OutboundError;

use super::backchannel::Sender;
use super::call::{Call, Channel};
use super::client_auth::Form;
use super::id_token::{Continuity, NO_SIGNING_KEY, NotVerified, Refusal, Renewed};
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::retry_after;
use super::settings::IdTokenAlg;
use super::token::answer::{MAX_SIZE, RefreshedAnswer};

const GRANT_TYPE: &str = "refresh_token";

/// Nothing was sent.
pub const NOT_SENT: RefreshAnswer = RefreshAnswer::Declined { retry_after: None };

/// Sends one refresh and judges the answer.
pub async fn refresh(
    sender: &Sender<'_>,
    metadata: &Metadata,
    algs: &[IdTokenAlg],
    request: &RefreshRequest,
) -> RefreshAnswer {
    let channel = &sender.channel;
    let Some(url) = metadata.endpoint(Endpoint::Token, channel.with_certificate) else { return NOT_SENT };
    let Ok(form) = form(sender, metadata, request) else {
        tracing::error!(registration = %channel.registration, "nothing could be signed");
        return NOT_SENT;
    };
    let (headers, body) = form.finish();
    let call = Call {
        endpoint: "refresh",
        url: url.clone(),
        headers,
        form: Some(body),
        timeout: channel.upstream.profile().refresh_timeout,
        max_body: MAX_SIZE,
    };
    let sent = channel.send(call).await;
    let now = channel.upstream.clock().now();
    match sent {
        Err(OutboundError::NotSent { .. }) => NOT_SENT,
        Err(OutboundError::OutcomeUnknown { .. }) => RefreshAnswer::OutcomeUnknown,
        Ok(answer) if answer.status.is_success() => match RefreshedAnswer::read(&answer.body) {
            Ok(answer) => {
                let continuity = Continuity {
                    issuer: channel.upstream.issuer(),
                    client_id: &sender.registration.client_id,
                    algs,
                    map: channel.claims,
                    known: &request.claims,
                    now,
                };
                judge_tokens(channel, &continuity, answer).await
            }
            Err(rule) => {
                channel.log_invalid_answer("refresh", rule);
                RefreshAnswer::OutcomeUnknown
            }
        },
        Ok(answer) => {
            let error = OAuthError::read(&answer.body);
            channel.log_error_answer("refresh", answer.status, error.as_ref(), false);
            judge_error(answer.status, error.as_ref(), &answer.headers, now)
        }
    }
}

fn form(sender: &Sender<'_>, metadata: &Metadata, request: &RefreshRequest) -> Result<Form, SigningFailed> {
    let mut form = sender.identity().form(metadata.endpoint(Endpoint::Token, false))?;
    form.add("grant_type", GRANT_TYPE);
    form.add("refresh_token", request.refresh_token.expose());
    Ok(form)
}

/// What an answer without tokens means. A server that is in trouble has decided nothing, whatever its body says.
fn judge_error(
    status: StatusCode,
    error: Option<&OAuthError>,
    headers: &HeaderMap,
    now: Timestamp,
) -> RefreshAnswer {
    let is_refused = error.is_some_and(|error| error.code == "invalid_grant");
    if is_refused && !status.is_server_error() {
        return RefreshAnswer::Refused;
    }
    RefreshAnswer::Declined { retry_after: retry_after::of(headers, now) }
}

/// Tokens came. Without an ID token, or with one that nobody can verify now, the first one stays the session's.
async fn judge_tokens(
    channel: &Channel<'_>,
    continuity: &Continuity<'_>,
    answer: RefreshedAnswer,
) -> RefreshAnswer {
    let verdict = match &answer.id_token {
        None => Ok(None),
        Some(id_token) => verified(channel, continuity, id_token.expose(), &answer).await,
    };
    let told = verdict.as_ref().ok().and_then(Option::as_ref);
    let fresh = Box::new(FreshTokens {
        access_token: answer.access_token,
        access_expires_at: answer.expires_in.map(|life| continuity.now + life),
        refresh_token: answer.refresh_token,
        refresh_expires_at: answer.refresh_expires_in.map(|life| continuity.now + life),
        sid: told.and_then(|told| told.sid.clone()),
        id_token: answer.id_token.filter(|_| told.is_some()),
    });
    match verdict {
        Ok(_) => RefreshAnswer::Refreshed(fresh),
        Err(refusal) => {
            tracing::warn!(
                provider = %channel.upstream.name(),
                registration = %channel.registration,
                rule = refusal.rule,
                "the ID token of a refresh is refused"
            );
            RefreshAnswer::NotBelieved
        }
    }
}

/// What a verified ID token says.
struct Told {
    sid: Option<String>,
}

/// `None`: no key is to be had, so that nobody can tell. The answer itself came from the provider over TLS.
async fn verified(
    channel: &Channel<'_>,
    continuity: &Continuity<'_>,
    id_token: &str,
    answer: &RefreshedAnswer,
) -> Result<Option<Told>, Refusal> {
    let renewed = Renewed::read(id_token, continuity)?;
    let asking = async {
        let keys = channel.upstream.keys(channel).await?;
        match renewed.verify(&keys, &answer.access_token) {
            Ok(()) => return Some(Ok(())),
            Err(NotVerified::Refused(refusal)) => return Some(Err(refusal)),
            Err(NotVerified::UnknownKey) => {}
        }
        let newer = channel.upstream.newer_keys(channel, &keys).await?;
        Some(renewed.verify(&newer, &answer.access_token).map_err(|error| match error {
            NotVerified::Refused(refusal) => refusal,
            NotVerified::UnknownKey => NO_SIGNING_KEY,
        }))
    };
    if let Ok(Some(verdict)) = tokio::time::timeout(KEYS_PATIENCE, asking).await {
        verdict.map(|()| Some(Told { sid: renewed.sid() }))
    } else {
        channel.log_invalid_answer("refresh", "no signing key: the first ID token is kept");
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, body: &serde_json::Value) -> &'static str {
        let error = OAuthError::read(body.to_string().as_bytes());
        let status = StatusCode::from_u16(status).expect("a status");
        match judge_error(status, error.as_ref(), &HeaderMap::new(), Timestamp::from_secs(0)) {
            RefreshAnswer::Refused => "refused",
            RefreshAnswer::Declined { .. } => "declined",
            _ => "another",
        }
    }

    #[test]
    fn rp_085_only_invalid_grant_says_that_the_refresh_token_is_worth_nothing() {
        for status in [400, 401, 403] {
            assert_eq!(verdict(status, &json!({"error": "invalid_grant"})), "refused", "{status}");
        }
        for (status, error) in [
            (400, "invalid_client"),
            (401, "unauthorized_client"),
            (400, "invalid_request"),
            (400, "invalid_scope"),
            (400, "unsupported_grant_type"),
            (400, "something_new"),
            (503, "temporarily_unavailable"),
            (500, "server_error"),
            (502, "invalid_grant"),
        ] {
            assert_eq!(verdict(status, &json!({ "error": error })), "declined", "{status} {error}");
        }
        for status in [302, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504] {
            assert_eq!(verdict(status, &json!({})), "declined", "{status}");
        }
    }
}
