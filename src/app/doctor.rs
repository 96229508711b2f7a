//! Examines the registrations of a configuration, whether a server runs on it or not: no lock, no store, no listener.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::start::{StartError, provider_settings, registration_settings};
use crate::config::{Config, RegistrationSettings};
use crate::domain::clock::Clock;
use crate::domain::examination::Examination;
use crate::domain::random::Random;
use crate::provider;

/// Examines all registrations at the same time, or the one of that name: in the order of the configuration.
pub async fn examine(
    config: &Config,
    only: Option<&str>,
    clock: &Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<Vec<Examination>, StartError> {
    crate::net::install_provider();
    let is_wanted = |settings: &&RegistrationSettings| {
        only.is_none_or(|name| settings.registration.name.as_str() == name)
    };
    try_join_all(config.registrations.iter().filter(is_wanted).map(|registration| async move {
        // Each has one: configuration sees to it.
        let of = |settings: &&crate::config::ProviderSettings| {
            settings.provider.name == registration.registration.provider
        };
        let settings = config.providers.iter().find(of).ok_or_else(|| {
            StartError::Provider(provider::SettingsError::UnknownProvider {
                registration: registration.registration.name.clone(),
                provider: registration.registration.provider.clone(),
            })
        })?;
        let settings = provider_settings(settings, config.mode)?;
        let registration = registration_settings(registration);
        Ok(provider::examine(settings, registration, Arc::clone(clock), random).await)
    }))
    .await
}
