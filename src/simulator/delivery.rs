//! Telling the client the outcome by itself: ping (CIBA §10.2) and push (§10.3, §12).
//!
//! `delivery` in the settings is how the client is registered: its mode and its notification endpoint. It counts for
//! requests that ring afterwards. One message goes out when the request is decided, and never another: whatever the
//! client answers is only noted.
//!
//! Faults of the endpoint `notification` change the message instead of an answer: `headers` are its headers
//! (`authorization` too), `body` its body; `delay_ms` makes it late; `action`, whichever, keeps it from being sent. What
//! was sent is listed, so that it can be sent again by hand.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::Simulator;
use super::endpoints::form::Form;
use super::exchange::Reply;
use super::faults::Endpoint;
use super::jose::{base64url, sha256};
use super::personality::{Refusal, bad};
use super::requests::{Announced, Outcome};
use super::tokens;
use crate::domain::clock::Monotonic;
use crate::net::outbound::{Outbound, OutboundRequest};

/// How long the client may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;
/// How many messages are remembered.
const MOST_SENT: usize = 1000;
/// CIBA §7.1.
const LONGEST_TOKEN: usize = 1024;

const REQUEST_CLAIM: &str = "urn:openid:params:jwt:claim:auth_req_id";
const REFRESH_CLAIM: &str = "urn:openid:params:jwt:claim:rt_hash";

static TOKEN_MISSING: Refusal =
    bad("invalid_request", "Client notification token needs to be provided with this mode");
static TOKEN_MALFORMED: Refusal = bad("invalid_request", "Client notification token is not well-formed");
static TOKEN_UNEXPECTED: Refusal =
    bad("invalid_request", "Client notification token is supported only for ping and push");
/// CIBA §11: a client that is registered for push has no business at the token endpoint.
pub(super) static NOT_POLLED: Refusal =
    bad("unauthorized_client", "Client is not allowed to use this grant in push mode");

/// How the client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Ping,
    Push,
}

impl Mode {
    /// As metadata writes it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Push => "push",
        }
    }
}

/// How the client is registered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivery {
    pub mode: Mode,
    pub endpoint: String,
}

/// What one request needs for being told about.
#[derive(Clone)]
pub(super) struct Notification {
    pub token: String,
    pub delivery: Delivery,
}

/// One line of `GET /_sim/notifications`.
#[derive(Clone, Serialize)]
pub(super) struct Sent {
    auth_req_id: String,
    client_notification_token: String,
    body: Value,
    /// What the client answered; absent where nothing came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// The messages that were sent, oldest first.
#[derive(Default)]
pub(super) struct Outbox(VecDeque<Sent>);

impl Outbox {
    fn note(&mut self, sent: Sent) {
        if self.0.len() >= MOST_SENT {
            self.0.pop_front();
        }
        self.0.push_back(sent);
    }

    pub(super) fn list(&self) -> Vec<Sent> {
        self.0.iter().cloned().collect()
    }
}

/// What a request form says about being told. Its mode is the client's, not the request's.
pub(super) fn asked(
    delivery: Option<&Delivery>,
    form: &Form,
) -> Result<Option<Notification>, &'static Refusal> {
    match (delivery, form.get("client_notification_token")) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(&TOKEN_UNEXPECTED),
        (Some(_), None) => Err(&TOKEN_MISSING),
        (Some(_), Some(token)) if !is_token(token) => Err(&TOKEN_MALFORMED),
        (Some(delivery), Some(token)) => {
            Ok(Some(Notification { token: token.to_owned(), delivery: delivery.clone() }))
        }
    }
}

/// `b64token` of RFC 6750 §2.1.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len() <= LONGEST_TOKEN
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

impl Simulator {
    /// Tells the client that a request has been decided, where the client wants to be told.
    pub(super) fn announce(&self, id: &str) {
        let (simulator, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move { simulator.tell(&id).await });
    }

    /// Announces a request that decides itself, when it does.
    pub(super) fn announce_at(&self, id: String, at: Monotonic) {
        let simulator = self.clone();
        tokio::spawn(async move {
            simulator.inner.clock.sleep_until(at).await;
            simulator.tell(&id).await;
        });
    }

    async fn tell(&self, id: &str) {
        let Some(outbound) = &self.inner.notifications else { return };
        let now = self.inner.clock.monotonic();
        let announced = self.state().requests.announce(id, now);
        let Some(announced) = announced else { return };
        let Some(body) = self.message(id, &announced) else { return };
        let fault = self.state().faults.hit(Endpoint::Notification);
        let mut message = Reply::new(StatusCode::OK, "", body);
        if let Some(fault) = fault {
            if let Some(delay) = fault.delay {
                self.inner.clock.sleep(delay).await;
            }
            if fault.action.is_some() {
                self.state().stats.call(Endpoint::Notification, "fault");
                return;
            }
            message = fault.falsify(Some(message));
        }
        self.send(outbound, id, &announced.notification, message).await;
    }

    /// The body. A push spends the request: its tokens are given out here.
    fn message(&self, id: &str, announced: &Announced) -> Option<Bytes> {
        let mut members = match (announced.notification.delivery.mode, announced.outcome) {
            (Mode::Ping, _) => Map::new(),
            (Mode::Push, Outcome::Approved) => {
                let redeemed = announced.redeemed.as_ref()?;
                let covered = |refresh_token: &str| {
                    vec![
                        (REQUEST_CLAIM.to_owned(), json!(id)),
                        (REFRESH_CLAIM.to_owned(), json!(left_half(refresh_token))),
                    ]
                };
                match serde_json::to_value(tokens::issue(self, redeemed, None, covered)).ok()? {
                    Value::Object(members) => members,
                    _ => return None,
                }
            }
            (Mode::Push, _) => {
                let denied = &self.inner.traits.refusals.denied;
                Map::from_iter([
                    ("error".to_owned(), json!(denied.error)),
                    ("error_description".to_owned(), json!(denied.description)),
                ])
            }
        };
        members.insert("auth_req_id".to_owned(), json!(id));
        Some(Value::Object(members).to_string().into())
    }

    async fn send(&self, outbound: &Outbound, id: &str, notification: &Notification, message: Reply) {
        let Ok(url) = Url::parse(&notification.delivery.endpoint) else { return };
        let mut headers = HeaderMap::new();
        if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", notification.token)) {
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        headers.extend(message.headers);
        let sent = serde_json::from_slice(&message.body).unwrap_or(Value::Null);
        let answer = outbound
            .send(OutboundRequest {
                method: Method::POST,
                url,
                headers,
                body: Some(message.body.to_vec()),
                timeout: PATIENCE,
                max_body: MAX_ANSWER,
            })
            .await;
        let status = answer.ok().map(|answer| answer.status);
        let mut state = self.state();
        // CIBA §10.2: 204, and 200 will do.
        state.stats.call(
            Endpoint::Notification,
            match status {
                Some(StatusCode::OK | StatusCode::NO_CONTENT) => "ok",
                Some(_) => "refused",
                None => "unreachable",
            },
        );
        state.outbox.note(Sent {
            auth_req_id: id.to_owned(),
            client_notification_token: notification.token.clone(),
            body: sent,
            status: status.map(|status| status.as_u16()),
        });
    }
}

/// OIDC Core §3.1.3.6, for RS256.
fn left_half(token: &str) -> String {
    base64url(&sha256(token.as_bytes())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_ciba_10_3_1() {
        assert_eq!(left_half("G5kXH2wHvUra0sHlDy1iTkDJgsgUO1bN"), "Wt0kVFXMacqvnHeyU0001w");
        assert_eq!(left_half("4bwc0ESC_IAhflf-ACC_vjD_ltc11ne-8gFPfA2Kx16"), "sHahCuSpXCRg5mkDDvvr4w");
    }

    #[test]
    fn a_notification_token_is_a_b64token() {
        for good in ["a", "rnt_-._~+/==", &"x".repeat(1024)] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "=", "a=b", "a b", "é", &"x".repeat(1025)] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
