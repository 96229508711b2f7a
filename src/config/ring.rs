//! `[keys]`: the ring of keys.

use super::reader::Reader;
use crate::crypto::key_file::{self, KeyFileError};
use crate::crypto::ring::{KeyRing, RingError, RingKey};
use crate::domain::names::ProviderName;

const HOW: &str = "make a key with `relais keys generate --out FILE` and name it here";

pub(super) fn read(reader: &Reader<'_>) -> Option<KeyRing> {
    let active = reader.required("active", HOW);
    let pseudonym = reader.required("pseudonym", HOW);
    let ring = reader.section("ring");
    let declared = ring.sections().count();
    let keys: Vec<RingKey> = ring.sections().filter_map(|(id, reader)| read_key(id, &reader)).collect();
    for (key, id) in [("active", active), ("pseudonym", pseudonym)] {
        if let Some(id) = id.filter(|id| !ring.has(id)) {
            reader.problem(
                key,
                format!("names the key {id:?}, which is not in keys.ring"),
                format!("add [keys.ring.{id}], or name a key that is there"),
            );
            return None;
        }
    }
    if keys.len() < declared {
        return None;
    }
    let error = match KeyRing::new(active?, pseudonym?, keys) {
        Ok(ring) => return Some(ring),
        Err(error) => error,
    };
    match error {
        RingError::PseudonymIsActive { .. } => reader.problem(
            "pseudonym",
            "is the active key; the names of persons would change when that is rotated",
            "give it a key of its own",
        ),
        other => reader.problem("ring", other.to_string(), HOW),
    }
    None
}

fn read_key(id: &str, reader: &Reader<'_>) -> Option<RingKey> {
    // A key's id follows the rule of all names.
    let name: Option<ProviderName> = reader.name(id);
    reader.required("file", HOW)?;
    let file = reader.file("file")?;
    let error = match key_file::read(&file) {
        Ok(bytes) => return name.map(|_| RingKey { id: id.to_owned(), bytes }),
        Err(error) => error,
    };
    let fix = match &error {
        // Says itself what to do.
        KeyFileError::Shared { .. } => String::new(),
        KeyFileError::Malformed { source, .. } => source.to_string(),
        KeyFileError::Unreadable { source, .. } => format!("{HOW} ({})", source.kind()),
        KeyFileError::Exists { .. } | KeyFileError::Unwritable { .. } => HOW.to_owned(),
    };
    reader.problem("file", error.to_string(), fix);
    None
}
