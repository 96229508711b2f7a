//! `[providers.<name>]`: the OpenID Providers.

use std::path::PathBuf;

use url::Url;

use super::certificates;
use super::reader::Reader;
use crate::domain::profile::ProfileName;
use crate::domain::registration::{Environment, Provider};

/// A provider, and what only its client needs.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The provider.
    pub provider: Provider,
    /// Pinned roots (PEM); absent: the system's.
    pub ca: Option<PathBuf>,
}

/// What a metadata URL ends with, unless configured (OpenID Connect Discovery §4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

pub(super) fn read(root: &Reader<'_>) -> Vec<ProviderSettings> {
    root.section("providers").sections().filter_map(|(name, reader)| read_one(name, &reader)).collect()
}

fn read_one(name: &str, reader: &Reader<'_>) -> Option<ProviderSettings> {
    let name = reader.name(name);
    let profiles = [ProfileName::Psc, ProfileName::Keycloak, ProfileName::Generic].map(|p| (p.as_str(), p));
    let profile = reader.required_word("profile", &profiles).map(ProfileName::profile);
    let environments = [Environment::Production, Environment::Test].map(|e| (e.as_str(), e));
    let environment = reader.required_word("environment", &environments);
    let enabled = reader.flag("enabled", true);
    let issuer = reader
        .required("issuer", "write the provider's issuer exactly as its metadata says it")
        .filter(|text| reader.url("issuer", text).is_some());
    let metadata_url = read_metadata_url(reader, issuer);
    let ca = reader.file("ca");
    if let Some(file) = &ca {
        certificates::check_roots(reader, "ca", file);
    }
    if profile.is_some_and(|profile| profile.identity_claims.is_empty()) {
        reader.warn(
            "profile",
            "names no claim that must equal the login hint: whoever approves is taken for the person asked for",
            "use a profile with an identity check where the provider allows it",
        );
    }
    let provider = Provider {
        name: name?,
        profile: profile?,
        environment: environment?,
        enabled,
        issuer: issuer?.to_owned(),
        metadata_url: metadata_url?,
    };
    Some(ProviderSettings { provider, ca })
}

fn read_metadata_url(reader: &Reader<'_>, issuer: Option<&str>) -> Option<Url> {
    if reader.has("metadata_url") {
        return reader.url("metadata_url", reader.text("metadata_url")?);
    }
    let issuer = issuer?;
    reader.url("issuer", &format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/')))
}
