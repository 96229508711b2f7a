//! Who may not, and what that is called.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{API, calls, like_api, signed_in};
use crate::support::stack::{BACKENDS, Backend, DOCTOR};

const OTHERS: &str = r#"
[applications.other]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
auth = "client_secret_basic"
secret = "a-secret-of-the-other"
"#;

/// A back end that acts with the sessions of `desk`.
const HUB: &str = r#"
[applications.hub]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
acts_for = ["desk"]
auth = "client_secret_basic"
secret = "a-secret-of-the-hub"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_open_to_who_calls_and_not_to_whose_session_it_is() {
    let of_hub = like_api("of-hub", &[("[\"desk\"]", "[\"hub\"]")]);
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &format!("{API}{of_hub}{HUB}")).await;
        let hub = stack.relais.basic("hub", "a-secret-of-the-hub").header("relais-session", &session.token());
        let told = hub.get("/v1/targets/of-hub/x").await.expect(200);
        assert_eq!(told.header("relais-answer"), Some("target"));
        session.get("/v1/targets/api/x").await.expect(200);
        session.get("/v1/targets/of-hub/x").await.expect_problem(403, "target_not_allowed");
        hub.get("/v1/targets/api/x").await.expect_problem(403, "target_not_allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_does_not_name_is_refused_and_nothing_is_sent() {
    let narrow = like_api(
        "narrow",
        &[
            ("\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"OPTIONS\"", "\"GET\""),
            ("\"/**\"", "\"/Patient/*\", \"/metadata\""),
        ],
    );
    let nobody = like_api("nobody", &[("[\"desk\"]", "[]")]);
    let nowhere = like_api("nowhere", &[("registrations = [\"psc\"]", "registrations = []")]);
    let closed = like_api("closed", &[("environment", "enabled = false\nenvironment")]);
    let sections = format!("{API}{narrow}{nobody}{nowhere}{closed}{OTHERS}");
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &sections).await;
        let other = stack.relais.basic("other", "a-secret-of-the-other");
        let other =
            stack.relais.bearer(&stack.sign_in_as(&other, "899700000002").await.text("/session_handle"));
        for (caller, method, path, status, code) in [
            (&session, Method::GET, "unknown/x", 404, "target_unknown"),
            (&session, Method::GET, "No-Name/x", 404, "target_unknown"),
            (&session, Method::GET, "127.0.0.1/x", 404, "target_unknown"),
            (&session, Method::GET, "nobody/x", 403, "target_not_allowed"),
            (&session, Method::GET, "nowhere/x", 403, "target_not_allowed"),
            (&session, Method::GET, "closed/x", 403, "target_not_allowed"),
            (&other, Method::GET, "api/x", 403, "target_not_allowed"),
            (&session, Method::POST, "narrow/Patient/1", 403, "target_not_allowed"),
            (&session, Method::DELETE, "narrow/Patient/1", 403, "target_not_allowed"),
            (&session, Method::GET, "narrow/Patient", 403, "target_not_allowed"),
            (&session, Method::GET, "narrow/Patient/1/2", 403, "target_not_allowed"),
            (&session, Method::GET, "narrow/Observation/1", 403, "target_not_allowed"),
            (&session, Method::GET, "narrow", 403, "target_not_allowed"),
        ] {
            let answer = caller.send(method.clone(), &format!("/v1/targets/{path}"), None).await;
            let answer = answer.expect_problem(status, code);
            assert_eq!(answer.header("relais-answer"), Some("relais"), "{method} {path}");
        }
        for (caller, code) in [
            (stack.relais.clone(), "credential_missing"),
            (stack.desk(), "credential_missing"),
            (stack.relais.bearer("rlt_x"), "wrong_token_kind"),
            (stack.relais.bearer("rsh_x"), "handle_invalid"),
            (session.header("relais-client-assertion", "x"), "application_unauthenticated"),
        ] {
            let answer = caller.get("/v1/targets/api/x").await.expect_problem(401, code);
            assert_eq!(answer.header("relais-answer"), Some("relais"), "{code}");
        }
        let dpop = session.header("dpop", "x").get("/v1/targets/api/x").await;
        assert_eq!(dpop.expect_problem(400, "dpop_unsupported").header("relais-answer"), Some("relais"));
        assert_eq!((calls(&stack, "target").await, calls(&stack, "exchange").await), (0, 0));
        session.get("/v1/targets/narrow/Patient/1").await.expect(200);
        session.get("/v1/targets/narrow/metadata").await.expect(200);
        session.delete("/v1/session").await.expect(204);
        let answer = session.get("/v1/targets/api/x").await.expect_problem(401, "session_ended");
        assert_eq!(answer.header("relais-answer"), Some("relais"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_switched_off_and_on_by_a_reload() {
    let (stack, session) = signed_in(Backend::Sqlite, API).await;
    session.get("/v1/targets/api/x").await.expect(200);
    let off = stack.config.replace("[targets.api]\n", "[targets.api]\nenabled = false\n");
    assert_ne!(off, stack.config);
    stack.reload(&off);
    session.get("/v1/targets/api/x").await.expect_problem(403, "target_not_allowed");
    stack.reload(&stack.config);
    session.get("/v1/targets/api/x").await.expect(200);
    let gone = stack.config.split("\n[targets.api]\n").next().expect("before").to_owned();
    stack.reload(&gone);
    session.get("/v1/targets/api/x").await.expect_problem(403, "target_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_exchanged_token_nothing_is_sent() {
    let actor = like_api("actor", &[("cnf = \"rfc8705\"", "cnf = \"rfc8705\"\nactor_token = \"cisis\"")]);
    for backend in BACKENDS {
        let builder = crate::support::stack::Stack::on(backend)
            .manual_clock()
            .signing_key("signing", relais::crypto::signing_key::SigningAlg::Rs256)
            .registration("signing_key = \"keys/signing\"\nsigning_alg = \"RS256\"");
        let stack = builder.sections(&format!("{API}{actor}")).start().await;
        let session = super::session(&stack).await;
        session.get("/v1/targets/actor/x").await.expect_problem(403, "exercice_required");
        stack
            .fault(json!({ "endpoint": "exchange", "status": 400, "body": { "error": "invalid_target" } }))
            .await;
        let refused = session.get("/v1/targets/api/x").await.expect_problem(403, "exchange_refused");
        assert_eq!(refused.header("relais-answer"), Some("relais"));
        stack.clock.advance_slowly(Duration::from_mins(2), Duration::from_secs(10)).await;
        stack.fault(json!({ "endpoint": "exchange", "status": 503, "count": 5 })).await;
        let away = session.get("/v1/targets/api/x").await.expect_problem(503, "exchange_unavailable");
        assert!(away.header("retry-after").is_some_and(|seconds| seconds != "0"));
        assert_eq!(calls(&stack, "target").await, 0);
        session.get("/v1/session").await.expect(200);
        let exercices = session.get("/v1/session").await.expect(200).at("/subject/exercices/0/id");
        session.put("/v1/session/exercice", json!({ "id": exercices })).await.expect(200);
        let Value::String(_) = exercices else { panic!("{DOCTOR} has exercices") };
    }
}
