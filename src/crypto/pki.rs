//! A development PKI: one authority, a server certificate for this machine, a client certificate.
//!
//! For demonstrations, tests and first steps; nothing in production asks for it. The authority's key is never
//! written: what it signed is all it will ever have signed once the process ends.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use thiserror::Error;

use super::private_file;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// One year: what every platform takes from a private authority.
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks of neighbouring machines differ.
const HEAD_START: Duration = DAY;

/// Why a development PKI could not be made or written.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A key or certificate could not be made; most likely a name that no certificate can carry.
    #[error("the certificate could not be made")]
    Generation(#[from] rcgen::Error),
    /// Something stands there already; nothing was written.
    #[error("{path} exists and nothing is overwritten: choose another folder, or remove the old files", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be written.
    #[error("{path} cannot be written", path = .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A certificate and its private key, both in PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: Secret,
}

/// A development authority (ECDSA P-256).
pub struct DevCa(CertifiedIssuer<'static, KeyPair>);

impl DevCa {
    /// A new authority that counts from `not_before` to `not_after`.
    pub fn generate(
        common_name: &str,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, PkiError> {
        let mut params = params(&[], common_name, not_before, not_after)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(params, key_pair()?)?))
    }

    /// The authority's own certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A server certificate for `names` (host names and IP addresses; the first is the CN too).
    pub fn issue_server(
        &self,
        names: &[&str],
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Issued, PkiError> {
        let mut params = params(names, names.first().unwrap_or(&""), not_before, not_after)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A client certificate with the CN `common_name`.
    pub fn issue_client(
        &self,
        common_name: &str,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Issued, PkiError> {
        let mut params = params(&[], common_name, not_before, not_after)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, PkiError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = key_pair()?;
        let certificate = params.signed_by(&key, &self.0)?.pem();
        Ok(Issued { certificate, key: Secret::new(key.serialize_pem()) })
    }
}

/// A whole development PKI.
pub struct DevPki {
    /// The authority's certificate.
    pub ca: String,
    /// The server's certificate: `localhost`, `127.0.0.1`, `::1`.
    pub server: String,
    /// The server's key.
    pub server_key: Secret,
    /// The client's certificate: CN = the client id.
    pub client: String,
    /// The client's key.
    pub client_key: Secret,
    authority: DevCa,
}

impl DevPki {
    /// The files that [`DevPki::write`] makes.
    pub const FILES: [&str; 5] = ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"];

    /// A new one, for the client `client_id`. Valid for one year, and from one day before `now`.
    pub fn generate(client_id: &str, now: Timestamp) -> Result<Self, PkiError> {
        let (from, to) = (now - HEAD_START, now + LIFE);
        let authority = DevCa::generate("Relais development CA", from, to)?;
        let server = authority.issue_server(&["localhost", "127.0.0.1", "::1"], from, to)?;
        let client = authority.issue_client(client_id, from, to)?;
        Ok(Self {
            ca: authority.certificate(),
            server: server.certificate,
            server_key: server.key,
            client: client.certificate,
            client_key: client.key,
            authority,
        })
    }

    /// The authority, to have it sign more.
    #[must_use]
    pub const fn authority(&self) -> &DevCa {
        &self.authority
    }

    /// Writes `ca.pem server.pem server.key client.pem client.key` into `dir`, which is made where it does not exist;
    /// keys with mode 0600. Writes nothing where one of them exists.
    pub fn write(&self, dir: &Path) -> Result<(), PkiError> {
        std::fs::create_dir_all(dir)
            .map_err(|source| PkiError::Unwritable { path: dir.to_path_buf(), source })?;
        for name in Self::FILES {
            let path = dir.join(name);
            // Also a link that leads nowhere is something.
            if path.symlink_metadata().is_ok() {
                return Err(PkiError::Exists { path });
            }
        }
        let public = private_file::write_new_public;
        let private = private_file::write_new;
        put(dir.join("ca.pem"), &self.ca, public)?;
        put(dir.join("server.pem"), &self.server, public)?;
        put(dir.join("server.key"), self.server_key.expose(), private)?;
        put(dir.join("client.pem"), &self.client, public)?;
        put(dir.join("client.key"), self.client_key.expose(), private)
    }
}

fn put(path: PathBuf, text: &str, write: fn(&Path, &[u8]) -> io::Result<()>) -> Result<(), PkiError> {
    match write(&path, text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(PkiError::Exists { path }),
        Err(source) => Err(PkiError::Unwritable { path, source }),
    }
}

fn key_pair() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn params(
    names: &[&str],
    common_name: &str,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let epoch = date_time_ymd(1970, 1, 1);
    let since_epoch = |at: Timestamp| at.since(Timestamp::from_secs(0));
    params.not_before = epoch + Duration::from_secs(since_epoch(not_before).as_secs());
    params.not_after = epoch + Duration::from_secs(since_epoch(not_after).as_secs());
    Ok(params)
}

#[cfg(test)]
mod tests;
