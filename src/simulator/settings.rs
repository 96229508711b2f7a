//! The settings that the control interface may change while the provider runs.
//!
//! `interval`, `expires_in` and `auto` count for requests that ring afterwards; a request keeps those it began
//! with, as in Keycloak. `access_token_seconds`, `refresh_token_seconds` and `refresh` count for the next token, `shared_session`
//! for the next approval.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::SimulatorError;
use super::delivery::Delivery;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The settings in force.
#[derive(Clone, Serialize)]
pub(super) struct Lengths {
    /// Seconds between two polls.
    pub interval: u64,
    /// Seconds that a request lives.
    pub expires_in: u64,
    /// Seconds that access and ID tokens live.
    pub access_token_seconds: u64,
    /// Seconds that refresh tokens live.
    pub refresh_token_seconds: u64,
    /// What becomes of a refresh token that has been used.
    pub refresh: Rotation,
    /// What becomes of a request without anybody touching the phone.
    pub auto: Option<Auto>,
    /// How the client is told; absent: it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Where the client is told that somebody has left; absent: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Whether a person who approves again goes on in the session that there is (single sign-on): one `sid` for all. Absent:
    /// no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared_session: bool,
}

/// What becomes of a refresh token that has been used: see [`super::sessions`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rotation {
    /// It is spent; whoever comes with it again ends the session.
    #[default]
    Rotate,
    /// It stays good.
    Keep,
    /// It is spent, but taken again for a while.
    Grace,
}

/// A decision that makes itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auto {
    pub decision: Decision,
    /// Milliseconds after the ring.
    pub after_ms: u64,
}

/// What the person on the phone says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decision {
    Approve,
    Deny,
}

/// A partial change of the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    interval: Option<u64>,
    expires_in: Option<u64>,
    access_token_seconds: Option<u64>,
    refresh_token_seconds: Option<u64>,
    refresh: Option<Rotation>,
    #[serde(default)]
    auto: Wish<Auto>,
    #[serde(default)]
    delivery: Wish<Delivery>,
    #[serde(default)]
    backchannel_logout_uri: Wish<String>,
    shared_session: Option<bool>,
}

/// What becomes of a setting that may be absent: a member that is `null` says something else than none.
#[derive(Default)]
enum Wish<T> {
    #[default]
    Kept,
    /// `null`: nobody decides but the phone, nobody is told.
    Set(Option<T>),
}

impl<T: Clone> Wish<T> {
    fn over(&self, present: Option<&T>) -> Option<T> {
        match self {
            Self::Kept => present.cloned(),
            Self::Set(wished) => wished.clone(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Wish<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}

fn reachable(delivery: Delivery) -> Result<Delivery, SimulatorError> {
    is_reachable(&delivery.endpoint)?;
    Ok(delivery)
}

fn is_reachable(address: &str) -> Result<(), SimulatorError> {
    let url = Url::parse(address).map_err(|_| SimulatorError::Endpoint)?;
    if matches!(url.scheme(), "http" | "https") { Ok(()) } else { Err(SimulatorError::Endpoint) }
}

fn within(name: &'static str, seconds: u64, most: u64) -> Result<u64, SimulatorError> {
    if (1..=most).contains(&seconds) { Ok(seconds) } else { Err(SimulatorError::Length { name, most }) }
}

fn whole_seconds(name: &'static str, length: Duration, most: u64) -> Result<u64, SimulatorError> {
    if length.subsec_nanos() == 0 {
        within(name, length.as_secs(), most)
    } else {
        Err(SimulatorError::Length { name, most })
    }
}

impl Lengths {
    pub(super) fn from_durations(
        interval: Duration,
        expires_in: Duration,
        access_token: Duration,
        refresh_token_seconds: u64,
    ) -> Result<Self, SimulatorError> {
        Ok(Self {
            interval: whole_seconds("interval", interval, HOUR)?,
            expires_in: whole_seconds("expires_in", expires_in, HOUR)?,
            access_token_seconds: whole_seconds("access_token_seconds", access_token, DAY)?,
            refresh_token_seconds,
            refresh: Rotation::default(),
            auto: None,
            delivery: None,
            backchannel_logout_uri: None,
            shared_session: false,
        })
    }

    /// The settings after `change`; all of it or nothing.
    pub(super) fn changed(&self, change: &Change) -> Result<Self, SimulatorError> {
        let backchannel_logout_uri = change.backchannel_logout_uri.over(self.backchannel_logout_uri.as_ref());
        backchannel_logout_uri.as_deref().map(is_reachable).transpose()?;
        Ok(Self {
            interval: within("interval", change.interval.unwrap_or(self.interval), HOUR)?,
            expires_in: within("expires_in", change.expires_in.unwrap_or(self.expires_in), HOUR)?,
            access_token_seconds: within(
                "access_token_seconds",
                change.access_token_seconds.unwrap_or(self.access_token_seconds),
                DAY,
            )?,
            refresh_token_seconds: within(
                "refresh_token_seconds",
                change.refresh_token_seconds.unwrap_or(self.refresh_token_seconds),
                DAY,
            )?,
            refresh: change.refresh.unwrap_or(self.refresh),
            auto: change.auto.over(self.auto.as_ref()),
            delivery: change.delivery.over(self.delivery.as_ref()).map(reachable).transpose()?,
            backchannel_logout_uri,
            shared_session: change.shared_session.unwrap_or(self.shared_session),
        })
    }
}
