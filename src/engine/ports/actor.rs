//! Who does what: the audit wants to know.

use std::net::SocketAddr;

/// Who causes a transition, for its audit record.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The request that it came with.
    pub request_id: Option<String>,
    /// From where.
    pub address: Option<SocketAddr>,
    /// Subject of the connection's client certificate (RFC 4514).
    pub certificate_dn: Option<String>,
}

impl Actor {
    /// Relais itself: poller, sweeper, adoption.
    #[must_use]
    pub const fn engine() -> Self {
        Self { kind: ActorKind::Engine, request_id: None, address: None, certificate_dn: None }
    }
}

/// The kinds of actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActorKind {
    /// The application, by its credential.
    Application,
    /// Whoever holds the login token or the handle.
    Holder,
    /// Relais itself.
    Engine,
    /// A provider that tells about a login by itself, by the login's notification token.
    Provider,
}

impl ActorKind {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Holder => "holder",
            Self::Engine => "engine",
            Self::Provider => "provider",
        }
    }
}
