//! The main job: a thick client signs a practitioner in.

use serde_json::{Value, json};

use crate::support::stack::{BACKENDS, DOCTOR, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_thick_client_signs_a_practitioner_in() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        assert_eq!(started.text("/status"), "pending");
        let digits = started.text("/binding_message");
        assert!(digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()), "{digits}");
        assert!(started.text("/user_message").contains(&digits));
        let request = stack.requests().await.pop().expect("a request on the phone");
        assert_eq!(request["binding_message"], json!(digits));
        assert_eq!(request["login_hint"], json!(DOCTOR));
        stack.decide("approve", Value::Null).await;
        let (holder, path) = stack.holder(&started);
        let picked_up = holder
            .header("prefer", "wait=30")
            .post(&format!("{path}/session"), Value::Null)
            .await
            .expect(201);
        assert_eq!(picked_up.text("/subject/national_id"), DOCTOR);
        assert_eq!(picked_up.at("/subject/complete"), json!(true));
        let session = stack.relais.bearer(&picked_up.text("/session_handle"));
        let read = session.get("/v1/session").await.expect(200);
        assert_eq!(read.text("/session_id"), picked_up.text("/session_id"));
        assert_eq!(read.text("/status"), "active");
        let userinfo = session.get("/v1/session/userinfo").await.expect(200);
        assert_eq!(userinfo.text("/SubjectNameID"), DOCTOR);
        session.delete("/v1/session").await.expect(204);
        let ended = session.get("/v1/session").await.expect_problem(401, "session_ended");
        assert_eq!(ended.text("/reason"), "logout");
    }
}
