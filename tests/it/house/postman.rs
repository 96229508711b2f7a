//! The Postman collection, which a client developer opens first: it has a request for every route of the OpenAPI
//! document, and each request says what it is for, tests its answer and, below `/v1`, shows one.
//!
//! `docs/openapi.json` is the snapshot of what the server serves; whether the tests hold, `scripts/outside` sees.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// The members of a path item that are methods (OpenAPI 3.1, "Path Item Object").
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A member's elements; none where it is no list.
fn list<'a>(parent: &'a Value, member: &str) -> &'a [Value] {
    parent[member].as_array().map_or(&[], Vec::as_slice)
}

/// The requests below a folder, in all its folders.
fn requests(folder: &Value) -> Vec<&Value> {
    list(folder, "item")
        .iter()
        .flat_map(|item| if item.get("item").is_some() { requests(item) } else { vec![item] })
        .collect()
}

/// The segments of the path that a request is sent to.
fn path_of(request: &Value) -> Vec<&str> {
    list(&request["request"]["url"], "path").iter().filter_map(Value::as_str).collect()
}

/// Whether a path of the collection is one of the template's: `{login_id}` is `{{login_id}}` there.
fn is_of(template: &str, path: &[&str]) -> bool {
    let placed = template.trim_start_matches('/').replace('{', "{{").replace('}', "}}");
    placed.split('/').eq(path.iter().copied())
}

fn missing_routes(document: &Value, collection: &Value) -> Vec<String> {
    let requests = requests(collection);
    let sends = |method: &str, template: &str| {
        requests.iter().any(|request| {
            let same =
                request["request"]["method"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(method));
            same && is_of(template, &path_of(request))
        })
    };
    let mut missing = Vec::new();
    for (template, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS.into_iter().filter(|method| item.get(*method).is_some()) {
            if !sends(method, template) {
                missing.push(format!("{} {template}: no request of the collection", method.to_uppercase()));
            }
        }
    }
    missing
}

fn unfinished_requests(collection: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for request in requests(collection) {
        let described =
            request["request"]["description"].as_str().is_some_and(|text| !text.trim().is_empty());
        let tested = list(request, "event")
            .iter()
            .filter(|event| event["listen"] == "test")
            .flat_map(|event| list(&event["script"], "exec"))
            .any(|line| line.as_str().is_some_and(|line| line.contains("pm.test(")));
        let shown = path_of(request).first() != Some(&"v1") || !list(request, "response").is_empty();
        for (lack, has) in [("description", described), ("test", tested), ("example", shown)] {
            if !has {
                found.push(format!("{} (/{}): no {lack}", request["name"], path_of(request).join("/")));
            }
        }
    }
    found
}

#[test]
fn the_collection_has_every_route() {
    let document = read("docs/openapi.json");
    let routes = document["paths"].as_object().map_or(0, serde_json::Map::len);
    assert!(routes >= 9, "only {routes} paths found: the test looks in the wrong place");
    let missing = missing_routes(&document, &read("postman/relais.postman_collection.json"));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_request_of_the_collection_is_described_tested_and_shown() {
    let collection = read("postman/relais.postman_collection.json");
    let count = requests(&collection).len();
    assert!(count > 40, "only {count} requests found: the test looks in the wrong place");
    let unfinished = unfinished_requests(&collection);
    assert!(unfinished.is_empty(), "{}", unfinished.join("\n"));
}

// === The checker, on samples ===

fn sample() -> Value {
    json!({"item": [{"name": "folder", "item": [{
        "name": "Cancel",
        "event": [
            {"listen": "prerequest", "script": {"exec": ["pm.test('elsewhere')"]}},
            {"listen": "test", "script": {"exec": ["", "pm.test('204', () => {});"]}},
        ],
        "request": {
            "method": "DELETE",
            "url": {"path": ["v1", "logins", "{{login_id}}"]},
            "description": "Cancels.",
        },
        "response": [{"code": 204}],
    }]}]})
}

#[test]
fn a_route_without_a_request_is_found() {
    let of = |document: Value| missing_routes(&document, &sample());
    assert_eq!(of(json!({"paths": {"/v1/logins/{login_id}": {"delete": {}, "parameters": []}}})), [""; 0]);
    for (template, method) in [
        ("/v1/logins/{login_id}", "get"),
        ("/v1/logins/{session_id}", "delete"),
        ("/v1/logins/{login_id}/events", "delete"),
        ("/v1/logins", "delete"),
        ("/v1/sessions/{login_id}", "delete"),
    ] {
        assert_eq!(of(json!({"paths": {template: {method: {}}}})).len(), 1, "{method} {template}");
    }
}

#[test]
fn an_unfinished_request_is_found() {
    assert_eq!(unfinished_requests(&sample()), [""; 0]);
    for (pointer, value) in [
        ("/request/description", json!(" ")),
        ("/request/description", json!(null)),
        ("/event/1/script/exec", json!(["// no test"])),
        ("/event/1/listen", json!("prerequest")),
        ("/event", json!([])),
        ("/response", json!([])),
    ] {
        let mut collection = sample();
        let member = collection.pointer_mut(&format!("/item/0/item/0{pointer}"));
        *member.expect("a member of the sample") = value;
        assert_eq!(unfinished_requests(&collection).len(), 1, "{pointer}");
    }
}
