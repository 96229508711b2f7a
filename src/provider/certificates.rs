//! The client certificates of one registration, each with an HTTP client of its own.
//!
//! The first configured certificate is used for new logins, the others for grants that are bound to them (RFC 8705
//! §3). A file that changes is validated first and swapped as a whole; one that cannot be used changes nothing. A
//! replaced certificate stays usable for what is bound to it until it expires.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::crypto::file_stamp::{FileStamp, Watched};
use crate::crypto::x509::{CertError, Certificate, Pair, load_pair};
use crate::domain::names::RegistrationName;
use crate::domain::secret::SecretBytes;
use crate::domain::time::Timestamp;
use crate::net::outbound::{
    AddressPolicy, Identity, Outbound, OutboundBuildError, OutboundSettings, TAKES_WITHIN,
};

use super::settings::{CertificateFiles, ProviderSettings};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The files cannot be used.
    #[error("the certificate or its key cannot be used")]
    Files(#[from] CertError),
    /// The certificate says what it is for, and that is not clients: the provider would refuse every connection.
    #[error("the certificate {path} is not for clients (extended key usage): have one made that is", path = .path.display())]
    Purpose {
        /// The file.
        path: PathBuf,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Client(#[from] OutboundBuildError),
}

/// A certificate is neither configured nor remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the certificate that a grant is bound to is no longer there")]
pub struct NoSuchCertificate;

/// The clients of one registration.
pub struct Certificates {
    registration: RegistrationName,
    files: Vec<CertificateFiles>,
    settings: ProviderSettings,
    current: ArcSwap<Set>,
    /// What the files looked like when they were last read; held during a reload, so that two cannot interleave.
    watched: Mutex<Vec<Watched<Stamp>>>,
}

/// What is in force at one moment.
#[derive(Clone, Default)]
struct Set {
    /// Thumbprints by their place in the configuration; the first is in use for new logins.
    places: Vec<String>,
    clients: HashMap<String, Client>,
    /// Where no certificate is configured.
    plain: Option<Outbound>,
}

#[derive(Clone)]
struct Client {
    outbound: Outbound,
    /// For connections to others than the provider, which take the same certificate.
    identity: Identity,
    not_after: Timestamp,
}

/// Of certificate and key.
type Stamp = [Option<FileStamp>; 2];

impl Certificates {
    /// Reads every pair and builds its client; all must be usable.
    pub fn load(
        registration: RegistrationName,
        files: Vec<CertificateFiles>,
        settings: ProviderSettings,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let mut set = Set::default();
        if files.is_empty() {
            set.plain = Some(outbound(&settings, None)?);
        }
        let watched = files.iter().map(|files| Watched::taken(stamp(files))).collect();
        for pair in &files {
            let (x5t, client) = client(pair, &settings, now)?;
            set.clients.insert(x5t.clone(), client);
            set.places.push(x5t);
        }
        let current = ArcSwap::from_pointee(set);
        Ok(Self { registration, files, settings, current, watched: Mutex::new(watched) })
    }

    /// Thumbprint (`x5t#S256`) of the certificate that new logins use.
    pub fn in_use(&self) -> Option<String> {
        self.current.load().places.first().cloned()
    }

    /// The client for a thumbprint, or the one for new logins where none is named. `None`: a certificate that is
    /// neither configured nor remembered.
    pub fn client(&self, x5t: Option<&str>) -> Option<Outbound> {
        let current = self.current.load();
        match x5t.or(current.places.first().map(String::as_str)) {
            Some(x5t) => current.clients.get(x5t).map(|client| client.outbound.clone()),
            None => current.plain.clone(),
        }
    }

    /// The certificate with this thumbprint, or the one for new logins where none is named, with its thumbprint.
    /// `Err`: one that is neither configured nor remembered; `Ok(None)`: none is configured.
    pub fn identity(&self, x5t: Option<&str>) -> Result<Option<(String, Identity)>, NoSuchCertificate> {
        let current = self.current.load();
        let Some(x5t) = x5t.or(current.places.first().map(String::as_str)) else { return Ok(None) };
        let client = current.clients.get(x5t).ok_or(NoSuchCertificate)?;
        Ok(Some((x5t.to_owned(), client.identity.clone())))
    }

    /// The configured certificates and when each expires.
    pub fn expiries(&self) -> Vec<(String, Timestamp)> {
        let current = self.current.load();
        let of = |(place, x5t): (usize, &String)| {
            let name = match place {
                0 => self.registration.to_string(),
                _ => format!("{}-{}", self.registration, place + 1),
            };
            current.clients.get(x5t).map(|client| (name, client.not_after))
        };
        current.places.iter().enumerate().filter_map(of).collect()
    }

    /// Reads the files that have changed. Each is validated before it counts.
    pub fn reload(&self, now: Timestamp) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, (files, known)) in self.files.iter().zip(watched.iter_mut()).enumerate() {
            match known.look(stamp(files), || client(files, &self.settings, now)) {
                None => {}
                Some(Ok((x5t, client))) => self.swap(place, x5t, client),
                Some(Err(error)) => tracing::error!(
                    registration = %self.registration,
                    certificate = %files.cert.display(),
                    error = %error,
                    cause = std::error::Error::source(&error).map(ToString::to_string),
                    "a changed client certificate cannot be used; the last good one stays"
                ),
            }
        }
        self.forget_expired(now);
    }

    /// Drops what was replaced and has expired: no server takes it any more, and its key need not be here.
    fn forget_expired(&self, now: Timestamp) {
        let current = self.current.load();
        let is_kept = |places: &[String], x5t: &String, client: &Client| {
            client.not_after >= now || places.contains(x5t)
        };
        if current.clients.iter().all(|(x5t, client)| is_kept(&current.places, x5t, client)) {
            return;
        }
        let mut set = Set::clone(&current);
        let Set { places, clients, .. } = &mut set;
        clients.retain(|x5t, client| is_kept(places, x5t, client));
        self.current.store(Arc::new(set));
    }

    fn swap(&self, place: usize, x5t: String, client: Client) {
        let mut set = Set::clone(&self.current.load());
        if set.places.get(place).is_some_and(|known| *known == x5t) {
            return;
        }
        tracing::info!(
            registration = %self.registration,
            x5t_s256 = %x5t,
            not_after = %client.not_after,
            "a client certificate has been replaced"
        );
        if let Some(known) = set.places.get_mut(place) {
            known.clone_from(&x5t);
        }
        set.clients.insert(x5t, client);
        self.current.store(Arc::new(set));
    }
}

fn stamp(files: &CertificateFiles) -> Stamp {
    [FileStamp::of(&files.cert), FileStamp::of(&files.key)]
}

fn client(
    files: &CertificateFiles,
    settings: &ProviderSettings,
    now: Timestamp,
) -> Result<(String, Client), CertificateError> {
    let pair = load_pair(&files.cert, &files.key, now)?;
    let unreadable = || CertError::MalformedCertificate { certificate: files.cert.display().to_string() };
    let own = pair.chain.first().ok_or_else(unreadable)?;
    let certificate = Certificate::parse(own).map_err(|_| unreadable())?;
    if !certificate.is_for_clients() {
        return Err(CertificateError::Purpose { path: files.cert.clone() });
    }
    let (x5t, not_after) = (certificate.x5t_s256(), certificate.not_after());
    let identity = identity(pair);
    let outbound = outbound(settings, Some(identity.clone()))?;
    Ok((x5t, Client { outbound, identity, not_after }))
}

fn outbound(settings: &ProviderSettings, identity: Option<Identity>) -> Result<Outbound, OutboundBuildError> {
    let address_policy = if settings.allow_private_addresses {
        AddressPolicy::AllowPrivate
    } else {
        AddressPolicy::PublicOnly
    };
    let https_only = settings.https_only;
    Outbound::new(OutboundSettings {
        roots: settings.roots_pem.clone(),
        identity,
        address_policy,
        https_only,
        takes_within: TAKES_WITHIN,
    })
}

/// The pair that was validated: reading the files a second time could bring another one.
fn identity(pair: Pair) -> Identity {
    Identity { key: SecretBytes::new(pair.key.secret_der().to_vec()), chain: pair.chain }
}
