//! The HTTP clients for authorization servers of targets: one for each target, registration and certificate, so that a
//! connection and the certificate on it belong to one pair.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::names::{RegistrationName, TargetName};
use crate::net::outbound::{
    AddressPolicy, Identity, Outbound, OutboundBuildError, OutboundSettings, TAKES_WITHIN,
};
use crate::provider::settings::ExchangeSettings;

/// Whose a client is: target, registration and the thumbprint of its certificate.
type Key = (TargetName, RegistrationName, Option<String>);

/// All of them, made when they are first needed.
#[derive(Default)]
pub struct Outbounds {
    settings: HashMap<TargetName, ExchangeSettings>,
    clients: Mutex<HashMap<Key, Outbound>>,
}

impl Outbounds {
    /// Checks the roots of every authorization server.
    pub fn new(settings: Vec<ExchangeSettings>) -> Result<Self, (TargetName, OutboundBuildError)> {
        for one in &settings {
            outbound(one, None).map_err(|source| (one.target.clone(), source))?;
        }
        let settings = settings.into_iter().map(|one| (one.target.clone(), one)).collect();
        Ok(Self { settings, clients: Mutex::default() })
    }

    /// The client for one target, registration and certificate. `None`: the target is not configured, or the
    /// certificate does not do.
    pub fn client(
        &self,
        target: &TargetName,
        registration: &RegistrationName,
        certificate: Option<(String, Identity)>,
    ) -> Option<Outbound> {
        let (x5t, identity) = certificate.unzip();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.clone(), registration.clone(), x5t);
        if let Some(known) = clients.get(&key) {
            return Some(known.clone());
        }
        match outbound(self.settings.get(target)?, identity) {
            Ok(client) => {
                clients.insert(key, client.clone());
                Some(client)
            }
            Err(error) => {
                tracing::error!(target.name = %target, %registration, %error, "the HTTP client cannot be built");
                None
            }
        }
    }
}

fn outbound(settings: &ExchangeSettings, identity: Option<Identity>) -> Result<Outbound, OutboundBuildError> {
    let address_policy = if settings.allow_private_addresses {
        AddressPolicy::AllowPrivate
    } else {
        AddressPolicy::PublicOnly
    };
    let (roots, https_only) = (settings.roots_pem.clone(), settings.https_only);
    Outbound::new(OutboundSettings {
        roots,
        identity,
        address_policy,
        https_only,
        takes_within: TAKES_WITHIN,
    })
}
