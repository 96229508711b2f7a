//! The thick client and the `login` verb against a server that answers from a script: what is sent, what is
//! repeated, and how each end is told. What the real server answers is proven elsewhere.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod calls;
mod scripted;
mod sign_in;
mod tls;
mod verb;
