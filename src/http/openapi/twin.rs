//! OpenAPI 3.1 said in 3.0, for generators that refuse 3.1. Only what our document uses is translated; what 3.0 cannot
//! say (client certificates as a security scheme) is left out.

use serde_json::{Map, Value, json};

/// The twin of `document`.
pub(super) fn of(mut document: Value) -> Value {
    translate(&mut document);
    let Value::Object(members) = &mut document else { return document };
    members.insert("openapi".to_owned(), "3.0.3".into());
    if let Some(info) = members.get_mut("info").and_then(Value::as_object_mut) {
        info.remove("summary");
        if let Some(license) = info.get_mut("license").and_then(Value::as_object_mut)
            && let Some(Value::String(identifier)) = license.remove("identifier")
        {
            license.insert("url".to_owned(), format!("https://spdx.org/licenses/{identifier}.html").into());
        }
    }
    without_client_certificates(members);
    document
}

/// 3.0 has no `mutualTLS`: the scheme and the alternatives that name it go.
fn without_client_certificates(document: &mut Map<String, Value>) {
    let schemes = document
        .get_mut("components")
        .and_then(|components| components.get_mut("securitySchemes"))
        .and_then(Value::as_object_mut);
    let Some(schemes) = schemes else { return };
    let unsayable: Vec<_> = schemes
        .iter()
        .filter(|(_, scheme)| scheme["type"] == "mutualTLS")
        .map(|(name, _)| name.clone())
        .collect();
    schemes.retain(|name, _| !unsayable.contains(name));
    let Some(paths) = document.get_mut("paths") else { return };
    for operation in super::operations(paths) {
        if let Some(Value::Array(alternatives)) = operation.get_mut("security") {
            alternatives.retain(|alternative| unsayable.iter().all(|name| alternative.get(name).is_none()));
        }
    }
}

/// Schemas, wherever they stand.
fn translate(value: &mut Value) {
    match value {
        Value::Object(members) => {
            nullable(members);
            if let Some(Value::Array(examples)) = members.get("examples") {
                let first = examples.first().cloned();
                members.remove("examples");
                if let Some(first) = first {
                    members.insert("example".to_owned(), first);
                }
            }
            // Beside a reference 3.0 ignores every other member, and some readers refuse them.
            if members.contains_key("$ref") && members.len() > 1 {
                let reference = members.remove("$ref").unwrap_or_default();
                members.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
            }
            members.values_mut().for_each(translate);
        }
        Value::Array(items) => items.iter_mut().for_each(translate),
        _ => {}
    }
}

/// `"type": ["string", "null"]`, or one of two schemas of which one is null.
fn nullable(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get("type") {
        let named = types.iter().find(|name| *name != "null").cloned();
        let null = types.iter().any(|name| name == "null");
        if let Some(named) = named {
            members.insert("type".to_owned(), named);
        }
        if null {
            members.insert("nullable".to_owned(), true.into());
        }
    }
    let Some(Value::Array(choices)) = members.get("oneOf") else { return };
    if !choices.iter().any(|choice| choice["type"] == "null") {
        return;
    }
    let other = choices.iter().find(|choice| choice["type"] != "null").cloned().unwrap_or_default();
    members.remove("oneOf");
    let Value::Object(other) = other else { return };
    // A reference cannot be made nullable in 3.0; where one stands, what is left out says the same.
    if !other.contains_key("$ref") {
        members.insert("nullable".to_owned(), true.into());
    }
    for (name, value) in other {
        members.entry(name).or_insert(value);
    }
}
