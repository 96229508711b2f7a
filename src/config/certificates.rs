//! Certificates that configuration names: readable, in date, and matching their keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Reader;
use crate::crypto::x509::{self, CertError, Certificate};

/// Time enough to have a certificate renewed by an authority that works by post.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Checks every pair of the list `key`.
pub fn check_pairs(reader: &Reader<'_>, key: &str, pairs: &[(PathBuf, PathBuf)]) {
    let now = reader.context.now;
    for (certificate, private_key) in pairs {
        match x509::load_pair(certificate, private_key, now) {
            Ok(pair) => {
                let own = pair.chain.first().and_then(|der| Certificate::parse(der).ok());
                if let Some(own) = own.filter(|own| own.not_after() <= now + SOON) {
                    let what = format!("{} expires at {}", certificate.display(), own.not_after());
                    reader.warn(key, what, "have it renewed");
                }
            }
            Err(error) => refuse(reader, key, &error),
        }
    }
}

/// Checks a file of trusted roots: at least one must be in date.
pub fn check_roots(reader: &Reader<'_>, key: &str, file: &Path) {
    let roots = match x509::load_pem_chain(file) {
        Ok(roots) => roots,
        Err(error) => return refuse(reader, key, &error),
    };
    let now = reader.context.now;
    let in_date = |root: &Certificate| root.not_before() <= now && now <= root.not_after();
    let mut certificates = roots.iter().filter_map(|der| Certificate::parse(der).ok());
    if !certificates.any(|root| in_date(&root)) {
        let what = format!("no certificate of {} is in date", file.display());
        reader.problem(key, what, "ask its owner for the present roots");
    }
}

fn refuse(reader: &Reader<'_>, key: &str, error: &CertError) {
    match error {
        CertError::Unreadable { source, .. } => {
            let fix = format!("name an existing file that Relais may read ({})", source.kind());
            reader.problem(key, error.to_string(), fix);
        }
        CertError::NotPem { .. } => reader.problem(key, error.to_string(), "write it as PEM"),
        // The others say themselves what to do.
        _ => reader.problem(key, error.to_string(), ""),
    }
}
