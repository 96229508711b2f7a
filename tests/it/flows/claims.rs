//! What the session says about the person, from claims that stand where the registration says (design §4.2, `subject`):
//! nothing that a provider leaves out, empties, repeats or invents loses a session.

use std::time::Duration;

use relais::simulator::personality::Personality;
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// As an operator writes it.
const CLAIMS: &str = r#"claims.national_id = "ids.rpps"
claims.groups = "realm_access.roles"
claims.exercices = "practices"
claims.exercice.profession = "job.code"
claims.exercice.site.name = "place.label"
claims.exercice.site.siret = "place.siret""#;

async fn keycloak(backend: Backend) -> Stack {
    Stack::on(backend).personality(Personality::Keycloak).registration(CLAIMS).paced().start().await
}

/// Signs the doctor in while userinfo says `document`.
async fn session_with(stack: &Stack, document: &Value) -> Answer {
    stack.fault(json!({"endpoint": "userinfo", "status": 200, "body": document})).await;
    stack.session(DOCTOR).await
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_read_where_the_registration_says() {
    for backend in BACKENDS {
        let stack = keycloak(backend).await;
        let sub = stack.session(DOCTOR).await.text("/subject/sub");
        let document = json!({
            "sub": sub, "ids": [{"local": "u1"}, {"rpps": "810000000013"}], "name": "Dr Ada Martin",
            "realm_access": {"roles": ["prescripteur", 7, "", "prescripteur", "cadre"]},
            "practices": [{"job": {"code": "10^1.2.250.1.213.1.1.5.5"}, "place": {"label": "CHU", "siret": "26290003600012"}},
                          {"since": "2019"}],
            "new": {"kept": [1, null]},
        });
        let picked_up = session_with(&stack, &document).await;
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        let seen = session.get("/v1/session").await.expect(200);
        for answer in [&picked_up, &seen] {
            assert_eq!(answer.text("/subject/national_id"), "810000000013");
            assert_eq!(answer.text("/subject/national_id_kind"), "rpps");
            assert_eq!(answer.text("/subject/name"), "Dr Ada Martin");
            assert_eq!(answer.at("/subject/groups"), json!(["prescripteur", "cadre"]));
            assert_eq!(answer.at("/subject/complete"), json!(true));
            assert_eq!(answer.at("/subject/exercices/0/profession/code"), json!("10^1.2.250.1.213.1.1.5.5"));
            assert_eq!(answer.text("/subject/exercices/0/site/name"), "CHU");
            assert!(answer.json().pointer("/subject/exercices/1").is_none());
        }
        let userinfo = session.get("/v1/session/userinfo").await.expect(200);
        assert_eq!(userinfo.json(), document, "unflattened");
        let id = seen.text("/subject/exercices/0/id");
        session.put("/v1/session/exercice", json!({"id": id})).await.expect(200);
        stack.was_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_claim_however_odd_loses_a_session() {
    for backend in BACKENDS {
        let stack = keycloak(backend).await;
        let first = stack.session(DOCTOR).await;
        let sub = first.text("/subject/sub");
        for odd in [
            json!({}),
            json!({"ids": "x", "realm_access": "y", "practices": "", "name": {"x": 1}, "given_name": [[]]}),
            json!({"ids": {"rpps": null}, "realm_access": {"roles": {"a": "b"}}, "practices": {"job": []}}),
            json!({"ids": {"rpps": 810_000_000_013_i64}, "realm_access": [[[{"roles": [[1]]}]]], "practices": [[[[null]]]]}),
            json!({"iss": "https://elsewhere.example", "aud": 7, "exp": "x", "complete": false, "exercices": [{}]}),
        ] {
            let mut document = odd.clone();
            document["sub"] = json!(sub);
            let picked_up = session_with(&stack, &document).await;
            assert_eq!(picked_up.at("/subject/complete"), json!(true), "{odd}");
            assert_eq!(picked_up.at("/subject/groups"), json!([]), "{odd}");
            assert_eq!(picked_up.at("/subject/exercices"), json!([]), "{odd}");
            assert_eq!(picked_up.text("/subject/iss"), first.text("/subject/iss"), "{odd}");
            assert!(picked_up.json().pointer("/subject/national_id").is_none(), "{odd}");
            let session = stack.relais.bearer(&picked_up.text("/session_handle"));
            stack.clock.advance(Duration::from_secs(1));
            assert_eq!(session.get("/v1/session/userinfo").await.expect(200).json(), document);
        }
        stack.was_polite().await;
    }
}

/// A text with a member twice is JSON to some readers and none to others: who it is about must be said once.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_members_are_no_fault_but_for_those_that_say_who_it_is() {
    for backend in BACKENDS {
        let stack = keycloak(backend).await;
        let sub = stack.session(DOCTOR).await.text("/subject/sub");
        let text = format!(r#"{{"name":"A","sub":"{sub}","name":"B","realm_access":{{"roles":["x","x"]}}}}"#);
        let picked_up = session_with(&stack, &json!(text)).await;
        assert_eq!(picked_up.text("/subject/name"), "B");
        assert_eq!(picked_up.at("/subject/groups"), json!(["x"]));
        let text = format!(r#"{{"sub":"{sub}","name":"INTRUDER","sub":"{sub}"}}"#);
        let picked_up = session_with(&stack, &json!(text)).await;
        assert_eq!(picked_up.at("/subject/complete"), json!(false));
        assert!(!picked_up.body.contains("INTRUDER"));
    }
}
