//! Who may do what: the applications, registrations and providers that are configured now.
//!
//! A reload swaps the whole directory at once; decisions are made again at each use, so a switch that was turned
//! off takes effect at the next call.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::domain::application::{Application, ApplicationCredential};
use crate::domain::assertion_key::AssertionKey;
use crate::domain::names::{ApplicationName, ProviderName, RegistrationName, TargetName};
use crate::domain::registration::{Provider, Registration};
use crate::domain::session::Session;
use crate::domain::target::Target;

/// Everything that is configured, by name.
#[derive(Default)]
pub struct Directory {
    applications: HashMap<ApplicationName, Arc<Application>>,
    registrations: HashMap<RegistrationName, (Arc<Registration>, Arc<Provider>)>,
    providers: HashMap<ProviderName, Arc<Provider>>,
    targets: HashMap<TargetName, Arc<Target>>,
}

impl Directory {
    /// Puts it together. A registration of an unknown provider is left out; configuration has refused it before.
    #[must_use]
    pub fn new(
        applications: Vec<Application>,
        registrations: Vec<Registration>,
        providers: Vec<Provider>,
    ) -> Self {
        let providers: HashMap<_, _> =
            providers.into_iter().map(|provider| (provider.name.clone(), Arc::new(provider))).collect();
        let registrations = registrations
            .into_iter()
            .filter_map(|registration| {
                let provider = providers.get(&registration.provider)?.clone();
                Some((registration.name.clone(), (Arc::new(registration), provider)))
            })
            .collect();
        let applications = applications
            .into_iter()
            .map(|application| (application.name.clone(), application.into()))
            .collect();
        Self { applications, registrations, providers, targets: HashMap::new() }
    }

    /// The same with these targets.
    #[must_use]
    pub fn with_targets(mut self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.targets = targets.into_iter().map(|target| (target.name.clone(), target.into())).collect();
        self
    }

    /// This directory with what `fresh` may change while the server runs: applications over the registrations that
    /// there are, and the switches. Keys of assertions are somebody else's business while their file stays the same.
    #[must_use]
    pub fn reloaded(&self, fresh: &Self) -> Self {
        let switched =
            |name: &RegistrationName| fresh.registrations.get(name).is_some_and(|(it, _)| it.enabled);
        let providers: Vec<Provider> = self
            .providers
            .values()
            .map(|provider| Provider {
                enabled: fresh.providers.get(&provider.name).is_some_and(|it| it.enabled),
                ..(**provider).clone()
            })
            .collect();
        let registrations: Vec<Registration> = self
            .registrations
            .values()
            .map(|(registration, _)| Registration {
                enabled: switched(&registration.name),
                ..(**registration).clone()
            })
            .collect();
        let applications = fresh.applications.values().map(|fresh| self.with_present_keys(fresh)).collect();
        let targets = self.targets.values().map(|target| Target {
            enabled: fresh.targets.get(&target.name).is_some_and(|it| it.enabled),
            ..(**target).clone()
        });
        Self::new(applications, registrations, providers).with_targets(targets)
    }

    /// A fresh application with the keys that are in force, where they are from the same file: whoever watches the file
    /// may have read it later than the configuration was read.
    fn with_present_keys(&self, fresh: &Application) -> Application {
        let present = self.applications.get(&fresh.name).map(|present| &present.credential);
        match (&fresh.credential, present) {
            (
                ApplicationCredential::AssertionKeys { file, .. },
                Some(present @ ApplicationCredential::AssertionKeys { file: own, .. }),
            ) if file == own => Application { credential: present.clone(), ..fresh.clone() },
            _ => fresh.clone(),
        }
    }

    /// This directory with other keys for the assertions of one application; as it is, where that application has
    /// none or reads them from elsewhere by now.
    #[must_use]
    pub fn with_assertion_keys(&self, name: &ApplicationName, keys: &[AssertionKey], file: &Path) -> Self {
        let renewed = |application: &Arc<Application>| match &application.credential {
            ApplicationCredential::AssertionKeys { file: own, .. }
                if application.name == *name && own.as_path() == file =>
            {
                let credential =
                    ApplicationCredential::AssertionKeys { keys: keys.to_vec(), file: file.to_owned() };
                Arc::new(Application { credential, ..(**application).clone() })
            }
            _ => Arc::clone(application),
        };
        let applications = self
            .applications
            .iter()
            .map(|(name, application)| (name.clone(), renewed(application)))
            .collect();
        Self {
            applications,
            registrations: self.registrations.clone(),
            providers: self.providers.clone(),
            targets: self.targets.clone(),
        }
    }

    /// An application by its name.
    #[must_use]
    pub fn application(&self, name: &ApplicationName) -> Option<&Arc<Application>> {
        self.applications.get(name)
    }

    /// Every application.
    pub fn applications(&self) -> impl Iterator<Item = &Arc<Application>> {
        self.applications.values()
    }

    /// A registration and its provider.
    #[must_use]
    pub fn registration(&self, name: &RegistrationName) -> Option<&(Arc<Registration>, Arc<Provider>)> {
        self.registrations.get(name)
    }

    /// Every registration with its provider.
    pub fn registrations(&self) -> impl Iterator<Item = &(Arc<Registration>, Arc<Provider>)> {
        self.registrations.values()
    }

    /// A target by its name.
    #[must_use]
    pub fn target(&self, name: &TargetName) -> Option<&Arc<Target>> {
        self.targets.get(name)
    }

    /// Every provider.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// Whether what is configured still allows a session: its application and its registration are switched on, and the
    /// one may still use the other.
    #[must_use]
    pub fn allows(&self, session: &Session) -> bool {
        let may_use = |application: &Arc<Application>| {
            application.enabled && application.registrations.contains(&session.registration)
        };
        self.application(&session.application).is_some_and(may_use) && self.is_enabled(&session.registration)
    }

    /// Whether a registration and its provider are both switched on.
    #[must_use]
    pub fn is_enabled(&self, name: &RegistrationName) -> bool {
        self.registration(name)
            .is_some_and(|(registration, provider)| registration.enabled && provider.enabled)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::application::{ApplicationKind, BindingMessageBy, SessionPolicy};
    use crate::domain::assertion_key::{AssertionAlg, KeyMaterial};

    fn key(thumbprint: &str) -> AssertionKey {
        AssertionKey {
            kid: None,
            thumbprint: thumbprint.to_owned(),
            algs: vec![AssertionAlg::EdDsa],
            material: KeyMaterial::Ed25519(vec![0; 32]),
        }
    }

    /// With one application that signs by this key.
    fn directory(thumbprint: &str, file: &str) -> Directory {
        let minute = Duration::from_secs(60);
        let application = Application {
            name: "signer".parse().expect("a name"),
            kind: ApplicationKind::Backend,
            tenant: "practice".parse().expect("a name"),
            enabled: true,
            registrations: Vec::new(),
            acts_for: Vec::new(),
            credential: ApplicationCredential::AssertionKeys {
                keys: vec![key(thumbprint)],
                file: file.into(),
            },
            binding_message: BindingMessageBy::Server,
            reveal_unknown_person: true,
            session: SessionPolicy { idle: minute, absolute: minute, per_person: 1 },
            pick_up_window: minute,
            pick_up_repeat: minute,
        };
        Directory::new(vec![application], Vec::new(), Vec::new())
    }

    fn signs_by(directory: &Directory) -> String {
        let application = directory.application(&"signer".parse().expect("a name")).expect("the application");
        let ApplicationCredential::AssertionKeys { keys, .. } = &application.credential else {
            panic!("keys")
        };
        keys.iter().map(|key| key.thumbprint.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_reload_does_not_bring_a_removed_key_back() {
        let name = "signer".parse().expect("a name");
        // The configuration was read, then the file changed and was watched, then the configuration is taken over.
        let read_before = directory("removed", "set.json");
        let present =
            directory("removed", "set.json").with_assertion_keys(&name, &[key("new")], Path::new("set.json"));
        assert_eq!(signs_by(&present), "new");
        assert_eq!(signs_by(&present.reloaded(&read_before)), "new");
        assert_eq!(
            signs_by(&present.reloaded(&directory("of another file", "other.json"))),
            "of another file"
        );
        let elsewhere = present.with_assertion_keys(&name, &[key("late")], Path::new("other.json"));
        assert_eq!(
            signs_by(&elsewhere),
            "new",
            "what was read from a file that is not the application's any more"
        );
    }
}
