//! What users do, end to end, on both stores.

mod canary;
mod credentials;
mod problems;
mod sign_in;
