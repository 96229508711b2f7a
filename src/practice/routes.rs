//! The addresses of the software: a page per desk, and forms that do something at it.

use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use uuid::Uuid;

use super::desk::{Asked, Desk};
use super::{Act, PATH, Practice, page};
use crate::domain::random::uuid_v4;
use crate::domain::texts::Language;

/// How long an asking page waits for something new: less than the 30 s that many a middle box allows.
const PARKED: Duration = Duration::from_secs(25);

pub(super) fn router(practice: &Practice) -> Router {
    Router::new()
        .route("/try", get(open))
        .route("/try/{desk}", get(show))
        .route("/try/{desk}/sign-in", post(sign_in))
        .route("/try/{desk}/cancel", post(cancel))
        .route("/try/{desk}/exercice", post(choose_exercice))
        .route("/try/{desk}/sign-out", post(sign_out))
        .with_state(practice.clone())
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
    fn language(&self, headers: &HeaderMap) -> Language {
        let tag = |language: &Language| Some(language.tag()) == self.lang.as_deref();
        Language::ALL.into_iter().find(tag).unwrap_or_else(|| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Language::from_accept_language(accepted)
        })
    }
}

async fn open(
    State(practice): State<Practice>,
    Query(address): Query<Address>,
    headers: HeaderMap,
) -> Redirect {
    to_desk(&practice.open_desk(), address.language(&headers))
}

fn to_desk(desk: &Desk, language: Language) -> Redirect {
    Redirect::to(&format!("{PATH}/{}?lang={}", desk.id, language.tag()))
}

async fn show(
    State(practice): State<Practice>,
    Path(id): Path<String>,
    Query(address): Query<Address>,
    headers: HeaderMap,
) -> Response {
    let language = address.language(&headers);
    let desk = Uuid::parse_str(&id).ok().and_then(|id| practice.desk(id));
    match (desk, &address.seen) {
        (None, None) => Redirect::to(&format!("{PATH}?lang={}", language.tag())).into_response(),
        // Its script loads the page again.
        (None, Some(_)) => StatusCode::GONE.into_response(),
        (Some(desk), Some(seen)) if !desk.shows_another_than(seen, PARKED).await => {
            ([(header::CACHE_CONTROL, "no-store")], StatusCode::NO_CONTENT).into_response()
        }
        (Some(desk), _) => {
            practice.speak(&desk, language).await;
            render(&practice, &desk, language, &headers)
        }
    }
}

/// What the sign-in box sends.
#[derive(Deserialize)]
struct Entered {
    /// Chosen.
    #[serde(default)]
    person: String,
    /// Typed; counts where there is any.
    #[serde(default)]
    login_hint: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    replace: String,
}

impl Entered {
    fn asked(self) -> Asked {
        let typed = self.login_hint.trim();
        let channel = if self.channel == "CARD" { "CARD" } else { "MOBILE" };
        let login_hint = if typed.is_empty() { self.person } else { typed.to_owned() };
        Asked { typed: !typed.is_empty(), login_hint, channel, replace: !self.replace.is_empty() }
    }
}

async fn sign_in(
    practice: State<Practice>,
    id: Path<String>,
    address: Query<Address>,
    headers: HeaderMap,
    Form(entered): Form<Entered>,
) -> Redirect {
    act(practice, id, address, headers, Act::SignIn(entered.asked())).await
}

async fn cancel(
    practice: State<Practice>,
    id: Path<String>,
    address: Query<Address>,
    headers: HeaderMap,
) -> Redirect {
    act(practice, id, address, headers, Act::Cancel).await
}

#[derive(Deserialize)]
struct Chosen {
    id: String,
}

async fn choose_exercice(
    practice: State<Practice>,
    id: Path<String>,
    address: Query<Address>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Redirect {
    act(practice, id, address, headers, Act::ChooseExercice(chosen.id)).await
}

async fn sign_out(
    practice: State<Practice>,
    id: Path<String>,
    address: Query<Address>,
    headers: HeaderMap,
) -> Redirect {
    act(practice, id, address, headers, Act::SignOut).await
}

/// Does something at a desk and leads back to it; where it has been forgotten, to a new one.
async fn act(
    State(practice): State<Practice>,
    Path(id): Path<String>,
    Query(address): Query<Address>,
    headers: HeaderMap,
    act: Act,
) -> Redirect {
    let language = address.language(&headers);
    let Some(desk) = Uuid::parse_str(&id).ok().and_then(|id| practice.desk(id)) else {
        return Redirect::to(&format!("{PATH}?lang={}", language.tag()));
    };
    let at = desk.clone();
    // A browser that goes away changes nothing; a panic has been logged.
    let _ = tokio::spawn(async move { practice.act(&at, language, act).await }).await;
    to_desk(&desk, language)
}

fn render(practice: &Practice, desk: &Desk, language: Language, headers: &HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let nonce = uuid_v4(&*practice.inner.random).simple().to_string();
    let Some(html) = page::of(practice, desk, language, host, &nonce) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut response = Html(html).into_response();
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
