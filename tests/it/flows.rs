//! What users do, end to end, on both stores.

mod canary;
mod claims;
mod client_auth;
mod credentials;
mod endings;
mod exchange;
mod faults;
mod hang_up;
mod introspection;
mod limits;
mod notifications;
mod operations;
mod pace;
mod personalities;
mod problems;
mod races;
mod refresh;
mod requests;
mod sign_in;
mod targets;
mod upgrade;
mod waiting;
