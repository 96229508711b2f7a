//! Telling other nodes that something changed.

use tokio::sync::mpsc;

use crate::domain::ids::{LoginId, SessionId};

/// What changed; the reader looks up how.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Changed {
    /// A login has a new version.
    Login(LoginId),
    /// A session has a new version.
    Session(SessionId),
    /// The provider has said that a pending login has an outcome: whoever polls it asks now. Not a new version.
    Announced(LoginId),
}

/// What a node hears from the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WakeSignal {
    /// This one changed.
    Changed(Changed),
    /// Messages may have been lost: whoever waits reads again.
    ReadAll,
}

/// Carries [`Changed`] to the other nodes, best effort: whoever waits also reads once a second.
pub trait Wake: Send + Sync + 'static {
    /// Sent after the commit, never inside it; does not block.
    fn publish(&self, changed: Changed);

    /// What the other nodes publish (own messages may come back too). Called once.
    fn signals(&self) -> mpsc::Receiver<WakeSignal>;
}
