//! JSON as it is taken from a provider or out of a token: bounded in depth, without duplicate members.
//!
//! A duplicate member is read differently by different parsers, so it is refused rather than resolved (R-C-08); where
//! a document only informs, what it repeats may be resolved, but for the members that decide something.
//! The size is bounded where the answer is received.

use std::fmt;
use std::ops::Deref;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use zeroize::Zeroize;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: u8 = 32;

/// The members of a JSON object.
pub type Object = Map<String, Value>;

/// The members of a JSON object that may hold secrets: their texts are wiped when this is dropped.
pub struct SecretObject(Object);

impl Deref for SecretObject {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.0
    }
}

impl Drop for SecretObject {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Why bytes were not taken. Says nothing of their content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StrictJsonError {
    /// No JSON, nested too deeply, a member twice, or something after the value.
    #[error("no well-formed JSON, nested too deeply, or a member twice")]
    Malformed,
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads exactly one JSON object.
pub fn object(bytes: &[u8]) -> Result<Object, StrictJsonError> {
    read(bytes, Repeats::Refused)
}

/// The same, where a repeated member is no fault: the last counts. The `once` are refused when the outermost object has
/// them twice, and so is anything that stands twice inside of one of them.
pub fn object_of_last(bytes: &[u8], once: &[&str]) -> Result<Object, StrictJsonError> {
    read(bytes, Repeats::LastCounts { but: once })
}

fn read(bytes: &[u8], repeats: Repeats<'_>) -> Result<Object, StrictJsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH, repeats }
        .deserialize(&mut deserializer)
        .map_err(|_| StrictJsonError::Malformed)?;
    deserializer.end().map_err(|_| StrictJsonError::Malformed)?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(StrictJsonError::NotAnObject),
    }
}

/// The same, of one that may hold secrets.
pub fn secret_object(bytes: &[u8]) -> Result<SecretObject, StrictJsonError> {
    object(bytes).map(SecretObject)
}

/// A text member; empty counts as absent.
pub fn text<'a>(members: &'a Object, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// What becomes of a member that stands there twice.
#[derive(Clone, Copy)]
enum Repeats<'a> {
    Refused,
    /// Below the outermost object none is refused, but inside of these.
    LastCounts {
        but: &'a [&'a str],
    },
}

struct Strict<'a> {
    depth: u8,
    repeats: Repeats<'a>,
}

impl Strict<'_> {
    /// For what a member of this name holds.
    fn inside<E: Error>(&self, name: &str) -> Result<Strict<'static>, E> {
        let repeats = if self.refuses(name) { Repeats::Refused } else { Repeats::LastCounts { but: &[] } };
        self.deeper(repeats)
    }

    fn deeper<E: Error>(&self, repeats: Repeats<'static>) -> Result<Strict<'static>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Strict { depth, repeats })
    }

    fn refuses(&self, name: &str) -> bool {
        match self.repeats {
            Repeats::Refused => true,
            Repeats::LastCounts { but } => but.contains(&name),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        let of_items = match self.repeats {
            Repeats::Refused => Repeats::Refused,
            Repeats::LastCounts { .. } => Repeats::LastCounts { but: &[] },
        };
        while let Some(item) = items.next_element_seed(self.deeper(of_items)?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        // An empty one has no member that would be too deep.
        self.deeper::<A::Error>(Repeats::Refused)?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.inside(&name)?)?;
            let is_refused = object.contains_key(&name) && self.refuses(&name);
            object.insert(name, value);
            if is_refused {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_c_08_a_member_that_stands_there_twice_is_refused_at_any_depth() {
        assert_eq!(object(br#"{"a":1,"a":2}"#), Err(StrictJsonError::Malformed));
        assert_eq!(object(br#"{"a":[{"b":1,"b":1}]}"#), Err(StrictJsonError::Malformed));
        assert!(object(br#"{"a":{"b":1},"b":2}"#).is_ok());
    }

    #[test]
    fn of_what_only_informs_the_last_counts_but_for_what_decides() {
        let read = |text: &str| object_of_last(text.as_bytes(), &["sub"]).map(Value::Object);
        assert_eq!(read(r#"{"a":1,"sub":"x","a":2}"#), Ok(serde_json::json!({"a": 2, "sub": "x"})));
        assert_eq!(
            read(r#"{"sub":"x","a":[{"sub":1,"sub":{"b":1,"b":2}}]}"#),
            Ok(serde_json::json!({"sub": "x", "a": [{"sub": {"b": 2}}]}))
        );
        assert_eq!(read(r#"{"sub":"x","sub":"x"}"#), Err(StrictJsonError::Malformed));
        assert_eq!(read(r#"{"sub":"x","\u0073ub":"x"}"#), Err(StrictJsonError::Malformed));
        assert_eq!(
            read(r#"{"sub":[{"b":{"c":1,"c":2}}]}"#),
            Err(StrictJsonError::Malformed),
            "inside of it too"
        );
        assert_eq!(read(r#"{"a":1,"a":2}x"#), Err(StrictJsonError::Malformed));
    }

    #[test]
    fn r_c_08_depth_is_bounded() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(31).as_bytes()).is_ok());
        assert_eq!(object(nested(33).as_bytes()), Err(StrictJsonError::Malformed));
        assert_eq!(object(nested(100_000).as_bytes()), Err(StrictJsonError::Malformed));
        for innermost in ["[]", "{}"] {
            let around = |depth| nested(depth).replacen("[]", &format!("[{innermost}]"), 1);
            assert!(object(around(30).as_bytes()).is_ok(), "{innermost}");
            assert_eq!(object(around(31).as_bytes()), Err(StrictJsonError::Malformed), "{innermost}");
        }
    }

    #[test]
    fn r_k_04_no_text_is_left_of_an_object_that_may_hold_secrets() {
        let mut value = serde_json::json!({"a": "secret", "b": [{"c": "secret"}, "secret", 1], "d": null});
        wipe(&mut value);
        assert_eq!(value, serde_json::json!({"a": "", "b": [{"c": ""}, "", 1], "d": null}));
        let read = secret_object(br#"{"a":"secret"}"#).map(|members| text(&members, "a").map(str::to_owned));
        assert_eq!(read, Ok(Some("secret".to_owned())));
    }

    #[test]
    fn only_one_whole_object_is_taken() {
        assert_eq!(object(b"[]"), Err(StrictJsonError::NotAnObject));
        for bad in [&b""[..], b"{", b"{}x", b"<html>", b"\xff{}", br#"{"a":1e999}"#] {
            assert_eq!(object(bad), Err(StrictJsonError::Malformed));
        }
    }
}
