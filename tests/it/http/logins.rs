//! Starting, reading, cancelling a login.

use http::{Method, StatusCode};
use relais::domain::login::{EndStatus, LoginReason};
use relais::domain::secret::Secret;
use relais::engine::ports::StartFailure;
use serde_json::{Value, json};

use super::world::{LOGICIEL, PERSON, World, bearer};

#[tokio::test]
async fn a_start_answers_with_the_login_object_and_its_token() {
    let world = World::new().await;
    let body = json!({
        "login_hint": " 899 700 000 001 ", "registration": "lps", "channel": "CARD", "scope": "openid",
        "acr_values": "eidas1", "requested_expiry": 90, "if_pending": "replace", "reference": "Poste 3",
        "client_context": {"software": {"name": "L", "version": "1", "id": "x"}, "workstation": "W", "seat": "S"},
    });
    let answer = world.start_with(LOGICIEL, &[], &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let object = answer.json();
    let id = object["login_id"].as_str().expect("id");
    assert_eq!(answer.header("location"), format!("https://relais.test:8443/v1/logins/{id}"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-language"), "fr");
    assert_eq!(answer.header("etag"), format!("\"{}\"", object["version"]));
    assert_eq!(object["status"], "pending");
    assert_eq!(object["hint"], "confirm_with_card");
    assert_eq!(object["login_hint"], PERSON);
    assert_eq!(object["registration"], "lps");
    assert_eq!(object["environment"], "test");
    assert_eq!(object["channel"], "CARD");
    assert_eq!(object["reference"], "Poste 3");
    assert_eq!(object["expires_in"], 90);
    assert_eq!(object["poll_after_ms"], 2000);
    let digits = object["binding_message"].as_str().expect("digits");
    assert!(object["user_message"].as_str().expect("message").contains(digits));
    assert!(object["login_token"].as_str().expect("token").starts_with("rlt_"));
    assert!(object.get("reason").is_none() && object.get("session_id").is_none());
    let read = world.get(&format!("/v1/logins/{id}"), object["login_token"].as_str().expect("token")).await;
    let mut expected = object.clone();
    expected.as_object_mut().expect("object").remove("login_token");
    assert_eq!(read.json(), expected);
}

#[tokio::test]
async fn a_repeated_start_with_its_key_is_replayed() {
    let world = World::new().await;
    let key = [("idempotency-key", "0193a5f0-1111-4222-8333-444455556666")];
    let first = world.start_with(LOGICIEL, &key, r#"{"login_hint":"899700000001","reference":"a"}"#).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.header("idempotency-replayed"), "");
    // The same body in another order of members.
    let again = world.start_with(LOGICIEL, &key, r#"{"reference":"a", "login_hint":"899700000001"}"#).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json(), first.json());
    let other = world.start_with(LOGICIEL, &key, r#"{"login_hint":"899700000001","reference":"b"}"#).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    let malformed = world.start_with(LOGICIEL, &[("idempotency-key", "1")], "{}").await;
    assert_eq!(malformed.problem(), (400, "idempotency_key_malformed".to_owned()));
}

#[tokio::test]
async fn a_taken_person_slot_says_how_long_and_nothing_else() {
    let world = World::new().await;
    let first = world.start(LOGICIEL).await;
    let second = world.start_with(LOGICIEL, &[], r#"{"login_hint":"899700000001"}"#).await;
    assert_eq!(second.problem(), (409, "already_pending".to_owned()));
    let body = second.json();
    assert_eq!(body["replaceable"], true);
    assert_eq!(second.header("retry-after"), body["expires_in"].to_string());
    assert!(!second.text.contains(&first.id));
    let replace = r#"{"login_hint":"899700000001","if_pending":"replace"}"#;
    assert_eq!(world.start_with(LOGICIEL, &[], replace).await.status, StatusCode::CREATED);
    let replaced = world.get(&format!("/v1/logins/{}", first.id), &first.token).await.json();
    assert_eq!((&replaced["status"], &replaced["reason"]), (&json!("cancelled"), &json!("superseded")));
    assert_eq!(replaced["poll_after_ms"], 0);
    let others = world.start_with("bavard:secret", &[], replace).await;
    assert_eq!(others.json()["replaceable"], false);
}

#[tokio::test]
async fn every_refusal_of_a_start_has_its_code() {
    let world = World::new().await;
    for (application, body, expected) in [
        (LOGICIEL, json!({"login_hint": "810000000008"}), (400, "login_hint_malformed")),
        (LOGICIEL, json!({"login_hint": ""}), (400, "login_hint_malformed")),
        (LOGICIEL, json!({"login_hint": PERSON, "registration": "other"}), (403, "registration_not_allowed")),
        (LOGICIEL, json!({"login_hint": PERSON, "channel": "SMOKE"}), (403, "channel_not_allowed")),
        (LOGICIEL, json!({"login_hint": PERSON, "scope": "openid all"}), (403, "scope_not_allowed")),
        (LOGICIEL, json!({"login_hint": PERSON, "acr_values": "eidas3"}), (403, "acr_not_allowed")),
        (
            LOGICIEL,
            json!({"login_hint": PERSON, "binding_message": "42"}),
            (403, "binding_message_not_allowed"),
        ),
        (
            "bavard:secret",
            json!({"login_hint": PERSON, "binding_message": "hello"}),
            (400, "binding_message_malformed"),
        ),
    ] {
        let answer = world.start_with(application, &[], &body.to_string()).await;
        let (status, code) = answer.problem();
        assert_eq!((status, code.as_str()), expected, "{body}");
    }
    let check = world.start_with(LOGICIEL, &[], r#"{"login_hint":"810000000008"}"#).await.json();
    assert_eq!(
        (&check["errors"][0]["pointer"], &check["errors"][0]["rule"]),
        (&json!("/login_hint"), &json!("check_digit"))
    );
    world.provider.without_metadata.store(true, std::sync::atomic::Ordering::SeqCst);
    let unavailable = world.start_with(LOGICIEL, &[], r#"{"login_hint":"899700000001"}"#).await;
    assert_eq!(unavailable.problem(), (503, "provider_unavailable".to_owned()));
    assert_ne!(unavailable.header("retry-after"), "");
}

#[tokio::test]
async fn rp_019_020_what_the_start_says_reaches_the_provider_as_it_stands() {
    let world = World::new().await;
    let context = json!({"software": {"name": "Médecin +", "version": "4.2"}, "seat": "accueil"});
    let body = json!({
        "login_hint": PERSON, "requested_expiry": 90, "user_code": "code-of-the-person", "client_context": context,
        "scope": "openid", "channel": "CARD",
    });
    let started = world.start_with(LOGICIEL, &[], &body.to_string()).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    let asked = world.provider.asked.lock().expect("lock").pop().expect("a request");
    assert_eq!(asked.requested_expiry, Some(90));
    assert_eq!(asked.user_code.as_ref().map(Secret::expose), Some("code-of-the-person"));
    assert_eq!((asked.scope.join(" "), asked.channel.as_deref()), ("openid".to_owned(), Some("CARD")));
    assert_eq!(asked.acr_values, ["eidas1"], "all of the registration's");
    let told: Value = serde_json::from_str(&asked.client_context.expect("a context")).expect("JSON");
    assert_eq!(told, context);
    for untold in ["code-of-the-person", "accueil"] {
        assert!(!started.text.contains(untold), "{}", started.text);
    }
}

#[tokio::test]
async fn everything_wrong_with_a_start_body_is_told_at_once() {
    let world = World::new().await;
    let body = json!({
        "scope": ["openid"], "requested_expiry": 0, "if_pending": "wait", "reference": "x".repeat(65),
        "client_context": {"seat": 1, "colour": "red"}, "login_hnt": PERSON,
    });
    let answer = world.start_with(LOGICIEL, &[], &body.to_string()).await;
    assert_eq!(answer.problem(), (400, "invalid_request".to_owned()));
    let body = answer.json();
    let mut found: Vec<_> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["pointer"].as_str().expect("pointer"), error["rule"].as_str().expect("rule")))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("/client_context/colour", "unknown_member"),
            ("/client_context/seat", "type"),
            ("/if_pending", "enum"),
            ("/login_hint", "required"),
            ("/login_hnt", "unknown_member"),
            ("/reference", "length"),
            ("/requested_expiry", "range"),
            ("/scope", "type"),
        ]
    );
    let large = json!({"login_hint": PERSON, "client_context": {
        "workstation": "w".repeat(256), "seat": "s".repeat(256),
        "software": {"name": "n".repeat(256), "version": "v".repeat(256), "id": "i".repeat(256)},
    }});
    let answer = world.start_with(LOGICIEL, &[], &large.to_string()).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "/client_context");
}

#[tokio::test]
async fn a_login_can_be_cancelled_more_than_once() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let path = format!("/v1/logins/{}", login.id);
    let bearer = bearer(&login.token);
    for _ in 0..2 {
        let answer = world.call(Method::DELETE, &path, &[("authorization", &bearer)], "").await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    let object = world.get(&path, &login.token).await.json();
    assert_eq!((&object["status"], &object["reason"]), (&json!("cancelled"), &json!("cancelled")));
    let not_approved = world.pick_up(&login, &[], "").await;
    assert_eq!(not_approved.problem(), (409, "not_approved".to_owned()));
    let problem = not_approved.json();
    assert_eq!((&problem["login_status"], &problem["reason"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(problem["support_code"], object["support_code"]);
}

#[tokio::test]
async fn the_end_of_a_login_is_a_status_with_a_reason() {
    let world = World::new().await;
    *world.provider.end.lock().expect("lock") = Some((EndStatus::Denied, LoginReason::UserDenied));
    let login = world.start(LOGICIEL).await;
    world.until(&login, "denied").await;
    let english = [("authorization", bearer(&login.token)), ("accept-language", "en".to_owned())];
    let english: Vec<_> = english.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = world.call(Method::GET, &format!("/v1/logins/{}", login.id), &english, "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-language"), "en");
    assert_eq!(answer.header("vary"), "Accept-Language");
    let object = answer.json();
    assert_eq!((&object["status"], &object["reason"]), (&json!("denied"), &json!("user_denied")));
    assert_eq!(object["hint"], "user_denied");
}

/// Everything of a login object but what is drawn for each login.
fn comparable(mut object: Value) -> Value {
    for (name, value) in object.as_object_mut().expect("object") {
        if matches!(name.as_str(), "login_id" | "login_token" | "support_code") {
            *value = json!("drawn");
        }
        if name == "user_message" || name == "binding_message" {
            let text = value.as_str().expect("text");
            *value = text.replace(|c: char| c.is_ascii_digit(), "0").into();
        }
    }
    object
}

#[tokio::test]
async fn r_a_09_a_hidden_unknown_person_looks_like_a_pending_login() {
    let world = World::new().await;
    let pending = world.start("discret:secret").await;
    let cancel = [("authorization", bearer(&pending.token))];
    let cancel: Vec<_> = cancel.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.call(Method::DELETE, &format!("/v1/logins/{}", pending.id), &cancel, "").await;
    *world.provider.start_failure.lock().expect("lock") =
        Some(StartFailure { reason: LoginReason::UserUnknown, may_have_been_accepted: false });
    let hidden = world.start("discret:secret").await;
    let (hidden, pending) = (hidden.answer.json(), pending.answer.json());
    let names = |object: &Value| object.as_object().expect("object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&hidden), names(&pending));
    let without_times = |object: Value| {
        let mut object = comparable(object);
        object["expires_at"] = json!("a time");
        object["expires_in"] = json!(object["expires_in"].as_u64().expect("seconds") / 60);
        object
    };
    assert_eq!(without_times(hidden), without_times(pending));
    let revealed = world.start_with(LOGICIEL, &[], r#"{"login_hint":"899700000002"}"#).await.json();
    assert_eq!((&revealed["status"], &revealed["reason"]), (&json!("failed"), &json!("user_unknown")));
}

#[tokio::test]
async fn the_connection_can_be_tested() {
    let world = World::new().await;
    let basic = super::world::basic(LOGICIEL);
    let answer = world.call(Method::GET, "/v1/application", &[("authorization", &basic)], "").await;
    let body = answer.json();
    assert_eq!(body["application"], "logiciel");
    assert_eq!((&body["kind"], &body["tenant"]), (&json!("backend"), &json!("cabinet")));
    assert_eq!(
        body["registrations"],
        json!([{
            "name": "lps", "environment": "test", "default": true, "channels": ["MOBILE", "CARD"],
            "provider_status": "ok"
        }])
    );
    assert_eq!(body["limits"]["session_idle_seconds"], 1800);
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["server_time"].as_str().expect("time").ends_with('Z'));
}
