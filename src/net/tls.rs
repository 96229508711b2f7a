//! Server TLS: certificates, client certificates, and their replacement while running (R-G-01, R-G-04).
//!
//! A [`ServerTls`] always holds one complete, validated configuration. [`ServerTls::reload`] builds the next one
//! aside and swaps it in whole; whatever is wrong with the new files, the last good configuration stays.
//! TLS 1.2 (ECDHE and AEAD only, the library offers nothing else) and 1.3.

mod client_auth;
mod files;
mod refusal;
mod resolver;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::CertificateDer;

pub use files::TlsError;
pub(crate) use refusal::Refused;
pub use refusal::{HandshakeRefusal, RefusalObserver};

use crate::domain::time::Timestamp;
use files::{Snapshot, Stamp};

/// One certificate chain with its key, both PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What is asked of clients in the handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// A certificate is asked for and may be missing. Any one is accepted whose possession is proven, self-signed
    /// ones too (RFC 8705 §2.2); `PeerCertificate::chained` says whether it leads to `ca`.
    Optional {
        /// The client CA, PEM.
        ca: Option<PathBuf>,
    },
    /// A certificate in date that leads to `ca`; all else is refused in the handshake.
    Required {
        /// The client CA, PEM.
        ca: PathBuf,
    },
}

/// Everything that a [`ServerTls`] is built from.
#[derive(Clone)]
pub struct ServerTlsSettings {
    /// In the order of preference: the first that the client's signature schemes can verify is shown.
    pub certificates: Vec<CertificateFiles>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Told of every refused handshake.
    pub on_refused: RefusalObserver,
}

/// The server side's TLS configuration, replaceable while running.
pub struct ServerTls {
    settings: ServerTlsSettings,
    current: ArcSwap<Loaded>,
    /// How the files looked when they were last read, whether or not they were accepted. Held during a reload.
    stamps: Mutex<Vec<Option<Stamp>>>,
}

/// One validated configuration.
struct Loaded {
    config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    client_auth_required: bool,
    digest: Vec<u8>,
    not_after: Timestamp,
}

impl ServerTls {
    /// Reads and validates all files: every chain parses, is in date at `now`, is for servers, and its key
    /// belongs to it.
    pub fn new(settings: ServerTlsSettings, now: Timestamp) -> Result<Arc<Self>, TlsError> {
        let stamps = files::stamps(&settings);
        let loaded = load(&settings, now)?;
        Ok(Arc::new(Self { settings, current: ArcSwap::from_pointee(loaded), stamps: Mutex::new(stamps) }))
    }

    /// Reads the files again; `true` where they brought something new, which counts for every handshake from now
    /// on. On error the last good configuration stays. Open connections keep theirs.
    pub fn reload(&self, now: Timestamp) -> Result<bool, TlsError> {
        // Held to the end: of two reloads at once, that which read older files must not swap last.
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: a write in between makes them differ once more.
        *stamps = files::stamps(&self.settings);
        let loaded = load(&self.settings, now)?;
        if loaded.digest == self.current.load().digest {
            return Ok(false);
        }
        self.current.store(Arc::new(loaded));
        Ok(true)
    }

    /// Whether a file's time or size differs from when it was last read: then [`Self::reload`] is due. A file
    /// that was refused is not reported again until it changes.
    pub fn changed_on_disk(&self) -> bool {
        let stamps = files::stamps(&self.settings);
        stamps != *self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The earliest end of the server certificates in use.
    pub fn not_after(&self) -> Timestamp {
        self.current.load().not_after
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Judges a client's chain once more, after the handshake: a resumed one did not look at it, and the optional
    /// kind lets every chain through.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>]) -> Judgement {
        let loaded = self.current.load();
        let verdict =
            loaded.clients.as_ref().zip(chain.split_first()).is_some_and(|(verifier, (leaf, rest))| {
                rustls::time_provider::DefaultTimeProvider
                    .current_time()
                    .is_some_and(|now| verifier.verify_client_cert(leaf, rest, now).is_ok())
            });
        match (verdict, loaded.client_auth_required) {
            (true, _) => Judgement::Chained,
            (false, true) => Judgement::Refused,
            (false, false) => Judgement::Unchained,
        }
    }

    pub(crate) fn refused(&self, refused: &Refused) {
        (self.settings.on_refused)(HandshakeRefusal { cause: refused.cause });
    }
}

/// What is known of a client's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// It leads to the client CA, is for clients and in date.
    Chained,
    /// It does not, and need not.
    Unchained,
    /// It does not, and must.
    Refused,
}

fn load(settings: &ServerTlsSettings, now: Timestamp) -> Result<Loaded, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Snapshot { keys, client_roots, digest, not_after } = files::read(settings, now, &provider)?;
    let client_auth_required = matches!(settings.client_auth, ClientAuth::Required { .. });
    let clients = client_roots.map(|roots| client_auth::chained(roots, &provider)).transpose()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Library)?;
    let builder = match (&settings.client_auth, &clients) {
        (ClientAuth::Required { .. }, Some(verifier)) => {
            builder.with_client_cert_verifier(Arc::clone(verifier))
        }
        (ClientAuth::None, _) => builder.with_no_client_auth(),
        (ClientAuth::Optional { .. } | ClientAuth::Required { .. }, _) => {
            builder.with_client_cert_verifier(Arc::new(client_auth::AnyClientCertificate::new(&provider)))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver::BySignatureScheme::new(keys)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), clients, client_auth_required, digest, not_after })
}
