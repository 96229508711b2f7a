//! What users do, end to end, on both stores.

mod sign_in;
