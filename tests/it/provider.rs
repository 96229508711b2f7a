//! The provider client against a scripted provider: rows of the acceptance matrix carry their number.

mod backchannel;
mod certificates;
mod claims;
mod client_auth;
mod discovery;
mod endings;
mod examination;
mod exchange;
mod hostile;
mod id_token;
mod logout_token;
mod op;
mod polling;
mod pushed;
mod refresh;
mod setup;
mod signing;
mod tls;
mod userinfo;
mod wire;

pub use discovery::eventually;
