//! Rows 80 and 81: userinfo belongs to the person of the ID token, or it is discarded.

use relais::engine::ports::{Providers, Userinfo};
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{ACCESS_TOKEN, CLIENT_ID, HINT, Setup, words};
use super::signing::{rsa_1, rsa_2};

impl Setup {
    async fn userinfo(&self) -> Option<Userinfo> {
        let approved = self.approved().await;
        let x5t = self.clients.certificate_in_use(&self.registration);
        let tokens = &approved.tokens;
        let read =
            self.clients.userinfo(&self.registration, x5t.as_deref(), &tokens.access_token, &approved.claims);
        read.await.ok()
    }

    async fn userinfo_of(&self, reply: Reply) -> Option<Userinfo> {
        self.op.next("userinfo", reply);
        self.userinfo().await
    }
}

fn person() -> Value {
    json!({
        "sub": "f:op:1", "SubjectNameID": HINT, "given_name": "Ada", "family_name": "MARTIN", "unknown": [1, {"x": null}],
        "SubjectRefPro": {"exercices": [{"codeProfession": "10", "activities": [
            {"codeModeExercice": "L", "raisonSocialeSite": "CABINET", "codePostal": "29200"},
            {"codeModeExercice": "S", "raisonSocialeSite": "CLINIQUE", "codePostal": "29200"},
        ]}]},
    })
}

#[tokio::test]
async fn rp_080_userinfo_is_read_with_the_bearer_token_and_kept_whole() {
    let setup = Setup::new().await;
    let userinfo = setup.userinfo_of(Reply::json(200, &person())).await.expect("accepted");
    assert!(userinfo.claims.subject.complete);
    assert_eq!(userinfo.claims.subject.exercices.len(), 2);
    assert_eq!(userinfo.claims.scope, words("openid scope_all"));
    let document: Value = serde_json::from_str(userinfo.document.expose()).expect("JSON");
    assert_eq!(document, person());
    let seen = setup.op.seen("userinfo").remove(0);
    assert_eq!(seen.method, "GET");
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {ACCESS_TOKEN}")));
    assert!(seen.body.is_empty());
}

#[tokio::test]
async fn rp_080_userinfo_of_somebody_else_is_discarded() {
    let setup = Setup::new().await;
    for (name, value) in [
        ("sub", json!("f:op:2")),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("SubjectNameID", json!("899700000002")),
    ] {
        let mut other = person();
        other[name] = value;
        assert!(setup.userinfo_of(Reply::json(200, &other)).await.is_none(), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_userinfo_fails_nothing_else() {
    let setup = Setup::new().await;
    let huge = format!(r#"{{"sub":"f:op:1","x":"{}"}}"#, "x".repeat(300_000));
    for reply in [
        Reply::raw(200, "application/json", "{"),
        Reply::raw(200, "application/json", r#"{"sub":"f:op:1","sub":"f:op:1"}"#),
        Reply::raw(200, "application/json", huge),
        Reply::raw(401, "application/json", ""),
        Reply::raw(302, "text/html", "").with("location", "/elsewhere"),
        Reply::Cut,
    ] {
        assert!(setup.userinfo_of(reply).await.is_none());
    }
    assert!(setup.userinfo_of(Reply::json(200, &person())).await.is_some());
}

#[tokio::test]
async fn rp_081_signed_userinfo_is_verified_like_an_id_token() {
    let setup = Setup::new().await;
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut claims = person();
        claims["iss"] = json!(setup.op.base);
        claims["aud"] = json!([CLIENT_ID]);
        change(&mut claims);
        rsa_1().sign(&claims)
    };
    let jwt = |token: String| Reply::raw(200, "application/jwt; charset=utf-8", token);
    let userinfo = setup.userinfo_of(jwt(signed(&|_| {}))).await.expect("accepted");
    assert_eq!(userinfo.claims.subject.exercices.len(), 2);
    let document: Value = serde_json::from_str(userinfo.document.expose()).expect("JSON");
    assert_eq!(document["SubjectNameID"], HINT);
    assert!(setup.userinfo_of(jwt(signed(&|claims| claims["iss"] = json!("x")))).await.is_none());
    assert!(setup.userinfo_of(jwt(signed(&|claims| claims["aud"] = json!("x")))).await.is_none());
    assert!(setup.userinfo_of(jwt(signed(&|claims| claims["sub"] = json!("x")))).await.is_none());
    let now = setup.now();
    for (name, good, bad) in [
        ("exp", json!(now - 29), json!(now - 31)),
        ("nbf", json!(now + 29), json!(now + 32)),
        ("iat", json!(now + 59), json!(now + 62)),
        ("exp", json!(now + 1), json!((now + 1).to_string())),
    ] {
        assert!(
            setup.userinfo_of(jwt(signed(&|claims| claims[name] = good.clone()))).await.is_some(),
            "{name}"
        );
        assert!(
            setup.userinfo_of(jwt(signed(&|claims| claims[name] = bad.clone()))).await.is_none(),
            "{name}"
        );
    }
    let forged = rsa_2().sign_text(&rsa_1().header(), &person().to_string());
    assert!(setup.userinfo_of(jwt(forged)).await.is_none());
}
