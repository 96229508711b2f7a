//! Rows 83 to 86: one sending, tokens that continue those of before, and nothing but `invalid_grant` for an end.

use std::time::Duration;

use relais::domain::secret::Secret;
use relais::domain::time::Timestamp;
use relais::engine::ports::{FreshTokens, Providers as _, RefreshAnswer, RefreshRequest};
use serde_json::{Value, json};

use super::op::Reply;
use super::setup::{CLIENT_ID, Setup, token_answer, without};
use super::signing::{rsa_1, rsa_2, sign_hs256, unsigned};
use super::tls::{Pki, by_certificate, listen};

const REFRESH_TOKEN: &str = "a refresh&token=+é";

/// What is done to the claims of an ID token, and its name.
type Change = (&'static str, fn(&mut Value));

impl Setup {
    /// What a session that has been signed in would send.
    async fn refresh_request(&self) -> RefreshRequest {
        RefreshRequest {
            x5t: self.clients.certificate_in_use(&self.registration),
            refresh_token: Secret::new(REFRESH_TOKEN),
            claims: self.approved().await.claims,
        }
    }

    async fn refresh(&self, request: &RefreshRequest) -> RefreshAnswer {
        self.clients.refresh(&self.registration, request.clone()).await
    }

    /// Answers the next refresh with this, and says what it means.
    async fn meaning(&self, request: &RefreshRequest, reply: Reply) -> String {
        self.op.next("token", reply);
        meaning(&self.refresh(request).await)
    }

    /// The same with a token answer around an ID token of these claims.
    async fn meaning_of_claims(&self, request: &RefreshRequest, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.meaning(request, Reply::json(200, &token_answer(&rsa_1().sign(&claims)))).await
    }

    async fn fresh(&self, request: &RefreshRequest, body: &Value) -> FreshTokens {
        self.op.next("token", Reply::json(200, body));
        let answer = self.refresh(request).await;
        let meaning = meaning(&answer);
        let RefreshAnswer::Refreshed(fresh) = answer else { unreachable!("{meaning}") };
        *fresh
    }
}

fn meaning(answer: &RefreshAnswer) -> String {
    match answer {
        RefreshAnswer::Refreshed(_) => "refreshed".to_owned(),
        RefreshAnswer::Refused => "refused".to_owned(),
        RefreshAnswer::NotBelieved => "not believed".to_owned(),
        RefreshAnswer::Declined { retry_after } => {
            retry_after.map_or_else(|| "declined".to_owned(), |wait| format!("declined {}", wait.as_secs()))
        }
        RefreshAnswer::OutcomeUnknown => "outcome unknown".to_owned(),
    }
}

#[tokio::test]
async fn rp_083_a_refresh_says_what_it_is_and_no_more() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let fresh = setup.fresh(&request, &token_answer(&rsa_1().sign(&setup.claims()))).await;
    let now = setup.now();
    assert_eq!(fresh.access_expires_at.map(Timestamp::as_secs), Some(now + 120));
    assert_eq!(fresh.refresh_expires_at.map(Timestamp::as_secs), Some(now + 1800));
    assert!(fresh.refresh_token.is_some() && fresh.id_token.is_some());
    let sent = setup.op.seen("token").pop().expect("a request");
    assert_eq!(sent.form("grant_type"), ["refresh_token"]);
    assert_eq!(sent.form("refresh_token"), [REFRESH_TOKEN]);
    for name in ["scope", "auth_req_id", "client_secret"] {
        assert!(sent.form(name).is_empty(), "{name}");
    }
    assert!(sent.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
}

#[tokio::test]
async fn rp_083_what_the_answer_leaves_out_stays_as_it_was() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let old = setup.approved().await.tokens;
    let kept = old.refresh_token.clone().expect("a refresh token");
    let bare = json!({"access_token": "another", "token_type": "Bearer"});
    let tokens = setup.fresh(&request, &bare).await.over(old.clone());
    assert_eq!(tokens.access_token.expose(), "another");
    assert!(tokens.access_expires_at.is_none(), "nobody knows how long this one lives");
    assert_eq!(tokens.refresh_token.as_ref().map(Secret::expose), Some(kept.expose()));
    assert_eq!(tokens.refresh_expires_at, old.refresh_expires_at);
    assert_eq!(tokens.id_token.expose(), old.id_token.expose());

    let rotated = json!({"access_token": "another", "token_type": "Bearer", "refresh_token": "next"});
    let tokens = setup.fresh(&request, &rotated).await.over(old);
    assert_eq!(tokens.refresh_token.as_ref().map(Secret::expose), Some("next"));
    assert!(tokens.refresh_expires_at.is_none(), "of another token than before nothing is known");
}

#[tokio::test]
async fn rp_084_an_id_token_that_continues_the_first_is_taken() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let changes: [Change; 8] = [
        ("the same", |_| {}),
        ("made some minutes ago", |claims| {
            claims["iat"] = json!(claims["iat"].as_i64().expect("a date") - 240);
        }),
        ("no auth_time", |claims| without(claims, "auth_time")),
        ("no national identifier", |claims| {
            without(claims, "SubjectNameID");
            without(claims, "preferred_username");
        }),
        ("no azp", |claims| without(claims, "azp")),
        ("an audience in a list", |claims| claims["aud"] = json!([CLIENT_ID])),
        ("another level, which only informs", |claims| claims["acr"] = json!("eidas2")),
        ("another jti", |claims| claims["jti"] = json!("another")),
    ];
    for (case, change) in changes {
        assert_eq!(setup.meaning_of_claims(&request, change).await, "refreshed", "{case}");
    }
}

#[tokio::test]
async fn rp_084_an_id_token_that_says_anything_else_than_the_first_is_not_believed() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let now = setup.now();
    let cases = [
        ("iss", json!("https://elsewhere.example")),
        ("sub", json!("f:op:2")),
        ("sub", json!(null)),
        ("aud", json!("somebody-else")),
        ("aud", json!([CLIENT_ID, "somebody-else"])),
        ("azp", json!("somebody-else")),
        ("auth_time", json!(now)),
        ("auth_time", json!(now - 3599)),
        ("SubjectNameID", json!("899700000002")),
        ("exp", json!(now - 31)),
        ("iat", json!(now - 301)),
        ("iat", json!(now + 120)),
        ("nbf", json!(now + 60)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (name, value) in cases {
        let meaning = setup.meaning_of_claims(&request, |claims| claims[name] = value.clone()).await;
        assert_eq!(meaning, "not believed", "{name} = {value}");
    }
    let claims = setup.claims().to_string();
    for (case, token) in [
        ("no JWT", "x".to_owned()),
        ("unsigned", format!("{}.", unsigned(&json!({"alg": "none"}), &claims))),
        ("HS256", sign_hs256(&setup.claims(), b"client-secret-canary")),
        ("another key under this name", rsa_2().sign_text(&rsa_1().header(), &claims)),
    ] {
        let meaning = setup.meaning(&request, Reply::json(200, &token_answer(&token))).await;
        assert_eq!(meaning, "not believed", "{case}");
    }
}

#[tokio::test]
async fn rp_084_the_national_identifier_is_compared_where_the_registration_says_that_it_stands() {
    let setup = Setup::with(|_, registration| {
        registration.claims.national_id = Some("ids.rpps".parse().expect("a path"));
    });
    let setup = setup.await;
    let mut claims = setup.claims();
    claims["ids"] = json!({"rpps": "810000000013"});
    setup.op.next("token", Reply::json(200, &token_answer(&rsa_1().sign(&claims))));
    let request = setup.refresh_request().await;
    assert_eq!(request.claims.subject.national_id.as_deref(), Some("810000000013"));
    for (ids, meaning) in [
        (json!({"rpps": "810000000013"}), "refreshed"),
        (json!({}), "refreshed"),
        (json!({"rpps": "810000000021"}), "not believed"),
    ] {
        let told = setup.meaning_of_claims(&request, |claims| claims["ids"] = ids.clone()).await;
        assert_eq!(told, meaning, "{ids}");
    }
}

#[tokio::test]
async fn rp_084_without_signing_keys_the_tokens_are_kept_and_the_first_id_token_too() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let authenticated = setup.claims()["auth_time"].clone();
    setup.op.stand("jwks", Reply::error(503, "down"));
    // Nobody has confirmed the keys for a day.
    setup.clock.advance(Duration::from_hours(25));
    let mut claims = setup.claims();
    claims["auth_time"] = authenticated.clone();
    let fresh = setup.fresh(&request, &token_answer(&rsa_1().sign(&claims))).await;
    assert!(fresh.id_token.is_none());
    // What a token says against itself needs no key.
    let meaning = setup
        .meaning_of_claims(&request, |claims| {
            claims["auth_time"] = authenticated;
            claims["sub"] = json!("f:op:2");
        })
        .await;
    assert_eq!(meaning, "not believed");
}

#[tokio::test]
async fn rp_085_every_answer_has_its_meaning_and_only_one_is_an_end() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let html = || Reply::raw(200, "text/html", "<html>maintenance</html>");
    let mac = json!({"access_token": "a", "token_type": "mac"});
    for (reply, wanted) in [
        (Reply::error(400, "invalid_grant"), "refused"),
        (Reply::error(401, "invalid_grant"), "refused"),
        (Reply::error(500, "invalid_grant"), "declined"),
        (Reply::error(400, "invalid_client"), "declined"),
        (Reply::error(503, "temporarily_unavailable").with("retry-after", "7"), "declined 7"),
        (Reply::raw(429, "text/plain", "").with("retry-after", "30"), "declined 30"),
        (Reply::raw(302, "text/plain", "").with("location", "https://elsewhere.example"), "declined"),
        (Reply::raw(404, "text/plain", ""), "declined"),
        (Reply::raw(500, "text/plain", ""), "declined"),
        (html(), "outcome unknown"),
        (Reply::json(200, &json!({})), "outcome unknown"),
        (Reply::json(200, &mac), "outcome unknown"),
        (Reply::Cut, "outcome unknown"),
        (Reply::Hang, "outcome unknown"),
    ] {
        let shown = match &reply {
            Reply::Answer { status, .. } => status.to_string(),
            Reply::Hang => "hang".to_owned(),
            Reply::Cut => "cut".to_owned(),
        };
        let before = setup.op.count("token");
        assert_eq!(setup.meaning(&request, reply).await, wanted, "{shown}");
        assert_eq!(setup.op.count("token"), before + 1, "{shown}: sent once");
    }
}

#[tokio::test]
async fn rp_085_what_cannot_be_sent_has_spent_nothing() {
    let setup = Setup::new().await;
    let request = setup.refresh_request().await;
    let nowhere = Setup::with(|provider, _| {
        provider.provider.metadata_url = "http://127.0.0.1:1/metadata".parse().expect("a URL");
    })
    .await;
    assert_eq!(meaning(&nowhere.refresh(&request).await), "declined", "no metadata");
    assert_eq!(nowhere.op.count("token"), 0);
    let mut document = setup.op.metadata();
    document["token_endpoint"] = json!("http://127.0.0.1:1/token");
    let moved = Setup::new().await;
    document["issuer"] = json!(moved.op.base);
    document["jwks_uri"] = json!(moved.op.url("jwks"));
    moved.op.stand("metadata", Reply::json(200, &document));
    moved.clients.ensure_metadata(&moved.registration).await.expect("metadata");
    assert_eq!(meaning(&moved.refresh(&request).await), "declined", "nobody listens there");
}

#[tokio::test]
async fn rp_086_tokens_are_refreshed_with_the_certificate_that_they_are_bound_to_and_with_no_other() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("new", &pki.client(60)), pki.write("old", &pki.client(30))];
    let only_old = Setup::at(op.clone(), by_certificate(&pki, &files[1..]));
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let mut request = setup.refresh_request().await;
    assert_ne!(request.x5t, only_old.poll_request().x5t);
    request.x5t = only_old.poll_request().x5t;
    assert_eq!(meaning(&setup.refresh(&request).await), "refreshed");
    request.x5t = Some("unknown".to_owned());
    let before = setup.op.count("token");
    assert_eq!(meaning(&setup.refresh(&request).await), "declined");
    assert_eq!(setup.op.count("token"), before, "never with another certificate");
}
