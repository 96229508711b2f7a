//! What users do, end to end, on both stores.

mod credentials;
mod endings;
mod faults;
mod pace;
mod problems;
mod sign_in;
