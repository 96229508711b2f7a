//! The phone page, as a phone's application would look: who asks for whom, the digits, approve and deny, and what
//! became of earlier requests. In French and English.
//!
//! It works without script, by forms. With script it stays as the server has it: the script asks for the page with
//! the revision that it shows (`seen`) and is answered when there is another one. What is shown and is still true is
//! not touched, so that neither the focus nor a half-made tap is lost.
//!
//! It says in its first line that it is a simulator, so that nobody takes it for the real thing. Its policy
//! (`Content-Security-Policy`) lets it load nothing and be framed by its own origin only.

mod view;
mod words;

use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::jose::base64url;
use super::requests::{Approval, NotDecided};
use super::settings::Decision;
use super::{Simulator, Steering, guard};
use crate::domain::texts::Language;
use crate::net::listener::Peer;
use view::View;
use words::Words;

/// How long an asking page waits for something new: less than the 30 s that many a middle box allows.
const PARKED: Duration = Duration::from_secs(25);

/// The way to the pages that stand beside this one.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub path: &'static str,
    pub french: &'static str,
    pub english: &'static str,
    pub steering: Steering,
}

#[derive(Clone)]
struct Phone {
    simulator: Simulator,
    link: Option<Link>,
}

/// The routes of the page.
pub(super) fn router(simulator: &Simulator, link: Option<Link>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/phone/{auth_req_id}/{decision}", post(decide))
        .with_state(Phone { simulator: simulator.clone(), link })
}

/// What the address says beside the path.
#[derive(Deserialize)]
struct Address {
    lang: Option<String>,
    /// The revision that is shown already.
    seen: Option<String>,
}

impl Address {
    /// What the address says, else what the browser prefers, else French.
    fn words(&self, headers: &HeaderMap) -> &'static Words {
        let tag = |language: &Language| Some(language.tag()) == self.lang.as_deref();
        let language = Language::ALL.into_iter().find(tag).unwrap_or_else(|| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Language::from_accept_language(accepted)
        });
        Words::of(language)
    }
}

#[derive(Template)]
#[template(path = "simulator/phone.html")]
struct Page<'a> {
    words: &'static Words,
    client_name: &'a str,
    client_id: &'a str,
    nonce: &'a str,
    notice: Option<&'static str>,
    link: Option<(&'static str, &'static str)>,
    title: String,
    status: String,
    view: View,
    /// Seconds after which a page without script loads itself again.
    reload_after: u64,
}

async fn page(
    State(phone): State<Phone>,
    Query(address): Query<Address>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    if let Some(seen) = &address.seen
        && !shows_another_than(&phone.simulator, seen).await
    {
        return ([(header::CACHE_CONTROL, "no-store")], StatusCode::NO_CONTENT).into_response();
    }
    phone.render(address.words(&headers), peer.as_deref(), StatusCode::OK, None)
}

/// Waits for another revision than `seen`; whether there is one.
async fn shows_another_than(simulator: &Simulator, seen: &str) -> bool {
    let clock = &simulator.inner.clock;
    let until = clock.monotonic() + PARKED;
    let mut changes = simulator.inner.changes.subscribe();
    loop {
        let view = View::of(simulator);
        if view.revision != seen {
            return true;
        }
        if clock.monotonic() >= until {
            return false;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = clock.sleep_until(view.next_change.map_or(until, |at| at.min(until))) => {}
        }
    }
}

async fn decide(
    State(phone): State<Phone>,
    Path((id, decision)): Path<(String, String)>,
    Query(address): Query<Address>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let words = address.words(&headers);
    let decision = match decision.as_str() {
        "approve" => Decision::Approve,
        "deny" => Decision::Deny,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let status = match phone.simulator.decide(&id, decision, Approval::default()) {
        Ok(()) => return Redirect::to(&format!("/?lang={}", words.lang)).into_response(),
        Err(NotDecided::Unknown) => StatusCode::NOT_FOUND,
        Err(NotDecided::Decided) => StatusCode::CONFLICT,
    };
    phone.render(words, peer.as_deref(), status, Some(words.too_late))
}

impl Phone {
    fn render(
        &self,
        words: &'static Words,
        peer: Option<&Peer>,
        status: StatusCode,
        notice: Option<&'static str>,
    ) -> Response {
        let simulator = &self.simulator;
        let mut bytes = [0; 16];
        simulator.inner.random.fill(&mut bytes);
        let nonce = base64url(&bytes);
        let view = View::of(simulator);
        // A reload takes the focus away: while somebody is to decide there is none but at the end.
        let reload_after = view.waiting.iter().map(|waiting| waiting.left + 1).min().unwrap_or(5);
        let page = Page {
            words,
            client_name: &simulator.inner.client_name,
            client_id: &simulator.inner.client_id,
            nonce: &nonce,
            notice,
            link: self.link_for(words, peer),
            title: match view.waiting.len() {
                0 => words.title.to_owned(),
                waiting => format!("({waiting}) {}", words.title),
            },
            status: words.status(&view, &simulator.inner.client_name),
            view,
            reload_after,
        };
        let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
        );
        let mut response = (status, Html(html)).into_response();
        let headers = response.headers_mut();
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Not `no-referrer`: a browser would send the forms with the origin `null`, which is nobody's.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
        response
    }

    /// The link to the pages beside this one, for who may open them.
    fn link_for(&self, words: &Words, peer: Option<&Peer>) -> Option<(&'static str, &'static str)> {
        let link =
            self.link.filter(|link| link.steering == Steering::FromAnywhere || guard::is_local(peer))?;
        Some((link.path, if words.lang == "fr" { link.french } else { link.english }))
    }
}
