//! `POST /v1/logins/{login_id}/session`: the pick-up, with or without waiting for the decision.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ClientsState;
use super::errors::{self, NoSession};
use super::login_object::LoginObject;
use super::read_login::{LoginPath, PreferWait, WaitQuery, confirm};
use super::session_object::SessionObject;
use crate::engine::pick_up::PickUpCall;
use crate::engine::ports::ActorKind;
use crate::http::extract::{Body, Query, TokenHolder, Waiting};
use crate::http::front::RequestContext;
use crate::http::json::Fields;
use crate::http::problem::Problem;

/// The longest `expected_subject` or `exercice`, in characters.
const TEXT_MAX: usize = 255;

/// The body of a pick-up; it may be left out.
#[derive(ToSchema)]
#[schema(as = PickUp)]
#[expect(dead_code, reason = "the shape for the OpenAPI document; a test holds it against what is read")]
struct PickUpBody {
    /// The only person to accept, by `national_id` or `sub`; where another one has approved, the login fails.
    #[schema(max_length = 255)]
    expected_subject: Option<String>,
    /// The *situation d'exercice* to work in, by its id.
    #[schema(max_length = 255)]
    exercice: Option<String>,
}

/// Pick the session up
///
/// Gives the session and its handle, once the person has approved. With a wait it waits for the decision. Where the
/// answer was lost it is repeated with the same login token: the lost handle dies, another one is drawn, as long as
/// none has been used and `repeatable_for` has not passed.
#[utoipa::path(
    post, path = "/v1/logins/{login_id}/session", operation_id = "pickUpSession", tag = "Logins",
    security(("login_token" = [])),
    params(LoginPath, PreferWait, WaitQuery),
    request_body(content = Option<PickUpBody>, content_type = "application/json"),
    responses(
        (status = 201, description = "The session, with its `session_handle`.", body = SessionObject<'static>,
            headers(("Preference-Applied" = Option<String>, description = "The wait that was granted."))),
        (status = 202, description = "Nobody has decided within the wait: the login as it is.",
            body = LoginObject<'static>,
            headers(("Preference-Applied" = Option<String>, description = "The wait that was granted."))),
    ),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    TokenHolder(token): TokenHolder,
    mut query: Query,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let waiting = Waiting::length(&headers, &mut query);
    query.finish()?;
    let mut body =
        Fields::new(body.unwrap_or(Value::Object(Map::new()))).map_err(Problem::invalid_request)?;
    let call = PickUpCall {
        token,
        wait: waiting.wait,
        expected_subject: body.printable("expected_subject", TEXT_MAX),
        exercice: body.printable("exercice", TEXT_MAX),
        by: context.actor(ActorKind::Holder),
    };
    body.finish().map_err(Problem::invalid_request)?;
    let outcome = state.engine.pick_up(call).await;
    let now = state.engine.clock().now();
    let mut answer = match outcome.map_err(|error| errors::pick_up(error, now)) {
        Ok(picked_up) => {
            context.note_session(&picked_up.view.session);
            SessionObject::of(&picked_up.view, now).with_handle(&picked_up.handle).answer(StatusCode::CREATED)
        }
        Err(NoSession::StillOpen(login)) => {
            context.note_login(&login);
            LoginObject::of(&login, now, context.language).answer(StatusCode::ACCEPTED, context.language)
        }
        Err(NoSession::Refused(problem)) => return Err(problem),
    };
    confirm(&mut answer, waiting);
    Ok(answer)
}
