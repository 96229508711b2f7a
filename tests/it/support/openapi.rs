//! Holds every answer that a test gets against the OpenAPI document: what is not described may not be answered.
//!
//! Stricter than the document is with clients: here an answer has no member and no word that the document does not know.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use relais::app::openapi_document;
use relais::domain::time::Timestamp;
use reqwest::Method;
use serde_json::Value;

use super::http::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi_document);

/// Refusals before a call is known: no route describes them.
const BEFORE_ANY_CALL: [&str; 2] = ["not_found", "method_not_allowed"];

/// Fails where `answer` to a call of the client API is not what the document says.
#[track_caller]
pub fn describes(method: &Method, path: &str, answer: &Answer) {
    if answer.header("relais-answer") == Some("target") {
        // Its shape is the target's business.
        return;
    }
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.as_u16();
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    if is_problem && BEFORE_ANY_CALL.contains(&answer.text("/code").as_str()) {
        return;
    }
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{method} {path}: {status} is not described: {}", answer.body);
    let Some(media) = answer.header("content-type") else {
        assert!(described.get("content").is_none(), "{method} {path}: {status} without its body");
        return;
    };
    let content = &described["content"][media];
    let schema = content.get("schema").unwrap_or(&content["x-event-data"]);
    assert!(schema.is_object(), "{method} {path}: {status} with {media} is not described");
    if is_problem {
        let code = answer.text("/code");
        let known = described["description"].as_str().unwrap_or_default();
        assert!(known.contains(&format!("`{code}`")), "{method} {path}: {status} {code} is not described");
    }
    if media.ends_with("json") {
        let mut faults = Vec::new();
        compare(schema, &answer.json(), "", &mut faults);
        assert!(faults.is_empty(), "{method} {path}: {status} {faults:#?}\n{}", answer.body);
    }
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let template = |template: &str| {
        template.split('/').count() == path.split('/').count()
            && template
                .split('/')
                .zip(path.split('/'))
                .all(|(one, other)| one.starts_with('{') || one == other)
    };
    let (_, item) = DOCUMENT["paths"].as_object()?.iter().find(|(name, _)| template(name))?;
    item.get(method.as_str().to_lowercase())
}

fn compare(schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let referred = DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return compare(referred, value, place, faults);
    }
    if !has_type(&schema["type"], value) {
        faults.push(format!("{place} is {value}, not {}", schema["type"]));
    }
    if let (Some(words), Some(word)) = (schema["x-extensible-enum"].as_array(), value.as_str())
        && !words.iter().any(|known| known == word)
    {
        faults.push(format!("{place}: {word} is not a word of the document"));
    }
    let well_formed = match (schema["format"].as_str(), value.as_str()) {
        (Some("uuid"), Some(text)) => uuid::Uuid::try_parse(text).is_ok(),
        (Some("date-time"), Some(text)) => serde_json::from_value::<Timestamp>(text.into()).is_ok(),
        _ => true,
    };
    if !well_formed {
        faults.push(format!("{place}: {value} is no {}", schema["format"]));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        compare(&schema["items"], item, &format!("{place}/{number}"), faults);
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (name, member) in members {
        match properties.get(name) {
            Some(property) => compare(property, member, &format!("{place}/{name}"), faults),
            None => faults.push(format!("{place}/{name} is not in the document")),
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: BTreeSet<_> = required.filter(|name| !members.contains_key(*name)).collect();
    if !missing.is_empty() {
        faults.push(format!("{place} lacks {missing:?}"));
    }
}

fn has_type(types: &Value, value: &Value) -> bool {
    let one = |name: &Value| match name.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("null") => value.is_null(),
        _ => true,
    };
    types.as_array().map_or_else(|| one(types), |types| types.iter().any(one))
}
