//! What users do, end to end, on both stores.

mod canary;
mod credentials;
mod limits;
mod operations;
mod problems;
mod sign_in;
