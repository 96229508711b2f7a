//! Facts and states: what a login, a grant and a session are, and which words name them.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time and randomness come in through
//! [`clock::Clock`] and [`random::Random`]. The domain knows no other module of the house.

pub mod application;
pub mod assertion_key;
pub mod claims;
pub mod clock;
pub mod examination;
pub mod grant;
pub mod hint;
pub mod ids;
pub mod login;
pub mod names;
pub mod parameters;
pub mod profile;
pub mod random;
pub mod registration;
pub mod secret;
pub mod session;
pub mod subject;
pub mod support_code;
pub mod target;
pub mod texts;
pub mod time;
