//! The short code that a practitioner reads out to the help desk: `K7QM-2P4X`.

use std::fmt;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::random::{Random, below};

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Eight random characters of Crockford's base32 (40 bits). Not secret; on every login, session and problem.
#[derive(Clone, PartialEq, Eq, Hash, Debug, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$", example = "K7QM-2P4X")]
pub struct SupportCode(String);

impl SupportCode {
    /// Draws a new one.
    #[must_use]
    pub fn draw(random: &dyn Random) -> Self {
        Self((0..8).map(|_| char::from(CROCKFORD[usize::from(below(random, 32))])).collect())
    }

    /// From the eight characters that [`SupportCode::compact`] gave; the store's way back.
    #[must_use]
    pub fn from_compact(text: String) -> Self {
        Self(text)
    }

    /// The eight characters without the hyphen, as stored and searched.
    #[must_use]
    pub fn compact(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SupportCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = self.0.split_at_checked(4).unwrap_or((&self.0, ""));
        write!(f, "{left}-{right}")
    }
}

impl Serialize for SupportCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
