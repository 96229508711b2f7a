//! The exchange of a session's access token for one that a target takes (RFC 8693 §2): one sending to the target's
//! authorization server, and what its answer means.
//!
//! The endpoint comes from the configuration alone. The certificate on the connection is the one that the session's
//! tokens are bound to, since the exchanged token is bound to it as well. The server is not the provider: how it fares
//! says nothing of the provider.

mod actor;
pub mod answer;
mod outbounds;

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use thiserror::Error;

use crate::crypto::signer::SigningFailed;
use crate::domain::target::{Cnf, ExchangeAuth, ExchangeParameters, Target};
use crate::domain::time::Timestamp;
use crate::engine::ports::{ExchangeAnswer, ExchangeRequest};

use super::backchannel::Sender;
use super::call::Call;
use super::client_auth::Form;
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::retry_after;
use super::settings::{AssertionAudience, Credential};

use answer::{ExchangedAnswer, MAX_SIZE};
pub use outbounds::Outbounds;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Real time, from the call to the last byte of the answer. The server may ask the provider about the token meanwhile.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing was sent, or nothing came.
pub const UNAVAILABLE: ExchangeAnswer = ExchangeAnswer::Unavailable { retry_after: None };

/// Why no request could be made. Whatever it is, another try brings the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
enum NoRequest {
    #[error("nothing could be signed")]
    Signing,
    #[error("the token shall be bound to a certificate, and there is none")]
    Certificate,
}

impl From<SigningFailed> for NoRequest {
    fn from(SigningFailed: SigningFailed) -> Self {
        Self::Signing
    }
}

/// What an exchange is made from, besides the request itself.
pub struct Exchange<'a> {
    /// Who sends, over a connection to the target's authorization server.
    pub sender: Sender<'a>,
    /// What is known of the provider.
    pub metadata: Option<&'a Metadata>,
    /// For whom the token is.
    pub target: &'a Target,
    /// Thumbprint of the certificate on the connection, where there is one.
    pub x5t: Option<String>,
}

/// Sends one exchange and judges the answer.
pub async fn exchange(exchange: &Exchange<'_>, request: &ExchangeRequest) -> ExchangeAnswer {
    let channel = &exchange.sender.channel;
    let form = match form(exchange, request) {
        Ok(form) => form,
        Err(error) => {
            tracing::error!(registration = %channel.registration, %error, "no exchange can be asked for");
            return UNAVAILABLE;
        }
    };
    let (headers, body) = form.finish();
    let call = Call {
        endpoint: "exchange",
        url: exchange.target.exchange.token_endpoint.clone(),
        headers,
        form: Some(body),
        timeout: TIMEOUT,
        max_body: MAX_SIZE,
    };
    let Ok(answer) = channel.send_elsewhere(call).await else { return UNAVAILABLE };
    if answer.status.is_success() {
        return match ExchangedAnswer::read(&answer.body) {
            // The provider's token is for nobody but the authorization server that was asked.
            Ok(ExchangedAnswer { access_token, .. })
                if access_token.expose() == request.subject_token.expose() =>
            {
                channel.log_invalid_answer("exchange", "subject_token");
                UNAVAILABLE
            }
            Ok(ExchangedAnswer { access_token, expires_in }) => {
                ExchangeAnswer::Exchanged { access_token, expires_in, x5t: exchange.x5t.clone() }
            }
            Err(rule) => {
                channel.log_invalid_answer("exchange", rule);
                UNAVAILABLE
            }
        };
    }
    let error = OAuthError::read(&answer.body);
    tracing::warn!(
        provider = %channel.upstream.name(),
        registration = %channel.registration,
        endpoint = "exchange",
        status = answer.status.as_u16(),
        oauth_error = error.as_ref().map_or("none", OAuthError::loggable_code),
        "the target's authorization server answered with an error"
    );
    judge(answer.status, error.as_ref(), &answer.headers, channel.upstream.clock().now())
}

fn form(exchange: &Exchange<'_>, request: &ExchangeRequest) -> Result<Form, NoRequest> {
    let parameters = &exchange.target.exchange;
    let sender = &exchange.sender;
    let own = sender.identity();
    let provider_endpoint = exchange.metadata.and_then(|metadata| metadata.endpoint(Endpoint::Token, false));
    let is_provider = exchange.metadata.is_some_and(|metadata| {
        [false, true]
            .iter()
            .any(|alias| metadata.endpoint(Endpoint::Token, *alias) == Some(&parameters.token_endpoint))
    });
    let credential = credential(parameters, sender.credential, is_provider);
    let identity = super::client_auth::Identity {
        client_id: parameters.client_id.as_deref().unwrap_or(own.client_id),
        credential: &credential,
        ..own
    };
    let mut form = identity.form(provider_endpoint)?;
    form.add("grant_type", GRANT_TYPE);
    form.add("subject_token", request.subject_token.expose());
    form.add("subject_token_type", parameters.subject_token_type.as_urn());
    for (name, value) in [
        ("subject_issuer", &parameters.subject_issuer),
        ("audience", &parameters.audience),
        ("resource", &parameters.resource),
        ("scope", &parameters.scope),
    ] {
        if let Some(value) = value {
            form.add(name, value);
        }
    }
    if let Some(cnf) = cnf(parameters.cnf, exchange.x5t.as_deref())? {
        form.add("cnf", &cnf);
    }
    if let Some(acting) = &request.acting {
        let token = actor::token(&identity, acting)?;
        form.add("actor_token", token.expose());
        form.add("actor_token_type", JWT);
    }
    Ok(form)
}

/// How Relais proves there who it is. An assertion is made for whoever reads it: only at the provider itself for what the
/// registration says, elsewhere for the endpoint.
fn credential(
    parameters: &ExchangeParameters,
    of_registration: &Credential,
    is_provider: bool,
) -> Credential {
    let for_endpoint = || AssertionAudience::Text(parameters.token_endpoint.to_string());
    match &parameters.auth {
        ExchangeAuth::OfRegistration => match of_registration {
            Credential::PrivateKeyJwt { typ, .. } if !is_provider => {
                Credential::PrivateKeyJwt { audience: for_endpoint(), typ: typ.clone() }
            }
            credential => credential.clone(),
        },
        ExchangeAuth::Certificate => Credential::TlsClientAuth,
        ExchangeAuth::ClientSecretBasic(secret) => Credential::ClientSecretBasic { secret: secret.clone() },
        ExchangeAuth::ClientSecretPost(secret) => Credential::ClientSecretPost { secret: secret.clone() },
        ExchangeAuth::PrivateKeyJwt => Credential::PrivateKeyJwt { audience: for_endpoint(), typ: None },
    }
}

/// The parameter `cnf`: a JSON object (RFC 7800 §3.1) with the thumbprint in the encoding that the server wants.
fn cnf(encoding: Cnf, x5t: Option<&str>) -> Result<Option<String>, NoRequest> {
    let thumbprint = || x5t.ok_or(NoRequest::Certificate);
    let text = match encoding {
        Cnf::None => return Ok(None),
        Cnf::Rfc8705 => thumbprint()?.to_owned(),
        Cnf::CisisHex => {
            let digest = URL_SAFE_NO_PAD.decode(thumbprint()?).map_err(|_| NoRequest::Certificate)?;
            STANDARD.encode(digest.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            }))
        }
    };
    Ok(Some(json!({ "x5t#S256": text }).to_string()))
}

/// What an answer without a token means. A server that is in trouble has decided nothing, whatever its body says; and
/// where the protocol says nothing, a gateway or a firewall has spoken.
pub fn judge(
    status: StatusCode,
    error: Option<&OAuthError>,
    headers: &HeaderMap,
    now: Timestamp,
) -> ExchangeAnswer {
    let unavailable = ExchangeAnswer::Unavailable { retry_after: retry_after::of(headers, now) };
    let is_client_error = status.is_client_error();
    if !is_client_error || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
        return unavailable;
    }
    match error.map(|error| error.code.as_str()) {
        Some("temporarily_unavailable" | "server_error" | "slow_down") => unavailable,
        // RFC 8693 §2.2.2 wants `invalid_request` for a subject token that does not do; many say `invalid_grant`.
        Some("invalid_request" | "invalid_grant" | "invalid_token") => {
            ExchangeAnswer::Refused { of_subject_token: true }
        }
        Some(_) => ExchangeAnswer::Refused { of_subject_token: false },
        // By HTTP's own rules the credentials were not accepted (RFC 9110 §15.5.2).
        None if status == StatusCode::UNAUTHORIZED => ExchangeAnswer::Refused { of_subject_token: false },
        None => unavailable,
    }
}

#[cfg(test)]
mod tests;
