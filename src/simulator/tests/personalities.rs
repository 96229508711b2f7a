//! The personalities `keycloak` and `generic`: each row of what they do otherwise, in its texts, statuses and order.

use axum::http::header;
use serde_json::{Value, json};

use super::{DOCTOR, Lab, claims};
use crate::simulator::personality::Personality;

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// A complete set of parameters.
fn plain<'a>() -> Pairs<'a> {
    vec![("scope", "openid"), ("login_hint", DOCTOR), ("binding_message", "42")]
}

fn with<'a>(name: &'a str, value: &'a str) -> Pairs<'a> {
    let mut pairs = without(name);
    pairs.push((name, value));
    pairs
}

fn without<'a>(name: &str) -> Pairs<'a> {
    plain().into_iter().filter(|(key, _)| *key != name).collect()
}

fn bad(error: &str, description: &str) -> (u16, String, String) {
    (400, error.to_owned(), description.to_owned())
}

async fn started(lab: &Lab, pairs: &[(&str, &str)]) -> String {
    let answer = lab.start_with(pairs).await;
    assert_eq!(answer.status, 200, "{:?}", answer.error());
    answer.json()["auth_req_id"].as_str().expect("a text").to_owned()
}

async fn approved(lab: &Lab) -> Value {
    let id = started(lab, &plain()).await;
    lab.approve(&id, Value::Null).await;
    let answer = lab.poll(&id).await;
    assert_eq!(answer.status, 200, "{:?}", answer.error());
    answer.json()
}

// === Keycloak ===

#[tokio::test]
async fn keycloak_has_its_paths_and_its_lists() {
    let lab = Lab::of(Personality::Keycloak);
    let metadata = lab.get("/realms/relais/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["issuer"], "https://localhost:8083/realms/relais");
    let endpoint = "https://localhost:8083/realms/relais/protocol/openid-connect/ext/ciba/auth";
    assert_eq!(metadata["backchannel_authentication_endpoint"], endpoint);
    assert_eq!(metadata["acr_values_supported"], json!(["0", "1"]));
    assert!(metadata["grant_types_supported"].as_array().expect("a list").len() > 1);
    let wallet = lab.get("/realms/relais/.well-known/wallet-openid-configuration").await;
    assert_eq!(wallet.status, 404, "that name is PSC's");
}

#[tokio::test]
async fn keycloak_refuses_in_its_own_words_and_order() {
    let lab = Lab::of(Personality::Keycloak);
    let long = "a".repeat(51);
    let message = "the binding_message value has to be max 50 characters in length and must contain only basic plain-text \
                   characters without spaces";
    let mut nobody_and_no_scope = without("scope");
    nobody_and_no_scope.retain(|(name, _)| *name != "login_hint");
    let mut nobody = without("scope");
    nobody.retain(|(name, _)| *name != "login_hint");
    nobody.push(("login_hint", "unknown-7"));
    let cases = [
        (nobody_and_no_scope, bad("invalid_request", "missing parameter : login_hint")),
        (nobody, bad("invalid_request", "invalid user")),
        (without("scope"), bad("invalid_request", "missing parameter : scope")),
        (with("scope", "openid scope_all"), bad("invalid_scope", "Invalid scopes: openid scope_all")),
        (with("binding_message", ""), bad("invalid_binding_message", message)),
        (with("binding_message", "4 2"), bad("invalid_binding_message", message)),
        (with("binding_message", "été"), bad("invalid_binding_message", message)),
        (with("binding_message", &long), bad("invalid_binding_message", message)),
        (with("user_code", "0001"), bad("invalid_request", "User code not supported")),
    ];
    for (pairs, expected) in cases {
        assert_eq!(lab.start_with(&pairs).await.error(), expected);
    }
    assert_eq!(lab.stats().await["rings"], json!({}), "a refused request rings nobody");
}

#[tokio::test]
async fn keycloak_ignores_other_hints_and_parameters_that_it_does_not_know() {
    let lab = Lab::of(Personality::Keycloak);
    for more in ["login_hint_token", "id_token_hint", "channel", "request_context"] {
        started(&lab, &with(more, "x")).await;
    }
    let requests = lab.requests().await;
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[2]["channel"], "");
}

#[tokio::test]
async fn keycloak_acknowledges_the_realm_s_life_and_ends_sooner() {
    let lab = Lab::of(Personality::Keycloak);
    let answer = lab.start_with(&with("requested_expiry", "30")).await.json();
    assert_eq!(answer["expires_in"], json!(120));
    let id = answer["auth_req_id"].as_str().expect("a text");
    assert!(id.len() > 800 && id.split('.').count() == 5, "a JWE");
    lab.advance(30_000);
    assert_eq!(lab.poll(id).await.error(), bad("expired_token", "authentication timed out"));
    lab.advance(15_000);
    assert_eq!(lab.poll(id).await.error(), bad("invalid_grant", "Invalid auth_req_id"));
}

#[tokio::test]
async fn keycloak_looks_at_the_pace_before_the_decision_and_never_changes_it() {
    let lab = Lab::of(Personality::Keycloak);
    let id = started(&lab, &plain()).await;
    assert_eq!(lab.poll_result(&id).await, "authorization_pending");
    lab.approve(&id, Value::Null).await;
    for _ in 0..3 {
        lab.advance(1500);
        assert_eq!(lab.poll(&id).await.error(), bad("slow_down", "too early to access"));
    }
    lab.advance(500);
    assert_eq!(lab.poll_result(&id).await, "ok", "5 s after the accepted poll");
    lab.advance(5000);
    assert_eq!(lab.poll(&id).await.error(), bad("invalid_grant", "Invalid auth_req_id"), "once");
    assert_eq!(lab.poll("garbage").await.error(), bad("invalid_grant", "Invalid Auth Req ID"));
    let denied = started(&lab, &plain()).await;
    lab.deny(&denied).await;
    assert_eq!(lab.poll(&denied).await.error(), bad("access_denied", "not authorized"));
}

#[tokio::test]
async fn keycloak_names_people_by_standard_claims() {
    let lab = Lab::of(Personality::Keycloak);
    let tokens = approved(&lab).await;
    assert_eq!(tokens["not-before-policy"], json!(0));
    assert!(tokens["session_state"].is_string());
    let id_token = claims(&tokens["id_token"]);
    assert_eq!(id_token["preferred_username"], DOCTOR);
    assert_eq!((&id_token["typ"], &id_token["acr"]), (&json!("ID"), &json!("1")));
    for member in ["azp", "sid", "auth_time", "at_hash", "name", "given_name", "family_name"] {
        assert!(!id_token[member].is_null(), "{member}");
    }
    for psc in ["SubjectNameID", "otherIds", "authMode", "auth_level", "amr", "nonce"] {
        assert!(id_token.get(psc).is_none(), "{psc}");
    }
    let userinfo = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await.json();
    assert_eq!(userinfo["sub"], id_token["sub"]);
    assert_eq!(userinfo["preferred_username"], DOCTOR);
    assert!(userinfo.get("SubjectRefPro").is_none());
}

// === The letter of CIBA ===

#[tokio::test]
async fn generic_says_what_is_true_and_no_more() {
    let lab = Lab::of(Personality::Generic);
    let metadata = lab.get("/op/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["issuer"], "https://localhost:8083/op");
    assert_eq!(metadata["backchannel_user_code_parameter_supported"], json!(true));
    let grants = json!(["urn:openid:params:grant-type:ciba", "refresh_token"]);
    assert_eq!(metadata["grant_types_supported"], grants);
    assert!(metadata.get("authorization_endpoint").is_none());
    for name in ["backchannel_authentication_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        let path = metadata[name].as_str().and_then(|url| url.strip_prefix("https://localhost:8083"));
        assert_ne!(lab.get(path.expect("our origin")).await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn generic_wants_exactly_one_hint_and_understands_login_hint() {
    let lab = Lab::of(Personality::Generic);
    let one = "Exactly one of login_hint, login_hint_token and id_token_hint is required.";
    assert_eq!(lab.start_with(&without("login_hint")).await.error(), bad("invalid_request", one));
    for second in ["login_hint_token", "id_token_hint"] {
        assert_eq!(lab.start_with(&with(second, "x")).await.error(), bad("invalid_request", one));
        let mut alone = without("login_hint");
        alone.push((second, "x"));
        let (status, error, description) = lab.start_with(&alone).await.error();
        assert_eq!((status, error.as_str()), (400, "invalid_request"));
        assert_ne!(description, one);
    }
    started(&lab, &with("login_hint_token", "")).await;
}

#[tokio::test]
async fn generic_refuses_by_the_codes_of_ciba() {
    let lab = Lab::of(Personality::Generic);
    let long = "a".repeat(101);
    let cases = [
        (with("login_hint", "unknown-7"), "unknown_user_id"),
        (without("scope"), "invalid_request"),
        (with("scope", "profile"), "invalid_scope"),
        (with("scope", "openid everything"), "invalid_scope"),
        (with("binding_message", ""), "invalid_binding_message"),
        (with("binding_message", "a\u{7}"), "invalid_binding_message"),
        (with("binding_message", &long), "invalid_binding_message"),
        (with("user_code", "0000"), "invalid_user_code"),
        (with("requested_expiry", "0"), "invalid_request"),
        (with("requested_expiry", "1.5"), "invalid_request"),
    ];
    for (pairs, expected) in cases {
        let (status, error, _) = lab.start_with(&pairs).await.error();
        assert_eq!((status, error.as_str()), (400, expected), "{pairs:?}");
    }
    assert_eq!(lab.stats().await["rings"], json!({}));
    started(&lab, &with("user_code", "0001")).await;
    started(&lab, &with("binding_message", "Pièce n° 42")).await;
    started(&lab, &with("unheard_of", "x")).await;
}

#[tokio::test]
async fn generic_knows_one_word_for_a_client_that_it_does_not_believe() {
    let mut lab = Lab::of(Personality::Generic);
    lab.certificate = None;
    let answer = lab.start_with(&plain()).await;
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Basic realm=\"op\"");
    let (status, error, _) = answer.error();
    assert_eq!((status, error.as_str()), (401, "invalid_client"));
    let id = "x";
    assert_eq!(lab.poll(id).await.error().1, "invalid_client");
}

#[tokio::test]
async fn generic_acknowledges_the_life_that_was_asked_for() {
    let lab = Lab::of(Personality::Generic);
    let answer = lab.start_with(&with("requested_expiry", "30")).await.json();
    assert_eq!(answer["expires_in"], json!(30));
    let id = answer["auth_req_id"].as_str().expect("a text");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{id}");
    assert!((27..200).contains(&id.len()), "160 bits and a seal: {id}");
    let longer = lab.start_with(&with("requested_expiry", "900")).await.json();
    assert_eq!(longer["expires_in"], json!(120), "not longer than the provider allows");
    lab.advance(30_000);
    for _ in 0..2 {
        assert_eq!(lab.poll_result(id).await, "expired_token");
        lab.advance(60_000);
    }
}

#[tokio::test]
async fn generic_adds_five_seconds_at_each_slow_down_for_good() {
    let lab = Lab::of(Personality::Generic);
    let id = started(&lab, &plain()).await;
    assert_eq!(lab.poll_result(&id).await, "authorization_pending");
    lab.advance(4999);
    assert_eq!(lab.poll_result(&id).await, "slow_down");
    // Ten from here on, counted from that poll.
    lab.advance(9999);
    assert_eq!(lab.poll_result(&id).await, "slow_down");
    lab.advance(15_000);
    assert_eq!(lab.poll_result(&id).await, "authorization_pending");
    lab.advance(14_999);
    assert_eq!(lab.poll_result(&id).await, "slow_down");
    let other = started(&lab, &plain()).await;
    lab.poll(&other).await;
    lab.advance(5000);
    assert_eq!(lab.poll_result(&other).await, "authorization_pending", "another request has its own pace");
}

#[tokio::test]
async fn generic_looks_at_the_decision_before_the_pace() {
    let lab = Lab::of(Personality::Generic);
    for (decision, expected) in [("approve", "ok"), ("deny", "access_denied")] {
        let id = started(&lab, &plain()).await;
        lab.poll(&id).await;
        match decision {
            "approve" => lab.approve(&id, Value::Null).await,
            _ => lab.deny(&id).await,
        }
        lab.advance(1);
        assert_eq!(lab.poll_result(&id).await, expected);
    }
    let used = lab.requests().await[0]["auth_req_id"].as_str().expect("a text").to_owned();
    for gone in [used.as_str(), "garbage"] {
        lab.advance(5000);
        assert_eq!(lab.poll_result(gone).await, "invalid_grant");
    }
}

#[tokio::test]
async fn generic_gives_tokens_without_anybody_s_own_members() {
    let lab = Lab::of(Personality::Generic);
    let tokens = approved(&lab).await;
    for keycloak in ["not-before-policy", "session_state", "refresh_expires_in"] {
        assert!(tokens.get(keycloak).is_none(), "{keycloak}");
    }
    let id_token = claims(&tokens["id_token"]);
    assert_eq!(id_token["preferred_username"], DOCTOR);
    assert_eq!(id_token["acr"], "substantial");
    assert!(id_token.get("SubjectNameID").is_none());
    let userinfo = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await.json();
    assert_eq!(userinfo["sub"], id_token["sub"]);
}

#[test]
fn a_personality_has_a_name() {
    for (name, personality) in
        [("psc", Personality::Psc), ("keycloak", Personality::Keycloak), ("generic", Personality::Generic)]
    {
        assert_eq!(name.parse(), Ok(personality));
    }
    for nobody in ["", "PSC", "auth0"] {
        assert!(nobody.parse::<Personality>().is_err(), "{nobody}");
    }
}
