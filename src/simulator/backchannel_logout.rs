//! Telling the client that somebody has left (OpenID Connect Back-Channel Logout 1.0).
//!
//! `backchannel_logout_uri` in the settings is how the client is registered. A logout token goes out when a client logs
//! somebody out here, and when the control interface says that the person has left; its answer tells what was sent and
//! what the client made of it, so that a token can be sent again by hand.
//!
//! Faults of the endpoint `backchannel_logout` change the message: `headers`, `body`, `delay_ms`; `action`, whichever,
//! keeps it from being sent. Claims, header and signature of the token are altered by the order itself, in the words of
//! [`super::id_token`].

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::Simulator;
use super::departures::Session;
use super::exchange::Reply;
use super::faults::Endpoint;
use super::id_token;
use super::personality::Shape;
use super::tokens;
use crate::domain::random::uuid_v4;
use crate::net::outbound::{Outbound, OutboundRequest};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_ANSWER: usize = 64 * 1024;
/// Back-Channel Logout §2.4 recommends two minutes at most.
const LIFE: i64 = 120;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Who is meant, in the words of the token.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// One session.
    Sid,
    /// Everything of a person.
    Sub,
    /// One session, and whose it is.
    #[default]
    Both,
}

/// Somebody leaves at the provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    sid: Option<Uuid>,
    /// The newest session of this person.
    login_hint: Option<String>,
    #[serde(default)]
    by: By,
    /// What is altered in the token.
    #[serde(default)]
    token: Map<String, Value>,
}

/// What was sent, and what the client made of it.
#[derive(Serialize)]
pub(super) struct Told {
    logout_token: String,
    /// Absent where nothing came back, or nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    body: String,
}

/// Why nobody was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotTold {
    /// There is no such session.
    NoSession,
    /// The client wants to hear nothing.
    NoAddress,
}

impl Simulator {
    /// The client has logged somebody out: all that want to know are told, the client too.
    pub(super) fn tell_of_logout(&self, sid: Uuid) {
        let simulator = self.clone();
        tokio::spawn(async move {
            let session = simulator.state().departures.get(sid).cloned();
            if let Some(session) = session {
                // Where nobody wants to hear it, nobody is told.
                let _ = simulator.send_logout(&session, By::Both, Map::new()).await;
            }
        });
    }

    /// Somebody leaves here.
    pub(super) async fn leave(&self, order: Order) -> Result<Told, NotTold> {
        let found = {
            let state = self.state();
            let found = match (order.sid, &order.login_hint) {
                (Some(sid), _) => state.departures.get(sid),
                (None, Some(hint)) => state.departures.newest_of(hint),
                (None, None) => None,
            };
            found.cloned().ok_or(NotTold::NoSession)?
        };
        let sid = (order.by != By::Sub).then_some(found.sid);
        self.state().departures.end(sid, found.sub);
        self.send_logout(&found, order.by, order.token).await
    }

    async fn send_logout(
        &self,
        session: &Session,
        by: By,
        altered: Map<String, Value>,
    ) -> Result<Told, NotTold> {
        let address = self.state().settings.backchannel_logout_uri.clone().ok_or(NotTold::NoAddress)?;
        let url = Url::parse(&address).map_err(|_| NotTold::NoAddress)?;
        let outbound = self.inner.notifications.clone().ok_or(NotTold::NoAddress)?;
        let logout_token = self.logout_token(session, by, altered);
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", &logout_token)
            .finish();
        let mut told = Told { logout_token, status: None, cache_control: None, body: String::new() };
        let mut message = Reply::new(StatusCode::OK, "", Bytes::from(form));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        message.headers.insert(header::CONTENT_TYPE, form_type);
        let fault = self.state().faults.hit(Endpoint::BackchannelLogout);
        if let Some(fault) = fault {
            if let Some(delay) = fault.delay {
                self.inner.clock.sleep(delay).await;
            }
            if fault.action.is_some() {
                self.state().stats.call(Endpoint::BackchannelLogout, "fault");
                return Ok(told);
            }
            message = fault.falsify(Some(message));
        }
        let answer = send(&outbound, url, message).await;
        let result = match answer.as_ref().map(|(status, ..)| status.as_u16()) {
            Some(200 | 204) => "ok",
            Some(_) => "refused",
            None => "unreachable",
        };
        self.state().stats.call(Endpoint::BackchannelLogout, result);
        if let Some((status, headers, body)) = answer {
            told.status = Some(status.as_u16());
            let cache_control = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
            told.cache_control = cache_control.map(str::to_owned);
            told.body = String::from_utf8_lossy(&body).into_owned();
        }
        Ok(told)
    }

    fn logout_token(&self, session: &Session, by: By, altered: Map<String, Value>) -> String {
        let inner = &self.inner;
        let now = inner.clock.now().as_secs();
        let is_standard = inner.traits.shape == Shape::Standard;
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", json!(inner.issuer)),
            ("aud", json!(inner.client_id)),
            ("iat", json!(now)),
            ("exp", json!(now + LIFE)),
            ("jti", json!(uuid_v4(&*inner.random))),
            ("events", json!({ EVENT: {} })),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if by != By::Sub {
            claims.insert("sid".to_owned(), json!(session.sid));
        }
        if by != By::Sid {
            claims.insert("sub".to_owned(), json!(session.sub));
        }
        let mut head = tokens::header("RS256", inner.signing_key.kid());
        if is_standard {
            head.insert("typ".to_owned(), json!("logout+jwt"));
        } else {
            // Keycloak says what kind of token it is in a claim of its own.
            claims.insert("typ".to_owned(), json!("Logout"));
        }
        id_token::altered(self, head, claims, altered.into_iter())
    }
}

async fn send(outbound: &Outbound, url: Url, message: Reply) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    let answer = outbound
        .send(OutboundRequest {
            method: Method::POST,
            url,
            headers: message.headers,
            body: Some(message.body.to_vec()),
            timeout: PATIENCE,
            max_body: MAX_ANSWER,
        })
        .await
        .ok()?;
    Some((answer.status, answer.headers, answer.body))
}
