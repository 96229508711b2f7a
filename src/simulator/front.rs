//! What stands on the control listener, and for whom.

use std::net::SocketAddr;

use axum::Router;

/// How the control listener is set up.
#[derive(Default)]
pub struct Front {
    /// A second address to listen on.
    pub also_on: Option<SocketAddr>,
    /// Who may steer.
    pub steering: Steering,
    /// Further pages.
    pub beside: Option<Beside>,
}

/// From where the control interface, and what stands beside it, may be called. The phone page is for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Steering {
    /// From wherever the listener can be reached.
    #[default]
    FromAnywhere,
    /// Over loopback.
    FromThisMachine,
}

/// Pages that are not the simulator's own: it serves them under the same protection, links to them, and knows
/// nothing else about them.
pub struct Beside {
    /// The pages.
    pub router: Router,
    /// Where they begin.
    pub path: &'static str,
    /// What the link to them says in French.
    pub french: &'static str,
    /// The same in English.
    pub english: &'static str,
}
