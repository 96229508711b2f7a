//! The phone page: plain HTML with forms, in French and English, that works without script.
//!
//! It says in its first line that it is a simulator, so that nobody takes it for the real thing. Its policy
//! (`Content-Security-Policy`) lets it load nothing and be framed by nobody.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::Simulator;
use super::control::same_origin;
use super::jose::base64url;
use super::requests::{Approval, NotDecided, Status};
use super::settings::Decision;

/// The routes of the page.
pub(super) fn router(simulator: &Simulator) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/phone/{auth_req_id}/{decision}", post(decide))
        .layer(from_fn(same_origin))
        .with_state(simulator.clone())
}

/// The words of the page in one language.
struct Words {
    lang: &'static str,
    other_lang: &'static str,
    other_language: &'static str,
    title: &'static str,
    simulator: &'static str,
    none: &'static str,
    asks: &'static str,
    person: &'static str,
    digits: &'static str,
    no_digits: &'static str,
    channel: &'static str,
    card: &'static str,
    mobile: &'static str,
    approve: &'static str,
    deny: &'static str,
    too_late: &'static str,
}

static FRENCH: Words = Words {
    lang: "fr",
    other_lang: "en",
    other_language: "English",
    title: "Téléphone simulé",
    simulator: "Ceci est un simulateur : aucune authentification réelle n'a lieu ici.",
    none: "Aucune demande en attente.",
    asks: "Demande de",
    person: "Pour",
    digits: "Vérifiez que ce nombre est celui affiché par le logiciel",
    no_digits: "Le logiciel n'a pas fourni de nombre à comparer.",
    channel: "Moyen",
    card: "carte CPx",
    mobile: "e-CPS sur mobile",
    approve: "Approuver",
    deny: "Refuser",
    too_late: "Cette demande n'est plus en attente.",
};

static ENGLISH: Words = Words {
    lang: "en",
    other_lang: "fr",
    other_language: "Français",
    title: "Simulated phone",
    simulator: "This is a simulator: no real authentication takes place here.",
    none: "No request is waiting.",
    asks: "Request from",
    person: "For",
    digits: "Check that this number is the one the software shows",
    no_digits: "The software gave no number to compare.",
    channel: "By",
    card: "CPx card",
    mobile: "e-CPS on a mobile",
    approve: "Approve",
    deny: "Deny",
    too_late: "This request is not waiting any more.",
};

#[derive(Deserialize)]
struct Language {
    lang: Option<String>,
}

impl Language {
    /// What the address says, else what the browser prefers of the two, else French.
    fn words(&self, headers: &HeaderMap) -> &'static Words {
        match self.lang.as_deref() {
            Some("fr") => &FRENCH,
            Some("en") => &ENGLISH,
            _ => {
                let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
                if preferred(accepted.unwrap_or_default()) == Some("en") { &ENGLISH } else { &FRENCH }
            }
        }
    }
}

/// The one of `fr` and `en` with the highest weight in an `Accept-Language`; the earlier one of equals.
fn preferred(accepted: &str) -> Option<&'static str> {
    let mut best: Option<(&'static str, f32)> = None;
    for range in accepted.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let language = match tag.split('-').next() {
            Some("fr") => "fr",
            Some("en") => "en",
            _ => continue,
        };
        if weight > 0.0 && best.is_none_or(|(_, so_far)| weight > so_far) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// A request as the page shows it.
struct Shown {
    auth_req_id: String,
    login_hint: String,
    name: String,
    digits: Option<String>,
    channel: &'static str,
}

#[derive(Template)]
#[template(path = "simulator/phone.html")]
struct Page<'a> {
    words: &'static Words,
    client: &'a str,
    nonce: &'a str,
    notice: Option<&'static str>,
    requests: Vec<Shown>,
}

async fn page(
    State(simulator): State<Simulator>,
    Query(language): Query<Language>,
    headers: HeaderMap,
) -> Response {
    render(&simulator, language.words(&headers), StatusCode::OK, None)
}

async fn decide(
    State(simulator): State<Simulator>,
    Path((id, decision)): Path<(String, String)>,
    Query(language): Query<Language>,
    headers: HeaderMap,
) -> Response {
    let words = language.words(&headers);
    let decision = match decision.as_str() {
        "approve" => Decision::Approve,
        "deny" => Decision::Deny,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match simulator.decide(&id, decision, Approval::default()) {
        Ok(()) => Redirect::to(&format!("/?lang={}", words.lang)).into_response(),
        Err(NotDecided::Unknown) => render(&simulator, words, StatusCode::NOT_FOUND, Some(words.too_late)),
        Err(NotDecided::Decided) => render(&simulator, words, StatusCode::CONFLICT, Some(words.too_late)),
    }
}

fn pending(simulator: &Simulator, words: &'static Words) -> Vec<Shown> {
    let now = simulator.inner.clock.monotonic();
    let channels = simulator.inner.traits.channels;
    let mut state = simulator.state();
    let waiting = state.requests.list(now).filter(|request| request.status(now) == Status::Pending);
    waiting
        .map(|request| Shown {
            auth_req_id: request.auth_req_id.clone(),
            login_hint: request.asked.login_hint.clone(),
            name: request.asked.person.full_name(),
            digits: request.asked.binding_message.clone(),
            channel: match channels.get(request.asked.channel).map(|channel| channel.name) {
                Some("CARD") => words.card,
                _ => words.mobile,
            },
        })
        .collect()
}

fn render(
    simulator: &Simulator,
    words: &'static Words,
    status: StatusCode,
    notice: Option<&'static str>,
) -> Response {
    let mut bytes = [0; 16];
    simulator.inner.random.fill(&mut bytes);
    let nonce = base64url(&bytes);
    let requests = pending(simulator, words);
    let page = Page { words, client: &simulator.inner.client_id, nonce: &nonce, notice, requests };
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    response
}
