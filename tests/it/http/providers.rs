//! The listener `providers`: what it answers whatever is asked.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_notification_token;

use super::world::{Answer, World, bearer, request};
use relais::engine::ports::{LogoutToken, LogoutVerdict};

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

const LOGOUT: &str = "/providers/lps/backchannel-logout";

async fn presented(world: &World, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    world.send(&world.for_providers, request(Method::POST, path, headers, body)).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");

#[tokio::test]
async fn rp_105_a_logout_is_a_form_with_one_token_that_is_judged_as_it_came() {
    let world = World::new().await;
    let told = LogoutToken {
        jti: "one".to_owned(),
        until: world.engine.clock().now() + Duration::from_mins(2),
        sid: None,
        sub: Some("somebody".to_owned()),
    };
    *world.provider.logout.lock().expect("lock") = Some(LogoutVerdict::Valid(told));
    let answer = presented(&world, LOGOUT, &[FORM], "a=b&logout_token=a.b%2Bc.d&logout_tokens=x").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(*world.provider.presented.lock().expect("lock"), ["a.b+c.d"]);
}

#[tokio::test]
async fn rp_107_whatever_is_wrong_is_one_400_and_only_a_readable_form_is_judged() {
    let world = World::new().await;
    let mut refusals = Vec::new();
    for (path, body) in [
        (LOGOUT, "logout_token=a.b.c"),
        (LOGOUT, ""),
        (LOGOUT, "logout_token="),
        (LOGOUT, "logout_token=a&logout_token=a"),
        (LOGOUT, "{\"logout_token\":\"a\"}"),
        ("/providers/other/backchannel-logout", "logout_token=a.b.c"),
        ("/providers//backchannel-logout", "logout_token=a.b.c"),
        ("/providers/LPS/backchannel-logout", "logout_token=a.b.c"),
        ("/providers/%ff/backchannel-logout", "logout_token=a.b.c"),
    ] {
        let answer = presented(&world, path, &[FORM], body).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!((answer.status.as_u16(), answer.json()["error"].as_str()), (400, Some("invalid_request")));
        refusals.push(answer.text);
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(world.provider.presented.lock().expect("lock").len(), 1, "only one was a token for somebody");
    let json = [("content-type", "application/json")];
    assert_eq!(presented(&world, LOGOUT, &json, "logout_token=a.b.c").await.problem().0, 415);
    let large = format!("logout_token={}", "x".repeat(48 * 1024));
    assert_eq!(presented(&world, LOGOUT, &[FORM], &large).await.problem().0, 413);
    let got = world.send(&world.for_providers, request(Method::GET, LOGOUT, &[], "")).await;
    assert_eq!((got.status.as_u16(), got.headers.contains_key("location")), (405, false));
}

#[tokio::test]
async fn where_nobody_can_tell_the_provider_may_come_again() {
    let world = World::new().await;
    *world.provider.logout.lock().expect("lock") = Some(LogoutVerdict::NotNow);
    let answer = presented(&world, LOGOUT, &[FORM], "logout_token=a.b.c").await;
    assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
}
