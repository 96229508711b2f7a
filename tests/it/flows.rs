//! What users do, end to end, on both stores.

mod credentials;
mod hang_up;
mod problems;
mod races;
mod sign_in;
mod waiting;
