//! The members of a request object, read one by one; every problem is collected, and what nobody asked for is one.

use serde_json::{Map, Number, Value};

use super::{FieldError, below};

/// An object that is being read. `null` counts as absent: many serialisers write it for what was not set.
pub(in crate::http) struct Fields {
    pointer: String,
    members: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Starts reading the body.
    pub(in crate::http) fn new(body: Value) -> Result<Self, Vec<FieldError>> {
        match body {
            Value::Object(members) => Ok(Self { pointer: String::new(), members, errors: Vec::new() }),
            _ => Err(vec![FieldError::new("", "type", "must be an object")]),
        }
    }

    /// Starts reading a form. A member that stands there twice is refused at once: which of the two counts, nobody can say.
    /// So is what has no names: whoever sends a token, or JSON, as it is would find it in the answer as one.
    pub(in crate::http) fn of_form(form: &[u8]) -> Result<Self, Vec<FieldError>> {
        let mut members = Map::new();
        let mut errors = Vec::new();
        for (name, value) in url::form_urlencoded::parse(form) {
            if !is_form_name(&name) {
                return Err(vec![FieldError::new("", "form", "is no form of names and values")]);
            }
            if members.contains_key(&*name) {
                errors.push(FieldError::new(below("", &name), "duplicate_member", "appears more than once"));
                if errors.len() >= super::REPORTED {
                    break;
                }
            } else {
                members.insert(name.into_owned(), Value::String(value.into_owned()));
            }
        }
        if errors.is_empty() { Ok(Self { pointer: String::new(), members, errors }) } else { Err(errors) }
    }

    /// An optional text.
    pub(in crate::http) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.refuse(name, "type", "must be a string"),
        }
    }

    /// A text that must be there.
    pub(in crate::http) fn required_text(&mut self, name: &str) -> Option<String> {
        if self.members.get(name).is_none_or(Value::is_null) {
            return self.refuse(name, "required", "is missing");
        }
        self.text(name)
    }

    /// An optional text of at most `longest` printable characters.
    pub(in crate::http) fn printable(&mut self, name: &str, longest: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.chars().count() > longest {
            return self.refuse(name, "length", &format!("must have at most {longest} characters"));
        }
        if !text.chars().all(is_printable) {
            return self.refuse(name, "characters", "must have printable characters only");
        }
        Some(text)
    }

    /// An optional list of words with spaces between them, as OAuth writes `scope` and `acr_values`.
    pub(in crate::http) fn words(&mut self, name: &str) -> Option<Vec<String>> {
        let text = self.text(name)?;
        Some(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    /// An optional whole number from 1 to `most`. `120.0` is one (JSON Schema's `integer`), `1.5` is not.
    pub(in crate::http) fn positive(&mut self, name: &str, most: u32) -> Option<u32> {
        match self.take(name)? {
            Value::Number(number) => match whole(&number).filter(|it| (1..=most).contains(it)) {
                Some(number) => Some(number),
                None => self.refuse(name, "range", &format!("must be a whole number from 1 to {most}")),
            },
            _ => self.refuse(name, "type", "must be a number"),
        }
    }

    /// An optional word out of a few.
    pub(in crate::http) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.refuse(name, "enum", &format!("must be one of: {}", words.join(", ")))
    }

    /// An optional object, read by `read`, as it stands.
    pub(in crate::http) fn object(&mut self, name: &str, read: impl FnOnce(&mut Self)) -> Option<Value> {
        match self.take(name)? {
            Value::Object(members) => {
                let whole = Value::Object(members.clone());
                let mut inner = Self { pointer: below(&self.pointer, name), members, errors: Vec::new() };
                read(&mut inner);
                inner.refuse_leftovers();
                self.errors.append(&mut inner.errors);
                Some(whole)
            }
            _ => self.refuse(name, "type", "must be an object"),
        }
    }

    /// Notes a problem of a member; always `None`.
    pub(in crate::http) fn refuse<T>(&mut self, name: &str, rule: &'static str, message: &str) -> Option<T> {
        self.errors.push(FieldError::new(below(&self.pointer, name), rule, message));
        None
    }

    /// Ends the reading: every problem, those of unknown members among them.
    pub(in crate::http) fn finish(mut self) -> Result<(), Vec<FieldError>> {
        self.refuse_leftovers();
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    fn refuse_leftovers(&mut self) {
        for (name, _) in std::mem::take(&mut self.members).into_iter().take(super::REPORTED) {
            self.errors.push(FieldError::new(
                below(&self.pointer, &name),
                "unknown_member",
                "is not a member of this request",
            ));
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

/// A word: no token, no identifier and no JSON is one.
fn is_form_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphabetic() || b"_-.".contains(&b))
}

/// A number that is whole and fits, however it is written.
fn whole(number: &Number) -> Option<u32> {
    if let Some(number) = number.as_u64() {
        return u32::try_from(number).ok();
    }
    let number =
        number.as_f64().filter(|it| it.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(it))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and in range, as has just been checked"
    )]
    Some(number as u32)
}

/// Whether a character shows as itself: no control, and none of those that hide or reorder others (R-L-06).
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(body: Value) -> Fields {
        Fields::new(body).unwrap_or_else(|_| panic!("an object"))
    }

    fn found(errors: Result<(), Vec<FieldError>>) -> Vec<(String, &'static str)> {
        errors.err().unwrap_or_default().into_iter().map(|error| (error.pointer, error.rule)).collect()
    }

    #[test]
    fn every_problem_of_a_body_is_told_at_once() {
        let mut body = fields(json!({
            "a": 1, "c": "\u{202e}", "d": "xyz", "e": 0, "f": "often", "g": {"h": true, "more": 1}, "more": 1,
        }));
        assert_eq!(body.text("a"), None);
        assert_eq!(body.required_text("b"), None);
        assert_eq!(body.printable("c", 8), None);
        assert_eq!(body.printable("d", 2), None);
        assert_eq!(body.positive("e", 9), None);
        assert_eq!(body.choice("f", &[("once", 1), ("twice", 2)]), None);
        let _ = body.object("g", |inner| assert_eq!(inner.text("h"), None));
        let expected = [
            ("/a", "type"),
            ("/b", "required"),
            ("/c", "characters"),
            ("/d", "length"),
            ("/e", "range"),
            ("/f", "enum"),
            ("/g/h", "type"),
            ("/g/more", "unknown_member"),
            ("/more", "unknown_member"),
        ];
        assert_eq!(found(body.finish()), expected.map(|(pointer, rule)| (pointer.to_owned(), rule)));
    }

    #[test]
    fn what_fits_is_read_and_null_is_absent() {
        let mut body = fields(json!({
            "a": "x", "b": null, "c": " openid  scope_all ", "d": 120, "e": "twice", "f": {"g": "y"}
        }));
        assert_eq!(body.required_text("a").as_deref(), Some("x"));
        assert_eq!(body.text("b"), None);
        assert_eq!(body.words("c"), Some(vec!["openid".to_owned(), "scope_all".to_owned()]));
        assert_eq!(body.positive("d", 120), Some(120));
        assert_eq!(body.choice("e", &[("once", 1), ("twice", 2)]), Some(2));
        let whole = body.object("f", |inner| assert_eq!(inner.text("g").as_deref(), Some("y")));
        assert_eq!(whole, Some(json!({"g": "y"})));
        assert_eq!(found(body.finish()), []);
    }

    #[test]
    fn a_form_is_read_like_a_body_of_texts() {
        let form = |text: &str| Fields::of_form(text.as_bytes());
        let mut read = form("token=a%2Bb+c&touch=yes&more=1").unwrap_or_else(|_| panic!("a form"));
        assert_eq!(read.required_text("token").as_deref(), Some("a+b c"));
        assert_eq!(read.choice("touch", &[("true", true), ("false", false)]), None);
        assert_eq!(read.required_text("missing"), None);
        let expected = [("/touch", "enum"), ("/missing", "required"), ("/more", "unknown_member")];
        assert_eq!(found(read.finish()), expected.map(|(pointer, rule)| (pointer.to_owned(), rule)));
        assert_eq!(
            found(form("token=a&x.y=1&token=b&x%2Ey=2&touch").map(|_| ())),
            ["/token", "/x.y"].map(|pointer| (pointer.to_owned(), "duplicate_member"))
        );
        let many = format!("a=1{}", "&a=1".repeat(5000));
        assert_eq!(form(&many).err().map(|errors| errors.len()), Some(super::super::REPORTED));
        assert_eq!(found(form("").map(|_| ())), []);
    }

    #[test]
    fn r_h_07_what_is_no_form_is_refused_without_being_quoted() {
        let handle = "rsh_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWx";
        for text in
            [handle, "{\"token\":\"x\"}", "=x", "token=x&899700000001", "token=x&\u{e9}=1", "token=x&a b=1"]
        {
            let errors = Fields::of_form(text.as_bytes()).err().unwrap_or_default();
            assert_eq!(errors, [FieldError::new("", "form", "is no form of names and values")], "{text}");
        }
    }

    #[test]
    fn a_required_member_may_not_be_null() {
        let mut body = fields(json!({"a": null}));
        assert_eq!(body.required_text("a"), None);
        assert_eq!(found(body.finish())[0], ("/a".to_owned(), "required"));
    }

    #[test]
    fn numbers_are_whole_and_positive() {
        for good in [json!(1), json!(1.0), json!(90), json!(9e1)] {
            assert!(fields(json!({ "n": good })).positive("n", 90).is_some(), "{good}");
        }
        let absurd = [json!(4_294_967_296_u64), json!(4_294_967_296.0), json!(1e300), json!(-1e300)];
        for bad in [json!(-1), json!(0), json!(-0.0), json!(1.5), json!(91)].into_iter().chain(absurd) {
            let mut body = fields(json!({ "n": bad }));
            assert_eq!(body.positive("n", 90), None);
            assert_eq!(found(body.finish()), [("/n".to_owned(), "range")]);
        }
    }

    #[test]
    fn a_body_is_an_object() {
        assert!(Fields::new(json!([])).is_err());
        assert!(Fields::new(json!(null)).is_err());
    }
}
