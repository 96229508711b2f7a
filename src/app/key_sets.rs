//! The key sets of applications: a file that changes is read again, validated, and swapped in as a whole.
//!
//! One that cannot be used changes nothing and is logged: the last good keys stay.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::crypto::file_stamp::{FileStamp, Watched};
use crate::crypto::jwks;
use crate::domain::application::ApplicationCredential;
use crate::domain::assertion_key::AssertionKey;
use crate::domain::names::ApplicationName;
use crate::engine::Engine;
use crate::engine::directory::Directory;
use crate::telemetry::error_chain::ErrorChain;

/// What is known of each file.
#[derive(Default)]
pub(super) struct KeySets(HashMap<(ApplicationName, PathBuf), Watched<Option<FileStamp>>>);

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
            let known = self.0.entry((name.clone(), file.clone())).or_default();
            match known.look(FileStamp::of(&file), || jwks::load(&file)) {
                None => {}
                Some(Ok(keys)) => {
                    engine.reconfigure(|directory| directory.with_assertion_keys(&name, &keys, &file));
                    let before = keys_of(&directory, &name);
                    tracing::info!(
                        application = %name,
                        keys = keys.len(),
                        added = beyond(&keys, before),
                        removed = beyond(before, &keys),
                        "the key set of an application has been read"
                    );
                }
                Some(Err(error)) => tracing::error!(
                    application = %name,
                    error = %ErrorChain(&error),
                    "a changed key set cannot be used; the last good keys stay"
                ),
            }
        }
    }
}

fn keys_of<'a>(directory: &'a Directory, name: &ApplicationName) -> &'a [AssertionKey] {
    match directory.application(name).map(|application| &application.credential) {
        Some(ApplicationCredential::AssertionKeys { keys, .. }) => keys,
        _ => &[],
    }
}

/// The thumbprints of those of `keys` that are not among `others`.
fn beyond(keys: &[AssertionKey], others: &[AssertionKey]) -> String {
    let is_new = |key: &&AssertionKey| others.iter().all(|other| other.thumbprint != key.thumbprint);
    keys.iter().filter(is_new).map(|key| key.thumbprint.as_str()).collect::<Vec<_>>().join(" ")
}
