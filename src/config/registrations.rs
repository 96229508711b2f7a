//! `[registrations.<name>]`: Relais's client registrations at providers.

mod claims;
mod signing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::certificates;
use super::providers::ProviderSettings;
use super::reader::Reader;
use super::secrets;
use crate::crypto::ring::KeyRing;
use crate::domain::claims::ClaimPaths;
use crate::domain::names::ProviderName;
use crate::domain::parameters::RESERVED;
use crate::domain::profile::Profile;
use crate::domain::registration::{Delivery, Registration};
use crate::domain::secret::Secret;

pub use signing::{Audience, SigningSettings};

/// A certificate (chain, PEM) and its key.
pub type CertificateFiles = (PathBuf, PathBuf);

/// How Relais proves to a provider who it is, besides the certificate of the connection.
#[derive(Clone)]
pub enum RegistrationCredential {
    /// The certificate of the connection alone, from an authority (RFC 8705 §2.1).
    TlsClientAuth,
    /// The certificate of the connection alone, whoever signed it (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
    /// `client_id` and secret by HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic(Secret),
    /// `client_id` and secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost(Secret),
    /// A JWT that its signing key signs (RFC 7523 §2.2).
    PrivateKeyJwt {
        /// For whom it is made.
        audience: Audience,
        /// `typ` of its header; `None`: it has none.
        typ: Option<String>,
    },
}

/// A registration, and what only the provider client needs.
#[derive(Clone)]
pub struct RegistrationSettings {
    /// The registration.
    pub registration: Registration,
    /// How Relais proves who it is.
    pub credential: RegistrationCredential,
    /// The certificates to show, the first for new logins. Never empty where the credential is a certificate.
    pub certificates: Vec<CertificateFiles>,
    /// What it signs with, where it signs.
    pub signing: Option<SigningSettings>,
    /// Accepted signature algorithms of ID tokens (RFC 7518 §3.1 names): never empty, never `none` or `HS…`.
    pub id_token_algs: Vec<String>,
    /// Where its claims hold what a subject is made of, where not as the profile says.
    pub claims: ClaimPaths,
    /// Form parameters that go with every authentication request.
    pub extra_parameters: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Tls,
    SelfSigned,
    Basic,
    Post,
    Jwt,
}

/// The names of RFC 8414.
const AUTHS: &[(&str, Auth)] = &[
    ("tls_client_auth", Auth::Tls),
    ("self_signed_tls_client_auth", Auth::SelfSigned),
    ("client_secret_basic", Auth::Basic),
    ("client_secret_post", Auth::Post),
    ("private_key_jwt", Auth::Jwt),
];

const SIGNATURE_ALGS: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

const CHANNELS: &[&str] = &["MOBILE", "CARD"];

/// As long as PSC lets a request live.
const REQUEST_LIFETIME: Duration = Duration::from_secs(120);
const LONGEST_REQUEST_LIFETIME: Duration = Duration::from_secs(3600);

pub(super) fn read(
    root: &Reader<'_>,
    providers: &[ProviderSettings],
    ring: Option<&KeyRing>,
) -> Vec<RegistrationSettings> {
    let declared = root.section("providers");
    let is_reachable = root.section("listeners").has("providers");
    let signs_actor_tokens = root
        .section("targets")
        .sections()
        .any(|(_, target)| target.section("exchange").plain_text("actor_token") == Some("cisis"));
    let registrations: Vec<RegistrationSettings> = root
        .section("registrations")
        .sections()
        .filter_map(|(name, reader)| {
            let provider = read_provider(&reader, &declared);
            let profile = provider.as_ref().and_then(|provider| {
                let found = providers.iter().find(|settings| settings.provider.name == *provider)?;
                Some(found.provider.profile)
            });
            let delivery = read_delivery(&reader, is_reachable);
            read_one(name, &reader, provider, profile, delivery, signs_actor_tokens, ring)
        })
        .collect();
    signing::refuse_shared(root, &registrations);
    registrations
}

fn read_provider(reader: &Reader<'_>, declared: &Reader<'_>) -> Option<ProviderName> {
    let text = reader.required("provider", "write the name of a section [providers.…]")?;
    if !declared.has(text) {
        reader.problem(
            "provider",
            format!("names the provider {text:?}, which does not exist"),
            format!("add [providers.{text}], or name one that exists"),
        );
        return None;
    }
    text.parse().ok()
}

fn read_one(
    name: &str,
    reader: &Reader<'_>,
    provider: Option<ProviderName>,
    profile: Option<&Profile>,
    delivery: Delivery,
    signs_actor_tokens: bool,
    ring: Option<&KeyRing>,
) -> Option<RegistrationSettings> {
    let name = reader.name(name);
    let client_id = reader.required("client_id", "write the client_id that the provider gave");
    let enabled = reader.flag("enabled", true);
    let signing = signing::read(reader, signs_actor_tokens);
    let certificates = reader.pairs("certificates");
    certificates::check_pairs(reader, "certificates", &certificates);
    let credential = read_credential(reader, &certificates, ring);
    let scope = read_scope(reader);
    let acr_values = reader.texts("acr_values");
    let id_token_algs = read_algs(reader);
    let channels = read_channels(reader, profile);
    let claims = claims::read(reader, profile);
    let extra_parameters = read_extra_parameters(reader);
    let request_lifetime = reader.duration("request_lifetime", REQUEST_LIFETIME);
    if request_lifetime > LONGEST_REQUEST_LIFETIME {
        reader.problem("request_lifetime", "is more than an hour", "write at most \"1h\"");
    }
    let max_age = reader.has("max_age").then(|| reader.duration("max_age", REQUEST_LIFETIME));
    let request_context = reader.flag("request_context", false);
    let registration = Registration {
        name: name?,
        provider: provider?,
        client_id: client_id?.to_owned(),
        enabled,
        delivery,
        scope,
        acr_values,
        channels,
        request_lifetime,
        max_age,
        request_context,
    };
    Some(RegistrationSettings {
        registration,
        credential: credential?,
        certificates,
        signing,
        id_token_algs,
        claims,
        extra_parameters,
    })
}

fn read_credential(
    reader: &Reader<'_>,
    certificates: &[CertificateFiles],
    ring: Option<&KeyRing>,
) -> Option<RegistrationCredential> {
    let auth = reader.required_word("auth", AUTHS)?;
    let choice = format!("auth = {:?}", reader.text("auth").unwrap_or_default());
    if !matches!(auth, Auth::Basic | Auth::Post) {
        reader.refuse(&["client_secret", "client_secret_file"], &choice);
    }
    if auth != Auth::Jwt {
        reader.refuse(signing::OF_ASSERTIONS, &choice);
    }
    match auth {
        Auth::Tls => has_certificate(reader, certificates).then_some(RegistrationCredential::TlsClientAuth),
        Auth::SelfSigned => {
            has_certificate(reader, certificates).then_some(RegistrationCredential::SelfSignedTlsClientAuth)
        }
        Auth::Basic => {
            secrets::read(reader, "client_secret", ring).map(RegistrationCredential::ClientSecretBasic)
        }
        Auth::Post => {
            secrets::read(reader, "client_secret", ring).map(RegistrationCredential::ClientSecretPost)
        }
        Auth::Jwt => signing::read_assertion(reader)
            .map(|(audience, typ)| RegistrationCredential::PrivateKeyJwt { audience, typ }),
    }
}

fn has_certificate(reader: &Reader<'_>, certificates: &[CertificateFiles]) -> bool {
    if !certificates.is_empty() {
        return true;
    }
    if !reader.has("certificates") {
        let fix = "write certificates = [{ cert = \"FILE\", key = \"FILE\" }]";
        reader.problem("certificates", "is missing", fix);
    } else if reader.is_empty_list("certificates") {
        reader.problem("certificates", "is empty", "name at least one certificate");
    }
    false
}

fn read_delivery(reader: &Reader<'_>, is_reachable: bool) -> Delivery {
    let modes = Delivery::ALL.map(|delivery| (delivery.as_str(), delivery));
    let delivery = reader.word("delivery", &modes).unwrap_or(Delivery::Poll);
    if delivery != Delivery::Poll && !is_reachable {
        reader.problem(
            "delivery",
            format!("is {}, and nothing listens for the provider", delivery.as_str()),
            "add [listeners.providers] with bind, public_url and tls, or write \"poll\"",
        );
    }
    if delivery == Delivery::Push {
        reader.warn(
            "delivery",
            "is push: tokens come to an address that others than the provider can call too",
            "use \"ping\" or \"poll\" if the provider offers one of them",
        );
    }
    delivery
}

fn read_scope(reader: &Reader<'_>) -> Vec<String> {
    let text = reader.text("scope").unwrap_or("openid");
    let mut scope: Vec<String> = Vec::new();
    for token in text.split_whitespace() {
        // RFC 6749 §3.3.
        if !token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            reader.problem("scope", format!("{token:?} is no scope"), "write scopes separated by spaces");
        }
        if !scope.iter().any(|known| known == token) {
            scope.push(token.to_owned());
        }
    }
    if !scope.iter().any(|token| token == "openid") {
        reader.problem("scope", "does not contain openid", "add openid: without it there is no ID token");
    }
    scope
}

fn read_algs(reader: &Reader<'_>) -> Vec<String> {
    if !reader.has("id_token_algs") {
        return vec!["RS256".to_owned()];
    }
    let algs = reader.texts("id_token_algs");
    if reader.is_empty_list("id_token_algs") {
        reader.problem("id_token_algs", "is empty", "name the algorithm that the provider signs with");
    }
    for alg in &algs {
        if alg == "none" || alg.starts_with("HS") {
            reader.problem(
                "id_token_algs",
                format!("{alg} proves nothing about who signed"),
                "name an asymmetric algorithm such as \"RS256\"",
            );
        } else if !SIGNATURE_ALGS.contains(&alg.as_str()) {
            let known = SIGNATURE_ALGS.join(", ");
            reader.problem("id_token_algs", format!("{alg:?} is not known"), format!("use some of: {known}"));
        }
    }
    algs
}

fn read_channels(reader: &Reader<'_>, profile: Option<&Profile>) -> Vec<String> {
    let channels = reader.texts("channels");
    let Some(profile) = profile.filter(|_| !channels.is_empty()) else { return channels };
    if profile.channel_parameter.is_none() {
        let what = format!("the profile {} has no channels", profile.name.as_str());
        reader.problem("channels", what, "remove it");
        return channels;
    }
    for channel in channels.iter().filter(|channel| !CHANNELS.contains(&channel.as_str())) {
        reader.problem("channels", format!("{channel:?} is not known"), "use MOBILE, CARD or both");
    }
    channels
}

fn read_extra_parameters(reader: &Reader<'_>) -> BTreeMap<String, String> {
    let parameters = reader.parameters("extra_parameters");
    for name in parameters.keys().filter(|name| RESERVED.contains(&name.as_str())) {
        reader.problem(
            &format!("extra_parameters.{name}"),
            "is a parameter of the protocol, which Relais sets by itself",
            "remove it",
        );
    }
    parameters
}
