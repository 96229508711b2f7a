//! Proof at compile time that what is secret cannot be printed or serialised (R-K-04).

use std::fmt::{Debug, Display};

use serde::Serialize;

use super::pki::{DevCa, DevPki, Issued};
use super::ring::{KeyRing, RingKey};
use super::seal::DataKey;
use super::token::Parsed;
use super::x509::Pair;
use crate::domain::secret::{LoginToken, Secret, SecretBytes, SessionHandle};

/// Does not compile where a type has one of the traits: the call is then ambiguous between the two blanket
/// implementations.
macro_rules! assert_lacks {
    ($type:ty: $($trait:path),+) => {
        const _: fn() = || {
            trait AmbiguousWherePresent<Which> {
                fn mark() {}
            }
            impl<T: ?Sized> AmbiguousWherePresent<()> for T {}
            $({
                struct Present;
                impl<T: ?Sized + $trait> AmbiguousWherePresent<Present> for T {}
            })+
            <$type as AmbiguousWherePresent<_>>::mark();
        };
    };
}

macro_rules! assert_never_shown {
    ($($type:ty),+ $(,)?) => {
        $(assert_lacks!($type: Debug, Display, Serialize);)+
    };
}

assert_never_shown!(
    Secret,
    SecretBytes,
    LoginToken,
    SessionHandle,
    DataKey,
    RingKey,
    KeyRing,
    Parsed,
    Pair,
    Issued,
    DevCa,
    DevPki,
);
