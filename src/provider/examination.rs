//! Proves a registration end to end without ringing anybody: what `relais doctor` finds.
//!
//! It goes the way that a login goes, with the same client, and stops at the first thing that the rest stands on.
//! The one request to the backchannel endpoint names nobody, so there is nobody whose phone could ring: how it is
//! refused says whether a request that names somebody would be taken. No secret, and no text that the provider wrote
//! freely, gets into what was found.

mod ciba;
mod clock;
mod own;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::domain::clock::Clock;
use crate::domain::examination::{Check, Examination, Fault, Finding, Outcome, Proof};
use crate::domain::random::Random;
use crate::domain::registration::Delivery;
use crate::net::outbound::OutboundResponse;

use super::backchannel::Sender;
use super::call::{Call, Channel};
use super::certificates::Certificates;
use super::keys::{self, Keys, KeysError};
use super::metadata::{self, Metadata, MetadataError, NotOffered};
use super::settings::{IdTokenAlg, ProviderSettings, RegistrationSettings};
use super::signing_keys::SigningKeys;
use super::strict_json::{self, Object};
use super::subject::ClaimMap;
use super::upstream::Upstream;
use clock::Skew;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Texts of a document that are shown are cut here.
const SHOWN: usize = 200;

/// Examines one registration of `provider`.
pub async fn examine(
    provider: ProviderSettings,
    registration: RegistrationSettings,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Examination {
    let upstream =
        Upstream::new(provider.clone(), vec![registration.registration.delivery], Arc::clone(&clock));
    let mut found = Found::default();
    if own::certificates(&provider, &registration, clock.now(), &mut found) {
        let name = registration.registration.name.clone();
        match Certificates::load(name, registration.certificates.clone(), provider.clone(), clock.now()) {
            Err(_) => found.failed(Check::Tls, Fault::RootsUnusable),
            Ok(certificates) => {
                if let Some(outbound) = certificates.client(None) {
                    let with_certificate = certificates.in_use().is_some();
                    let name = &registration.registration.name;
                    let claims = ClaimMap::new(provider.provider.profile, &registration.claims);
                    let channel = Channel {
                        upstream: &upstream,
                        registration: name,
                        claims: &claims,
                        outbound,
                        with_certificate,
                    };
                    let visit = Visit { provider: &provider, registration: &registration, channel, random };
                    visit.go(&mut found).await;
                }
            }
        }
    }
    Examination {
        registration: registration.registration.name.clone(),
        provider: provider.provider.name.clone(),
        findings: found.in_order(&expected(&provider, &registration)),
    }
}

/// What is looked at for such a registration.
fn expected(provider: &ProviderSettings, registration: &RegistrationSettings) -> Vec<Check> {
    let has_certificate = !registration.certificates.is_empty();
    let compares_names = has_certificate && provider.provider.profile.common_name_is_client_id;
    let is_tls = provider.provider.metadata_url.scheme() == "https";
    [
        (Check::Certificate, has_certificate),
        (Check::CommonName, compares_names),
        (Check::Dns, true),
        (Check::Connection, true),
        (Check::Tls, is_tls),
        (Check::ClientCertificate, has_certificate && is_tls),
        (Check::Metadata, true),
        (Check::Issuer, true),
        (Check::Clock, true),
        (Check::Delivery, true),
        (Check::Authentication, true),
        (Check::Jwks, true),
        (Check::SigningAlgs, true),
        (Check::Ciba, true),
    ]
    .into_iter()
    .filter_map(|(check, is_looked_at)| is_looked_at.then_some(check))
    .collect()
}

/// What has been found so far.
#[derive(Default)]
struct Found(BTreeMap<Check, Vec<Outcome>>);

impl Found {
    fn well(&mut self, check: Check, proof: Proof) {
        self.note(check, Outcome::Well(proof));
    }

    fn warning(&mut self, check: Check, fault: Fault) {
        self.note(check, Outcome::Warning(fault));
    }

    fn failed(&mut self, check: Check, fault: Fault) {
        self.note(check, Outcome::Failed(fault));
    }

    fn note(&mut self, check: Check, outcome: Outcome) {
        self.0.entry(check).or_default().push(outcome);
    }

    /// In the order of the checks; what was expected and has brought nothing was not reached.
    fn in_order(mut self, expected: &[Check]) -> Vec<Finding> {
        for check in expected {
            self.0.entry(*check).or_insert_with(|| vec![Outcome::NotReached]);
        }
        let of = |(check, outcomes): (Check, Vec<Outcome>)| {
            outcomes.into_iter().map(move |outcome| Finding { check, outcome })
        };
        self.0.into_iter().flat_map(of).collect()
    }
}

/// One examination on its way to the provider.
struct Visit<'a> {
    provider: &'a ProviderSettings,
    registration: &'a RegistrationSettings,
    channel: Channel<'a>,
    random: &'a dyn Random,
}

impl Visit<'_> {
    async fn go(&self, found: &mut Found) {
        let mut skew = Skew::default();
        if let Some(members) = self.metadata(&mut skew, found).await {
            self.read(&members, &mut skew, found).await;
        }
        if let Some(outcome) = skew.outcome() {
            found.note(Check::Clock, outcome);
        }
    }

    /// Everything up to a document that is JSON.
    async fn metadata(&self, skew: &mut Skew, found: &mut Found) -> Option<Object> {
        let url = self.provider.provider.metadata_url.clone();
        let host = transport::host(&url);
        if !metadata::is_acceptable(&url, !self.provider.https_only) {
            found.failed(Check::Dns, Fault::UrlNotAcceptable { host });
            return None;
        }
        let call = Call::get_json("metadata", url.clone(), TIMEOUT, metadata::MAX_SIZE);
        let answer = match skew.timed(&self.channel, call).await {
            Ok(answer) => answer,
            Err(error) => {
                let (check, fault) = transport::fault(&error, &url, Check::Metadata);
                self.passed(check, found);
                found.failed(check, fault);
                return None;
            }
        };
        self.passed(Check::Metadata, found);
        if answer.status != StatusCode::OK {
            let status = answer.status.as_u16();
            found.failed(Check::Metadata, Fault::UnexpectedStatus { host, status });
            return None;
        }
        let members = strict_json::object(&answer.body).ok();
        if members.is_none() {
            found.failed(Check::Metadata, Fault::MetadataMalformed);
        }
        members
    }

    /// The metadata call got as far as `check`: what comes before it is well.
    fn passed(&self, check: Check, found: &mut Found) {
        let host = || Proof::Text(transport::host(&self.provider.provider.metadata_url));
        let has_certificate = self.channel.with_certificate;
        let is_tls = self.provider.provider.metadata_url.scheme() == "https";
        let stages = [
            (Check::Dns, true),
            (Check::Connection, true),
            (Check::Tls, is_tls),
            (Check::ClientCertificate, is_tls && has_certificate),
        ];
        for (stage, is_there) in stages {
            if is_there && stage < check {
                found.well(stage, host());
            }
        }
    }

    async fn read(&self, members: &Object, skew: &mut Skew, found: &mut Found) {
        self.issuer(members, found);
        self.delivery(members, found);
        let (issuer, wanted) = (&self.provider.provider.issuer, self.registration.registration.delivery);
        // The members are a well-formed document again.
        let body = Value::Object(members.clone()).to_string();
        let metadata = match Metadata::read(body.as_bytes(), issuer, !self.provider.https_only, &[wanted]) {
            Ok(metadata) => metadata,
            Err(error) => {
                match error {
                    MetadataError::Malformed => found.failed(Check::Metadata, Fault::MetadataMalformed),
                    MetadataError::Missing { member } => {
                        found.failed(Check::Metadata, Fault::MetadataMember { member });
                    }
                    MetadataError::Insecure { member } => {
                        found.failed(Check::Metadata, Fault::MetadataInsecure { member });
                    }
                    // Each has a check of its own.
                    MetadataError::IssuerMismatch | MetadataError::NoUsedMode => {
                        found.well(Check::Metadata, Proof::Plain);
                    }
                }
                return;
            }
        };
        found.well(Check::Metadata, Proof::Plain);
        self.jwks(&metadata, members, skew, found).await;
        match self.keys() {
            Err(fault) => found.failed(Check::Authentication, fault),
            Ok(keys) => {
                let sender = self.sender(keys.as_ref());
                if self.authentication(&sender, &metadata, found) {
                    ciba::ask(&sender, &metadata, skew, found).await;
                }
            }
        }
    }

    /// What it signs with, where it signs.
    fn keys(&self) -> Result<Option<SigningKeys>, Fault> {
        let name = &self.registration.registration.name;
        let load = |signing| SigningKeys::load(name.clone(), signing);
        self.registration.signing.as_ref().map(load).transpose().map_err(|_| Fault::SigningKeyUnusable)
    }

    fn sender<'s>(&'s self, keys: Option<&'s SigningKeys>) -> Sender<'s> {
        Sender {
            channel: self.channel.clone(),
            registration: &self.registration.registration,
            credential: &self.registration.credential,
            keys,
            signs_requests: self.registration.signing.as_ref().is_some_and(|signing| signing.requests),
            extra_parameters: &self.registration.extra_parameters,
            random: self.random,
        }
    }

    /// Whether a login would send anything: what the metadata do not name is sent in no other way.
    fn authentication(&self, sender: &Sender<'_>, metadata: &Metadata, found: &mut Found) -> bool {
        let method = self.registration.credential.as_str();
        let refusal = metadata.not_offered(method, sender.keys.map(SigningKeys::alg), sender.signs_requests);
        if let Some(NotOffered { member, wanted }) = refusal {
            found.failed(Check::Authentication, Fault::NotOffered { member, wanted });
            return false;
        }
        found.well(Check::Authentication, Proof::Text(method.to_owned()));
        true
    }

    fn issuer(&self, members: &Object, found: &mut Found) {
        let configured = &self.provider.provider.issuer;
        let told = strict_json::text(members, "issuer");
        if told == Some(configured) {
            found.well(Check::Issuer, Proof::Text(configured.clone()));
        } else {
            let told = told.map(|text| text.chars().take(SHOWN).collect());
            let configured = configured.clone();
            found.failed(Check::Issuer, Fault::IssuerDiffers { found: told, configured });
        }
    }

    fn delivery(&self, members: &Object, found: &mut Found) {
        let wanted = self.registration.registration.delivery.as_str();
        let offered = members.get("backchannel_token_delivery_modes_supported").and_then(Value::as_array);
        // Required by CIBA §4, but a provider that leaves it out may still offer it.
        let Some(offered) = offered else {
            found.well(Check::Delivery, Proof::Text(wanted.to_owned()));
            return;
        };
        let known = Delivery::ALL.into_iter().map(Delivery::as_str);
        let offered: Vec<_> = known.filter(|mode| offered.iter().any(|told| told == mode)).collect();
        if offered.contains(&wanted) {
            found.well(Check::Delivery, Proof::Text(wanted.to_owned()));
        } else {
            found.failed(Check::Delivery, Fault::DeliveryNotOffered { wanted, offered });
        }
    }

    async fn jwks(&self, metadata: &Metadata, members: &Object, skew: &mut Skew, found: &mut Found) {
        let url = metadata.jwks_uri.clone();
        let call = Call::get_json("jwks", url.clone(), TIMEOUT, keys::MAX_SIZE);
        let answer = match skew.timed(&self.channel, call).await {
            Ok(answer) => answer,
            Err(error) => {
                let (_, fault) = transport::fault(&error, &url, Check::Jwks);
                return found.failed(Check::Jwks, fault);
            }
        };
        match keys_of(&answer, transport::host(&url)) {
            Err(fault) => found.failed(Check::Jwks, fault),
            Ok(keys) => {
                found.well(Check::Jwks, Proof::Keys(keys.count()));
                found.note(Check::SigningAlgs, signing(&keys, members, &self.registration.id_token_algs));
            }
        }
    }
}

fn keys_of(answer: &OutboundResponse, host: String) -> Result<Keys, Fault> {
    if answer.status != StatusCode::OK {
        return Err(Fault::UnexpectedStatus { host, status: answer.status.as_u16() });
    }
    Keys::read(&answer.body).map_err(|error| match error {
        KeysError::Malformed | KeysError::TooMany => Fault::KeysMalformed,
        KeysError::NoneUsable => Fault::NoUsableKey,
    })
}

/// Whether an ID token that the provider signs can be one that is accepted.
fn signing(keys: &Keys, members: &Object, accepted: &[IdTokenAlg]) -> Outcome {
    let names = |algs: &[IdTokenAlg]| algs.iter().map(|alg| alg.as_str()).collect::<Vec<_>>();
    let fitting: Vec<_> =
        accepted.iter().copied().filter(|alg| !keys.candidates(None, &alg.jws()).is_empty()).collect();
    if fitting.is_empty() {
        return Outcome::Failed(Fault::NoKeyFor { algs: names(accepted) });
    }
    let advertised = members.get("id_token_signing_alg_values_supported").and_then(Value::as_array);
    let is_advertised = |alg: &IdTokenAlg| {
        advertised.is_none_or(|algs| algs.iter().any(|advertised| advertised == alg.as_str()))
    };
    // What a client is registered for decides in the end, so this is not certain.
    if fitting.iter().any(is_advertised) {
        Outcome::Well(Proof::Text(names(&fitting).join(", ")))
    } else {
        Outcome::Warning(Fault::AlgsNotAdvertised { algs: names(accepted) })
    }
}
