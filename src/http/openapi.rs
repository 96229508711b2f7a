//! The OpenAPI document of the client API: assembled from what stands beside each handler, served, and shown.
//!
//! - Routes, parameters and shapes come from the handlers and their types (`utoipa`); a route that is served is in the
//!   document. What every call has in common (refusals, languages, correlation) is added here, in one place.
//! - Words of answers that may grow are no closed `enum`: a generated client must not fail on a new one.
//! - The 3.0 twin says the same for generators that refuse 3.1; it is derived and never written by hand.
//! - `docs/openapi.json` is the document as it stands: a test compares it, so that no change goes unseen.
//!
//! Nothing here needs a credential, a store or a provider, and nothing is loaded from elsewhere.

mod page;
mod problems;
mod targets;
mod twin;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use serde_json::{Map, Value, json};
use url::Url;

use super::clients;

/// The shapes of bodies that are read strictly.
const REQUESTS: [&str; 4] = ["StartLogin", "PickUp", "ChooseExercice", "Introspect"];

/// The texts that [`super::json::Fields::printable`] takes: no control, and nothing that hides or reorders.
const PRINTABLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\
    \\ufff9-\\ufffb]*$";

/// Where the schema of a JSON body stands in it.
const JSON_SCHEMA: &str = "/content/application~1json/schema";

const EVENT_STREAM: &str = "text/event-stream";

/// Stands where no server is known: in the repository and in the terminal.
const NO_SERVER: &str = "https://relais.example.fr:8443";

/// The document, of OpenAPI 3.1, as it is without a server.
#[must_use]
pub fn document() -> Value {
    of_server(NO_SERVER)
}

/// The same in OpenAPI 3.0.
#[must_use]
pub fn document_3_0() -> Value {
    twin::of(document())
}

/// The document as the server at `public_url` serves it.
fn of_server(public_url: &str) -> Value {
    let generated = serde_json::to_value(clients::routes().into_openapi());
    let Ok(Value::Object(mut document)) = generated else { return Value::Null };
    let mut schemas = schemas(document.get("components").and_then(|components| components.get("schemas")));
    schemas.insert("Problem".to_owned(), problems::schema());
    let mut paths = document.remove("paths").unwrap_or_default();
    if let Value::Object(paths) = &mut paths {
        paths.insert(targets::PATH.to_owned(), targets::item());
    }
    for operation in operations(&mut paths) {
        complete(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Relais client API",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Sign people in through CIBA, without OAuth",
            "description": DESCRIPTION,
            "license": { "name": "EUPL-1.2", "identifier": "EUPL-1.2" },
        },
        "servers": [{ "url": public_url.trim_end_matches('/') }],
        "tags": [
            { "name": "Application", "description": "The caller itself. Authenticated as the application." },
            { "name": "Logins", "description": "From the start to the pick-up. Started as the application, then \
                opened by the login token." },
            { "name": "Session", "description": "What a login leads to. Opened by the session handle; to a back end also \
                by its own credential with the handle beside it." },
            { "name": "Targets", "description": "Downstream APIs, called with a token for the session." },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters(),
            "headers": problems::headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

const DESCRIPTION: &str = "Start a login, show the two digits, pick the session up: two calls. Every answer about a \
login has the sentence to show (`user_message`), French or English by `Accept-Language`.\n\nRefusals are RFC 9457 \
problems; `code` is what a program looks at. Unknown members of a request are refused with their pointer; clients \
ignore unknown members of answers and expect words that they do not know.\n\nBelow a login or a session the token is \
the credential. Where the application authenticates by certificate, the connection must carry it there too.";

/// What the calls themselves do not say.
fn complete(operation: &mut Map<String, Value>) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let security = operation.get("security").cloned().unwrap_or_default();
    let alternatives: Vec<Value> =
        security.as_array().into_iter().flatten().flat_map(ways_to_be_an_application).collect();
    operation.insert("security".to_owned(), alternatives.into());
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Value::Array(parameters) = parameters {
        for schema in parameters.iter_mut().filter_map(|parameter| parameter.get_mut("schema")) {
            *schema = without_null(schema);
        }
        for name in ["AcceptLanguage", "RequestId", "Traceparent"] {
            parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        }
    }
    if let Some(schema) = operation.get_mut("requestBody").and_then(|body| body.pointer_mut(JSON_SCHEMA)) {
        *schema = without_null(schema);
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Value::Object(responses) = responses else { return };
    for answer in responses.values_mut().filter_map(Value::as_object_mut) {
        if let Some(stream) = answer.get_mut("content").and_then(|content| content.get_mut(EVENT_STREAM)) {
            // 3.1 cannot say of a stream what each event holds.
            *stream = json!({ "x-event-data": stream["schema"] });
        }
        let headers = answer.entry("headers").or_insert_with(|| json!({}));
        if let Value::Object(headers) = headers {
            headers.insert("X-Request-Id".to_owned(), json!({ "$ref": "#/components/headers/RequestId" }));
        }
    }
    responses.extend(problems::responses(&id));
}

/// An application proves who it is in one of three ways, whatever else comes with it.
fn ways_to_be_an_application(alternative: &Value) -> Vec<Value> {
    let Some(own) = alternative.get("application") else { return vec![alternative.clone()] };
    let ways = ["application", "application_assertion", "application_certificate"];
    ways.map(|way| {
        let others = alternative.as_object().into_iter().flatten().filter(|(name, _)| *name != "application");
        let others = others.map(|(name, scopes)| (name.clone(), scopes.clone()));
        std::iter::once((way.to_owned(), own.clone())).chain(others).collect()
    })
    .into()
}

/// The schema of a value that is left out and never null.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    let choices = schema.get("oneOf").and_then(Value::as_array);
    choices.and_then(|choices| choices.iter().find(|it| it["type"] != "null")).cloned().unwrap_or(schema)
}

fn operations(paths: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    let items = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    items.filter_map(Value::as_object_mut)
}

/// No member that is not named: what a request says and nobody reads is a mistake that must show. And no character
/// that does not show.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            if members.contains_key("maxLength") && !members.contains_key("pattern") {
                members.insert("pattern".to_owned(), PRINTABLE.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Every enumeration of answers opened, those of requests stand inside their bodies; every request closed.
fn schemas(generated: Option<&Value>) -> Map<String, Value> {
    let mut schemas = generated.and_then(Value::as_object).cloned().unwrap_or_default();
    for schema in schemas.values_mut().filter_map(Value::as_object_mut) {
        if let Some(words) = schema.remove("enum") {
            schema.insert("x-extensible-enum".to_owned(), words);
        }
    }
    for name in REQUESTS {
        schemas.get_mut(name).into_iter().for_each(close);
    }
    schemas
}

fn parameters() -> Value {
    json!({
        "AcceptLanguage": {
            "name": "Accept-Language", "in": "header", "required": false,
            "description": "The language of `user_message`: `fr` (default) or `en`.",
            "schema": { "type": "string", "examples": ["fr"] },
        },
        "RequestId": {
            "name": "X-Request-Id", "in": "header", "required": false,
            "description": "The caller's name for this call, 8 to 64 letters, digits and hyphens; it comes back and \
                stands in the log. Absent or malformed: drawn by Relais.",
            "schema": { "type": "string" },
        },
        "Traceparent": {
            "name": "traceparent", "in": "header", "required": false,
            "description": "W3C Trace Context; echoed.",
            "schema": { "type": "string" },
        },
    })
}

fn security_schemes() -> Value {
    let bearer =
        |description: &str| json!({ "type": "http", "scheme": "bearer", "description": description });
    json!({
        "application": {
            "type": "http", "scheme": "basic",
            "description": "Name and secret of the application, each form-encoded first (RFC 6749, section 2.3.1).",
        },
        "application_assertion": {
            "type": "apiKey", "in": "header", "name": "Relais-Client-Assertion",
            "description": "A JWT that a key of the application has signed (RFC 7523), for one call: `iss` and `sub` are \
                its name, `aud` is this server's public URL (a text), `exp` lies at most 60 s ahead, `jti` is new.",
        },
        "application_certificate": {
            "type": "mutualTLS",
            "description": "The connection's client certificate, which belongs to exactly one application.",
        },
        "login_token": bearer("`login_token` of the answer to a start: `rlt_…`."),
        "acting_session": {
            "type": "apiKey", "in": "header", "name": "Relais-Session",
            "description": "The handle of the session that a back end acts with, beside its own credential: one of its \
                own, or of an application that it acts for.",
        },
        "session_handle": bearer("`session_handle` of the answer to a pick-up: `rsh_…`."),
    })
}

/// What is served, made once, when it is first asked for.
struct Served {
    document: Bytes,
    document_3_0: Bytes,
    page: Result<Bytes, askama::Error>,
}

/// `/openapi.json`, `/openapi-3.0.json`, and the page that shows the document.
pub(super) fn router<S: Clone + Send + Sync + 'static>(public_url: &Url) -> Router<S> {
    let public_url = public_url.clone();
    let served = Arc::new(LazyLock::new(move || {
        let document = of_server(public_url.as_str());
        Served {
            page: page::of(&document).map(Bytes::from),
            document: document.to_string().into(),
            document_3_0: twin::of(document).to_string().into(),
        }
    }));
    let (newer, older, shown) = (served.clone(), served.clone(), served);
    Router::new()
        .route("/openapi.json", get(async move || json_answer(&newer.document)))
        .route("/openapi-3.0.json", get(async move || json_answer(&older.document_3_0)))
        .route("/docs", get(async move || page_answer(&shown.page)))
        .route("/docs.css", get(async || ([(CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)))
}

fn json_answer(document: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.clone()).into_response()
}

fn page_answer(page: &Result<Bytes, askama::Error>) -> Result<Response, super::problem::Problem> {
    let page = page.as_ref().map_err(|error| super::problem::Problem::internal(error))?;
    let mut answer = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.clone()).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}
