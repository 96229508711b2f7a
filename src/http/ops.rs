//! The listener `ops`: health, metrics, version. Loopback by default; nothing here shows a secret, a person or a
//! configured value beyond names (R-F-09).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use super::front::{Front, front};
use super::problem::{method_not_allowed, not_found};
use crate::domain::names::RegistrationName;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::ports::ProviderStatus;
use crate::telemetry::error_chain::ErrorChain;

/// How long the store may take to say that it is writable.
const PATIENCE: Duration = Duration::from_secs(2);

/// Until when the certificate in use of a registration is in date; `None` where it has no certificate.
pub type CertificateEnd = Arc<dyn Fn(&RegistrationName) -> Option<Timestamp> + Send + Sync>;

/// What the listener is put together from.
#[derive(Clone)]
pub struct OpsState {
    /// The use cases, for readiness.
    pub engine: Arc<Engine>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// The certificates of registrations.
    pub certificates: CertificateEnd,
}

/// Health, metrics and version, for the listener `ops`.
pub fn router(state: OpsState) -> Router {
    let front_state = Front::unbounded(state.engine.clone());
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(front_state, front))
        .with_state(state)
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

/// The process answers.
async fn live() -> Json<Live> {
    Json(Live { status: "live" })
}

/// Why the node is not ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum NotReady {
    /// No write can be committed.
    StoreNotWritable,
    /// No registration is configured and switched on.
    NoRegistration,
    /// Every registration's certificate is out of date.
    CertificatesExpired,
    /// The node is going away.
    Draining,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<NotReady>,
    /// A provider that is down never makes a node unready: every node would be.
    providers: BTreeMap<String, ProviderStatus>,
}

/// Whether requests should be sent here. Keys need no check: a process without them does not start.
async fn ready(State(state): State<OpsState>) -> Response {
    let mut reasons = Vec::new();
    if !is_writable(&state.engine).await {
        reasons.push(NotReady::StoreNotWritable);
    }
    reasons.extend(without_registration(&state));
    if state.engine.draining().is_cancelled() {
        reasons.push(NotReady::Draining);
    }
    let directory = state.engine.directory();
    let providers = directory
        .providers()
        .filter(|provider| provider.enabled)
        .map(|provider| (provider.name.to_string(), state.engine.providers().status(&provider.name)))
        .collect();
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    (code, Json(Ready { status, reasons, providers })).into_response()
}

async fn is_writable(engine: &Engine) -> bool {
    match tokio::time::timeout(PATIENCE, engine.store().check_writable()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = %ErrorChain(&error), "the store is not writable");
            false
        }
        Err(_) => {
            tracing::warn!("the store did not say in time whether it is writable");
            false
        }
    }
}

fn without_registration(state: &OpsState) -> Option<NotReady> {
    let directory = state.engine.directory();
    let now = state.engine.clock().now();
    let mut enabled = directory
        .registrations()
        .map(|(registration, _)| &registration.name)
        .filter(|name| directory.is_enabled(name))
        .peekable();
    if enabled.peek().is_none() {
        return Some(NotReady::NoRegistration);
    }
    let usable = enabled.any(|name| (state.certificates)(name).is_none_or(|not_after| now < not_after));
    (!usable).then_some(NotReady::CertificatesExpired)
}

/// Prometheus text.
async fn metrics(State(state): State<OpsState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render()).into_response()
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

async fn version() -> Json<Version> {
    Json(Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}
