//! Rows 80 and 81: userinfo belongs to the person of the ID token, or it is discarded.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use relais::engine::ports::{Providers, Userinfo};
use relais::provider::IdTokenAlg;
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{ACCESS_TOKEN, CLIENT_ID, HINT, Setup, without, words};
use super::signing::{ec, rsa_1, rsa_2, sign_hs256, unsigned};

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

/// Signed userinfo about the person, for us.
fn signed_person(setup: &Setup) -> Value {
    let mut claims = person();
    (claims["iss"], claims["aud"]) = (json!(setup.op.base), json!(CLIENT_ID));
    claims
}

fn jwt(token: impl Into<Vec<u8>>) -> Reply {
    Reply::raw(200, "application/jwt", token)
}

#[tokio::test]
async fn rp_081_userinfo_that_nobody_has_signed_by_a_pinned_algorithm_is_discarded() {
    let setup = Setup::new().await;
    setup.op.publish(&[rsa_1().jwk(), ec().jwk()]);
    let claims = signed_person(&setup);
    let payload = claims.to_string();
    let public = rsa_1().jwk();
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().expect("a modulus")).expect("base64url");
    let typed = |typ: &str| {
        let mut header = rsa_1().header();
        header["typ"] = json!(typ);
        rsa_1().sign_text(&header, &payload)
    };
    let good = rsa_1().sign(&claims);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    for (what, token) in [
        ("none", format!("{}.", unsigned(&json!({"alg": "none", "typ": "JWT"}), &payload))),
        ("a shared secret", sign_hs256(&claims, &modulus)),
        ("an algorithm that is not pinned", rsa_1().with_alg(Algorithm::PS256).sign(&claims)),
        ("a key of the provider, not by a pinned algorithm", ec().sign(&claims)),
        ("a logout token", typed("logout+jwt")),
        ("an access token", typed("at+jwt")),
        ("without its signature", format!("{message}.")),
        ("with half of it", format!("{message}.{}", &signature[..signature.len() / 2])),
        ("encrypted", format!("{message}.{signature}.AAAA.AAAA")),
        ("a claim twice", rsa_1().sign_text(&rsa_1().header(), &payload.replacen('{', r#"{"aud":"x","#, 1))),
        ("no object", rsa_1().sign_text(&rsa_1().header(), "[]")),
        ("JSON that says to be a JWT", payload.clone()),
    ] {
        assert!(setup.userinfo_of(jwt(token)).await.is_none(), "{what}");
    }
    assert!(setup.userinfo_of(Reply::json(200, &json!(good))).await.is_none(), "a JWT that says to be JSON");
    let as_json = Reply::raw(200, "application/json", good.clone());
    assert!(setup.userinfo_of(as_json).await.is_none(), "a JWT that says to be JSON");
    assert!(setup.userinfo_of(jwt(format!("{good}\n"))).await.is_some());
    assert!(setup.userinfo_of(jwt(typed("userinfo+jwt"))).await.is_some());
}

#[tokio::test]
async fn rp_081_signed_userinfo_says_whose_it_is_and_for_whom() {
    let setup = Setup::new().await;
    for name in ["iss", "aud", "sub"] {
        let mut claims = signed_person(&setup);
        without(&mut claims, name);
        assert!(setup.userinfo_of(jwt(rsa_1().sign(&claims))).await.is_none(), "without {name}");
        for odd in
            [json!(null), json!(""), json!(7), json!([]), json!({}), json!(["x"]), json!([[CLIENT_ID]])]
        {
            let mut claims = signed_person(&setup);
            claims[name] = odd;
            assert!(setup.userinfo_of(jwt(rsa_1().sign(&claims))).await.is_none(), "{claims}");
        }
    }
    let mut for_several = signed_person(&setup);
    for_several["aud"] = json!(["another", CLIENT_ID]);
    assert!(setup.userinfo_of(jwt(rsa_1().sign(&for_several))).await.is_some());
}

#[tokio::test]
async fn rp_081_signed_userinfo_follows_the_keys_of_the_provider_and_the_pinned_algorithms() {
    let setup = Setup::with(|_, registration| {
        registration.id_token_algs = vec![IdTokenAlg::Rs256, IdTokenAlg::Es256];
    });
    let setup = setup.await;
    let approved = setup.approved().await;
    let read = async |token: String| {
        setup.op.next("userinfo", jwt(token));
        let access_token = &approved.tokens.access_token;
        let read = setup.clients.userinfo(&setup.registration, None, access_token, &approved.claims);
        read.await.is_ok()
    };
    let claims = signed_person(&setup);
    assert!(read(rsa_1().sign(&claims)).await);
    // A key that was not there when the ID token was verified.
    setup.op.publish(&[rsa_2().jwk(), ec().jwk()]);
    assert!(read(rsa_2().sign(&claims)).await);
    assert!(read(ec().sign(&claims)).await, "pinned here");
    assert!(!read(rsa_1().sign(&claims)).await, "a key that is gone");
}

#[tokio::test]
async fn rp_080_who_it_is_about_is_said_once_and_anything_else_as_often_as_a_provider_likes() {
    let setup = Setup::new().await;
    let raw = |text: &str| Reply::raw(200, "application/json", text);
    for twice in [
        r#"{"sub":"f:op:1","given_name":"A","sub":"f:op:1"}"#,
        r#"{"sub":"f:op:2","sub":"f:op:1"}"#,
        r#"{"sub":"f:op:1","SubjectNameID":"899700000002","SubjectNameID":"899700000001"}"#,
        r#"{"sub":"f:op:1","preferred_username":"x","preferred_username":"y"}"#,
    ] {
        assert!(setup.userinfo_of(raw(twice)).await.is_none(), "{twice}");
    }
    let text = r#"{"sub":"f:op:1","given_name":"Adele","x":{"sub":1,"sub":2},"given_name":"Ada"}"#;
    let userinfo = setup.userinfo_of(raw(text)).await.expect("accepted");
    assert_eq!(userinfo.claims.subject.given_name.as_deref(), Some("Ada"), "the last counts");
    assert_eq!(userinfo.document.expose(), text, "as it came");
}
