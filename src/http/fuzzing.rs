//! What must hold of request bodies whatever bytes come: see [`crate::crypto::fuzzing`]. What stands in heads is in
//! `extract`, what a start says in `clients`.

use serde_json::Value;

use super::json::{canonical, read};

pub use super::clients::fuzzing::login_start;
pub use super::extract::fuzzing::{basic, heads};

/// What inputs write where a value must not be repeated.
pub(super) const CANARY: &str = "zq7vk2";

/// A body: read as an ordinary reader reads it, and the same bytes for whatever says the same. Its problems are few and
/// repeat no value.
pub fn body(input: &[u8]) -> bool {
    match read(input) {
        Ok(value) => {
            let ordinary: Value = serde_json::from_slice(input).expect("what is taken is JSON");
            assert_eq!(value, ordinary, "read differently");
            let once = canonical(&value).to_string();
            let again = read(once.as_bytes()).expect("what is written is JSON");
            // The library is a last bit off where it reads a number of many digits; no body has one.
            if !has_float(&value) {
                assert_eq!(canonical(&again).to_string(), once, "two canonical forms");
            }
            true
        }
        Err(errors) => {
            assert!((1..=20).contains(&errors.len()), "no problem, or too many");
            assert!(errors.iter().all(|error| !error.message.contains(CANARY)), "a value is repeated");
            false
        }
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}
