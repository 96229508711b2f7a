//! `POST /v1/introspect` (RFC 7662): what a back end may know of a token that somebody has shown it.
//!
//! `iss` and `sub` are the person's, as in a session's subject: `iss` is the provider that vouches for `sub`, and together
//! they are the key of the person. Times are NumericDate, as RFC 7662 has them. No use of the session, unless asked for.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ClientsState, errors};
use crate::domain::ids::SessionId;
use crate::domain::registration::Environment;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::introspect::Introspection;
use crate::engine::ports::ActorKind;
use crate::engine::session::SessionView;
use crate::http::extract::{FormCaller, Query};
use crate::http::front::RequestContext;
use crate::http::problem::Problem;

#[derive(ToSchema)]
#[schema(as = Introspect)]
#[expect(dead_code, reason = "the shape for the OpenAPI document; a test holds it against what is read")]
struct Question {
    /// What was shown: a session handle, or anything else.
    token: String,
    /// `true`: this is a use of the session, which puts its idle end off.
    #[schema(default = false, nullable = false)]
    touch: Option<bool>,
    /// Taken and ignored (RFC 7662 §2.1): one kind of token is introspected.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
    /// The application's own name, where a library sends it beside the credential.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// With `client_assertion`: `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    #[schema(nullable = false)]
    client_assertion_type: Option<String>,
    /// A client assertion, instead of one in `Relais-Client-Assertion`.
    #[schema(nullable = false)]
    client_assertion: Option<String>,
}

/// What is known of a token. Where `active` is false there is nothing else.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = Introspection)]
struct Answer<'a> {
    /// Whether the token opens a live session to the caller.
    active: bool,
    /// The provider that vouches for `sub`: with it, the key of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<&'a str>,
    /// The person, as the provider names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<&'a str>,
    /// What the person was asked for by, as the provider has confirmed it: the login hint, normalised.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "899700000001")]
    username: Option<&'a str>,
    /// The application that the session belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<&'a str>,
    /// What the provider has granted, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "openid scope_all")]
    scope: Option<String>,
    /// How the token is presented: `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    token_type: Option<&'static str>,
    /// The session; not secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<SessionId>,
    /// The registration it came over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    registration: Option<&'a str>,
    /// Whether a real person stands behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    environment: Option<Environment>,
    /// The level of the authentication, as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "eidas1")]
    acr: Option<&'a str>,
    /// How the person was authenticated, as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    amr: Option<&'a [String]>,
    /// When the person was authenticated, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_time: Option<i64>,
    /// When the session began, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// Its absolute end, in seconds since 1970. Without uses it ends earlier: `idle_expires_in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// Seconds to its end without a further use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    idle_expires_in: Option<u64>,
    /// The chosen *situation d'exercice*, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exercice: Option<&'a str>,
    /// The application's own reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn of(view: &'a SessionView, now: Timestamp) -> Self {
        let SessionView { session, claims } = view;
        Self {
            active: true,
            iss: Some(&claims.subject.iss),
            sub: Some(&claims.subject.sub),
            username: claims.username.as_deref(),
            client_id: Some(session.application.as_str()),
            scope: Some(claims.scope.join(" ")).filter(|scope| !scope.is_empty()),
            token_type: Some("Bearer"),
            session_id: Some(session.session_id),
            registration: Some(session.registration.as_str()),
            environment: Some(session.environment),
            acr: claims.acr.as_deref(),
            amr: Some(&claims.amr),
            auth_time: claims.auth_time.map(Timestamp::as_secs),
            iat: Some(session.created_at.as_secs()),
            exp: Some(session.expires_at.as_secs()),
            idle_expires_in: Some(session.idle_expires_at().seconds_from(now)),
            exercice: session.exercice.as_deref(),
            reference: session.reference.as_deref(),
        }
    }
}

/// What is this token
///
/// For a back end that was shown a session handle (RFC 7662): whether it opens a live session, whose, and until when.
/// Handles of its own, and of applications that it acts for; everything else is `{"active":false}`, whatever it is. It is
/// no use of the session, unless `touch` is `true`.
#[utoipa::path(
    post, path = "/v1/introspect", operation_id = "introspect", tag = "Session",
    security(("application" = [])),
    request_body(content = Question, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What is known of it.", body = Answer<'static>)),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    query: Query,
    FormCaller { caller, mut form }: FormCaller,
) -> Result<Response, Problem> {
    query.finish()?;
    let token = Secret::new(form.required_text("token").unwrap_or_default());
    let touch = form.choice("touch", &[("true", true), ("false", false)]).unwrap_or(false);
    let _ = form.text("token_type_hint");
    form.finish().map_err(Problem::invalid_request)?;
    let by = context.actor(ActorKind::Application);
    let asked = Introspection { caller: caller.application, token, touch, by };
    let view = state.engine.introspect(asked).await.map_err(|error| errors::introspect(&error))?;
    let Some(view) = view else { return Ok(Json(Answer::default()).into_response()) };
    context.note_session(&view.session);
    Ok(Json(Answer::of(&view, state.engine.clock().now())).into_response())
}
