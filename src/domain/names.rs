//! Names that operators give to things: `[a-z0-9]+(-[a-z0-9]+)*`, immutable.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// Why a text is no name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a name is made of a-z, 0-9 and single hyphens between them, at most 64 characters")]
pub struct NameError;

fn parse(text: &str) -> Result<Arc<str>, NameError> {
    let well_formed = text.len() <= 64
        && text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
    if well_formed { Ok(text.into()) } else { Err(NameError) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(/** An OpenID Provider that Relais talks to. */ ProviderName);
name!(/** Relais's client registration at a provider. */ RegistrationName);
name!(/** A client of Relais. */ ApplicationName);
name!(/** Who an application belongs to. */ TenantName);
name!(/** A downstream API that Relais calls with an exchanged token. */ TargetName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_words_joined_by_single_hyphens() {
        for good in ["a", "psc-bas", "lps-2"] {
            assert!(good.parse::<ProviderName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "é"] {
            assert!(bad.parse::<ProviderName>().is_err(), "{bad}");
        }
    }
}
