//! Providers and registrations, as the rest of the house sees them once configuration has been read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::names::{ProviderName, RegistrationName};
use super::profile::Profile;

/// Whether real persons stand behind a provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real persons.
    Production,
    /// Test persons (PSC's BAS, the simulator).
    Test,
}

impl Environment {
    /// As configuration and answers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Test => "test",
        }
    }
}

/// How the outcome of a login comes (CIBA §5): a registration has exactly one way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Delivery {
    /// Relais asks, at intervals.
    Poll,
    /// The provider says when to ask. Relais asks at intervals all the same: a message may get lost.
    Ping,
    /// The provider sends the outcome itself. Relais never asks.
    Push,
}

impl Delivery {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Poll, Self::Ping, Self::Push];

    /// As configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Ping => "ping",
            Self::Push => "push",
        }
    }
}

/// An OpenID Provider that Relais talks to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Its quirks.
    pub profile: &'static Profile,
    /// Whether real persons stand behind it.
    pub environment: Environment,
    /// `false`: no new login, no pick-up, its sessions end.
    pub enabled: bool,
    /// The issuer, byte for byte as its tokens and its metadata say it.
    pub issuer: String,
    /// Where its metadata is: the full URL, since PSC's last segment is its own.
    pub metadata_url: Url,
}

/// Relais's client registration at a provider. Secrets and certificates are not here: only the provider client
/// holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its name.
    pub name: RegistrationName,
    /// Where it is registered.
    pub provider: ProviderName,
    /// `client_id` at the provider.
    pub client_id: String,
    /// `false`: no new login, no pick-up, its sessions end.
    pub enabled: bool,
    /// How the outcome of its logins comes.
    pub delivery: Delivery,
    /// Requested scopes, `openid` among them.
    pub scope: Vec<String>,
    /// Requested `acr_values`, in order of preference; an ID token must carry one of them. Empty: none asked.
    pub acr_values: Vec<String>,
    /// Allowed channels, the first is the default. Empty: the provider has none.
    pub channels: Vec<String>,
    /// The longest that an authentication request may live at the provider, also when its answer was lost.
    pub request_lifetime: Duration,
    /// How long ago the person may have authenticated, where that is bounded.
    pub max_age: Option<Duration>,
    /// Whether the provider is told the login's `client_context`, as `request_context` (FAPI-CIBA §5.3).
    pub request_context: bool,
}
