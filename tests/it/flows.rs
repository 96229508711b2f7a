//! What users do, end to end, on both stores.

mod canary;
mod client_auth;
mod credentials;
mod endings;
mod faults;
mod hang_up;
mod limits;
mod operations;
mod pace;
mod problems;
mod races;
mod sign_in;
mod waiting;
