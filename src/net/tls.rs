//! Server TLS: certificates, client certificates, and their replacement while running (R-G-01, R-G-04).
//!
//! A [`ServerTls`] always holds one complete, validated configuration. [`ServerTls::reload`] builds the next one
//! aside and swaps it in whole; whatever is wrong with the new files, the last good configuration stays. A client is
//! asked for a certificate for as long as somebody wants one: older client libraries stumble over the question.
//! TLS 1.2 (ECDHE and AEAD only, the library offers nothing else) and 1.3.

mod client_auth;
mod files;
mod refusal;
mod resolver;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::CertificateDer;

pub use files::TlsError;
pub(crate) use refusal::Refused;
pub use refusal::{HandshakeRefusal, RefusalObserver};

use crate::crypto::file_stamp::{FileStamp, Watched};
use crate::domain::time::Timestamp;
use files::Snapshot;

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
    /// A certificate is asked for, unless [`ServerTls::ask_clients`] says otherwise, and may be missing. Any one is
    /// accepted whose possession is proven, self-signed ones too (RFC 8705 §2.2); `PeerCertificate::chained` says whether
    /// it leads to `ca`.
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
    /// Whether clients are asked for a certificate that may be missing.
    asks: AtomicBool,
    /// What the files looked like when they were last read; held during a reload, so that two cannot interleave.
    watched: Mutex<Watched<Vec<Option<FileStamp>>>>,
}

/// One validated configuration.
struct Loaded {
    config: Arc<ServerConfig>,
    /// The same without the question, where a certificate may be missing. A configuration of its own, for it has
    /// sessions of its own: one that is resumed is not asked again.
    silent: Option<Arc<ServerConfig>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    client_auth_required: bool,
    digest: Vec<u8>,
    not_after: Timestamp,
}

impl ServerTls {
    /// Reads and validates all files: every chain parses, is in date at `now`, is for servers, and its key
    /// belongs to it.
    pub fn new(settings: ServerTlsSettings, now: Timestamp) -> Result<Arc<Self>, TlsError> {
        let watched = Mutex::new(Watched::taken(files::stamps(&settings)));
        let current = ArcSwap::from_pointee(load(&settings, now)?);
        Ok(Arc::new(Self { settings, current, asks: AtomicBool::new(true), watched }))
    }

    /// Whether to ask clients for a certificate that may be missing: in each handshake from now on. Open connections
    /// stay as they are.
    pub fn ask_clients(&self, ask: bool) {
        self.asks.store(ask, Ordering::Relaxed);
    }

    /// Reads the files again; `true` where they brought something new, which counts for every handshake from now
    /// on. On error the last good configuration stays. Open connections keep theirs.
    pub fn reload(&self, now: Timestamp) -> Result<bool, TlsError> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let found = files::stamps(&self.settings);
        let outcome = self.take(now);
        if outcome.is_ok() {
            watched.take(found);
        } else {
            watched.refuse(found);
        }
        outcome
    }

    /// As [`Self::reload`], where a file does not look like what is in force; `None` where there is nothing to tell:
    /// nothing has changed, or what has been refused looks as it did.
    pub fn look(&self, now: Timestamp) -> Option<Result<bool, TlsError>> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.look(files::stamps(&self.settings), || self.take(now))
    }

    fn take(&self, now: Timestamp) -> Result<bool, TlsError> {
        let loaded = load(&self.settings, now)?;
        let is_new = loaded.digest != self.current.load().digest;
        if is_new {
            self.current.store(Arc::new(loaded));
        }
        Ok(is_new)
    }

    /// The earliest end of the server certificates in use.
    pub fn not_after(&self) -> Timestamp {
        self.current.load().not_after
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.load();
        let silent = current.silent.as_ref().filter(|_| !self.asks.load(Ordering::Relaxed));
        Arc::clone(silent.unwrap_or(&current.config))
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
    let resolver = Arc::new(resolver::BySignatureScheme::new(keys));
    let configured = |verifier: Option<Arc<dyn ClientCertVerifier>>| -> Result<_, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Library)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    };
    let any =
        || -> Arc<dyn ClientCertVerifier> { Arc::new(client_auth::AnyClientCertificate::new(&provider)) };
    let (config, silent) = match (&settings.client_auth, &clients) {
        (ClientAuth::Required { .. }, Some(verifier)) => (configured(Some(Arc::clone(verifier)))?, None),
        (ClientAuth::Required { .. }, None) => (configured(Some(any()))?, None),
        (ClientAuth::Optional { .. }, _) => (configured(Some(any()))?, Some(configured(None)?)),
        (ClientAuth::None, _) => (configured(None)?, None),
    };
    Ok(Loaded { config, silent, clients, client_auth_required, digest, not_after })
}
