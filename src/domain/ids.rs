//! Identifiers that are not secret. Mixing two kinds is a compile error.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/** One login: UUIDv7. */ LoginId);
id!(/** One session: UUIDv7. */ SessionId);
id!(/** One grant: UUIDv7. */ GrantId);
id!(/** One entry of the outbox: what a provider is still to be told about one grant. UUIDv4. */ OutboxId);
id!(/** One process that serves: UUIDv4, drawn at each start. */ NodeId);
id!(/** Drawn by the caller of a transition and written with it: after an unknown commit outcome, a row that
        carries the caller's own attempt says that the caller won. UUIDv4. */ Attempt);
