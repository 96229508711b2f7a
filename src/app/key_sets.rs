//! The key sets of applications: a file that changes is read again, validated, and swapped in as a whole.
//!
//! One that cannot be used changes nothing and is logged: the last good keys stay.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::crypto::jwks;
use crate::domain::application::ApplicationCredential;
use crate::domain::names::ApplicationName;
use crate::engine::Engine;
use crate::telemetry::error_chain::ErrorChain;

/// What each file looked like when it was last read: modification time and length.
#[derive(Default)]
pub(super) struct KeySets(HashMap<(ApplicationName, PathBuf), Option<(SystemTime, u64)>>);

impl KeySets {
    /// Reads what has changed. A file that is looked at for the first time is read too: it may have changed since the
    /// configuration was.
    pub(super) fn look(&mut self, engine: &Engine) {
        let directory = engine.directory();
        let files: Vec<_> = directory
            .applications()
            .filter_map(|application| match &application.credential {
                ApplicationCredential::AssertionKeys { file, .. } => {
                    Some((application.name.clone(), file.clone()))
                }
                _ => None,
            })
            .collect();
        self.0.retain(|known, _| files.contains(known));
        for (name, file) in files {
            let found = stamp(&file);
            if self.0.insert((name.clone(), file.clone()), found) == Some(found) {
                continue;
            }
            match jwks::load(&file) {
                Ok(keys) => {
                    engine.reconfigure(|directory| directory.with_assertion_keys(&name, &keys, &file));
                    tracing::info!(application = %name, keys = keys.len(), "the key set of an application has been read");
                }
                Err(error) => tracing::error!(
                    application = %name,
                    error = %ErrorChain(&error),
                    "a changed key set cannot be used; the last good keys stay"
                ),
            }
        }
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
