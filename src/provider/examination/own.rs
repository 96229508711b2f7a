//! What can be said of a registration's own certificates before anybody is called.

use std::time::Duration;

use crate::crypto::x509::{CertError, Certificate, load_pair};
use crate::domain::examination::{Check, Fault, Proof};
use crate::domain::time::Timestamp;

use super::super::settings::{CertificateFiles, ProviderSettings, RegistrationSettings};
use super::Found;

const DAY: u64 = 24 * 3600;
/// Time enough to have a certificate renewed by an authority that works by post.
const SOON: Duration = Duration::from_secs(30 * DAY);

/// Looks at every certificate. Says whether all can be used: where not, no client can be made.
pub(super) fn certificates(
    provider: &ProviderSettings,
    registration: &RegistrationSettings,
    now: Timestamp,
    found: &mut Found,
) -> bool {
    let mut all_usable = true;
    for (place, files) in registration.certificates.iter().enumerate() {
        match read(files, now) {
            Err(fault) => {
                all_usable = false;
                found.failed(Check::Certificate, fault);
            }
            Ok(own) => {
                let file = shown(files);
                let left = own.not_after().since(now);
                let days = left.as_secs() / DAY;
                if left <= SOON {
                    found.warning(Check::Certificate, Fault::CertificateExpiresSoon { file, days });
                } else {
                    found.well(Check::Certificate, Proof::DaysLeft { file, days });
                }
                // The others are for grants that were begun with them, perhaps under another name.
                if place == 0 && provider.provider.profile.common_name_is_client_id {
                    compare_names(&own, &registration.registration.client_id, found);
                }
            }
        }
    }
    all_usable
}

fn read(files: &CertificateFiles, now: Timestamp) -> Result<Certificate, Fault> {
    let file = shown(files);
    let pair = load_pair(&files.cert, &files.key, now).map_err(|error| match error {
        CertError::Expired { not_after, .. } => Fault::CertificateExpired { file: file.clone(), not_after },
        CertError::NotYetValid { not_before, .. } => {
            Fault::CertificateNotYetValid { file: file.clone(), not_before }
        }
        _ => Fault::CertificateUnusable { file: file.clone() },
    })?;
    let own = pair.chain.first().and_then(|der| Certificate::parse(der).ok());
    own.filter(Certificate::is_for_clients).ok_or(Fault::CertificateUnusable { file })
}

fn shown(files: &CertificateFiles) -> String {
    files.cert.display().to_string()
}

/// The authority lets the CN be anything, and the provider links certificates to clients in its own way; so what
/// differs is a hint only, for whoever reads that the credentials are refused.
fn compare_names(own: &Certificate, client_id: &str, found: &mut Found) {
    let names = own.common_names();
    if names.iter().any(|name| name == client_id) {
        found.well(Check::CommonName, Proof::Text(client_id.to_owned()));
    } else {
        let common_name = names.into_iter().next();
        let client_id = client_id.to_owned();
        found.warning(Check::CommonName, Fault::CommonNameDiffers { common_name, client_id });
    }
}
