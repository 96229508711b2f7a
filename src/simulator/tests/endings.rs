//! Revocation, logout, and who has left.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab};
use crate::simulator::personality::Personality;

impl Lab {
    async fn revoke(&self, token: &Value) -> Answer {
        let token = token.as_str().expect("a token");
        let path = self.path(|paths| paths.revocation);
        self.send(self.form(&path, &[], &[("client_id", "relais-demo"), ("token", token)])).await
    }

    async fn log_out(&self, pairs: &[(&str, &str)]) -> Answer {
        let path = self.path(|paths| paths.logout);
        self.send(self.form(&path, &[], pairs)).await
    }

    async fn sessions(&self) -> Vec<Value> {
        let list = self.control(Method::GET, "/_sim/sessions", Value::Null).await.json();
        list.as_array().expect("a list").clone()
    }

    /// Whether userinfo may be read with it.
    async fn is_alive(&self, tokens: &Value) -> bool {
        self.userinfo(tokens["access_token"].as_str().expect("a token")).await.status == StatusCode::OK
    }
}

#[tokio::test]
async fn a_revoked_access_token_is_dead_and_its_session_lives() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    assert!(lab.is_alive(&tokens).await);
    for _ in 0..2 {
        let answer = lab.revoke(&tokens["access_token"]).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    }
    assert!(!lab.is_alive(&tokens).await);
    let session = lab.sessions().await.remove(0);
    assert_eq!((&session["ended_by"], &session["login_hint"]), (&Value::Null, &json!(DOCTOR)));
    assert_eq!(session["revoked"], json!(["access_token", "access_token"]));
}

#[tokio::test]
async fn who_approves_again_goes_on_in_the_session_where_sessions_are_shared() {
    let lab = Lab::new();
    assert_eq!(lab.settings(json!({ "shared_session": true })).await.json()["shared_session"], true);
    let first = lab.tokens(DOCTOR, Value::Null).await;
    let second = lab.tokens(DOCTOR, Value::Null).await;
    lab.tokens("899700000002", Value::Null).await;
    assert_eq!(lab.sessions().await.len(), 2, "one for each person");
    assert_eq!(first["session_state"], second["session_state"]);
    assert_eq!(lab.revoke(&first["refresh_token"]).await.status, StatusCode::OK);
    assert!(!lab.is_alive(&second).await, "it was theirs together");
    let third = lab.tokens(DOCTOR, Value::Null).await;
    assert!(lab.is_alive(&third).await);
    assert_eq!(lab.sessions().await.len(), 3, "what is over does not go on");
}

#[tokio::test]
async fn with_its_refresh_token_the_session_ends_and_no_other() {
    for personality in [Personality::Psc, Personality::Generic] {
        let lab = Lab::of(personality);
        let scope = if personality == Personality::Generic { "openid profile" } else { "openid scope_all" };
        let tokens = async || {
            let pairs = [("scope", scope), ("login_hint", DOCTOR), ("binding_message", "42")];
            let id = lab.start_with(&pairs).await.json()["auth_req_id"].as_str().expect("an id").to_owned();
            lab.approve(&id, Value::Null).await;
            lab.poll(&id).await.json()
        };
        let (mine, other) = (tokens().await, tokens().await);
        assert_eq!(lab.revoke(&mine["refresh_token"]).await.status, StatusCode::OK);
        assert!(!lab.is_alive(&mine).await);
        assert!(lab.is_alive(&other).await);
        let sessions = lab.sessions().await;
        assert_eq!(
            (&sessions[0]["ended_by"], &sessions[1]["ended_by"]),
            (&json!("revocation"), &Value::Null)
        );
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_as_good_as_revoked_and_only_the_client_revokes() {
    let mut lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    for unknown in ["x", "a.b.c", ""] {
        let status = lab.revoke(&json!(unknown)).await.status;
        assert_eq!(status.as_u16(), if unknown.is_empty() { 400 } else { 200 }, "{unknown}");
    }
    assert_eq!(lab.revoke(&tokens["id_token"]).await.error().1, "unsupported_token_type");
    // The very one: the tokens are bound to it.
    let own = lab.certificate.take();
    assert_eq!(lab.revoke(&tokens["refresh_token"]).await.status, StatusCode::UNAUTHORIZED);
    lab.certificate = own;
    assert!(lab.is_alive(&tokens).await);
    lab.fault(json!({ "endpoint": "revocation", "status": 503, "headers": { "retry-after": "7" } })).await;
    let busy = lab.revoke(&tokens["refresh_token"]).await;
    assert_eq!((busy.status.as_u16(), &busy.headers["retry-after"]), (503, &"7".parse().expect("a value")));
    assert!(lab.is_alive(&tokens).await);
    let calls = lab.stats().await["calls"]["revocation"].clone();
    assert_eq!(
        calls,
        json!({ "fault": 1, "invalid_request": 1, "unauthorized_client": 1, "unknown_token": 2,
            "unsupported_token_type": 1 })
    );
}

#[tokio::test]
async fn a_logout_needs_its_hint_and_takes_an_expired_one() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    let hint = tokens["id_token"].as_str().expect("a token").to_owned();
    let access = tokens["access_token"].as_str().expect("a token").to_owned();
    let asked = lab.log_out(&[]).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.text().contains("Do you want"), "a person would have to say so");
    for bad in [
        &[("id_token_hint", "x")][..],
        &[("id_token_hint", &access)],
        &[("id_token_hint", &hint), ("client_id", "other")],
        &[("id_token_hint", &hint), ("post_logout_redirect_uri", "https://localhost/")],
    ] {
        assert_eq!(lab.log_out(bad).await.status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    assert!(lab.is_alive(&tokens).await);
    let other = lab.tokens("899700000002", Value::Null).await;
    lab.advance(121_000);
    for _ in 0..2 {
        assert!(lab.log_out(&[("id_token_hint", &hint)]).await.text().contains("logged out"));
    }
    let sessions = lab.sessions().await;
    assert_eq!((&sessions[0]["ended_by"], &sessions[0]["logged_out"]), (&json!("logout"), &json!(true)));
    assert_eq!((&sessions[1]["ended_by"], &sessions[1]["logged_out"]), (&Value::Null, &json!(false)));
    let other = other["id_token"].as_str().expect("a token");
    let path = format!("{}?id_token_hint={other}", lab.path(|paths| paths.logout));
    let got = lab.send(lab.request(Method::GET, &path, &[], Body::empty())).await;
    assert!(got.text().contains("logged out"));
    assert_eq!(lab.sessions().await[1]["ended_by"], "logout");
}

#[tokio::test]
async fn somebody_leaves_only_where_he_is_and_where_the_client_wants_to_hear_it() {
    let lab = Lab::new();
    let leave = async |order: Value| lab.control(Method::POST, "/_sim/logouts", order).await.status.as_u16();
    assert_eq!(leave(json!({ "login_hint": DOCTOR })).await, 404);
    assert_eq!(leave(json!({})).await, 404);
    assert_eq!(leave(json!({ "login_hint": DOCTOR, "by": "name" })).await, 400);
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    assert_eq!(leave(json!({ "login_hint": DOCTOR })).await, 409);
    assert!(!lab.is_alive(&tokens).await, "he has left all the same");
    assert_eq!(lab.sessions().await[0]["ended_by"], "provider");
    for address in ["", "logout", "ftp://localhost/"] {
        let answer = lab.settings(json!({ "backchannel_logout_uri": address })).await;
        assert_eq!(answer.status.as_u16(), 400, "{address}");
    }
    let address = "https://localhost:1/logout";
    let set = lab.settings(json!({ "backchannel_logout_uri": address })).await.json();
    assert_eq!(set["backchannel_logout_uri"], address);
    let unset = lab.settings(json!({ "backchannel_logout_uri": null })).await.json();
    assert!(unset.get("backchannel_logout_uri").is_none());
}

#[tokio::test]
async fn introspection_tells_what_is_alive_and_nothing_of_anything_else() {
    let lab = Lab::new();
    let tokens = lab.tokens(DOCTOR, Value::Null).await;
    let introspect = async |token: &Value| {
        let path = lab.path(|paths| paths.introspection);
        let token = token.as_str().expect("a token");
        let answer = lab.send(lab.form(&path, &[], &[("client_id", "relais-demo"), ("token", token)])).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    };
    let dead = json!({ "active": false });
    let access = introspect(&tokens["access_token"]).await;
    assert_eq!((&access["active"], &access["SubjectNameID"]), (&json!(true), &json!(DOCTOR)));
    assert_eq!((&access["client_id"], &access["token_type"]), (&json!("relais-demo"), &json!("Bearer")));
    let refresh = introspect(&tokens["refresh_token"]).await;
    assert_eq!((&refresh["active"], &refresh["token_type"]), (&json!(true), &json!("Refresh")));
    assert!(refresh.get("SubjectNameID").is_none(), "of access tokens only");
    for other in [&json!("x"), &tokens["id_token"]] {
        assert_eq!(introspect(other).await, dead);
    }
    lab.revoke(&tokens["refresh_token"]).await;
    for over in [&tokens["access_token"], &tokens["refresh_token"]] {
        assert_eq!(introspect(over).await, dead);
    }
    let path = lab.path(|paths| paths.introspection);
    let nobody = lab.form(&path, &[], &[("client_id", "somebody"), ("token", "x")]);
    assert_eq!(lab.send(nobody).await.error().1, "invalid_client");
}
