//! What users do, end to end, on both stores.

mod credentials;
mod problems;
mod sign_in;
