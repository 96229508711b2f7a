//! What the engine needs from outside: a [`Store`], the [`Providers`], the [`Targets`], and a [`Wake`] between
//! nodes.
//!
//! Each [`Store`] method is one whole transition: values and its audit record in, who won out. No transaction,
//! connection or SQL type crosses this line, and neither does ciphertext: secrets go in and come out in clear, in
//! types that cannot be printed.

mod actor;
mod assertion;
mod endings;
mod exchange;
mod notification;
mod providers;
mod refresh;
mod store;
mod targets;
mod wake;

pub use actor::*;
pub use assertion::*;
pub use endings::*;
pub use exchange::*;
pub use notification::*;
pub use providers::*;
pub use refresh::*;
pub use store::*;
pub use targets::*;
pub use wake::*;
