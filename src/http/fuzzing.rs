//! What must hold of request bodies whatever bytes come: see [`crate::crypto::fuzzing`]. What stands in heads is in
//! `extract`, what a start says in `clients`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json::{Fields, canonical, read};

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

/// A form: read as an ordinary reader reads it, each member once. Its problems are few and repeat no value.
pub fn form(input: &[u8]) -> bool {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(input).into_owned().collect();
    let names: BTreeSet<&String> = pairs.iter().map(|(name, _)| name).collect();
    match Fields::of_form(input) {
        Ok(mut fields) => {
            assert_eq!(names.len(), pairs.len(), "a member twice");
            for (name, value) in &pairs {
                assert_eq!(fields.text(name).as_ref(), Some(value), "read differently");
            }
            assert!(fields.finish().is_ok(), "a member that nobody sent");
            true
        }
        Err(errors) => {
            let is_word = |name: &&String| {
                (1..=32).contains(&name.len())
                    && name.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.'))
            };
            assert!(names.len() < pairs.len() || !names.iter().all(is_word), "nothing is wrong");
            let told = errors.iter().map(|error| error.pointer.as_str());
            assert!(told.into_iter().all(|place| place.len() <= 33), "a name that is none is repeated");
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
