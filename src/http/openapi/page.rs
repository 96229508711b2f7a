//! The document as a page to read: one HTML text and one style sheet, no script, nothing from elsewhere.

use askama::Template;
use serde_json::{Map, Value};

/// What the page may load: its own style sheet.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The style sheet, served beside the page.
pub(super) const STYLE: &str = include_str!("../../../templates/http/docs.css");

/// A piece of a description: between backticks it is code.
struct Span {
    code: bool,
    text: String,
}

/// Paragraphs and list items of a description.
type Prose = Vec<Vec<Span>>;

/// A parameter, a member of a body, or a header.
struct Field {
    name: String,
    place: String,
    shape: String,
    required: bool,
    about: Prose,
}

struct Answer {
    status: String,
    shape: Option<String>,
    about: Prose,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Prose,
    credentials: Vec<String>,
    fields: Vec<Field>,
    answers: Vec<Answer>,
}

struct Group {
    name: String,
    about: Prose,
    operations: Vec<Operation>,
}

struct Shape {
    name: String,
    about: Prose,
    fields: Vec<Field>,
    words: Vec<String>,
}

#[derive(Template)]
#[template(path = "http/docs.html")]
struct Page {
    title: String,
    version: String,
    server: String,
    about: Prose,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// The page that shows `document`.
pub(super) fn of(document: &Value) -> Result<String, askama::Error> {
    let groups = array(&document["tags"]).iter().map(|tag| group(document, tag)).collect();
    let shapes =
        members(&document["components"]["schemas"]).map(|(name, schema)| shape(document, name, schema));
    Page {
        title: text(&document["info"]["title"]),
        version: text(&document["info"]["version"]),
        server: text(&document["servers"][0]["url"]),
        about: prose(&document["info"]["description"]),
        groups,
        shapes: shapes.collect(),
    }
    .render()
}

fn group(document: &Value, tag: &Value) -> Group {
    let name = text(&tag["name"]);
    let operations = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method, operation)))
        .filter(|(_, _, operation)| array(&operation["tags"]).iter().any(|tag| *tag == name.as_str()))
        .map(|(path, method, operation)| read_operation(document, path, method, operation))
        .collect();
    Group { name, about: prose(&tag["description"]), operations }
}

fn read_operation(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let mut fields: Vec<_> = array(&operation["parameters"])
        .iter()
        .map(|parameter| {
            let parameter = resolved(document, parameter);
            Field {
                name: text(&parameter["name"]),
                place: text(&parameter["in"]),
                shape: shape_of(&parameter["schema"]),
                required: parameter["required"] == true,
                about: prose(&parameter["description"]),
            }
        })
        .collect();
    let body = members(&operation["requestBody"]["content"]).next().map(|(_, content)| &content["schema"]);
    if let Some(body) = body {
        fields.extend(fields_of(document, body, "body"));
    }
    let answers = members(&operation["responses"]).map(|(status, answer)| Answer {
        status: status.to_owned(),
        shape: members(&answer["content"]).next().map(|(_, content)| match &content["x-event-data"] {
            Value::Null => shape_of(&content["schema"]),
            event => format!("stream of {}", shape_of(event)),
        }),
        about: prose(&answer["description"]),
    });
    let together = |alternative| members(alternative).map(|(name, _)| name).collect::<Vec<_>>().join(" + ");
    let credentials = array(&operation["security"]).iter().map(together);
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        about: prose(&operation["description"]),
        credentials: credentials.collect(),
        fields,
        answers: answers.collect(),
    }
}

fn shape(document: &Value, name: &str, schema: &Value) -> Shape {
    Shape {
        name: name.to_owned(),
        about: prose(&schema["description"]),
        fields: fields_of(document, schema, ""),
        words: array(&schema["x-extensible-enum"]).iter().map(text).collect(),
    }
}

/// The members of an object, those of objects inside it below their own name.
fn fields_of(document: &Value, schema: &Value, place: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let schema = inner(document, schema);
    let required = array(&schema["required"]);
    for (name, member) in members(&schema["properties"]) {
        fields.push(Field {
            name: name.to_owned(),
            place: place.to_owned(),
            shape: shape_of(member),
            required: required.iter().any(|it| *it == name),
            about: prose(&member["description"]),
        });
        let inline = alternatives(member).find(|it| it.get("properties").is_some());
        for below in inline.into_iter().flat_map(|inline| fields_of(document, inline, place)) {
            fields.push(Field { name: format!("{name}.{}", below.name), ..below });
        }
    }
    fields
}

/// The schema behind a reference or an optional one.
fn inner<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let chosen = alternatives(schema).find(|it| it["type"] != "null").unwrap_or(schema);
    resolved(document, chosen)
}

/// The schemas that a schema may be: itself, or those it lists.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let listed = ["oneOf", "anyOf", "allOf"].into_iter().find_map(|word| schema[word].as_array());
    listed.map_or(std::slice::from_ref(schema), Vec::as_slice).iter()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// A schema in a few words.
fn shape_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return name.to_owned();
    }
    let mut parts = Vec::new();
    for alternative in alternatives(schema) {
        if alternative["type"] == "null" {
            parts.push("null".to_owned());
            continue;
        }
        if !std::ptr::eq(alternative, schema) {
            parts.push(shape_of(alternative));
            continue;
        }
        let types: Vec<_> = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            one => vec![text(one)],
        };
        for name in types {
            parts.push(match name.as_str() {
                "array" => format!("array of {}", shape_of(&schema["items"])),
                "string" => schema["format"].as_str().unwrap_or("string").to_owned(),
                _ => name,
            });
        }
        let words: Vec<_> = array(&schema["enum"]).iter().filter_map(Value::as_str).collect();
        if !words.is_empty() {
            parts = vec![words.join(" | ")];
        }
    }
    parts.join(" or ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn prose(value: &Value) -> Prose {
    let text = value.as_str().unwrap_or_default();
    let blocks = text.split("\n\n").flat_map(|block| block.split("\n- ")).filter(|block| !block.is_empty());
    blocks.map(|block| spans(block.strip_prefix("- ").unwrap_or(block))).collect()
}

fn spans(text: &str) -> Vec<Span> {
    let pieces = text.split('`').enumerate().filter(|(_, text)| !text.is_empty());
    pieces.map(|(place, text)| Span { code: place % 2 == 1, text: text.to_owned() }).collect()
}
