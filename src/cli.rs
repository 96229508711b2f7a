//! The command line: one file per verb.

pub mod login;
pub mod terminal;
