//! Certificates that configuration names: readable, in date, for what they are used for, and matching their keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Reader;
use crate::crypto::x509::{self, CertError, Certificate};

/// Time enough to have a certificate renewed by an authority that works by post.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// The list of a listener's own certificates; those of every other list are shown to servers.
const OF_SERVER: &str = "tls";

/// Checks every pair of the list `key`.
pub fn check_pairs(reader: &Reader<'_>, key: &str, pairs: &[(PathBuf, PathBuf)]) {
    let now = reader.context.now;
    let leaves_dates = reader.context.leaves_dates && key != OF_SERVER;
    for (certificate, private_key) in pairs {
        match x509::load_pair(certificate, private_key, now) {
            Ok(pair) => {
                let own = pair.chain.first().and_then(|der| Certificate::parse(der).ok());
                let Some(own) = own else { continue };
                check_purpose(reader, key, certificate, &own);
                if own.not_after() <= now + SOON && !leaves_dates {
                    let what = format!("{} expires at {}", certificate.display(), own.not_after());
                    reader.warn(key, what, "have it renewed");
                }
            }
            Err(CertError::Expired { .. } | CertError::NotYetValid { .. }) if leaves_dates => {}
            Err(error) => refuse(reader, key, &error),
        }
    }
}

/// The other side would refuse it in every handshake.
fn check_purpose(reader: &Reader<'_>, key: &str, file: &Path, own: &Certificate) {
    let (is_fit, role, usage) = if key == OF_SERVER {
        (own.is_for_servers(), "servers", "serverAuth")
    } else {
        (own.is_for_clients(), "clients", "clientAuth")
    };
    if !is_fit {
        let what = format!("{} is not for {role} (extended key usage)", file.display());
        reader.problem(key, what, format!("have one made with the extended key usage {usage}"));
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
