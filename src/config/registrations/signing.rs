//! What a registration signs with, and what its assertions say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RegistrationSettings;
use crate::config::reader::Reader;
use crate::crypto::signer::{Signer, SignerError};
use crate::crypto::signing_key::SigningAlg;
use crate::domain::registration::Registration;

/// For whom an assertion is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// The provider's issuer.
    Issuer,
    /// The provider's token endpoint.
    TokenEndpoint,
    /// This text.
    Text(String),
}

/// The keys of a registration.
#[derive(Clone)]
pub struct SigningSettings {
    /// By which algorithm the first key signs.
    pub alg: SigningAlg,
    /// The key that signs.
    pub key: PathBuf,
    /// Keys that are published beside it.
    pub published: Vec<PathBuf>,
    /// Whether authentication requests are signed.
    pub requests: bool,
    /// What the keys were when this was read, by thumbprint (RFC 7638), in the same order.
    pub thumbprints: Vec<String>,
}

/// Keys that go with `private_key_jwt` only.
pub(super) const OF_ASSERTIONS: &[&str] = &["assertion_audience", "assertion_typ"];

/// Keys that go with a signature only.
const OF_A_KEY: &[&str] = &["signing_key", "signing_alg", "published_keys"];

/// RFC 10070.
const TYP: &str = "client-authentication+jwt";

/// The keys; `None` where nothing is signed, or after a problem. Where a target wants actor tokens, any registration may
/// have keys; the target's own must.
pub(super) fn read(reader: &Reader<'_>, signs_actor_tokens: bool) -> Option<SigningSettings> {
    let requests = reader.flag("signed_requests", false);
    let is_needed = requests
        || reader.plain_text("auth") == Some("private_key_jwt")
        || (signs_actor_tokens && reader.has("signing_key"));
    if !is_needed {
        reader.refuse(OF_A_KEY, "a registration that signs nothing");
        return None;
    }
    if !reader.has("signing_key") {
        let fix = "name a file that `relais keys generate --signing ALG --out FILE` wrote";
        reader.problem("signing_key", "is missing", fix);
        return None;
    }
    let algs = SigningAlg::ALL.map(|alg| (alg.as_str(), alg));
    let alg = reader.required_word("signing_alg", &algs);
    let key = reader.file("signing_key")?;
    let signer = check(reader, "signing_key", &key);
    let published = reader.files("published_keys");
    let others: Vec<Signer> =
        published.iter().filter_map(|file| check(reader, "published_keys", file)).collect();
    let (alg, signer) = (alg?, signer?);
    if !signer.fits(alg) {
        let what = format!("{} does not sign by {}", key.display(), alg.as_str());
        let fix = format!("make one with `relais keys generate --signing {} --out FILE`", alg.as_str());
        reader.problem("signing_key", what, fix);
        return None;
    }
    let thumbprints = std::iter::once(&signer).chain(&others).map(|signer| signer.kid().to_owned()).collect();
    Some(SigningSettings { alg, key, published, requests, thumbprints })
}

/// A key is known at one provider. What it signed for one could be presented to another by whoever makes the metadata
/// of the first name the second as its audience.
pub(super) fn refuse_shared(root: &Reader<'_>, registrations: &[RegistrationSettings]) {
    let mut owners: BTreeMap<&str, &Registration> = BTreeMap::new();
    for settings in registrations {
        let Some(signing) = &settings.signing else { continue };
        let own = &settings.registration;
        let mut shared = None;
        for (place, thumbprint) in signing.thumbprints.iter().enumerate() {
            let owner = *owners.entry(thumbprint).or_insert(own);
            if owner.provider != own.provider {
                shared = shared.or(Some((place, owner)));
            }
        }
        let Some((place, owner)) = shared else { continue };
        let key = if place == 0 { "signing_key" } else { "published_keys" };
        root.section("registrations").section(own.name.as_str()).problem(
            key,
            format!("is a key of the registration {} at the provider {} too", owner.name, owner.provider),
            "make a key of its own for each provider with `relais keys generate --signing ALG --out FILE`",
        );
    }
}

/// For whom assertions are made, and of which type they are.
pub(super) fn read_assertion(reader: &Reader<'_>) -> Option<(Audience, Option<String>)> {
    let audience = if reader.has("assertion_audience") {
        match reader.text("assertion_audience")? {
            "issuer" => Audience::Issuer,
            "token_endpoint" => Audience::TokenEndpoint,
            text => {
                reader.url("assertion_audience", text)?;
                Audience::Text(text.to_owned())
            }
        }
    } else {
        Audience::Issuer
    };
    let typ = if reader.has("assertion_typ") { reader.text("assertion_typ")? } else { TYP };
    let typ = (typ != "none").then(|| typ.to_owned());
    Some((audience, typ))
}

fn check(reader: &Reader<'_>, key: &str, file: &Path) -> Option<Signer> {
    let error = match Signer::load(file) {
        Ok(signer) => return Some(signer),
        Err(error) => error,
    };
    let fix = match &error {
        SignerError::Unreadable { source, .. } => {
            format!("name an existing file that Relais may read ({})", source.kind())
        }
        // The others say themselves what to do.
        SignerError::Shared { .. } | SignerError::NoKey { .. } => String::new(),
    };
    reader.problem(key, error.to_string(), fix);
    None
}
