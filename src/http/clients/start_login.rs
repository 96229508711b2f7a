//! `POST /v1/logins`: starts a login. A 2xx means that one exists, however it fares.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::ClientsState;
use super::errors;
use super::login_object::LoginObject;
use crate::domain::secret::Secret;
use crate::engine::ports::ActorKind;
use crate::engine::start_login::{Idempotency, StartLogin};
use crate::http::extract::{Body, Caller, IdempotencyKey, Query};
use crate::http::front::RequestContext;
use crate::http::json::{Fields, canonical};
use crate::http::problem::Problem;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest `reference`, in characters.
const REFERENCE_MAX: usize = 64;

/// The largest `client_context`, in bytes of JSON.
const CONTEXT_MAX: usize = 1024;

/// The longest text in a `client_context`, in characters.
const CONTEXT_TEXT_MAX: usize = 256;

/// The largest `requested_expiry`, in seconds: what an `int32` of a generated client can say.
const EXPIRY_MAX: u32 = 2_147_483_647;

/// The longest `user_code`, in characters.
const USER_CODE_MAX: usize = 128;

/// Whom to ask, and how. An optional member may be null, which counts as absent.
#[derive(ToSchema)]
#[schema(as = StartLogin)]
#[expect(dead_code, reason = "the shape for the OpenAPI document; a test holds it against what is read")]
struct StartBody {
    /// Whom to ask: a national id, as the person types it (Pro Santé Connect: 11 or 12 digits of the RPPS number).
    #[schema(
        min_length = 1,
        max_length = 128,
        example = "899700000001",
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    login_hint: String,
    /// The registration to sign in over; absent: the application's default.
    registration: Option<String>,
    /// How the person is asked, one of the registration's; absent: its default.
    #[schema(example = "MOBILE")]
    channel: Option<String>,
    /// Words with spaces between them, out of the registration's; absent: all of them.
    scope: Option<String>,
    /// Words with spaces between them, out of the registration's, in order of preference; absent: all of them.
    acr_values: Option<String>,
    /// What both screens show. Only where the application may choose it; otherwise Relais draws two digits.
    binding_message: Option<String>,
    /// Seconds after which the request shall expire; none waits longer than ten minutes.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    requested_expiry: Option<u32>,
    /// A code that the person has agreed on with the provider; forwarded once.
    #[schema(max_length = 128)]
    user_code: Option<String>,
    /// What to do where a login for this person is under way.
    #[schema(inline)]
    if_pending: Option<IfPending>,
    /// The application's own reference, repeated everywhere.
    #[schema(max_length = 64)]
    reference: Option<String>,
    #[schema(inline)]
    client_context: Option<ClientContext>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "as StartBody")]
enum IfPending {
    Refuse,
    Replace,
}

/// Where the login comes from, for audit and provider: 1 KiB of JSON at most.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as StartBody")]
struct ClientContext {
    #[schema(inline)]
    software: Option<Software>,
    /// The workstation's name.
    #[schema(max_length = 256)]
    workstation: Option<String>,
    /// The seat or room.
    #[schema(max_length = 256)]
    seat: Option<String>,
}

/// The software at which the person sits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as StartBody")]
struct Software {
    #[schema(max_length = 256)]
    name: Option<String>,
    #[schema(max_length = 256)]
    version: Option<String>,
    #[schema(max_length = 256)]
    id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "as StartBody")]
struct StartHeaders {
    /// Drawn once per attempt to sign somebody in. A start whose answer was lost is repeated with the same key and
    /// the same body: it gives the same login, and nobody's phone rings twice.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<Uuid>,
}

/// Start a login
///
/// Asks the provider to ring the person's phone or card. A 2xx means that a login exists, however it fares (it may
/// be `failed` already); a problem means that none exists and no phone rang. Waits up to 10 s for the provider, else
/// the login is `starting`.
#[utoipa::path(
    post, path = "/v1/logins", operation_id = "startLogin", tag = "Logins",
    security(("application" = [])),
    params(StartHeaders),
    request_body(content = StartBody, content_type = "application/json"),
    responses(
        (status = 201, description = "A login exists.", body = LoginObject<'static>, headers(
            ("Location" = String, description = "The login's URL."),
            ("ETag" = String, description = "Its version, in quotes."),
        )),
        (status = 200, description = "The same start as before, with the same `Idempotency-Key`: the same login, as \
            it is now.", body = LoginObject<'static>, headers(
            ("Location" = String, description = "The login's URL."),
            ("ETag" = String, description = "Its version, in quotes."),
            ("Idempotency-Replayed" = String, description = "`true`"),
        )),
    ),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    context: RequestContext,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    query: Query,
    Body(body): Body,
) -> Result<Response, Problem> {
    query.finish()?;
    let body = body.unwrap_or(Value::Null);
    let idempotency = key.map(|key| Idempotency {
        key,
        credential: caller.credential.clone(),
        body: canonical(&body).to_string().into_bytes(),
    });
    let start = StartLogin { idempotency, ..read(body, &context, &caller)? };
    let outcome = state.engine.start_login(start).await;
    let now = state.engine.clock().now();
    let started = outcome.map_err(|error| errors::start(&error, now))?;
    context.note_login(&started.login);
    let object = LoginObject::of(&started.login, now, context.language).with_token(&started.token);
    let status = if started.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let mut answer = object.answer(status, context.language);
    if started.replayed {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    let base = state.public_url.as_str().trim_end_matches('/');
    if let Ok(location) = HeaderValue::from_str(&format!("{base}/v1/logins/{}", started.login.login_id)) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer.into_response())
}

/// The start body (contract: "Start body"). `scope` and `acr_values` are texts with spaces, as OAuth writes them. The
/// rules of the hint, of the `binding_message` and of what a registration allows are the engine's.
pub(super) fn read(body: Value, context: &RequestContext, caller: &Caller) -> Result<StartLogin, Problem> {
    let mut body = Fields::new(body).map_err(Problem::invalid_request)?;
    let login_hint = body.required_text("login_hint");
    let start = StartLogin {
        application: caller.application.clone(),
        login_hint: Secret::new(login_hint.clone().unwrap_or_default()),
        registration: body.text("registration"),
        channel: body.text("channel"),
        scope: body.words("scope"),
        acr_values: body.words("acr_values"),
        binding_message: body.text("binding_message"),
        requested_expiry: body.positive("requested_expiry", EXPIRY_MAX),
        user_code: body.printable("user_code", USER_CODE_MAX).map(Secret::new),
        replace: body.choice("if_pending", &[("refuse", false), ("replace", true)]).unwrap_or(false),
        reference: body.printable("reference", REFERENCE_MAX),
        client_context: client_context(&mut body),
        idempotency: None,
        by: context.actor(ActorKind::Application),
    };
    body.finish().map_err(Problem::invalid_request)?;
    Ok(start)
}

/// `{software: {name, version, id}?, workstation?, seat?}` of at most 1 KiB.
fn client_context(body: &mut Fields) -> Option<String> {
    let whole = body.object("client_context", |context| {
        let _ = context.object("software", |software| {
            for name in ["name", "version", "id"] {
                let _ = software.printable(name, CONTEXT_TEXT_MAX);
            }
        });
        for name in ["workstation", "seat"] {
            let _ = context.printable(name, CONTEXT_TEXT_MAX);
        }
    })?;
    let text = whole.to_string();
    if text.len() > CONTEXT_MAX {
        return body.refuse("client_context", "length", "must have at most 1024 bytes");
    }
    Some(text)
}
