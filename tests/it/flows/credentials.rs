//! Who is calling: every route against every wrong credential. A route without a row here fails the test.

mod assertions;
mod certificates;
mod key_sets;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, DOCTOR, SECRET, Stack};

/// Whose credential a route takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    Application,
    LoginToken,
    Handle,
}

use Who::{Application, Handle, LoginToken};

/// Every route of the client API.
pub(super) const ROUTES: [(&str, &str, Who); 12] = [
    ("get", "/v1/application", Application),
    ("post", "/v1/logins", Application),
    ("get", "/v1/logins/{login_id}", LoginToken),
    ("delete", "/v1/logins/{login_id}", LoginToken),
    ("get", "/v1/logins/{login_id}/events", LoginToken),
    ("post", "/v1/logins/{login_id}/session", LoginToken),
    ("get", "/v1/session", Handle),
    ("delete", "/v1/session", Handle),
    ("get", "/v1/session/userinfo", Handle),
    ("get", "/v1/session/events", Handle),
    ("put", "/v1/session/exercice", Handle),
    ("post", "/v1/introspect", Application),
];

/// Those of targets: whatever the method, and whatever stands behind the name.
const OF_TARGETS: [(&str, &str, Who); 5] = [
    ("get", TARGET, Handle),
    ("post", TARGET, Handle),
    ("put", TARGET, Handle),
    ("patch", TARGET, Handle),
    ("delete", TARGET, Handle),
];
const TARGET: &str = "/v1/targets/{target}/{path}";

/// Somebody else's person.
const NURSE: &str = "899700000002";

const SECTIONS: &str = r#"
[applications.other]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-the-other"
"#;

/// The routes as the router declares them: each of them is in the document, which the router itself writes.
fn declared() -> Vec<(String, String)> {
    let document = relais::app::openapi_document();
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods").keys();
            methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_declared_route_has_its_row() {
    let mut declared = declared();
    let mut rows: Vec<_> = ROUTES
        .iter()
        .chain(&OF_TARGETS)
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    declared.sort();
    rows.sort();
    assert_eq!(declared, rows);
}

/// A stack with a pending login and a session of `desk`, and the same of `other`.
struct World {
    stack: Stack,
    login_id: String,
    token: String,
    handle: String,
    other_token: String,
    other_handle: String,
}

impl World {
    async fn on(backend: crate::support::stack::Backend) -> Self {
        let stack = Stack::on(backend).manual_clock().sections(SECTIONS).start().await;
        let handle = stack.sign_in(DOCTOR).await.text("/session_handle");
        let mine = stack.start(DOCTOR).await.expect(201);
        let other = stack.relais.basic("other", "a-secret-of-the-other");
        let signed_in = stack.sign_in_as(&other, NURSE).await.text("/session_handle");
        let theirs = other.post("/v1/logins", json!({ "login_hint": NURSE })).await.expect(201);
        Self {
            login_id: mine.text("/login_id"),
            token: mine.text("/login_token"),
            handle,
            other_token: theirs.text("/login_token"),
            other_handle: signed_in,
            stack,
        }
    }

    /// A path with what its parts stand for.
    fn address(&self, path: &str) -> String {
        path.replace("{login_id}", &self.login_id).replace(TARGET, "/v1/targets/api/x")
    }

    /// Calls a route as `caller`.
    async fn call(&self, caller: &Caller, (method, path, _): (&str, &str, Who)) -> Answer {
        let path = self.address(path);
        if path == "/v1/introspect" {
            return caller.post_form(&path, &[("token", &self.handle)]).await;
        }
        let body = match (method, path.as_str()) {
            ("post", "/v1/logins") => json!({ "login_hint": "899700000003" }),
            ("put", _) => json!({ "id": "x" }),
            _ => Value::Null,
        };
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        caller.send(method, &path, Some(body)).await
    }

    /// The caller whose credential is right for `who`.
    fn right(&self, who: Who) -> Caller {
        match who {
            Application => self.stack.desk(),
            LoginToken => self.stack.relais.bearer(&self.token),
            Handle => self.stack.relais.bearer(&self.handle),
        }
    }

    /// Nothing has happened to what was pending and active before.
    async fn is_untouched(&self) {
        let login = format!("/v1/logins/{}", self.login_id);
        let login = self.right(LoginToken).get(&login).await.expect(200);
        assert_eq!(login.text("/status"), "pending");
        let session = self.right(Handle).get("/v1/session").await.expect(200);
        assert_eq!((session.text("/status"), session.at("/exercice")), ("active".to_owned(), Value::Null));
        self.stack.relais.bearer(&self.other_handle).get("/v1/session").await.expect(200);
        let rung: Vec<_> = self.stack.requests().await;
        assert!(rung.iter().all(|request| request["login_hint"] != "899700000003"), "a phone rang");
    }
}

#[track_caller]
fn unauthenticated(answer: Answer, code: &str, scheme: &str) {
    let answer = answer.expect_problem(401, code);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with(scheme), "{challenge}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_no_route_answers_without_its_own_credential() {
    for backend in BACKENDS {
        let world = World::on(backend).await;
        for route in ROUTES.into_iter().chain(OF_TARGETS) {
            none(&world, route).await;
            bad(&world, route).await;
            foreign(&world, route).await;
            of_another_kind(&world, route).await;
            two(&world, route).await;
            dpop(&world, route).await;
        }
        world.is_untouched().await;
    }
}

async fn none(world: &World, route: (&str, &str, Who)) {
    let relais = &world.stack.relais;
    let scheme = if route.2 == Application { "Basic realm=" } else { "Bearer realm=" };
    unauthenticated(world.call(relais, route).await, "credential_missing", scheme);
    // In other places a credential is none.
    let query = format!("access_token={0}&token={0}", world.token);
    let path = format!("{}?{query}", world.address(route.1));
    let cookie = relais.header("cookie", &format!("token={}; session={}", world.token, world.handle));
    let method = Method::from_bytes(route.0.to_uppercase().as_bytes()).expect("a method");
    unauthenticated(cookie.send(method, &path, None).await, "credential_missing", scheme);
    if route.0 == "get" {
        let head = relais.send(Method::HEAD, &world.address(route.1), None).await;
        assert_eq!((head.status.as_u16(), head.body.as_str()), (401, ""), "{route:?}");
    }
}

async fn bad(world: &World, route: (&str, &str, Who)) {
    let relais = &world.stack.relais;
    match route.2 {
        Application => {
            for (name, secret) in [
                ("desk", "wrong"),
                ("desk", ""),
                ("nobody", SECRET),
                ("other", SECRET),
                ("Desk", SECRET),
                ("", ""),
                ("desk%", SECRET),
            ] {
                let answer = world.call(&relais.basic(name, secret), route).await;
                unauthenticated(answer, "application_unauthenticated", "Basic realm=");
            }
            for header in ["Basic", "Basic ", "Basic !!!", "Basic ZGVzaw==", "Negotiate YII=", "desk", " "] {
                let caller = relais.header("authorization", header);
                unauthenticated(world.call(&caller, route).await, "application_unauthenticated", "Basic");
            }
        }
        LoginToken => {
            for token in ["x", "rlt_", "rlt_unknown", &tampered(&world.token), &format!("{} x", world.token)]
            {
                let answer = world.call(&relais.bearer(token), route).await;
                answer.expect_problem(404, "login_not_found");
            }
            malformed_bearer(world, route).await;
        }
        Handle => {
            for handle in
                ["x", "rsh_", "rsh_unknown", &tampered(&world.handle), &format!("{} x", world.handle)]
            {
                let answer = world.call(&relais.bearer(handle), route).await;
                unauthenticated(answer, "handle_invalid", "Bearer realm=\"relais\", error=");
            }
            malformed_bearer(world, route).await;
        }
    }
}

async fn malformed_bearer(world: &World, route: (&str, &str, Who)) {
    for header in ["Bearer", "Bearer ", "Token x", &world.token, &world.handle] {
        let caller = world.stack.relais.header("authorization", header);
        unauthenticated(world.call(&caller, route).await, "credential_missing", "Bearer realm=");
    }
}

/// The same token with one character changed, of its secret part.
fn tampered(token: &str) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[20] = if bytes[20] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

async fn foreign(world: &World, route: (&str, &str, Who)) {
    let relais = &world.stack.relais;
    match route.2 {
        // Another application's secret is that application's credential; it opens nothing of this one's (below).
        Application => {}
        LoginToken => {
            let answer = world.call(&relais.bearer(&world.other_token), route).await;
            answer.expect_problem(404, "login_not_found");
        }
        Handle => {
            let mine = world.right(Handle).get("/v1/session").await.expect(200);
            let theirs = relais.bearer(&world.other_handle).get("/v1/session").await.expect(200);
            assert_ne!(mine.text("/session_id"), theirs.text("/session_id"));
            assert_eq!(
                (mine.text("/application"), theirs.text("/application")),
                ("desk".into(), "other".into())
            );
        }
    }
}

async fn of_another_kind(world: &World, route: (&str, &str, Who)) {
    let relais = &world.stack.relais;
    match route.2 {
        Application => {
            for token in [&world.token, &world.handle] {
                let answer = world.call(&relais.bearer(token), route).await;
                unauthenticated(answer, "application_unauthenticated", "Basic realm=");
            }
        }
        LoginToken => {
            for handle in [world.handle.as_str(), "rsh_unknown"] {
                let answer = world.call(&relais.bearer(handle), route).await;
                unauthenticated(answer, "wrong_token_kind", "Bearer realm=\"relais\", error=");
            }
            unauthenticated(world.call(&world.stack.desk(), route).await, "credential_missing", "Bearer");
        }
        Handle => {
            for token in [world.token.as_str(), "rlt_unknown"] {
                let answer = world.call(&relais.bearer(token), route).await;
                unauthenticated(answer, "wrong_token_kind", "Bearer realm=\"relais\", error=");
            }
            unauthenticated(world.call(&world.stack.desk(), route).await, "credential_missing", "Bearer");
        }
    }
}

async fn two(world: &World, route: (&str, &str, Who)) {
    let right = world.right(route.2);
    for second in ["relais-client-assertion", "relais-session"] {
        let answer = world.call(&right.header(second, &world.handle), route).await;
        answer.expect_problem(401, "application_unauthenticated");
    }
    for second in [format!("Bearer {}", world.token), format!("Bearer {}", world.handle), "Basic eDp5".into()]
    {
        let answer = world.call(&right.also("authorization", &second), route).await;
        answer.expect_problem(401, "application_unauthenticated");
    }
}

async fn dpop(world: &World, route: (&str, &str, Who)) {
    let right = world.right(route.2);
    let answer = world.call(&right.header("dpop", "eyJhbGciOiJFUzI1NiJ9.e30.x"), route).await;
    answer.expect_problem(400, "dpop_unsupported");
    for scheme in ["DPoP", "dpop"] {
        let scheme = right.header("authorization", &format!("{scheme} {}", world.token));
        world.call(&scheme, route).await.expect_problem(400, "dpop_unsupported");
    }
}

/// The rows above are refused for their credential, not for anything else: the right one passes.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_credential_opens_every_route() {
    let world = World::on(crate::support::stack::Backend::Sqlite).await;
    for route in ROUTES {
        let expected: &[u16] = match route.0 {
            "delete" => continue,
            "put" => &[409],
            "post" if route.2 == LoginToken => &[409],
            "post" if route.1 == "/v1/introspect" => &[200],
            "post" => &[201],
            _ => &[200],
        };
        let path = route.1.replace("{login_id}", &world.login_id);
        let status = if path.ends_with("/events") {
            world.right(route.2).open(&path).await.status().as_u16()
        } else {
            world.call(&world.right(route.2), route).await.status.as_u16()
        };
        assert!(expected.contains(&status), "{route:?}: {status}");
    }
    for route in ROUTES.into_iter().filter(|route| route.0 == "delete") {
        world.call(&world.right(route.2), route).await.expect(204);
    }
}
