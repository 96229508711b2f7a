//! The userinfo endpoint.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{BASE, DOCTOR, Lab, certificate, claims};

async fn access_token(lab: &Lab) -> String {
    lab.tokens(DOCTOR, Value::Null).await["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn it_tells_who_the_tokens_are_about() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    let answer = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let info = answer.json();
    assert_eq!(info["sub"], claims(&tokens["id_token"])["sub"]);
    assert_eq!(info["SubjectNameID"], DOCTOR);
    assert_eq!(info["family_name"], "LEROY-TEST");
    let exercices = info["SubjectRefPro"]["exercices"].as_array().expect("a list");
    let sites: Vec<usize> =
        exercices.iter().map(|exercice| exercice["activities"].as_array().expect("a list").len()).collect();
    assert_eq!(sites, [2, 1]);
    assert_eq!(exercices[0]["activities"][0].as_object().expect("an object").len(), 30);
}

#[tokio::test]
async fn without_a_good_token_it_challenges() {
    let lab = Lab::new();
    let path = format!("{BASE}/userinfo");
    let bare = lab.get(&path).await;
    assert_eq!(bare.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bare.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"esante-wallet\"");
    let token = access_token(&lab).await;
    let in_query = lab.get(&format!("{path}?access_token={token}")).await;
    assert_eq!(in_query.status, StatusCode::UNAUTHORIZED, "the header is the only place for a token");
    let id_token = lab.tokens(DOCTOR, Value::Null).await["id_token"].as_str().expect("a token").to_owned();
    let foreign = access_token(&Lab::new()).await;
    for wrong in ["x", id_token.as_str(), foreign.as_str()] {
        let answer = lab.userinfo(wrong).await;
        assert_eq!(answer.error().0, 401);
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().expect("a text");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    assert_eq!(lab.userinfo(&token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_access_token_lives_as_long_as_the_settings_say() {
    let lab = Lab::new();
    let token = access_token(&lab).await;
    lab.advance(119_999);
    assert_eq!(lab.userinfo(&token).await.status, StatusCode::OK);
    lab.advance(1);
    assert_eq!(lab.userinfo(&token).await.status, StatusCode::UNAUTHORIZED);
    lab.settings(json!({ "access_token_seconds": 7 })).await;
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    assert_eq!(tokens["expires_in"], json!(7));
    lab.advance(7000);
    let answer = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_that_fetched_it() {
    let mut lab = Lab::new();
    let token = access_token(&lab).await;
    let right = lab.certificate.clone();
    // The same name, another key: as after a renewal.
    for wrong in [Some(certificate("relais-demo")), None] {
        lab.certificate = wrong;
        assert_eq!(lab.userinfo(&token).await.error().1, "invalid_token");
    }
    lab.certificate = right;
    assert_eq!(lab.userinfo(&token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn it_answers_post_as_well() {
    let lab = Lab::new();
    let bearer = format!("Bearer {}", access_token(&lab).await);
    let headers = [("authorization", bearer.as_str())];
    let request = lab.request(Method::POST, &format!("{BASE}/userinfo"), &headers, Body::empty());
    assert_eq!(lab.send(request).await.status, StatusCode::OK);
}
