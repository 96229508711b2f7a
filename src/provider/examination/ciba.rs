//! Whether the client may use CIBA, asked by a request that names nobody.
//!
//! CIBA §7.1 wants exactly one hint. A provider that authenticates the client, lets it use CIBA and then finds no hint
//! has nobody to ring; which of the three it complains about is the answer.

use http::StatusCode;

use crate::crypto::token::draw_notification_token;
use crate::domain::examination::{Check, Fault, Outcome, Proof};
use crate::domain::registration::Delivery;
use crate::net::outbound::OutboundResponse;

use super::super::backchannel::{Sender, form};
use super::super::call::Call;
use super::super::metadata::{Endpoint, Metadata};
use super::super::oauth_error::OAuthError;
use super::super::token::GRANT_TYPE;
use super::clock::Skew;
use super::{Found, transport};

/// An error, not an acknowledgement.
const MAX_SIZE: usize = 64 * 1024;
/// Some providers want it before they look for a hint; every profile takes two digits.
const BINDING_MESSAGE: &str = "00";

/// Asks, and notes the answer.
pub(super) async fn ask(sender: &Sender<'_>, metadata: &Metadata, skew: &mut Skew, found: &mut Found) {
    let channel = &sender.channel;
    let Some(url) = metadata.endpoint(Endpoint::Backchannel, channel.with_certificate) else { return };
    let Ok(form) = form(sender, metadata, &parameters(sender)) else {
        return found.failed(Check::Ciba, Fault::SigningKeyUnusable);
    };
    let (headers, form) = form.finish();
    let call = Call {
        endpoint: "backchannel",
        url: url.clone(),
        headers,
        form: Some(form),
        timeout: channel.upstream.profile().start_timeout,
        max_body: MAX_SIZE,
    };
    let outcome = match skew.timed(channel, call).await {
        Ok(answer) => judge(&answer, transport::host(url)),
        Err(error) => Outcome::Failed(transport::fault(&error, url, Check::Ciba).1),
    };
    found.note(Check::Ciba, outcome);
}

/// Those of a login's request, without `login_hint`.
fn parameters<'a>(sender: &'a Sender<'_>) -> Vec<(&'a str, String)> {
    let mut parameters =
        vec![("scope", sender.registration.scope.join(" ")), ("binding_message", BINDING_MESSAGE.to_owned())];
    if sender.registration.delivery != Delivery::Poll {
        // Nothing comes with it: no request is made that could have an outcome.
        let token = draw_notification_token(sender.random);
        parameters.push(("client_notification_token", token.0.expose().to_owned()));
    }
    let extra = sender.extra_parameters.iter();
    parameters.extend(extra.map(|(name, value)| (name.as_str(), value.clone())));
    parameters
}

fn judge(answer: &OutboundResponse, host: String) -> Outcome {
    if answer.status.is_success() {
        return Outcome::Failed(Fault::AcceptedWithoutHint);
    }
    let Some(error) = OAuthError::read(&answer.body) else {
        // By HTTP's own rules the credentials were not accepted (RFC 9110 §15.5.2).
        return Outcome::Failed(if answer.status == StatusCode::UNAUTHORIZED {
            Fault::CredentialsRefused { code: "none" }
        } else {
            Fault::UnexpectedStatus { host, status: answer.status.as_u16() }
        });
    };
    let code = error.loggable_code();
    match code {
        "invalid_client" => Outcome::Failed(Fault::CredentialsRefused { code }),
        // What Keycloak says to a wrong secret or certificate. CIBA §13 gives the code another meaning, and 400.
        "unauthorized_client" if answer.status == StatusCode::UNAUTHORIZED => {
            Outcome::Failed(Fault::CredentialsRefused { code })
        }
        // Keycloak says the first where CIBA is not switched on for the client, CIBA §13 the second.
        "invalid_grant" | "unauthorized_client" => Outcome::Failed(Fault::CibaNotEnabled { code }),
        // What oidc-provider says there.
        "invalid_request" if error.mentions(GRANT_TYPE) == Some(true) => {
            Outcome::Failed(Fault::CibaNotEnabled { code })
        }
        "invalid_request" if error.mentions("hint") != Some(false) => Outcome::Well(Proof::Plain),
        // To some, no hint is somebody whom they do not know.
        "unknown_user_id" => Outcome::Well(Proof::Plain),
        "invalid_request" => Outcome::Warning(Fault::RefusedOtherwise { code }),
        _ => Outcome::Failed(Fault::RefusedOtherwise { code }),
    }
}
