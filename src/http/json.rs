//! Strict JSON for request bodies (R-H-02): duplicate members and deep nesting are refused with their pointer
//! (RFC 6901), where an ordinary reader would silently keep the last one.

mod fields;

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub(super) use fields::Fields;

/// How deep a body may nest.
const DEPTH: usize = 16;

/// How many problems of one body are told: enough to correct it, too few to be an amplifier.
const REPORTED: usize = 20;

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct FieldError {
    /// A JSON pointer into the body, `?name` of a query parameter, or the name of a header.
    pub(super) pointer: String,
    /// The rule's name.
    pub(super) rule: &'static str,
    /// For the developer.
    pub(super) message: String,
}

impl FieldError {
    pub(super) fn new(pointer: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule, message: message.into() }
    }
}

/// Reads one JSON text (RFC 8259) of at most [`DEPTH`] levels whose objects have no member twice.
pub(super) fn read(text: &[u8]) -> Result<Value, Vec<FieldError>> {
    let errors = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let strict = Strict { errors: &errors, pointer: String::new(), depth: 0 };
    let outcome = strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    let mut errors = errors.into_inner();
    match outcome {
        Ok(value) if errors.is_empty() => Ok(value),
        Err(error) if errors.is_empty() => {
            // The parser's own text may quote the body.
            let place = format!("no valid JSON: line {}, column {}", error.line(), error.column());
            Err(vec![FieldError::new("", "json", place)])
        }
        _ => {
            errors.truncate(REPORTED);
            Err(errors)
        }
    }
}

/// The same value with the members of every object in order: two texts that say the same become the same bytes.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// The pointer of `member` below `parent`.
fn below(parent: &str, member: &str) -> String {
    // A member name is the caller's: long ones are cut, they only have to be recognised.
    let name: String = member.chars().take(64).collect();
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Strict<'a> {
    errors: &'a RefCell<Vec<FieldError>>,
    pointer: String,
    depth: usize,
}

impl<'a> Strict<'a> {
    fn child(&self, member: &str) -> Strict<'a> {
        Strict { errors: self.errors, pointer: below(&self.pointer, member), depth: self.depth + 1 }
    }

    fn problem(&self, pointer: String, rule: &'static str, message: &str) {
        self.errors.borrow_mut().push(FieldError::new(pointer, rule, message));
    }

    /// One level deeper, if that is allowed.
    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < DEPTH {
            return Ok(());
        }
        self.problem(self.pointer.clone(), "depth", "nested more than 16 levels deep");
        Err(E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self.child(&items.len().to_string()))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.child(&name))?;
            if members.contains_key(&name) {
                self.problem(below(&self.pointer, &name), "duplicate_member", "appears more than once");
                if self.errors.borrow().len() >= REPORTED {
                    return Err(A::Error::custom("too many problems"));
                }
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Vec<(String, &'static str)> {
        read(text.as_bytes()).expect_err(text).into_iter().map(|error| (error.pointer, error.rule)).collect()
    }

    #[test]
    fn what_is_well_formed_is_read_as_it_stands() {
        let text = r#"{"b":[1,-2,2.5,true,null,"é\n"],"a":{"":{}}}"#;
        let value = read(text.as_bytes()).expect("JSON");
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn r_h_02_duplicate_members_are_refused_with_their_pointers_all_at_once() {
        assert_eq!(
            refused(r#"{"a":1,"a":2,"b":{"c/d~":1,"x":[{"y":0,"y":0}],"c/d~":2}}"#),
            [
                ("/a".to_owned(), "duplicate_member"),
                ("/b/x/0/y".to_owned(), "duplicate_member"),
                ("/b/c~1d~0".to_owned(), "duplicate_member"),
            ]
        );
        assert_eq!(refused(r#"{"\u0061":1,"a":2}"#), [("/a".to_owned(), "duplicate_member")]);
    }

    #[test]
    fn r_h_02_depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(16).as_bytes()).is_ok());
        assert_eq!(refused(&nested(17))[0].1, "depth");
        assert_eq!(refused(&nested(5000))[0].1, "depth");
        let objects = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
        assert_eq!(refused(&objects), [("/a".repeat(16), "depth")]);
    }

    #[test]
    fn r_h_07_what_is_no_json_is_refused_without_being_quoted() {
        for text in ["", "{", "{\"secret-canary\"}", "[1,]", "{} {}", "nul", "\"\u{1}\"", "01", "1e999"] {
            let errors = read(text.as_bytes()).expect_err(text);
            assert_eq!((errors.len(), errors[0].rule), (1, "json"), "{text}");
            assert!(!errors[0].message.contains("canary"), "{text}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}").expect_err("not UTF-8")[0].rule, "json");
    }

    #[test]
    fn r_h_09_the_number_of_reported_problems_is_bounded() {
        let text = format!("{{{}\"b\":1}}", "\"a\":1,".repeat(1000));
        assert_eq!(refused(&text).len(), REPORTED);
    }

    #[test]
    fn the_canonical_form_knows_no_order_of_members() {
        let canonical_of = |text: &str| canonical(&read(text.as_bytes()).expect("JSON")).to_string();
        assert_eq!(canonical_of(r#"{"b":{"d":1,"c":[2,1]},"a":0}"#), r#"{"a":0,"b":{"c":[2,1],"d":1}}"#);
        assert_ne!(canonical_of("[1,2]"), canonical_of("[2,1]"));
    }
}
