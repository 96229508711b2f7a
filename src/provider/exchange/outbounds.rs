//! The HTTP clients for authorization servers of targets: one for each target, registration and certificate, so that a
//! connection and the certificate on it belong to one pair.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        let key = (target.clone(), registration.clone(), x5t);
        if let Some(known) = self.lock().get(&key) {
            return Some(known.clone());
        }
        // Reads files, perhaps: nobody else waits for that. Whoever is first has made it for all.
        match outbound(self.settings.get(target)?, identity) {
            Ok(client) => Some(self.lock().entry(key).or_insert(client).clone()),
            Err(error) => {
                tracing::error!(target.name = %target, %registration, %error, "the HTTP client cannot be built");
                None
            }
        }
    }

    /// Drops the clients of certificates that are not there any more, with connections and keys.
    pub fn retain(&self, is_there: impl Fn(&RegistrationName, &str) -> bool) {
        self.lock()
            .retain(|(_, registration, x5t), _| x5t.as_ref().is_none_or(|x5t| is_there(registration, x5t)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Outbound>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::testing::{Pki, identity};

    #[test]
    fn a_certificate_that_has_gone_takes_its_clients_and_their_keys_along() {
        let pki = Pki::new();
        let (target, registration): (TargetName, RegistrationName) =
            ("dmp".parse().expect("a name"), "lps".parse().expect("a name"));
        let settings = ExchangeSettings {
            target: target.clone(),
            roots_pem: Some(pki.ca.certificate().into_bytes()),
            allow_private_addresses: true,
            https_only: true,
        };
        let outbounds = Arc::new(Outbounds::new(vec![settings]).unwrap_or_else(|_| panic!("roots")));
        for x5t in [None, Some("old"), Some("new")] {
            let certificate = x5t.map(|x5t| (x5t.to_owned(), identity(&pki.client("lps"))));
            assert!(outbounds.client(&target, &registration, certificate).is_some());
        }
        outbounds.retain(|of, x5t| *of == registration && x5t != "old");
        let mut left: Vec<_> = outbounds.lock().keys().map(|(_, _, x5t)| x5t.clone()).collect();
        left.sort();
        assert_eq!(left, [None, Some("new".to_owned())]);
    }
}
