//! The token endpoint (CIBA §10.1): form, client, then the order of checks of [`super::super::requests`]; or a refresh.

use axum::http::StatusCode;

use super::super::Simulator;
use super::super::client_auth::form_of_client;
use super::super::delivery::NOT_POLLED;
use super::super::exchange::{Call, Reply};
use super::super::requests::Poll;
use super::super::tokens;
use super::form::{first, is_form};
use super::refresh;

const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";
const REFRESH_GRANT: &str = "refresh_token";

/// `POST …/token`.
pub(super) fn answer(simulator: &Simulator, call: &Call) -> Reply {
    if !is_form(&call.headers) {
        return Reply::http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "http_415");
    }
    checked(simulator, call).unstored()
}

fn checked(simulator: &Simulator, call: &Call) -> Reply {
    let refusals = &simulator.inner.traits.refusals;
    let is_refresh = match first(&call.body, "grant_type").as_deref() {
        None | Some("") => return Reply::refusal(&refusals.missing_grant_type),
        Some(CIBA_GRANT) => false,
        Some(REFRESH_GRANT) => true,
        Some(_) => return Reply::refusal(&refusals.unsupported_grant),
    };
    let form = match form_of_client(simulator, call) {
        Ok(form) => form,
        Err(refusal) => return Reply::refusal(refusal),
    };
    if is_refresh {
        return refresh::answer(simulator, call, &form);
    }
    let Some(id) = form.get("auth_req_id") else { return Reply::refusal(&refusals.missing_request_id) };
    if !tokens::is_auth_req_id(simulator, id) {
        return Reply::refusal(&refusals.garbage_request_id);
    }
    if simulator.state().requests.is_pushed(id) {
        return Reply::refusal(&NOT_POLLED);
    }
    redeem(simulator, call, id)
}

fn redeem(simulator: &Simulator, call: &Call, id: &str) -> Reply {
    let traits = simulator.inner.traits;
    let refusals = &traits.refusals;
    let now = simulator.inner.clock.monotonic();
    let poll = simulator.state().requests.poll(id, now, traits.pace);
    match poll {
        Poll::Unknown => Reply::refusal(&refusals.unknown_request_id),
        Poll::Expired => Reply::refusal(&refusals.expired),
        Poll::TooEarly => Reply::refusal(&refusals.slow_down),
        Poll::Denied => Reply::refusal(&refusals.denied),
        Poll::Pending => Reply::refusal(&refusals.pending),
        Poll::Redeemed(redeemed) => {
            let certificate = call.certificate.as_deref();
            Reply::ok(&tokens::issue(simulator, &redeemed, certificate, |_| Vec::new()))
        }
    }
}
