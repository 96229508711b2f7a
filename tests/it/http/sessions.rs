//! The pick-up, and what a session handle does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::provider::USERINFO;
use super::world::{LOGICIEL, PERSON, World, basic, bearer, request, with_certificate};

#[tokio::test]
async fn the_main_job() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    let early = world.pick_up(&login, &[], "").await;
    assert_eq!(early.problem(), (409, "not_approved".to_owned()));
    assert_eq!(early.json()["login_status"], "pending");
    assert_eq!(early.json().get("reason"), None);
    world.provider.approve();
    world.until(&login, "approved").await;
    let approved = world.get(&format!("/v1/logins/{}", login.id), &login.token).await.json();
    assert_eq!((&approved["status"], &approved["hint"]), (&json!("approved"), &json!("pick_up")));
    let body = json!({"expected_subject": PERSON, "exercice": "ex-2"}).to_string();
    let answer = world.pick_up(&login, &[], &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let session = answer.json();
    let handle = session["session_handle"].as_str().expect("handle");
    assert!(handle.starts_with("rsh_"));
    assert_eq!(session["status"], "active");
    assert_eq!((&session["application"], &session["registration"]), (&json!("logiciel"), &json!("lps")));
    assert_eq!(session["subject"]["national_id"], PERSON);
    assert_eq!(session["subject"]["complete"], true);
    assert_eq!(session["exercice"], "ex-2");
    assert_eq!((&session["acr"], &session["amr"]), (&json!("eidas1"), &json!(["MOBILE"])));
    assert_eq!(session["idle_expires_in"], 1800);
    assert_eq!(session["support_code"], approved["support_code"]);
    let mut expected = session.clone();
    expected.as_object_mut().expect("object").remove("session_handle");
    assert_eq!(world.get("/v1/session", handle).await.json(), expected);
    let userinfo = world.get("/v1/session/userinfo", handle).await;
    assert_eq!((userinfo.text.as_str(), userinfo.header("content-type")), (USERINFO, "application/json"));
    let picked_up = world.get(&format!("/v1/logins/{}", login.id), &login.token).await.json();
    assert_eq!(picked_up["status"], "picked_up");
    assert_eq!(picked_up["session_id"], session["session_id"]);
    assert!(picked_up["repeatable_for"].as_u64().expect("seconds") <= 60);
}

#[tokio::test]
async fn r_e_07_a_pick_up_is_repeatable_until_its_handle_is_used() {
    let world = World::new().await;
    let (login, first) = world.session().await;
    let second = world.pick_up(&login, &[], "").await;
    assert_eq!(second.status, StatusCode::CREATED);
    let second = second.json()["session_handle"].as_str().expect("handle").to_owned();
    assert_eq!(world.get("/v1/session", &first).await.problem(), (401, "handle_invalid".to_owned()));
    assert_eq!(world.get("/v1/session?touch=false", &second).await.status, StatusCode::OK);
    assert_eq!(world.pick_up(&login, &[], "").await.problem(), (409, "already_picked_up".to_owned()));
    let bearer = bearer(&login.token);
    let path = format!("/v1/logins/{}", login.id);
    let cancel = world.call(Method::DELETE, &path, &[("authorization", &bearer)], "").await;
    assert_eq!(cancel.problem(), (409, "already_picked_up".to_owned()));
    assert_eq!(cancel.json()["support_code"], login.answer.json()["support_code"]);
}

#[tokio::test]
async fn r_e_12_another_person_than_expected_gets_no_session() {
    let world = World::new().await;
    let login = world.start(LOGICIEL).await;
    world.provider.approve();
    world.until(&login, "approved").await;
    let unknown = world.pick_up(&login, &[], r#"{"exercice":"ex-9"}"#).await;
    assert_eq!(unknown.problem(), (409, "exercice_unknown".to_owned()));
    let malformed = world.pick_up(&login, &[], r#"{"exercise":"ex-1"}"#).await;
    assert_eq!(malformed.problem(), (400, "invalid_request".to_owned()));
    let other = world.pick_up(&login, &[], r#"{"expected_subject":"899700000002"}"#).await;
    assert_eq!(other.problem(), (409, "identity_mismatch".to_owned()));
    let failed = world.pick_up(&login, &[], "").await.json();
    assert_eq!((&failed["login_status"], &failed["reason"]), (&json!("failed"), &json!("identity_mismatch")));
}

#[tokio::test]
async fn an_exercice_is_chosen_out_of_the_subject_s() {
    let world = World::new().await;
    let (_, handle) = world.session().await;
    let bearer = bearer(&handle);
    let headers = [("authorization", bearer.as_str())];
    let put = |body: &'static str| world.call(Method::PUT, "/v1/session/exercice", &headers, body);
    assert_eq!(put(r#"{"id":"ex-1"}"#).await.json()["exercice"], "ex-1");
    assert_eq!(put(r#"{"id":"ex-9"}"#).await.problem(), (409, "exercice_unknown".to_owned()));
    assert_eq!(put("{}").await.json()["errors"][0]["pointer"], "/id");
    assert_eq!(put("").await.problem(), (400, "invalid_request".to_owned()));
    assert_eq!(world.get("/v1/session", &handle).await.json()["exercice"], "ex-1");
}

#[tokio::test]
async fn an_ended_session_says_so_and_why() {
    let world = World::new().await;
    let (login, handle) = world.session().await;
    let authorization = bearer(&handle);
    let end = world.call(Method::DELETE, "/v1/session", &[("authorization", &authorization)], "").await;
    assert_eq!(end.status, StatusCode::NO_CONTENT);
    for path in ["/v1/session", "/v1/session/userinfo", "/v1/session/events"] {
        let answer = world.get(path, &handle).await;
        assert_eq!(answer.problem(), (401, "session_ended".to_owned()), "{path}");
        assert_eq!(answer.json()["reason"], "logout");
        assert_eq!(answer.json()["support_code"], login.answer.json()["support_code"]);
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_reading_without_touch_does_not_keep_it() {
    let world = World::new().await;
    let (_, handle) = world.session().await;
    world.clock.advance(Duration::from_mins(29));
    let read = world.get("/v1/session?touch=false", &handle).await.json();
    assert_eq!(read["idle_expires_in"], 60);
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(world.get("/v1/session", &handle).await.json()["reason"], "idle");
    let bad = world.get("/v1/session?touch=no", &handle).await;
    assert_eq!(bad.json()["errors"][0]["pointer"], "?touch");
}

#[tokio::test]
async fn userinfo_that_cannot_be_had_is_the_provider_s_fault() {
    let world = World::new().await;
    world.provider.without_userinfo.store(true, Ordering::SeqCst);
    let (_, handle) = world.session().await;
    let answer = world.get("/v1/session/userinfo", &handle).await;
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(world.get("/v1/session", &handle).await.json()["subject"]["complete"], false);
}

#[tokio::test]
async fn a_back_end_acts_by_its_own_credential_with_sessions_of_an_application_that_has_a_certificate() {
    let world = World::new().await;
    let body = format!("{{\"login_hint\":\"{PERSON}\"}}");
    let start = with_certificate(request(Method::POST, "/v1/logins", &[], &body), 1);
    let started = world.send(&world.clients, start).await.json();
    let text = |name: &str| started[name].as_str().expect(name).to_owned();
    let path = format!("/v1/logins/{}", text("login_id"));
    let holder = bearer(&text("login_token"));
    world.provider.approve();
    for step in 0.. {
        assert!(step < 400, "never approved");
        let read = with_certificate(request(Method::GET, &path, &[("authorization", &holder)], ""), 1);
        if world.send(&world.clients, read).await.json()["status"] == "approved" {
            break;
        }
        world.clock.advance_slowly(Duration::from_millis(250), Duration::from_millis(250)).await;
    }
    let pick_up = request(Method::POST, &format!("{path}/session"), &[("authorization", &holder)], "");
    let session = world.send(&world.clients, with_certificate(pick_up, 1)).await.json();
    let handle = session["session_handle"].as_str().expect("a handle");
    let unauthenticated = (401, "application_unauthenticated".to_owned());
    assert_eq!(
        world.get("/v1/session/userinfo", handle).await.problem(),
        unauthenticated,
        "the handle alone"
    );
    let acting = async |pair: &str, certificate: Option<u8>| {
        let headers = [("authorization", basic(pair)), ("relais-session", handle.to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let read = request(Method::GET, "/v1/session/userinfo", &headers, "");
        let read = match certificate {
            Some(thumbprint) => with_certificate(read, thumbprint),
            None => read,
        };
        world.send(&world.clients, read).await
    };
    assert_eq!(acting(LOGICIEL, None).await.text, USERINFO);
    assert_eq!(acting("discret:secret", None).await.problem(), (401, "handle_invalid".to_owned()));
    assert_eq!(acting("coupe:secret", None).await.problem(), (403, "application_disabled".to_owned()));
    assert_eq!(acting(LOGICIEL, Some(1)).await.problem(), unauthenticated, "two credentials");
    // By its certificate, and no Authorization header.
    let own = request(Method::GET, "/v1/session/userinfo", &[("relais-session", handle)], "");
    assert_eq!(world.send(&world.clients, with_certificate(own, 1)).await.text, USERINFO);
    let form = format!("token={handle}");
    let headers = [
        ("authorization", basic(LOGICIEL)),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let told = world.call(Method::POST, "/v1/introspect", &headers, &form).await;
    assert_eq!(
        (told.json()["active"].clone(), told.json()["client_id"].clone()),
        (json!(true), json!("certifie"))
    );
}
