//! The OpenAPI document: as it is served, as it stands in the repository, and as the server takes requests by it.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use relais::app::{openapi_document, openapi_document_3_0};
use serde_json::{Map, Value, json};

use super::world::{LOGICIEL, World};

/// Set, the snapshot is written instead of compared.
const BLESS: &str = "RELAIS_BLESS";

#[test]
fn the_document_in_the_repository_is_the_one_of_the_code() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let now = format!("{:#}\n", openapi_document());
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(file, &now).expect("the snapshot can be written");
    }
    let kept = std::fs::read_to_string(file).expect("docs/openapi.json is there");
    assert!(kept == now, "the client API has changed: look at the change, then run this test with {BLESS}=1");
}

#[tokio::test]
async fn documents_and_page_are_served_without_a_credential() {
    let world = World::new().await;
    let get = async |path: &str| world.call(Method::GET, path, &[], "").await;
    let served = get("/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (StatusCode::OK, "application/json"));
    let mut expected = openapi_document();
    expected["servers"][0]["url"] = "https://relais.test:8443".into();
    assert_eq!(served.json(), expected);
    let older = get("/openapi-3.0.json").await;
    assert_eq!((older.status, older.json()["openapi"].clone()), (StatusCode::OK, json!("3.0.3")));
    let page = get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    for path in openapi_document()["paths"].as_object().expect("paths").keys() {
        assert!(page.text.contains(path), "{path} is not on the page");
    }
    for elsewhere in ["http://", "src=", "<script", "@import"] {
        assert!(!page.text.contains(elsewhere), "{elsewhere}");
    }
    assert!(!page.text.contains("<code></code>"), "every shape has a name");
    let style = get("/docs.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(!style.text.contains("url("), "the style sheet loads something");
    assert_eq!(
        world.call(Method::POST, "/openapi.json", &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

/// Each place in a document where there is an object.
fn walk(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            look(members);
            members.values().for_each(|member| walk(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_unused() {
    for document in [openapi_document(), openapi_document_3_0()] {
        let mut used = BTreeSet::new();
        walk(&document, &mut |members| {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
                used.insert(reference.to_owned());
            }
        });
        for kind in ["schemas", "parameters", "headers"] {
            for name in document["components"][kind].as_object().expect(kind).keys() {
                assert!(used.contains(&format!("#/components/{kind}/{name}")), "{kind} {name} is unused");
            }
        }
    }
}

#[test]
fn the_twin_says_nothing_that_3_0_does_not_know() {
    let twin = openapi_document_3_0();
    walk(&twin, &mut |members| {
        assert!(!members.get("type").is_some_and(Value::is_array), "{members:?}");
        assert!(!members.contains_key("examples") && !members.contains_key("const"), "{members:?}");
        assert!(!members.contains_key("$ref") || members.len() == 1, "{members:?}");
        assert_ne!(members.get("type"), Some(&json!("null")), "{members:?}");
        assert_ne!(members.get("type"), Some(&json!("mutualTLS")), "{members:?}");
        assert!(!members.contains_key("nullable") || members.contains_key("type"), "{members:?}");
    });
    let operations = |document: &Value| {
        let paths = document["paths"].as_object().expect("paths").clone();
        paths.values().map(|item| item.as_object().expect("an item").len()).sum::<usize>()
    };
    assert_eq!(operations(&twin), operations(&openapi_document()), "the same calls");
    let security = json!([{ "application": [] }, { "application_assertion": [] }]);
    assert_eq!(twin["paths"]["/v1/logins"]["post"]["security"], security);
}

/// The inline or referred schema that is not null.
fn inner(schema: &Value) -> Value {
    let choices = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let chosen = choices.into_iter().find(|choice| choice["type"] != "null").expect("a schema");
    match chosen["$ref"].as_str() {
        Some(reference) => openapi_document().pointer(&reference[1..]).expect("it leads somewhere").clone(),
        None => chosen,
    }
}

/// A value of a schema, with every member that it knows.
fn example(schema: &Value) -> Value {
    let schema = inner(schema);
    if let Some(properties) = schema["properties"].as_object() {
        return properties.iter().map(|(name, member)| (name.clone(), example(member))).collect();
    }
    let of_type = |name: &str| {
        schema["type"] == name || schema["type"].as_array().is_some_and(|it| it.contains(&name.into()))
    };
    match &schema["enum"][0] {
        Value::Null if of_type("integer") => json!(90),
        Value::Null if of_type("string") => json!("x"),
        Value::Null => panic!("no example of {schema}"),
        word => word.clone(),
    }
}

/// The pointers that a refusal names for `rule`.
fn pointers(answer: &Value, rule: &str) -> BTreeSet<String> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors
        .filter(|error| error["rule"] == rule)
        .map(|error| error["pointer"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Every member of a schema as a JSON pointer, those of inner objects too.
fn members(schema: &Value, place: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (name, member) in inner(schema)["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{place}/{name}");
        all.extend(members(member, &pointer));
        all.insert(pointer);
    }
    all
}

#[tokio::test]
async fn a_start_takes_every_member_that_the_document_names_and_no_other() {
    let world = World::new().await;
    let document = openapi_document();
    let schema =
        &document["paths"]["/v1/logins"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let mut body = example(schema);
    let refused = world.start_with(LOGICIEL, &[], &body.to_string()).await;
    assert_eq!(pointers(&refused.json(), "unknown_member"), BTreeSet::new(), "{}", refused.text);
    assert_eq!(pointers(&refused.json(), "type"), BTreeSet::new(), "{}", refused.text);
    // A number where none belongs, everywhere at once: each member is known, and looked at.
    for pointer in members(schema, "") {
        let inner_object = body.pointer(&pointer).expect("it is there").is_object();
        if !inner_object && !pointer.ends_with("requested_expiry") {
            *body.pointer_mut(&pointer).expect("it is there") = json!(7);
        }
    }
    body["requested_expiry"] = json!("x");
    let refused = world.start_with(LOGICIEL, &[], &body.to_string()).await;
    let leaves: BTreeSet<_> =
        members(schema, "").into_iter().filter(|it| !body.pointer(it).expect("there").is_object()).collect();
    assert_eq!(pointers(&refused.json(), "type"), leaves, "{}", refused.text);
    for place in ["", "/client_context", "/client_context/software"] {
        let mut body = example(schema);
        body.pointer_mut(place).expect("an object")["more"] = json!(1);
        let refused = world.start_with(LOGICIEL, &[], &body.to_string()).await;
        assert_eq!(pointers(&refused.json(), "unknown_member"), BTreeSet::from([format!("{place}/more")]));
    }
    let required = inner(schema)["required"].clone();
    let empty = world.start_with(LOGICIEL, &[], "{}").await;
    let missing: Vec<_> =
        pointers(&empty.json(), "required").into_iter().map(|it| it[1..].to_owned()).collect();
    assert_eq!(json!(missing), required);
}

#[tokio::test]
async fn rp_019_a_requested_expiry_is_what_the_document_says() {
    let world = World::new().await;
    let document = openapi_document();
    let schema = &document["components"]["schemas"]["StartLogin"]["properties"]["requested_expiry"];
    let bound = |name: &str| schema[name].as_u64().expect("a number");
    let (least, most) = (bound("minimum"), bound("maximum"));
    for (value, is_refused) in [
        (json!(least), false),
        (json!(most), false),
        (json!(30.0), false),
        (json!(least - 1), true),
        (json!(most + 1), true),
        (json!(30.5), true),
    ] {
        let body = json!({ "login_hint": "899700000001", "requested_expiry": value });
        let answer = world.start_with(LOGICIEL, &[], &body.to_string()).await;
        let refused = pointers(&answer.json(), "range").contains("/requested_expiry");
        assert_eq!(refused, is_refused, "{value}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_longest_text_that_the_document_allows_is_taken_and_one_more_is_not() {
    let world = World::new().await;
    let document = openapi_document();
    let start = &document["components"]["schemas"]["StartLogin"]["properties"];
    for name in ["reference", "user_code"] {
        let longest = usize::try_from(start[name]["maxLength"].as_u64().expect("a length")).expect("small");
        for (length, is_refused) in [(longest, false), (longest + 1, true)] {
            let mut body = json!({ "login_hint": "899700000001" });
            body[name] = "x".repeat(length).into();
            let answer = world.start_with(LOGICIEL, &[], &body.to_string()).await;
            let refused = !pointers(&answer.json(), "length").is_empty();
            assert_eq!(refused, is_refused, "{name} of {length}: {}", answer.text);
        }
    }
}
