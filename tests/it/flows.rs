//! What users do, end to end, on both stores.

mod endings;
mod faults;
mod pace;
mod sign_in;
