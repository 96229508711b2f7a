//! A person signs in by each way in which Relais proves at the provider who it is; the provider checks it.

use std::path::Path;
use std::time::Duration;

use relais::crypto::key_file;
use relais::crypto::signing_key::SigningAlg;
use relais::simulator::{Method, Registered};
use serde_json::{Value, json};

use crate::support::jwt::{self, Key};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// What providers call.
const LISTENER: &str = "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

/// The provider does not take the client for what it says to be.
const REJECTED: &str = "provider_rejected_client";

fn read(stack: &Stack, name: &str, alg: SigningAlg) -> Key {
    let pem = std::fs::read_to_string(stack.folder.join("keys").join(name)).expect("a key");
    Key::from_pem(&pem, alg)
}

fn by_key(alg: SigningAlg, more: &str) -> String {
    format!(
        "auth = \"private_key_jwt\"\nsigning_key = \"keys/signing.pem\"\nsigning_alg = \"{}\"\n{more}",
        alg.as_str()
    )
}

/// How often a call at `endpoint` was answered with `result`.
async fn count(stack: &Stack, endpoint: &str, result: &str) -> u64 {
    stack.stats().await["calls"][endpoint][result].as_u64().unwrap_or(0)
}

/// The provider refuses the client at a start: the login says whose fault it is, nothing rings, nothing else is tried.
async fn is_refused(stack: &Stack, reason: &str) {
    let (rung, before) = (stack.requests().await.len(), refusals(stack).await);
    let started = stack.start(DOCTOR).await.expect(201);
    assert_eq!((started.text("/status"), started.text("/reason")), ("failed".into(), reason.into()));
    assert_eq!(stack.requests().await.len(), rung, "no phone rang");
    assert_eq!(refusals(stack).await, before + 1, "one request");
}

async fn refusals(stack: &Stack) -> u64 {
    let mut sum = 0;
    for code in ["invalid_client", "unauthorized_client", "invalid_request"] {
        sum += count(stack, "backchannel", code).await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_posted_secret() {
    for backend in BACKENDS {
        let auth = "auth = \"client_secret_post\"\nclient_secret = \"relais-demo-secret\"";
        let stack = Stack::on(backend).client_auth(auth).manual_clock().start().await;
        // The provider has the client down for its usual ways.
        is_refused(&stack, REJECTED).await;
        stack
            .simulator
            .register(Registered { method: Some(Method::ClientSecretPost), ..Registered::default() });
        stack.sign_in(DOCTOR).await;
        assert!(count(&stack, "token", "ok").await == 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_posted_secret_is_refused() {
    let auth = "auth = \"client_secret_post\"\nclient_secret = \"another-secret\"";
    let stack = Stack::on(Backend::Sqlite).client_auth(auth).manual_clock().start().await;
    stack.simulator.register(Registered { method: Some(Method::ClientSecretPost), ..Registered::default() });
    is_refused(&stack, REJECTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_023_by_a_signed_assertion() {
    for (backend, alg) in
        [Backend::Sqlite, Backend::Postgres, Backend::Sqlite].into_iter().zip(SigningAlg::ALL)
    {
        let builder = Stack::on(backend).client_auth(&by_key(alg, "")).signing_key("signing.pem", alg);
        let stack = builder.manual_clock().start().await;
        let key = read(&stack, "signing.pem", alg);
        let method = Some(Method::PrivateKeyJwt);
        // Somebody else's key is registered.
        let foreign = Key::generate(alg);
        stack.simulator.register(Registered { method, keys: jwt::set(&[&foreign]), request_alg: None });
        is_refused(&stack, REJECTED).await;
        stack.simulator.register(Registered { method, keys: jwt::set(&[&key]), request_alg: None });
        // The provider takes each assertion once: every poll has one of its own.
        let started = stack.start(DOCTOR).await.expect(201);
        for polls in 1..=3 {
            stack
                .eventually("a poll", || async {
                    stack.clock.advance(Duration::from_millis(300));
                    count(&stack, "token", "authorization_pending").await >= polls
                })
                .await;
        }
        let (holder, path) = stack.holder(&started);
        holder.delete(&path).await.expect(204);
        stack.sign_in(DOCTOR).await;
        assert_eq!(count(&stack, "token", "unauthorized_client").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_audiences_and_types_are_sent_where_they_are_configured() {
    for more in [
        "assertion_audience = \"token_endpoint\"\nassertion_typ = \"none\"\n",
        "assertion_audience = \"issuer\"\nassertion_typ = \"JWT\"\n",
    ] {
        let alg = SigningAlg::Es256;
        let builder = Stack::on(Backend::Sqlite).client_auth(&by_key(alg, more));
        let stack = builder.signing_key("signing.pem", alg).manual_clock().start().await;
        let keys = jwt::set(&[&read(&stack, "signing.pem", alg)]);
        let method = Some(Method::PrivateKeyJwt);
        stack.simulator.register(Registered { method, keys, request_alg: None });
        stack.sign_in(DOCTOR).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_025_with_signed_requests_beside_any_method() {
    let alg = SigningAlg::Ps256;
    let signed = "signed_requests = true\nsigning_key = \"keys/signing.pem\"\nsigning_alg = \"PS256\"\n";
    for (auth, method) in [
        (by_key(alg, "signed_requests = true\n"), Some(Method::PrivateKeyJwt)),
        (format!("auth = \"tls_client_auth\"\n{signed}"), None),
        (format!("auth = \"client_secret_basic\"\nclient_secret = \"relais-demo-secret\"\n{signed}"), None),
    ] {
        let builder = Stack::on(Backend::Sqlite).client_auth(&auth).signing_key("signing.pem", alg);
        let stack = builder.manual_clock().start().await;
        let keys = jwt::set(&[&read(&stack, "signing.pem", alg)]);
        // A client that is not registered to sign, and one that is registered for another algorithm.
        for request_alg in [None, Some("ES256".to_owned())] {
            stack.simulator.register(Registered { method, keys: keys.clone(), request_alg });
            is_refused(&stack, "provider_refused").await;
        }
        let request_alg = Some("PS256".to_owned());
        stack.simulator.register(Registered { method, keys, request_alg });
        stack.sign_in(DOCTOR).await;
        let request = stack.requests().await.pop().expect("a request");
        assert_eq!((&request["login_hint"], &request["channel"]), (&json!(DOCTOR), &json!("MOBILE")));
        let shown = request["binding_message"].as_str().expect("two digits");
        assert_eq!(shown.len(), 2, "what both screens show has come inside the request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_should_be_signed_and_is_not_is_refused() {
    let stack = Stack::on(Backend::Sqlite).manual_clock().start().await;
    let request_alg = Some("PS256".to_owned());
    stack.simulator.register(Registered { request_alg, ..Registered::default() });
    is_refused(&stack, "provider_refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_with_overlap_while_people_sign_in() {
    let alg = SigningAlg::Es256;
    let auth = by_key(alg, "published_keys = [\"keys/next.pem\"]\nsigned_requests = true\n");
    let builder = Stack::on(Backend::Sqlite).client_auth(&auth).sections(LISTENER);
    let builder = builder.signing_key("signing.pem", alg).signing_key("next.pem", alg);
    let stack = builder.manual_clock().start().await;
    let (last, next) = (read(&stack, "signing.pem", alg), read(&stack, "next.pem", alg));
    let method = Some(Method::PrivateKeyJwt);
    let register = |keys: &[&Key]| {
        let request_alg = Some("ES256".to_owned());
        stack.simulator.register(Registered { method, keys: jwt::set(keys), request_alg });
    };
    register(&[&last, &next]);
    stack.sign_in(DOCTOR).await;
    // One begins under the last key and ends under the next.
    let started = stack.start("899700000002").await.expect(201);
    let (holder, path) = stack.holder(&started);
    let listener = stack.notified();
    let published = async || {
        let answer = listener.get("/providers/psc/jwks.json").await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        answer.at("/keys")
    };
    assert_eq!(published().await, json!([last.jwk(), next.jwk()]));
    swap(&stack.folder.join("keys"), "signing.pem", "next.pem");
    stack
        .eventually("the keys have changed places", || async {
            stack.clock.advance(Duration::from_millis(500));
            published().await == json!([next.jwk(), last.jwk()])
        })
        .await;
    register(&[&next]);
    stack.decide("approve", Value::Null).await;
    stack
        .eventually("the login is approved", || async {
            stack.clock.advance(Duration::from_millis(500));
            holder.get(&path).await.expect(200).text("/status") == "approved"
        })
        .await;
    stack.sign_in(DOCTOR).await;
    listener.get("/providers/other/jwks.json").await.expect_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_signs_nothing_publishes_nothing() {
    let stack = Stack::on(Backend::Sqlite).manual_clock().sections(LISTENER).start().await;
    stack.notified().get("/providers/psc/jwks.json").await.expect_problem(404, "not_found");
}

fn swap(folder: &Path, one: &str, other: &str) {
    let path = |name: &str| folder.join(name);
    let copy = |name: &str| std::fs::read_to_string(path(name)).expect("a key");
    let (first, second) = (copy(one), copy(other));
    for (name, text) in [(one, second), (other, first)] {
        std::fs::remove_file(path(name)).expect("removed");
        let secret = relais::domain::secret::Secret::new(text);
        key_file::write_new(&path(name), &secret).expect("written");
    }
}
