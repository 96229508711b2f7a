//! Who may ask, with which credential, and which questions are refused.

use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::SigningAlg;
use relais::domain::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{INTROSPECT, SECTIONS, application, stack};
use crate::support::http::{Answer, Caller};
use crate::support::jwt::Key;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `listeners.clients.public_url` of a stack.
const AUDIENCE: &str = "http://127.0.0.1:0";

/// A stack with the application `signer`, which acts for `desk` and signs.
struct World {
    stack: Stack,
    key: Key,
    handle: String,
}

impl World {
    async fn on(backend: Backend) -> Self {
        let mut stack = Stack::on(backend).sections(SECTIONS).paced().start().await;
        let key = Key::generate(SigningAlg::Es256);
        let file = stack.folder.join("signer.json");
        std::fs::write(&file, json!({ "keys": [key.jwk()] }).to_string()).expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("set");
        stack.config.push_str(
            "[applications.signer]\nkind = \"backend\"\ntenant = \"practice\"\nregistrations = [\"psc\"]\n\
             acts_for = [\"desk\"]\nauth = \"private_key_jwt\"\njwks_file = \"signer.json\"\n",
        );
        stack.restart().await;
        let handle = stack.session(DOCTOR).await.text("/session_handle");
        Self { stack, key, handle }
    }

    fn assertion(&self) -> String {
        let now = self.stack.clock.now().as_secs();
        self.key
            .sign(&json!({ "iss": "signer", "sub": "signer", "aud": AUDIENCE, "iat": now, "exp": now + 30,
            "jti": relais::domain::random::uuid_v4(&SystemRandom) }))
    }

    async fn asks(&self, caller: &Caller, more: &[(&str, &str)]) -> Answer {
        let members: Vec<(&str, &str)> =
            more.iter().copied().chain([("token", self.handle.as_str())]).collect();
        caller.post_form(INTROSPECT, &members).await
    }
}

#[track_caller]
fn refused(answer: Answer) {
    let answer = answer.expect_problem(401, "application_unauthenticated");
    assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Basic realm=")));
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_01_a_form_may_carry_the_assertion_and_it_counts_once() {
    for backend in BACKENDS {
        let world = World::on(backend).await;
        let nobody = world.stack.relais.clone();
        for named in [&[][..], &[("client_id", "signer")]] {
            let assertion = world.assertion();
            let form =
                [&[("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)], named].concat();
            let answer = world.asks(&nobody, &form).await.expect(200);
            assert_eq!((answer.at("/active"), answer.text("/client_id")), (json!(true), "desk".to_owned()));
            refused(world.asks(&nobody, &form).await);
            refused(world.asks(&nobody.header("relais-client-assertion", &assertion), &[]).await);
        }
        let header = nobody.header("relais-client-assertion", &world.assertion());
        let answer =
            world.asks(&header, &[("client_id", "signer"), ("token_type_hint", "access_token")]).await;
        assert_eq!(answer.expect(200).at("/active"), json!(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_a_form_carries_one_credential_or_the_head_does() {
    let world = World::on(Backend::Sqlite).await;
    let (nobody, desk) = (world.stack.relais.clone(), world.stack.desk());
    world.asks(&nobody, &[]).await.expect_problem(401, "credential_missing");
    world.asks(&nobody, &[("client_id", "desk")]).await.expect_problem(401, "credential_missing");
    let fresh = || ("client_assertion", world.assertion());
    for (caller, with_type, named) in [
        (&desk, true, None),
        (&desk, false, None),
        (&nobody, false, None),
        (&nobody, true, Some("desk")),
        (&nobody, true, Some("")),
    ] {
        let (member, assertion) = fresh();
        let mut form = vec![(member, assertion.as_str())];
        form.extend(with_type.then_some(("client_assertion_type", JWT_BEARER)));
        form.extend(named.map(|name| ("client_id", name)));
        refused(world.asks(caller, &form).await);
    }
    let (member, assertion) = fresh();
    for kind in ["urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "jwt-bearer", ""] {
        let form = [(member, assertion.as_str()), ("client_assertion_type", kind)];
        refused(world.asks(&nobody, &form).await);
    }
    refused(world.asks(&nobody, &[("client_assertion_type", JWT_BEARER)]).await);
    refused(world.asks(&desk, &[("client_assertion_type", JWT_BEARER)]).await);
    refused(world.asks(&nobody, &[("client_assertion_type", JWT_BEARER), (member, "x")]).await);
    refused(world.asks(&desk, &[("client_id", "hub")]).await);
    world.asks(&desk, &[("client_id", "desk")]).await.expect(200);
    // What was refused for its form has not been spent.
    world.asks(&nobody, &[(member, &assertion), ("client_assertion_type", JWT_BEARER)]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_not_understood_is_refused_with_its_place() {
    let stack = stack(Backend::Sqlite).await;
    let desk = application(&stack, "desk");
    let places = |answer: Answer| -> Vec<(String, String)> {
        let errors = answer.expect_problem(400, "invalid_request").at("/errors");
        let errors = errors.as_array().expect("a list").clone();
        let text = |error: &Value, name: &str| error[name].as_str().expect(name).to_owned();
        errors.iter().map(|error| (text(error, "pointer"), text(error, "rule"))).collect()
    };
    let form = async |text: &str| {
        let kind = "application/x-www-form-urlencoded; charset=UTF-8";
        desk.send_text(Method::POST, INTROSPECT, kind, text).await
    };
    for (text, expected) in [
        ("", &[("/token", "required")][..]),
        ("touch=true", &[("/token", "required")]),
        ("token=x&touch=1", &[("/touch", "enum")]),
        ("token=x&touch=", &[("/touch", "enum")]),
        ("token=x&Touch=true", &[("/Touch", "unknown_member")]),
        ("token=x&client_secret=y", &[("/client_secret", "unknown_member")]),
        ("token=x&a=1&token=y&a=2", &[("/token", "duplicate_member"), ("/a", "duplicate_member")]),
        ("token=x&%74oken=y", &[("/token", "duplicate_member")]),
        ("rsh_x1", &[("", "form")]),
        ("{\"token\":\"x\"}", &[("", "form")]),
        ("token=x&client_assertion=a&client_assertion=b", &[("/client_assertion", "duplicate_member")]),
        ("more=1&touch=x", &[("/token", "required"), ("/touch", "enum"), ("/more", "unknown_member")]),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|(place, rule)| ((*place).to_owned(), (*rule).to_owned())).collect();
        assert_eq!(places(form(text).await), expected, "{text}");
    }
    let query = desk.post_form("/v1/introspect?token=x", &[("token", "x")]).await;
    assert_eq!(places(query), [("?token".to_owned(), "unknown_parameter".to_owned())]);
    desk.post(INTROSPECT, json!({"token": "x"})).await.expect_problem(415, "unsupported_media_type");
    for kind in ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded; charset=latin1"] {
        let answer = desk.send_text(Method::POST, INTROSPECT, kind, "token=x").await;
        answer.expect_problem(415, "unsupported_media_type");
    }
    let large = format!("token={}", "x".repeat(16 * 1024));
    form(&large).await.expect_problem(413, "request_too_large");
    desk.get(INTROSPECT).await.expect_problem(405, "method_not_allowed");
    // Whoever is nobody is told that first.
    let nobody = stack.relais.basic("desk", "wrong");
    nobody.post_form(INTROSPECT, &[("x", "1")]).await.expect_problem(401, "application_unauthenticated");
}
