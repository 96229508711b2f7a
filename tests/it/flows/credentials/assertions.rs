//! Applications that sign an assertion for each call (`private_key_jwt`, R-F-01): what counts, what is refused, and that
//! it counts once over all nodes.

use std::time::Duration;

use base64::Engine as _;
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::SigningAlg;
use relais::domain::clock::Clock as _;
use serde_json::{Value, json};

use super::{Application, Handle, LoginToken, ROUTES};
use crate::support::http::{Answer, Caller};
use crate::support::jwt::{self, Key};
use crate::support::log;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, SECRET, Stack};

const HEADER: &str = "relais-client-assertion";

/// `listeners.clients.public_url` of a stack.
const AUDIENCE: &str = "http://127.0.0.1:0";

/// A further node of a stack has what providers call too.
const LISTENER: &str = "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

/// A stack with the applications `signer` and `stranger`, each with keys of its own.
pub(super) struct World {
    pub(super) stack: Stack,
    pub(super) key: Key,
    rsa: Key,
    foreign: Key,
}

impl World {
    pub(super) async fn on(backend: Backend) -> Self {
        let mut stack = Stack::on(backend).manual_clock().sections(LISTENER).start().await;
        let key = Key::generate(SigningAlg::Es256);
        let rsa = Key::generate(SigningAlg::Ps256);
        let foreign = Key::generate(SigningAlg::Es256);
        for (name, keys) in [("signer", vec![&key, &rsa]), ("stranger", vec![&foreign])] {
            write_set(&stack, name, &keys);
            let application = format!(
                "[applications.{name}]\nkind = \"backend\"\ntenant = \"practice\"\nregistrations = [\"psc\"]\n\
                 auth = \"private_key_jwt\"\njwks_file = \"{name}.json\"\n"
            );
            stack.config.push_str(&application);
        }
        stack.restart().await;
        Self { stack, key, rsa, foreign }
    }

    /// The claims of an assertion that counts.
    pub(super) fn claims(&self) -> Value {
        let now = self.stack.clock.now().as_secs();
        json!({ "iss": "signer", "sub": "signer", "aud": AUDIENCE, "jti": relais::domain::random::uuid_v4(&SystemRandom),
            "iat": now, "nbf": now, "exp": now + 30 })
    }

    /// A caller with this assertion.
    pub(super) fn with(&self, assertion: &str) -> Caller {
        self.stack.relais.header(HEADER, assertion)
    }

    /// Whether an assertion of these claims is taken.
    async fn with_claims(&self, change: impl FnOnce(&mut Value)) -> Answer {
        let mut claims = self.claims();
        change(&mut claims);
        self.with(&self.key.sign(&claims)).get("/v1/application").await
    }
}

fn write_set(stack: &Stack, name: &str, keys: &[&Key]) {
    write_jwks(stack, name, &keys.iter().map(|key| key.jwk()).collect::<Vec<_>>());
}

/// For everybody to read and its owner to write, whatever files are here by default.
pub(super) fn write_jwks(stack: &Stack, name: &str, keys: &[Value]) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = stack.folder.join(format!("{name}.json"));
    std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
}

#[track_caller]
pub(super) fn refused(answer: Answer) -> Answer {
    let answer = answer.expect_problem(401, "application_unauthenticated");
    assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Basic realm=")));
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_taken_on_every_route_of_applications_and_nowhere_else() {
    for backend in BACKENDS {
        let world = World::on(backend).await;
        for key in [&world.key, &world.rsa] {
            let answer = world.with(&key.sign(&world.claims())).get("/v1/application").await.expect(200);
            assert_eq!(answer.text("/application"), "signer");
        }
        let fresh = || world.with(&world.key.sign(&world.claims()));
        let started = fresh().post("/v1/logins", json!({ "login_hint": DOCTOR })).await.expect(201);
        // Below a login the token is the credential, and it alone.
        let (holder, path) = world.stack.holder(&started);
        holder.get(&path).await.expect(200);
        let both = holder.header(HEADER, &world.key.sign(&world.claims()));
        for route in ROUTES.into_iter().filter(|route| route.2 != Application) {
            let method = reqwest::Method::from_bytes(route.0.to_uppercase().as_bytes()).expect("a method");
            let path = route.1.replace("{login_id}", &started.text("/login_id"));
            both.send(method.clone(), &path, None).await.expect_problem(401, "application_unauthenticated");
            let instead = fresh().send(method, &path, None).await;
            instead.expect_problem(401, "application_unauthenticated");
            assert!(matches!(route.2, LoginToken | Handle));
        }
        assert_eq!(holder.get(&path).await.expect(200).text("/status"), "pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_01_claims_that_break_a_rule_are_refused_and_their_developer_is_told_which() {
    let world = World::on(Backend::Sqlite).await;
    let now = world.stack.clock.now().as_secs();
    world.with_claims(|claims| claims["exp"] = json!(now + 60)).await.expect(200);
    for optional in ["iat", "nbf"] {
        let without = |claims: &mut Value| drop(claims.as_object_mut().expect("an object").remove(optional));
        world.with_claims(without).await.expect(200);
    }
    for (claim, bad) in [
        ("aud", json!([AUDIENCE])),
        ("aud", json!("https://op.example")),
        ("aud", json!(format!("{AUDIENCE}/v1/application"))),
        ("exp", json!(now)),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 61)),
        ("exp", json!(now + 3600)),
        ("exp", Value::Null),
        ("iat", json!(now + 61)),
        ("iat", json!(now - 36)),
        ("iat", Value::Null),
        ("nbf", json!(now + 61)),
        ("jti", Value::Null),
        ("sub", json!("stranger")),
        ("sub", Value::Null),
    ] {
        let answer = refused(world.with_claims(|claims| claims[claim] = bad.clone()).await);
        assert!(answer.text("/detail").contains(claim), "{claim} {bad}: {}", answer.text("/detail"));
    }
    // It is judged by Relais's clock.
    let assertion = world.key.sign(&world.claims());
    world.stack.clock.advance(Duration::from_secs(30));
    refused(world.with(&assertion).get("/v1/application").await);
}

#[tokio::test]
async fn r_f_01_what_no_key_of_the_application_has_signed_is_refused_in_one_way() {
    let log = log::capture();
    let world = World::on(Backend::Sqlite).await;
    let claims = world.claims();
    let (key, rsa) = (&world.key, &world.rsa);
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let with = |mut header: Value, name: &str, value: Value| {
        header[name] = value;
        header
    };
    let public = rsa.jwk();
    let modulus = public["n"].as_str().expect("a modulus");
    let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(modulus).expect("base64url");
    let mut of_another = claims.clone();
    of_another["iss"] = json!("stranger");
    of_another["sub"] = json!("stranger");
    let mut of_nobody = claims.clone();
    of_nobody["iss"] = json!("nobody");
    let mut of_desk = claims.clone();
    (of_desk["iss"], of_desk["sub"]) = (json!("desk"), json!("desk"));
    let signed = key.sign(&claims);
    let (input, signature) = signed.rsplit_once('.').expect("three parts");
    let mut tampered = claims.clone();
    tampered["exp"] = json!(tampered["exp"].as_i64().expect("a number") + 1);
    for (what, assertion) in [
        ("no signature", format!("{}.", jwt::unsigned(&header("none", &key.kid), &claims))),
        ("none, with a signature", key.sign_as(&header("none", &key.kid), &claims)),
        ("HS256 under the public key", jwt::hs256(&header("HS256", &rsa.kid), &claims, &modulus)),
        ("HS256 called RS256", jwt::hs256(&header("RS256", &rsa.kid), &claims, &modulus)),
        ("PS256 called RS256", rsa.sign_as(&header("RS256", &rsa.kid), &claims)),
        ("ES256 under an RSA kid", key.sign_as(&header("ES256", &rsa.kid), &claims)),
        ("ES256 called ES384", key.sign_as(&header("ES384", &key.kid), &claims)),
        ("an unknown kid", key.sign_as(&header("ES256", "unknown"), &claims)),
        ("another application's key", world.foreign.sign(&claims)),
        ("another application's key under my kid", world.foreign.sign_as(&key.header(), &claims)),
        ("my key for another application", key.sign(&of_another)),
        ("nobody", key.sign(&of_nobody)),
        ("an application with a secret", key.sign(&of_desk)),
        ("a logout token", key.sign_as(&with(key.header(), "typ", json!("logout+jwt")), &claims)),
        ("a signed request", key.sign_as(&with(key.header(), "typ", json!("oauth-authz-req+jwt")), &claims)),
        ("a key of its own", key.sign_as(&with(key.header(), "jwk", key.jwk()), &claims)),
        ("a key elsewhere", key.sign_as(&with(key.header(), "jku", json!("https://x.example")), &claims)),
        ("a critical header", key.sign_as(&with(key.header(), "crit", json!(["exp"])), &claims)),
        ("other claims", format!("{}.{signature}", jwt::unsigned(&key.header(), &tampered))),
        ("a shorter signature", format!("{input}.{}", &signature[..signature.len() - 4])),
        ("a longer signature", format!("{signed}AAAA")),
        ("a part less", input.to_owned()),
        ("a part more", format!("{signed}.x")),
        ("a list", key.sign(&json!([claims]))),
        ("no JWT", "x".to_owned()),
        ("nothing", String::new()),
        ("far too much", format!("{}.{}", "a".repeat(5000), "b".repeat(5000))),
    ] {
        let answer = refused(world.with(&assertion).get("/v1/application").await);
        assert_eq!(
            answer.text("/detail"),
            refused(world.with("x").get("/v1/application").await).text("/detail"),
            "{what}"
        );
        if assertion.len() > 20 {
            assert!(!log.text().contains(&assertion), "{what} is in the log");
        }
    }
    // Anybody can send such things: they are counted, and do not fill the log.
    let text = log.text();
    let told: Vec<&str> =
        text.lines().filter(|line| line.contains("a client assertion is refused")).collect();
    assert!(told.len() > 20 && told.iter().all(|line| line.contains("DEBUG")), "{told:?}");
    let metrics = world.stack.ops.get("/metrics").await.expect(200).body;
    for rule in ["form", "typ", "alg", "kid", "signature", "iss"] {
        let line = format!("relais_assertions_refused_total{{rule=\"{rule}\"}} ");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    // None of them has used the name up, and without a kid the one key that fits is taken.
    for header in [key.header(), json!({ "alg": "ES256", "typ": "JWT" })] {
        let assertion = key.sign_as(&header, &world.claims());
        world.with(&assertion).get("/v1/application").await.expect(200);
    }
    let typed = with(key.header(), "typ", json!("client-authentication+jwt"));
    world.with(&key.sign_as(&typed, &claims)).get("/v1/application").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_one_credential_of_the_declared_kind_and_no_other() {
    let world = World::on(Backend::Sqlite).await;
    let fresh = || world.with(&world.key.sign(&world.claims()));
    for both in [
        fresh().basic("desk", SECRET),
        fresh().basic("signer", SECRET),
        fresh().bearer("rlt_x"),
        fresh().also(HEADER, &world.key.sign(&world.claims())),
        fresh().header("relais-session", "rsh_x"),
    ] {
        for route in ROUTES.into_iter().filter(|route| route.2 == Application) {
            let method = reqwest::Method::from_bytes(route.0.to_uppercase().as_bytes()).expect("a method");
            refused(both.send(method, route.1, Some(json!({ "login_hint": DOCTOR }))).await);
        }
    }
    refused(world.stack.relais.basic("signer", SECRET).get("/v1/application").await);
    refused(world.stack.relais.basic("signer", "").get("/v1/application").await);
    refused(world.stack.relais.bearer(&world.key.sign(&world.claims())).get("/v1/application").await);
    assert!(world.stack.requests().await.is_empty(), "no phone rang");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_01_an_assertion_counts_once_however_often_it_is_presented_at_once() {
    for backend in BACKENDS {
        let world = World::on(backend).await;
        let nodes = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(world.stack.another_node().await),
        };
        let mut callers = vec![world.stack.relais.clone()];
        callers.extend(nodes.as_ref().map(|node| node.relais.clone()));
        for _ in 0..3 {
            let assertion = world.key.sign(&world.claims());
            let mut calls = tokio::task::JoinSet::new();
            for number in 0..8 {
                let caller = callers[number % callers.len()].header(HEADER, &assertion);
                calls.spawn(async move { caller.get("/v1/application").await });
            }
            let answers = calls.join_all().await;
            let (taken, replayed): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|answer| answer.status.as_u16() == 200);
            assert_eq!((taken.len(), replayed.len()), (1, 7), "{backend:?}");
            for answer in replayed {
                assert!(refused(answer).text("/detail").contains("jti has been presented before"));
            }
            for caller in &callers {
                refused(caller.header(HEADER, &assertion).get("/v1/application").await);
            }
        }
        if let Some(node) = nodes {
            node.stop().await;
        }
    }
}

#[tokio::test]
async fn r_f_01_a_replay_is_told_apart_with_the_key_that_signed() {
    let log = log::capture();
    let world = World::on(Backend::Sqlite).await;
    let assertion = world.key.sign(&world.claims());
    world.with(&assertion).get("/v1/application").await.expect(200);
    refused(world.with_claims(|claims| claims["jti"] = Value::Null).await);
    refused(world.with(&assertion).get("/v1/application").await);
    let text = log.text();
    let told: Vec<&str> =
        text.lines().filter(|line| line.contains("a client assertion is refused")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let key = format!("jkt=\"{}\"", world.key.kid);
    for (line, level, rule) in [(told[0], "INFO", "jti"), (told[1], "WARN", "replayed")] {
        for part in [level, &format!("rule=\"{rule}\""), "application=signer", &key] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    assert!(!text.contains(&assertion));
    assert!(world.stack.ops.get("/metrics").await.expect(200).body.contains("rule=\"replayed\""));
}

/// Another node's clock may be late: what counted here is remembered for ten minutes beyond its end.
#[tokio::test(flavor = "multi_thread")]
async fn r_f_01_a_spent_assertion_is_remembered_beyond_its_end() {
    for backend in BACKENDS {
        let world = World::on(backend).await;
        let (assertion, now) = (world.key.sign(&world.claims()), world.stack.clock.now());
        let end = now + Duration::from_secs(30);
        let housekeep = async |at| {
            world.stack.app().engine().store().housekeep(at).await.expect("works");
        };
        world.with(&assertion).get("/v1/application").await.expect(200);
        housekeep(end + Duration::from_secs(599)).await;
        let answer = refused(world.with(&assertion).get("/v1/application").await);
        assert!(answer.text("/detail").contains("presented before"), "{backend:?}");
        housekeep(end + Duration::from_secs(600)).await;
        world.with(&assertion).get("/v1/application").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_an_idempotency_key_is_the_key_s_own() {
    let world = World::on(Backend::Sqlite).await;
    let body = json!({ "login_hint": DOCTOR });
    let start = async |key: &Key| {
        let caller = world.with(&key.sign(&world.claims()));
        let caller = caller.header("idempotency-key", "7d1f0c9e-3b5a-4c8d-9e2f-1a2b3c4d5e6f");
        caller.post("/v1/logins", body.clone()).await
    };
    let first = start(&world.key).await.expect(201);
    let again = start(&world.key).await.expect(200);
    assert_eq!(first.text("/login_token"), again.text("/login_token"), "a new assertion, the same login");
    start(&world.rsa).await.expect_problem(409, "already_pending");
}

#[tokio::test]
async fn a_changed_key_set_counts_and_one_that_cannot_be_used_does_not() {
    let log = log::capture();
    let world = World::on(Backend::Sqlite).await;
    let next = Key::generate(SigningAlg::Es256);
    let by =
        async |key: &Key| world.with(&key.sign(&world.claims())).get("/v1/application").await.status.as_u16();
    assert_eq!((by(&world.key).await, by(&next).await), (200, 401));
    write_set(&world.stack, "signer", &[&world.key, &next]);
    world
        .stack
        .eventually("the new key counts", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            by(&next).await == 200
        })
        .await;
    assert_eq!(by(&world.key).await, 200, "both, for the overlap");
    std::fs::write(world.stack.folder.join("signer.json"), "{\"keys\":[]}").expect("written");
    world
        .stack
        .eventually("it is noticed", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            log.text().contains("the last good keys stay")
        })
        .await;
    assert_eq!((by(&world.key).await, by(&next).await), (200, 200));
    write_set(&world.stack, "signer", &[&next]);
    world
        .stack
        .eventually("the old key counts no more", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            by(&world.key).await == 401
        })
        .await;
    // What is reloaded is what the files say now.
    world.stack.reload(&world.stack.config);
    assert_eq!((by(&world.key).await, by(&next).await), (401, 200));
    let disabled =
        world.stack.config.replace("[applications.signer]\n", "[applications.signer]\nenabled = false\n");
    world.stack.reload(&disabled);
    let answer = world.with(&next.sign(&world.claims())).get("/v1/application").await;
    answer.expect_problem(403, "application_disabled");
}
