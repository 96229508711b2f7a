//! `GET /v1/application`: what the caller may do here. It rings nobody and asks no provider.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ClientsState;
use crate::domain::application::{Application, ApplicationKind};
use crate::domain::registration::Environment;
use crate::domain::time::Timestamp;
use crate::engine::directory::Directory;
use crate::engine::ports::{ProviderStatus, Providers};
use crate::http::extract::{Caller, Query};
use crate::http::problem::Problem;

#[derive(Serialize)]
struct Answer<'a> {
    application: &'a str,
    kind: ApplicationKind,
    tenant: &'a str,
    registrations: Vec<RegistrationView<'a>>,
    limits: Limits,
    server_time: Timestamp,
    version: &'static str,
}

/// A registration that the application may use now: one that is switched off is not listed.
#[derive(Serialize)]
struct RegistrationView<'a> {
    name: &'a str,
    environment: Environment,
    default: bool,
    channels: &'a [String],
    provider_status: ProviderStatus,
}

/// What a client can plan with, in seconds and bytes.
#[derive(Serialize)]
struct Limits {
    request_bytes: u32,
    wait_seconds: u32,
    pick_up_window_seconds: u64,
    pick_up_repeat_seconds: u64,
    session_idle_seconds: u64,
    session_absolute_seconds: u64,
}

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
