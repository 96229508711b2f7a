//! The calls of targets in the document. OpenAPI knows neither "any method" nor a parameter with slashes in it: so the
//! methods that clients use are named one by one, and the path says in words that it may have more than one segment.

use serde_json::{Map, Value, json};

/// Where they stand.
pub(super) const PATH: &str = "/v1/targets/{target}/{path}";

/// What every operation's name begins with.
pub(super) const OPERATION: &str = "callTargetBy";

/// HEAD and OPTIONS are forwarded as well; nobody generates a client for them.
const METHODS: [&str; 5] = ["Get", "Post", "Put", "Patch", "Delete"];

const DESCRIPTION: &str = "What stands behind the target's name is sent to the target as it is: method, path, query, body \
and end-to-end headers. Relais adds a token for the session's person and sends none of its own credentials. The body \
passes in both directions as it comes, whatever its length.\n\nIt is a use of the session. A 401 of the target is the \
target's: the session lives on. `Relais-Answer` says whose an answer is: `target`, or `relais` for the problems below. \
HEAD and OPTIONS are forwarded like the others.";

/// The path item.
pub(super) fn item() -> Value {
    let operations: Map<String, Value> =
        METHODS.iter().map(|method| (method.to_lowercase(), operation(method))).collect();
    operations.into()
}

fn operation(method: &str) -> Value {
    let mut operation = json!({
        "tags": ["Targets"],
        "summary": format!("Call a target: {}", method.to_uppercase()),
        "description": DESCRIPTION,
        "operationId": format!("{OPERATION}{method}"),
        "parameters": [
            {
                "name": "target", "in": "path", "required": true,
                "description": "The name of the target, as the operator of Relais gave it.",
                "schema": { "type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$" },
            },
            {
                "name": "path", "in": "path", "required": true,
                "description": "The path below the target's base, with its slashes as they are, and behind it the \
                    query. Encoded slashes and dots, empty segments, `.` and `..` are refused.",
                "schema": { "type": "string" },
            },
        ],
        "security": [{ "session_handle": [] }, { "application": [], "acting_session": [] }],
        "responses": { "default": {
            "description": "The target's own answer, whatever its status.",
            "headers": { "Relais-Answer": {
                "description": "`target`", "schema": { "type": "string" },
            } },
        } },
    });
    if matches!(method, "Post" | "Put" | "Patch") {
        let body = json!({
            "description": "Whatever the target takes, at most its `request_max`.",
            "content": { "*/*": { "schema": { "type": "string", "format": "binary" } } },
        });
        operation["requestBody"] = body;
    }
    operation
}
