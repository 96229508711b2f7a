//! The backchannel authentication request (CIBA §7): sent once, never repeated, since a phone rings.
//!
//! The first question about every failure is whether the provider may have accepted the request all the same; only
//! where it certainly has not is the person free at once.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::crypto::signer::SigningFailed;
use crate::domain::login::LoginReason;
use crate::domain::profile::Profile;
use crate::domain::random::Random;
use crate::domain::registration::Registration;
use crate::domain::secret::Secret;
use crate::engine::ports::{Acknowledgement, BackchannelRequest, StartFailure};
use crate::net::outbound::{OutboundError, OutboundResponse};

use super::call::{Call, Channel};
use super::client_auth::{Form, Identity};
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::settings::Credential;
use super::signing_keys::SigningKeys;
use super::strict_json;

/// The largest acknowledgement, in bytes.
const MAX_SIZE: usize = 64 * 1024;
/// Keycloak's is a JWE of one to two kilobytes.
const MAX_AUTH_REQ_ID: usize = 8 * 1024;
/// A request that claims to live longer is taken to live this long.
const MAX_LIFE: Duration = Duration::from_hours(1);
/// CIBA §7.3.
const DEFAULT_INTERVAL: u64 = 5;

/// What the request is built from, besides itself.
pub struct Sender<'a> {
    /// The way to the provider.
    pub channel: Channel<'a>,
    /// Who sends.
    pub registration: &'a Registration,
    /// How it authenticates.
    pub credential: &'a Credential,
    /// What it signs with, where it signs.
    pub keys: Option<&'a SigningKeys>,
    /// Whether its authentication requests are signed.
    pub signs_requests: bool,
    /// Static parameters.
    pub extra_parameters: &'a [(String, String)],
    /// Where the names of JWTs come from.
    pub random: &'a dyn Random,
}

impl Sender<'_> {
    /// Who it proves to be, now.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            client_id: &self.registration.client_id,
            credential: self.credential,
            keys: self.keys,
            issuer: self.channel.upstream.issuer(),
            random: self.random,
            now: self.channel.upstream.clock().now(),
        }
    }
}

/// Sends the request, once, and judges the answer.
pub async fn start(
    sender: &Sender<'_>,
    metadata: &Metadata,
    request: &BackchannelRequest,
) -> Result<Acknowledgement, StartFailure> {
    let channel = &sender.channel;
    let profile = channel.upstream.profile();
    let Some(url) = metadata.endpoint(Endpoint::Backchannel, channel.with_certificate) else {
        return Err(UNAVAILABLE);
    };
    let Ok(form) = form(sender, metadata, &parameters(sender, request)) else {
        tracing::error!(registration = %channel.registration, "nothing could be signed");
        return Err(failure(LoginReason::Internal, false));
    };
    let (headers, body) = form.finish();
    let call = Call {
        endpoint: "backchannel",
        url: url.clone(),
        headers,
        form: Some(body),
        timeout: profile.start_timeout,
        max_body: MAX_SIZE,
    };
    match channel.send(call).await {
        Err(OutboundError::NotSent { .. }) => Err(UNAVAILABLE),
        Err(OutboundError::OutcomeUnknown { .. }) => Err(failure(LoginReason::OutcomeUnknown, true)),
        Ok(answer) if answer.status.is_success() => acknowledgement(&answer).map_err(|rule| {
            channel.log_invalid_answer("backchannel", rule);
            failure(LoginReason::ProviderInvalidAnswer, true)
        }),
        Ok(answer) => Err(refused(channel, profile, &answer)),
    }
}

/// Every parameter stands in the form, or every one in the signed request and none outside (CIBA §7.1.1).
pub fn form(
    sender: &Sender<'_>,
    metadata: &Metadata,
    parameters: &[(&str, String)],
) -> Result<Form, SigningFailed> {
    let identity = sender.identity();
    let mut form = identity.form(metadata.endpoint(Endpoint::Token, false))?;
    if sender.signs_requests {
        form.add("request", identity.signed_request(parameters)?.expose());
    } else {
        for (name, value) in parameters {
            form.add(name, value);
        }
    }
    Ok(form)
}

fn parameters<'a>(sender: &'a Sender<'_>, request: &BackchannelRequest) -> Vec<(&'a str, String)> {
    let mut parameters = vec![("scope", request.scope.join(" "))];
    if !request.acr_values.is_empty() {
        parameters.push(("acr_values", request.acr_values.join(" ")));
    }
    parameters.push(("login_hint", request.login_hint.expose().to_owned()));
    parameters.push(("binding_message", request.binding_message.clone()));
    if let Some(seconds) = request.requested_expiry {
        parameters.push(("requested_expiry", seconds.to_string()));
    }
    if let Some(token) = &request.notification_token {
        parameters.push(("client_notification_token", token.0.expose().to_owned()));
    }
    if let Some(code) = &request.user_code {
        parameters.push(("user_code", code.expose().to_owned()));
    }
    if sender.registration.request_context
        && let Some(context) = &request.client_context
    {
        parameters.push(("request_context", context.clone()));
    }
    let profile = sender.channel.upstream.profile();
    if let (Some(name), Some(channel)) = (profile.channel_parameter, &request.channel) {
        parameters.push((name, channel.clone()));
    }
    for (name, value) in sender.extra_parameters {
        parameters.push((name, value.clone()));
    }
    parameters
}

const fn failure(reason: LoginReason, may_have_been_accepted: bool) -> StartFailure {
    StartFailure { reason, may_have_been_accepted }
}

/// Nothing reached the provider, or it said that it cannot.
pub const UNAVAILABLE: StartFailure = failure(LoginReason::ProviderUnavailable, false);

/// The provider's metadata says that it would not take the request.
pub const NOT_OFFERED: StartFailure = failure(LoginReason::ProviderRejectedClient, false);

fn refused(channel: &Channel<'_>, profile: &Profile, answer: &OutboundResponse) -> StartFailure {
    let error = OAuthError::read(&answer.body);
    let failure = judge(profile, answer.status, error.as_ref());
    channel.log_error_answer(
        "backchannel",
        answer.status,
        error.as_ref(),
        failure.reason == LoginReason::UserUnknown,
    );
    failure
}

/// What an answer without success means. A code that CIBA gives a meaning to decides; where there is none, the
/// status does.
pub fn judge(profile: &Profile, status: StatusCode, error: Option<&OAuthError>) -> StartFailure {
    if let Some(reason) = error.and_then(|error| known_code(profile, error)) {
        return failure(reason, false);
    }
    match (status, error) {
        (StatusCode::TOO_MANY_REQUESTS, _) => UNAVAILABLE,
        // A provider that writes OAuth errors has understood what it refuses; one that breaks may have begun, and
        // what a gateway writes in its place says nothing.
        (status, Some(error)) if status.is_server_error() && error.is_refusal() => UNAVAILABLE,
        (status, _) if status.is_server_error() => failure(LoginReason::OutcomeUnknown, true),
        // A redirect is never followed; it says neither yes nor no.
        (status, _) if !status.is_client_error() => failure(LoginReason::ProviderInvalidAnswer, true),
        // By HTTP's own rules the credentials were not accepted (RFC 9110 §15.5.2).
        (StatusCode::UNAUTHORIZED, None) => failure(LoginReason::ProviderRejectedClient, false),
        _ => failure(LoginReason::ProviderRefused, false),
    }
}

fn known_code(profile: &Profile, error: &OAuthError) -> Option<LoginReason> {
    Some(match error.code.as_str() {
        "unknown_user_id" => LoginReason::UserUnknown,
        "invalid_request" if error.is_described_as(profile.unknown_person_descriptions) => {
            LoginReason::UserUnknown
        }
        "invalid_binding_message" => LoginReason::BindingMessageInvalid,
        "missing_user_code" => LoginReason::UserCodeRequired,
        "invalid_user_code" => LoginReason::UserCodeInvalid,
        "invalid_client" | "unauthorized_client" | "invalid_grant" => LoginReason::ProviderRejectedClient,
        _ => return None,
    })
}

/// Whether an answer may be JSON, by what it says of itself (CIBA §7.3).
fn may_be_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let essence = value.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

/// Reads an acknowledgement (CIBA §7.3); the error is the name of the broken rule. Unknown members are ignored.
pub fn acknowledgement(answer: &OutboundResponse) -> Result<Acknowledgement, &'static str> {
    if !may_be_json(&answer.headers) {
        return Err("content-type");
    }
    let members = strict_json::object(&answer.body).map_err(|_| "no JSON object")?;
    // Opaque: kept byte for byte, whatever characters it is made of.
    let auth_req_id = strict_json::text(&members, "auth_req_id")
        .filter(|id| id.len() <= MAX_AUTH_REQ_ID)
        .ok_or("auth_req_id")?;
    let expires_in =
        members.get("expires_in").and_then(whole_number).filter(|s| *s > 0).ok_or("expires_in")?;
    let expires_in = Duration::from_secs(expires_in);
    if expires_in > MAX_LIFE {
        tracing::info!(expires_in = expires_in.as_secs(), "the provider's expires_in is taken as an hour");
    }
    let expires_in = expires_in.min(MAX_LIFE);
    Ok(Acknowledgement {
        auth_req_id: Secret::new(auth_req_id),
        expires_in,
        interval: interval(members.get("interval"), expires_in),
    })
}

/// 5 s where the provider does not say or says nothing usable; never longer than the request lives.
fn interval(value: Option<&Value>, expires_in: Duration) -> Duration {
    let told = value.and_then(whole_number).filter(|seconds| *seconds > 0);
    if value.is_some() && told.is_none() {
        tracing::info!(rule = "interval", "the provider's interval is not usable; 5 s is taken");
    }
    let wished = Duration::from_secs(told.unwrap_or(DEFAULT_INTERVAL));
    if wished > expires_in {
        tracing::info!(rule = "interval", "the provider's interval is longer than its request lives");
    }
    wished.min(expires_in).max(Duration::from_secs(1))
}

/// A whole number of seconds; `120.0` is one, `"120"` and `1.5` are not. An absurd one becomes the largest.
fn whole_number(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and the number is whole and not negative"
    )]
    Some(number as u64)
}

#[cfg(test)]
mod tests;
