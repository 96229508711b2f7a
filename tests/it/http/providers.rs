//! The listener `providers`: what it answers whatever is asked.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_notification_token;

use super::world::{World, bearer, request};

/// Less than a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn rp_095_nothing_on_the_listener_redirects_whatever_the_path_looks_like() {
    let world = World::new().await;
    for path in [
        "/",
        "//",
        "/providers",
        "/providers/",
        "/providers/lps",
        "/providers/lps/",
        "/providers/lps/ciba/",
        "//providers/lps/ciba",
        "/providers/lps//ciba",
        "/providers/lps/./ciba",
        "/providers/lps/../lps/ciba",
        "/providers/lps%2Fciba",
        "/providers/lps/%63iba%2F",
        "/PROVIDERS/lps/ciba",
        "/v1/logins",
        "/health/live",
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
            let asked = request(method.clone(), path, &[], "");
            let answer = world.send(&world.for_providers, asked).await;
            assert_eq!(answer.status.as_u16(), 404, "{method} {path}");
            assert!(!answer.headers.contains_key("location"), "{method} {path}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    // A registration without a name is one that does not exist.
    for (method, status) in [(Method::GET, 405), (Method::POST, 401)] {
        let answer = world.send(&world.for_providers, request(method, "/providers//ciba", &[], "")).await;
        assert_eq!((answer.status.as_u16(), answer.headers.contains_key("location")), (status, false));
    }
    let absolute = Request::post("https://elsewhere.test/providers/lps/ciba/").body(Body::empty());
    let answer = world.send(&world.for_providers, absolute.expect("request")).await;
    assert_eq!(answer.status.as_u16(), 404);
}

#[tokio::test]
async fn r_h_02_a_body_that_comes_without_the_right_token_is_not_waited_for() {
    let world = World::new().await;
    let drawn = draw_notification_token(&SystemRandom).0.expose().to_owned();
    for token in ["x", drawn.as_str()] {
        for path in ["/providers/lps/ciba", "/providers/other/ciba"] {
            let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            let asked = Request::post(path)
                .header("authorization", bearer(token))
                .header("content-type", "application/json")
                .body(Body::from_stream(never))
                .expect("request");
            let answer = world.send(&world.for_providers, asked);
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("answered at once");
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (401, ""), "{path}");
        }
    }
}

#[tokio::test]
async fn public_keys_may_be_kept_for_a_while_and_only_they() {
    let world = World::new().await;
    let get = async |path: &str| world.send(&world.for_providers, request(Method::GET, path, &[], "")).await;
    let keys = get("/providers/lps/jwks.json").await;
    assert_eq!((keys.status.as_u16(), keys.header("content-type")), (200, "application/json"));
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    assert_eq!(keys.text, r#"{"keys":[{"kid":"one"}]}"#);
    for path in ["/providers/other/jwks.json", "/providers/LPS/jwks.json", "/providers/lps/jwks.json/"] {
        let answer = get(path).await;
        assert_eq!(
            (answer.problem(), answer.header("cache-control")),
            ((404, "not_found".into()), "no-store")
        );
    }
    let posted = request(Method::POST, "/providers/lps/jwks.json", &[], "");
    assert_eq!(world.send(&world.for_providers, posted).await.status.as_u16(), 405);
}
