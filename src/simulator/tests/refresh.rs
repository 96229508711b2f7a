//! The refresh: one use a token, what becomes of the others, and everything that a refresh is refused for.

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab, certificate, claims};
use crate::simulator::personality::Personality;

/// Every kind of provider.
const ALL: [Personality; 3] = [Personality::Psc, Personality::Keycloak, Personality::Generic];

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().expect("a refresh token").to_owned()
}

impl Lab {
    async fn signed_in(&self) -> Value {
        let pairs = [("scope", "openid"), ("login_hint", DOCTOR), ("binding_message", "42")];
        let id = self.start_with(&pairs).await.json()["auth_req_id"].as_str().expect("an id").to_owned();
        self.approve(&id, Value::Null).await;
        let answer = self.poll(&id).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    }

    async fn refresh_with(&self, pairs: &[(&str, &str)]) -> Answer {
        let known = [("grant_type", "refresh_token"), ("client_id", "relais-demo")];
        let pairs: Vec<_> = known.iter().chain(pairs).copied().collect();
        self.send(self.form(&self.path(|paths| paths.token), &[], &pairs)).await
    }

    async fn refresh(&self, refresh_token: &str) -> Answer {
        self.refresh_with(&[("refresh_token", refresh_token)]).await
    }

    /// The tokens of a refresh that succeeds.
    async fn refreshed(&self, refresh_token: &str) -> Value {
        let answer = self.refresh(refresh_token).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.error());
        answer.json()
    }

    async fn refuses(&self, refresh_token: &str) -> String {
        let (status, error, description) = self.refresh(refresh_token).await.error();
        assert_eq!((status, error.as_str()), (400, "invalid_grant"));
        description
    }
}

#[tokio::test]
async fn new_tokens_are_those_of_the_same_authentication() {
    for personality in ALL {
        let lab = Lab::of(personality);
        let first = lab.signed_in().await;
        lab.advance(90_000);
        let answer = lab.refresh(&refresh_token(&first)).await;
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let second = answer.json();
        for name in ["access_token", "refresh_token", "id_token"] {
            assert_ne!(first[name], second[name], "{name}");
        }
        let (before, after) = (claims(&first["id_token"]), claims(&second["id_token"]));
        for name in ["iss", "sub", "aud", "auth_time", "sid", "acr"] {
            assert_eq!(before[name], after[name], "{name}");
        }
        assert_eq!(after["iat"].as_i64(), before["iat"].as_i64().map(|iat| iat + 90));
        assert_eq!(second["scope"], first["scope"]);
        let expires_in = if personality == Personality::Generic { Value::Null } else { json!(1800) };
        assert_eq!(second["refresh_expires_in"], expires_in);
        let token = second["access_token"].as_str().expect("a token");
        assert_eq!(lab.userinfo(token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use_and_whoever_comes_again_ends_the_session() {
    for personality in ALL {
        let lab = Lab::of(personality);
        let first = lab.signed_in().await;
        let second = lab.refreshed(&refresh_token(&first)).await;
        let reused = lab.refuses(&refresh_token(&first)).await;
        let over = lab.refuses(&refresh_token(&second)).await;
        if personality == Personality::Generic {
            assert_eq!(reused, over, "it tells nothing");
        } else {
            assert_eq!(reused, "Maximum allowed refresh token reuse exceeded");
            assert_eq!(over, "Session not active");
        }
        let token = second["access_token"].as_str().expect("a token");
        assert_eq!(lab.userinfo(token).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(lab.stats().await["refreshes"], json!({ "invalid_grant": 2, "ok": 1 }));
    }
}

#[tokio::test]
async fn of_two_sessions_of_one_person_each_has_its_own_refresh_tokens() {
    let lab = Lab::new();
    let (one, other) = (lab.signed_in().await, lab.signed_in().await);
    lab.refreshed(&refresh_token(&one)).await;
    lab.refuses(&refresh_token(&one)).await;
    lab.refreshed(&refresh_token(&other)).await;
}

#[tokio::test]
async fn a_provider_that_keeps_refresh_tokens_gives_the_same_one_with_a_new_life() {
    let lab = Lab::new();
    assert_eq!(lab.settings(json!({ "refresh": "keep" })).await.json()["refresh"], "keep");
    let token = refresh_token(&lab.signed_in().await);
    for _ in 0..3 {
        lab.advance(1_799_000);
        assert_eq!(refresh_token(&lab.refreshed(&token).await), token);
    }
    lab.advance(1_800_000);
    assert_eq!(lab.refuses(&token).await, "Token is not active");
}

#[tokio::test]
async fn a_provider_with_grace_takes_an_earlier_refresh_token_for_a_minute() {
    let lab = Lab::new();
    lab.settings(json!({ "refresh": "grace" })).await;
    let first = refresh_token(&lab.signed_in().await);
    let lost = refresh_token(&lab.refreshed(&first).await);
    lab.advance(59_999);
    let second = refresh_token(&lab.refreshed(&first).await);
    assert_ne!(lost, second);
    lab.advance(1);
    let third = refresh_token(&lab.refreshed(&second).await);
    assert_eq!(lab.refuses(&first).await, "Maximum allowed refresh token reuse exceeded");
    assert_eq!(lab.refuses(&third).await, "Session not active");
}

#[tokio::test]
async fn a_refresh_token_lives_as_long_as_the_settings_say() {
    let lab = Lab::new();
    assert_eq!(lab.settings(json!({})).await.json()["refresh_token_seconds"], json!(1800));
    lab.settings(json!({ "refresh_token_seconds": 40 })).await;
    let first = lab.signed_in().await;
    assert_eq!(first["refresh_expires_in"], json!(40));
    let token = refresh_token(&first);
    lab.advance(39_999);
    let token = refresh_token(&lab.refreshed(&token).await);
    lab.advance(40_000);
    assert_eq!(lab.refuses(&token).await, "Token is not active");
    for bad in [json!({ "refresh_token_seconds": 0 }), json!({ "refresh": "sometimes" })] {
        assert_eq!(lab.settings(bad).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_refresh_is_refused_for_what_it_lacks_or_adds() {
    let mut lab = Lab::new();
    let token = refresh_token(&lab.signed_in().await);
    assert_eq!(
        lab.refresh_with(&[]).await.error(),
        (400, "invalid_request".to_owned(), "No refresh token".to_owned())
    );
    let foreign = refresh_token(&Lab::new().signed_in().await);
    for garbage in ["x", "a.b.c", foreign.as_str()] {
        assert_eq!(lab.refuses(garbage).await, "Invalid refresh token");
    }
    let wider = [("refresh_token", token.as_str()), ("scope", "openid scope_all")];
    assert_eq!(lab.refresh_with(&wider).await.error().1, "invalid_scope");
    let known = lab.certificate.replace(certificate("somebody-else"));
    assert_eq!(lab.refresh(&token).await.error().0, 401, "another client");
    lab.certificate = Some(certificate("relais-demo"));
    let (status, error, _) = lab.refresh(&token).await.error();
    assert_eq!(
        (status, error.as_str()),
        (400, "unauthorized_client"),
        "the same client, another certificate"
    );
    lab.certificate = known;
    lab.refreshed(&token).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_has_spent_the_token_and_one_that_never_was_has_not() {
    let lab = Lab::new();
    let token = refresh_token(&lab.signed_in().await);
    lab.fault(json!({ "endpoint": "token", "status": 503, "count": 2 })).await;
    for _ in 0..2 {
        assert_eq!(lab.refresh(&token).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let second = refresh_token(&lab.refreshed(&token).await);
    lab.fault(json!({ "endpoint": "token", "status": 502, "when": "after" })).await;
    assert_eq!(lab.refresh(&second).await.status, StatusCode::BAD_GATEWAY);
    lab.refuses(&second).await;
    assert_eq!(lab.stats().await["refreshes"], json!({ "invalid_grant": 1, "ok": 2 }));
}

#[tokio::test]
async fn the_id_token_of_a_refresh_is_altered_as_any_other() {
    let lab = Lab::new();
    let token = refresh_token(&lab.signed_in().await);
    lab.fault(json!({ "endpoint": "token", "token": { "sub": "somebody-else" } })).await;
    assert_eq!(claims(&lab.refreshed(&token).await["id_token"])["sub"], "somebody-else");
}
