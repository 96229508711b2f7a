//! The simulated provider: behaves like PSC, so that a client can be built against it for months; or like Keycloak, or by
//! the letter of CIBA.
//!
//! It answers below its issuer's path ([`Simulator::provider_router`]) what its personality would answer, and it
//! is steered through a control interface and a phone page ([`Simulator::control_router`]): see, approve and deny
//! requests, order faults, change settings, count calls.
//!
//! Invariants: it has wire types of its own and shares none with the provider client, so that the product is not
//! tested against itself; what a personality does differently is data ([`personality`]); time and randomness are
//! injected; what it remembers is bounded (ten minutes, fifty thousand requests).
//!
//! It must not be reachable by strangers: whoever reaches the phone page approves logins, and whoever reaches the
//! control interface steers everything. Where it listens, and from where it may be steered ([`Front`]), is its
//! caller's business.

mod backchannel_logout;
mod client_auth;
mod client_jwt;
mod control;
mod delivery;
mod departures;
mod endpoints;
mod exchange;
mod faults;
mod front;
mod guard;
mod id_token;
mod jose;
mod people;
pub mod personality;
mod phone;
mod requests;
pub mod server;
mod sessions;
mod settings;
mod state;
mod stats;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use thiserror::Error;
use tokio::sync::watch;
use url::Url;

pub use client_auth::{Method, Registered};
pub use front::{Beside, Front, Steering};
pub use people::{NamedPerson, named_people};

use crate::domain::clock::Clock;
use crate::domain::random::{Random, uuid_v4};
use crate::domain::secret::Secret;
use crate::net::outbound::Outbound;
use jose::{HmacKey, SigningKey};
use personality::{Personality, Traits};
use state::State;

/// What a simulated provider is told at its start. Intervals and lifetimes change later through the control
/// interface; the rest is for good.
pub struct SimulatorSettings {
    /// The issuer, an `https` URL without a final slash; its path is where the endpoints are.
    pub issuer: String,
    /// The one client that it knows.
    pub client_id: String,
    /// The name that this client has been registered with: who asks, on the phone.
    pub client_name: String,
    /// That client's secret, for `client_secret_basic`.
    pub client_secret: Secret,
    /// Least time between two polls: whole seconds, 1 s to 1 h.
    pub interval: Duration,
    /// Life of a request: whole seconds, 1 s to 1 h.
    pub expires_in: Duration,
    /// Life of access and ID tokens: whole seconds, 1 s to 24 h.
    pub access_token_lifetime: Duration,
    /// Whose manners it has.
    pub personality: Personality,
    /// The way to the client's notification endpoint; without one the client is told nothing by itself.
    pub notifications: Option<Outbound>,
}

/// Why a simulated provider could not be made.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The issuer is no `https` URL with a path, or has a query or a final slash.
    #[error("the simulator's issuer must be an https URL with a path, without query and final slash")]
    Issuer,
    /// A length of time is out of its range.
    #[error("{name} must be whole seconds from 1 to {most}")]
    Length {
        /// Which one.
        name: &'static str,
        /// The most seconds it may have.
        most: u64,
    },
    /// The client cannot be told anything there.
    #[error("delivery.endpoint and backchannel_logout_uri must be http or https URLs")]
    Endpoint,
    /// No signing key could be made.
    #[error("no RSA key could be generated")]
    Key,
}

/// A simulated provider. Cheap to clone; clones are the same provider.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    /// Path of the issuer, without a final slash.
    path: String,
    client_id: String,
    client_name: String,
    client_secret: Secret,
    traits: &'static Traits,
    notifications: Option<Outbound>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    signing_key: SigningKey,
    /// Signs ID tokens where a fault asks for a key that nobody published; made when it is first asked for.
    foreign_key: OnceLock<Option<SigningKey>>,
    /// Seals `auth_req_id`s and refresh tokens: what does not carry it was never given out here.
    realm_key: HmacKey,
    /// The key id that those show.
    realm_key_id: String,
    state: Mutex<State>,
    /// Told when the phone may show something else.
    changes: watch::Sender<()>,
}

impl Simulator {
    /// Makes a provider with a signing key of its own and no request.
    pub fn new(
        settings: SimulatorSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SimulatorError> {
        let path = issuer_path(&settings.issuer)?;
        let lengths = settings::Lengths::from_durations(
            settings.interval,
            settings.expires_in,
            settings.access_token_lifetime,
            settings.personality.traits().refresh_expires_in,
        )?;
        let inner = Inner {
            path,
            issuer: settings.issuer,
            client_id: settings.client_id,
            client_name: settings.client_name,
            client_secret: settings.client_secret,
            traits: settings.personality.traits(),
            notifications: settings.notifications,
            signing_key: SigningKey::generate()?,
            foreign_key: OnceLock::new(),
            realm_key: HmacKey::draw(&*random),
            realm_key_id: uuid_v4(&*random).to_string(),
            state: Mutex::new(State::new(lengths)),
            changes: watch::Sender::new(()),
            clock,
            random,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The provider's endpoints, below the issuer's path. Serve it over TLS only, with the client's certificate
    /// in each request's extensions.
    pub fn provider_router(&self) -> Router {
        endpoints::router(self)
    }

    /// The phone page (`/`), the control interface (`/_sim/…`) and what stands beside them.
    pub fn control_router(&self, front: Front) -> Router {
        let Front { beside, steering, .. } = front;
        let mut steered = control::router(self);
        let mut link = None;
        if let Some(Beside { router, path, french, english }) = beside {
            steered = steered.merge(router);
            link = Some(phone::Link { path, french, english, steering });
        }
        if steering == Steering::FromThisMachine {
            steered = steered.layer(from_fn(guard::this_machine));
        }
        phone::router(self, link).merge(steered).layer(from_fn(guard::same_origin))
    }

    /// From now on the client is registered so. Until then it may use its certificate or `client_secret_basic`, and
    /// signs no requests.
    pub fn register(&self, client: Registered) {
        self.state().client = client;
    }

    /// From now on every request is approved `after` it rang, as `PUT /_sim/settings` would have it.
    pub fn approve_by_itself(&self, after: Duration) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.state().settings.auto = Some(settings::Auto { decision: settings::Decision::Approve, after_ms });
    }

    /// Counts a TLS handshake that the listener refused; `cause` is a fixed word such as `no_certificate`.
    pub fn handshake_refused(&self, cause: &'static str) {
        self.state().stats.handshake_refused(cause);
    }

    /// Wakes the phone pages that wait for something new.
    fn changed(&self) {
        self.inner.changes.send_replace(());
    }

    /// The state. Every change of it is made whole under this lock, so a poisoned one is still consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path of an issuer that meets OIDC Discovery §3.
fn issuer_path(issuer: &str) -> Result<String, SimulatorError> {
    let url = Url::parse(issuer).map_err(|_| SimulatorError::Issuer)?;
    let path = url.path();
    let plain = url.query().is_none() && url.fragment().is_none() && !path.contains(['{', '}', '*']);
    if url.scheme() == "https" && plain && path.len() > 1 && !path.ends_with('/') {
        Ok(path.to_owned())
    } else {
        Err(SimulatorError::Issuer)
    }
}
