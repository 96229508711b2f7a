//! The main job with everything in a process of its own, configured as an operator does it.

use serde_json::{Value, json};

use super::running::eventually;
use super::site::{Node, Site, person};
use crate::support::http::Caller;
use crate::support::stack::{BACKENDS, Backend};

/// Signs a person in over HTTP, reads and ends the session.
async fn sign_in(site: &Site, application: &Caller, below: &Caller, hint: &str) {
    let started = application.post("/v1/logins", json!({ "login_hint": hint })).await.expect(201);
    assert_eq!(started.text("/status"), "pending", "{}", started.body);
    site.approve(hint).await;
    let login = below.bearer(&started.text("/login_token"));
    let path = format!("/v1/logins/{}/session", started.text("/login_id"));
    let picked_up = login.header("prefer", "wait=30").post(&path, Value::Null).await.expect(201);
    assert_eq!(picked_up.text("/subject/national_id"), hint);
    let session = below.bearer(&picked_up.text("/session_handle"));
    session.get("/v1/session").await.expect(200);
    assert_eq!(session.get("/v1/session/userinfo").await.expect(200).text("/SubjectNameID"), hint);
    session.delete("/v1/session").await.expect(204);
    session.get("/v1/session").await.expect_problem(401, "session_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_application_signs_people_in_over_https_and_mutual_tls() {
    for backend in BACKENDS {
        let site = Site::on(backend).await;
        let node = site.serve().await;
        let (desk, sealed, below) = (node.desk(), node.sealed(), node.relais());
        let (pinned, chained) = (node.with_certificate("pinned"), node.with_certificate("chained"));
        let people: Vec<String> = (1..=4).map(|number| person(100 + number)).collect();
        tokio::join!(
            sign_in(&site, &desk, &below, &people[0]),
            sign_in(&site, &sealed, &below, &people[1]),
            sign_in(&site, &pinned, &pinned, &people[2]),
            sign_in(&site, &chained, &chained, &people[3]),
        );
        site.assert_polite().await;
        for hint in &people {
            assert_eq!(site.rings(hint).await, 1);
        }
        refusals(&site, &node).await;
    }
}

/// Credentials that are not the declared ones.
async fn refusals(site: &Site, node: &Node) {
    let hint = person(110);
    let body = json!({ "login_hint": hint });
    let wrong_secret = node.relais().basic("desk", "not-the-secret");
    node.relais().post("/v1/logins", body.clone()).await.expect_problem(401, "credential_missing");
    for caller in [
        &wrong_secret,
        // The right subject from an authority that nobody named.
        &node.with_certificate("stranger"),
        // Two credentials at once.
        &node.with_certificate("pinned").basic("desk", "not-the-secret"),
    ] {
        let refused = caller.post("/v1/logins", body.clone()).await;
        refused.expect_problem(401, "application_unauthenticated");
    }
    assert_eq!(site.rings(&hint).await, 0);
    // A login begun with a certificate is read with it only.
    let started = node.with_certificate("pinned").post("/v1/logins", body).await.expect(201);
    let path = format!("/v1/logins/{}", started.text("/login_id"));
    let token = started.text("/login_token");
    for other in [node.relais(), node.with_certificate("chained"), node.with_certificate("stranger")] {
        other.bearer(&token).get(&path).await.expect_problem(401, "application_unauthenticated");
    }
    node.with_certificate("pinned").bearer(&token).delete(&path).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_poll_before_the_end_of_a_request_comes_no_earlier_than_the_others() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    site.settings(json!({ "expires_in": 3 })).await;
    let started = node.start(&person(130)).await.expect(201);
    let ended = eventually("it has expired", async || {
        let login = node.login(&started).await;
        (login.text("/status") != "pending").then_some(login)
    })
    .await;
    assert_eq!((ended.text("/status"), ended.text("/reason")), ("expired".into(), "expired".into()));
    site.assert_polite().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_verb_signs_in_with_each_kind_of_credential() {
    let site = Site::on(Backend::Postgres).await;
    let node = site.serve().await;
    site.settings(json!({ "auto": { "decision": "approve", "after_ms": 100 } })).await;
    let people: Vec<String> = (1..=4).map(|number| person(120 + number)).collect();
    let certificate = |name: &str| [format!("applications/{name}.pem"), format!("applications/{name}.key")];
    let ([pinned, pinned_key], [chained, chained_key]) = (certificate("pinned"), certificate("chained"));
    let (desk, sealed, with_pinned, with_chained) = (
        ["--application", "desk", "--secret-file", "desk", "-o", "json", &people[0]],
        ["--application", "sealed", "--secret-file", "sealed", "-o", "json", &people[1]],
        ["--application", "pinned", "--cert", &pinned, "--key", &pinned_key, "-o", "json", &people[2]],
        ["--application", "chained", "--cert", &chained, "--key", &chained_key, "-o", "json", &people[3]],
    );
    let ended = tokio::join!(
        node.login_verb(&desk),
        node.login_verb(&sealed),
        node.login_verb(&with_pinned),
        node.login_verb(&with_chained),
    );
    for ((code, stdout, stderr), hint) in [ended.0, ended.1, ended.2, ended.3].into_iter().zip(&people) {
        assert_eq!(code, 0, "{stderr}");
        let session: Value = serde_json::from_str(&stdout).expect("stdout is one JSON document");
        assert_eq!(session["subject"]["national_id"], json!(hint));
        assert!(session["session_handle"].as_str().is_some_and(|handle| handle.starts_with("rsh_")));
    }
    eventually("everything is counted", async || {
        let metrics = node.ops().get("/metrics").await.body;
        let sessions = metrics.lines().find(|line| line.starts_with("relais_sessions_active"));
        sessions.is_some_and(|line| line.ends_with(" 4")).then_some(())
    })
    .await;
}
