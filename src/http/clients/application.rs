//! `GET /v1/application`: what the caller may do here. It rings nobody and asks no provider.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ClientsState;
use crate::domain::application::{Application, ApplicationKind};
use crate::domain::registration::Environment;
use crate::domain::time::Timestamp;
use crate::engine::directory::Directory;
use crate::engine::ports::{ProviderStatus, Providers};
use crate::http::extract::{Caller, Query};
use crate::http::problem::Problem;

/// What an application may do here.
#[derive(Serialize, ToSchema)]
#[schema(as = Application)]
struct Answer<'a> {
    /// The application's own name.
    application: &'a str,
    /// `backend` or `installed`.
    kind: ApplicationKind,
    /// The tenant it belongs to.
    tenant: &'a str,
    /// The registrations it may sign people in over, but for those that are switched off.
    registrations: Vec<RegistrationView<'a>>,
    limits: Limits,
    /// For a look at the caller's own clock.
    server_time: Timestamp,
    /// Relais's version.
    version: &'static str,
}

/// A registration that the application may use now.
#[derive(Serialize, ToSchema)]
#[schema(as = OfferedRegistration)]
struct RegistrationView<'a> {
    /// What a start names it by.
    name: &'a str,
    /// `production` or `test`.
    environment: Environment,
    /// Whether it is taken where a start names none.
    default: bool,
    /// What a start may name as `channel`; the first is the default. Empty where the provider has none.
    channels: &'a [String],
    /// `ok` or `degraded`.
    provider_status: ProviderStatus,
}

/// What a client can plan with, in seconds and bytes.
#[derive(Serialize, ToSchema)]
struct Limits {
    /// The largest body.
    request_bytes: u32,
    /// The longest wait; more is this.
    wait_seconds: u32,
    /// How long an approved login waits to be picked up.
    pick_up_window_seconds: u64,
    /// How long after the first pick-up a lost answer may be asked for again.
    pick_up_repeat_seconds: u64,
    /// A session ends this long after its last use.
    session_idle_seconds: u64,
    /// A session ends this long after the login, whatever its use.
    session_absolute_seconds: u64,
}

/// What the caller may do here
///
/// The "test the connection" button: proves the credential and tells registrations, channels and limits. It rings
/// nobody and asks no provider.
#[utoipa::path(
    get, path = "/v1/application", operation_id = "readApplication", tag = "Application",
    security(("application" = [])),
    responses((status = 200, description = "The application, as Relais knows it.", body = Answer<'static>)),
)]
pub(super) async fn handle(
    State(state): State<ClientsState>,
    caller: Caller,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let application = &*caller.application;
    let directory = state.engine.directory();
    Ok(Json(Answer {
        application: application.name.as_str(),
        kind: application.kind,
        tenant: application.tenant.as_str(),
        registrations: registrations(application, &directory, state.engine.providers()),
        limits: Limits {
            request_bytes: 16 * 1024,
            wait_seconds: 30,
            pick_up_window_seconds: application.pick_up_window.as_secs(),
            pick_up_repeat_seconds: application.pick_up_repeat.as_secs(),
            session_idle_seconds: application.session.idle.as_secs(),
            session_absolute_seconds: application.session.absolute.as_secs(),
        },
        server_time: state.engine.clock().now(),
        version: env!("CARGO_PKG_VERSION"),
    })
    .into_response())
}

fn registrations<'a>(
    application: &Application,
    directory: &'a Directory,
    providers: &dyn Providers,
) -> Vec<RegistrationView<'a>> {
    application
        .registrations
        .iter()
        .enumerate()
        .filter(|(_, name)| directory.is_enabled(name))
        .filter_map(|(place, name)| {
            let (registration, provider) = directory.registration(name)?;
            Some(RegistrationView {
                name: registration.name.as_str(),
                environment: provider.environment,
                default: place == 0,
                channels: &registration.channels,
                provider_status: providers.status(&provider.name),
            })
        })
        .collect()
}
