//! Who is refused, and how every refusal looks.

use axum::body::Body;
use http::{Method, Request, StatusCode};

use super::world::{LOGICIEL, PERSON, World, basic, bearer, request, with_certificate};

async fn code(world: &World, request: Request<Body>) -> (u16, String) {
    let answer = world.send(&world.clients, request).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.status == StatusCode::UNAUTHORIZED, answer.headers.contains_key("www-authenticate"));
    answer.problem()
}

fn application(headers: &[(&str, &str)]) -> Request<Body> {
    request(Method::GET, "/v1/application", headers, "")
}

#[tokio::test]
async fn r_f_02_an_application_comes_with_its_declared_credential_and_no_other() {
    let world = World::new().await;
    let good = basic(LOGICIEL);
    let unauthenticated = (401, "application_unauthenticated".to_owned());
    for pair in ["logiciel:wrong", "nobody:secret", "certifie:secret", "certifie:", "logiciel:%zz", "x"] {
        assert_eq!(
            code(&world, application(&[("authorization", &basic(pair))])).await,
            unauthenticated,
            "{pair}"
        );
    }
    for other in ["Bearer rlt_x", "Basic !", "Negotiate x", "Basic"] {
        assert_eq!(code(&world, application(&[("authorization", other)])).await, unauthenticated, "{other}");
    }
    for second in
        [("authorization", good.as_str()), ("relais-client-assertion", "x"), ("relais-session", "x")]
    {
        let both = application(&[("authorization", good.as_str()), second]);
        assert_eq!(code(&world, both).await, unauthenticated, "{second:?}");
    }
    let with_both = with_certificate(application(&[("authorization", &good)]), 1);
    assert_eq!(code(&world, with_both).await, unauthenticated);
    assert_eq!(code(&world, with_certificate(application(&[]), 2)).await, unauthenticated);
    let certified = world.send(&world.clients, with_certificate(application(&[]), 1)).await;
    assert_eq!(certified.json()["application"], "certifie");
    assert_eq!(code(&world, application(&[])).await, (401, "credential_missing".to_owned()));
    let disabled = application(&[("authorization", &basic("coupe:secret"))]);
    assert_eq!(code(&world, disabled).await, (403, "application_disabled".to_owned()));
    let challenge = world.send(&world.clients, application(&[])).await;
    assert!(challenge.header("www-authenticate").starts_with("Basic realm="));
}

#[tokio::test]
async fn r_e_06_unknown_foreign_and_malformed_tokens_get_one_answer() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let path = format!("/v1/logins/{}", login.id);
    let other_id = format!("/v1/logins/{}", uuid::Uuid::nil());
    let mut unknown = login.token.clone();
    unknown.replace_range(10..11, if &unknown[10..11] == "A" { "B" } else { "A" });
    for (path, token) in [
        (path.as_str(), unknown.as_str()),
        (path.as_str(), "x"),
        (other_id.as_str(), login.token.as_str()),
        ("/v1/logins/not-an-id", login.token.as_str()),
        ("/v1/logins/%ff", login.token.as_str()),
    ] {
        let answer = world.get(path, token).await;
        assert_eq!(answer.problem(), (404, "login_not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn r_e_14_a_token_of_another_kind_is_said_to_be_one() {
    let world = World::new().await;
    let (login, handle) = world.session().await;
    let wrong = (401, "wrong_token_kind".to_owned());
    let path = format!("/v1/logins/{}", login.id);
    assert_eq!(world.get("/v1/session", &login.token).await.problem(), wrong);
    assert_eq!(world.get("/v1/session", "rlt_anything").await.problem(), wrong);
    assert_eq!(world.get(&path, &handle).await.problem(), wrong);
    let missing = (401, "credential_missing".to_owned());
    for headers in [&[][..], &[("authorization", basic(LOGICIEL))], &[("authorization", "Bearer".to_owned())]]
    {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for path in [path.as_str(), "/v1/session"] {
            assert_eq!(world.call(Method::GET, path, &headers, "").await.problem(), missing);
        }
    }
    assert_eq!(world.get("/v1/session", "rsh_x").await.problem(), (401, "handle_invalid".to_owned()));
    let answer = world.get("/v1/session", "rsh_x").await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"relais\", error=\"invalid_token\"");
}

#[tokio::test]
async fn r_e_05_dpop_is_refused_rather_than_ignored() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let good = bearer(&login.token);
    for headers in [
        vec![("authorization", good.clone()), ("dpop", "proof".to_owned())],
        vec![("authorization", format!("DPoP {}", login.token))],
        vec![("authorization", format!("dpop {}", login.token))],
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = world.call(Method::GET, &format!("/v1/logins/{}", login.id), &headers, "").await;
        assert_eq!(answer.problem(), (400, "dpop_unsupported".to_owned()));
    }
}

#[tokio::test]
async fn rp_112_a_token_needs_its_application_s_certificate() {
    let world = World::new().await;
    let body = format!("{{\"login_hint\":\"{PERSON}\"}}");
    let start = with_certificate(request(Method::POST, "/v1/logins", &[], &body), 1);
    let object = world.send(&world.clients, start).await.json();
    let (id, token) =
        (object["login_id"].as_str().expect("id"), object["login_token"].as_str().expect("token"));
    let path = format!("/v1/logins/{id}");
    let bearer = bearer(token);
    let read = || request(Method::GET, &path, &[("authorization", &bearer)], "");
    let unauthenticated = (401, "application_unauthenticated".to_owned());
    assert_eq!(code(&world, read()).await, unauthenticated);
    assert_eq!(code(&world, with_certificate(read(), 2)).await, unauthenticated);
    assert_eq!(world.send(&world.clients, with_certificate(read(), 1)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn r_h_06_only_declared_paths_and_methods_exist() {
    let world = World::new().await;
    for path in
        ["/", "/v1", "/v1/logins/", "/v1/session/", "/admin/v1/x", "/console/", "/v1//logins", "/metrics"]
    {
        assert_eq!(code(&world, request(Method::GET, path, &[], "")).await.1, "not_found", "{path}");
    }
    for (method, path, allow) in [
        (Method::GET, "/v1/logins", "POST"),
        (Method::POST, "/v1/application", "GET,HEAD"),
        (Method::PATCH, "/v1/logins/x", "GET,HEAD,DELETE"),
        (Method::OPTIONS, "/v1/session/exercice", "PUT"),
        (Method::TRACE, "/v1/session", "GET,HEAD,DELETE"),
    ] {
        let answer = world.send(&world.clients, request(method, path, &[], "")).await;
        assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()), "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn r_h_02_requests_have_limits() {
    let world = World::new().await;
    let long = format!("/v1/application?{}", "x".repeat(2048));
    assert_eq!(code(&world, request(Method::GET, &long, &[], "")).await, (400, "invalid_request".to_owned()));
    let body = format!("{{\"login_hint\":\"{}\"}}", "x".repeat(16 * 1024));
    assert_eq!(world.start_with(LOGICIEL, &[], &body).await.problem(), (413, "request_too_large".to_owned()));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        world.start_with(LOGICIEL, &form, "login_hint=x").await.problem(),
        (415, "unsupported_media_type".to_owned())
    );
    let twice = r#"{"login_hint":"899700000001","login_hint":"899700000002"}"#;
    let answer = world.start_with(LOGICIEL, &[], twice).await.json();
    assert_eq!(answer["errors"][0]["rule"], "duplicate_member");
    let query =
        world.call(Method::POST, "/v1/logins?x=1", &[("authorization", &basic(LOGICIEL))], "{}").await;
    assert_eq!(query.json()["errors"][0]["pointer"], "?x");
}

#[tokio::test]
async fn request_ids_and_traces_are_echoed_where_they_are_well_formed() {
    let world = World::new().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let good = application(&[("x-request-id", "abcdefgh-1"), ("traceparent", trace)]);
    let answer = world.send(&world.clients, good).await;
    assert_eq!(answer.header("x-request-id"), "abcdefgh-1");
    assert_eq!(answer.header("traceparent"), trace);
    let bad = application(&[("x-request-id", "a b"), ("traceparent", "x")]);
    let answer = world.send(&world.clients, bad).await;
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.header("traceparent"), "");
    let support = answer.json()["support_code"].as_str().expect("code").to_owned();
    assert_eq!((support.len(), &support[4..5]), (9, "-"));
}

#[tokio::test]
async fn r_h_07_a_panic_is_one_answer() {
    let world = World::new().await;
    world.provider.panics.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = world.send(&world.clients, application(&[("authorization", &basic(LOGICIEL))])).await;
    assert_eq!(answer.problem(), (500, "internal".to_owned()));
    assert!(!answer.text.contains("canary"));
    assert_eq!(world.start(LOGICIEL).await.answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn r_l_05_the_text_of_a_panic_in_a_detached_task_reaches_no_log() {
    let log = crate::support::log::capture();
    let world = World::new().await;
    world.provider.panics_in_a_task.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = world.start_with(LOGICIEL, &[], "{\"login_hint\":\"899700000001\"}").await;
    assert_eq!(refused.problem(), (500, "internal".to_owned()));
    let text = log.text();
    assert!(text.contains("a task was cut short"), "{text}");
    assert!(!text.contains("canary") && !refused.text.contains("canary"), "{text}");
}
