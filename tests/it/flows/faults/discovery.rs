//! Faults of metadata and key set: a provider of which nothing was ever known, and one that was known before.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FAULTS, at, person};
use crate::flows::pace::{PACE, assert_ended};
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn while_no_metadata_has_ever_been_had_no_login_exists_and_no_phone_rings() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        for (case, fault) in FAULTS {
            stack.fault(at("metadata", 100, &fault())).await;
            stack.restart().await;
            stack.ops.get("/health/ready").await.expect(200);
            let refused = stack.start(DOCTOR).await.expect_problem(503, "provider_unavailable");
            assert!(refused.header("retry-after").is_some(), "{case}");
            assert!(refused.json().get("login_id").is_none(), "{case}");
            stack.no_faults().await;
            // The next start tries again, within the call.
            let started = stack.start(DOCTOR).await.expect(201);
            assert_eq!(started.text("/status"), "pending", "{case}");
            let (holder, path) = stack.holder(&started);
            holder.delete(&path).await.expect(204);
        }
        assert_eq!(stack.rings(DOCTOR).await, FAULTS.len() as u64);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_002_metadata_of_another_issuer_or_without_what_is_needed_are_none() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let issuer = stack.issuer();
        let whole = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/certs"),
            "token_endpoint": format!("{issuer}/token"),
            "backchannel_authentication_endpoint": format!("{issuer}/ciba"),
            "backchannel_token_delivery_modes_supported": ["poll"],
        });
        let changed = [
            ("issuer", json!("https://localhost/elsewhere")),
            ("issuer", json!(format!("{issuer}/"))),
            ("jwks_uri", Value::Null),
            ("token_endpoint", json!("http://elsewhere.example/token")),
            ("backchannel_authentication_endpoint", Value::Null),
            ("backchannel_token_delivery_modes_supported", json!(["push"])),
        ];
        for (member, value) in changed {
            let mut document = whole.clone();
            document[member] = value;
            stack.fault(at("metadata", 100, &json!({"status": 200, "body": document}))).await;
            stack.restart().await;
            stack.start(DOCTOR).await.expect_problem(503, "provider_unavailable");
            stack.no_faults().await;
        }
        assert_eq!(stack.calls("backchannel").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_endpoint_that_cannot_be_reached_is_told_at_once() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let known = format!("metadata_url = \"{}/", stack.issuer());
        assert!(stack.config.contains(&known));
        stack.config = stack.config.replace(&known, "metadata_url = \"https://127.0.0.1:1/");
        stack.restart().await;
        stack.ops.get("/health/ready").await.expect(200);
        stack.start(DOCTOR).await.expect_problem(503, "provider_unavailable");
        assert_eq!(stack.calls("backchannel").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_known_and_is_gone_gives_a_login_that_failed_and_a_person_who_is_free() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let known = stack.start(DOCTOR).await.expect(201);
        let (holder, path) = stack.holder(&known);
        holder.delete(&path).await.expect(204);
        stack.provider_goes_away().await;
        for _ in 0..2 {
            let failed = stack.start(DOCTOR).await.expect(201);
            assert_ended(&failed, "failed", "provider_unavailable", "gone");
            assert_eq!(failed.text("/hint"), "provider_unavailable");
        }
        let application = stack.desk().get("/v1/application").await.expect(200);
        assert_eq!(application.text("/registrations/0/provider_status"), "degraded");
        stack.ops.get("/health/ready").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_known_metadata_outlive_every_fault_of_their_endpoint() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.start(&person(0)).await.expect(201);
        for (number, (case, fault)) in FAULTS.iter().enumerate() {
            stack.fault(at("metadata", 100, &fault())).await;
            stack.clock.advance(Duration::from_hours(2));
            stack.settle().await;
            let started = stack.start(&person(number + 1)).await.expect(201);
            assert_eq!(started.text("/status"), "pending", "{case}");
            let (holder, path) = stack.holder(&started);
            holder.delete(&path).await.expect(204);
            stack.no_faults().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_signing_key_no_token_is_believed() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        for (number, (case, fault)) in FAULTS.iter().enumerate() {
            stack.fault(at("jwks", 100, &fault())).await;
            stack.restart().await;
            let started = stack.start(&person(number)).await.expect(201);
            stack.decide("approve", Value::Null).await;
            stack.next_poll(PACE).await;
            assert_ended(&stack.outcome(&started).await, "failed", "token_invalid", case);
            stack.no_faults().await;
        }
        assert_eq!(stack.calls("userinfo").await, 0);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_could_not_be_had_at_first_are_fetched_when_they_are_needed() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "jwks", "count": 100, "status": 500, "body": ""})).await;
        stack.restart().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.no_faults().await;
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&started).await.text("/status"), "approved");
        stack.pick_up(&started, Value::Null).await.expect(201);
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_outlive_every_fault_of_their_endpoint() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        stack.session(DOCTOR).await;
        for (number, (_, fault)) in FAULTS.iter().enumerate() {
            stack.fault(at("jwks", 100, &fault())).await;
            stack.session(&person(number)).await;
            stack.no_faults().await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_that_hangs_is_given_up_and_the_token_is_not_believed() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "jwks", "count": 100, "action": "hang"})).await;
        stack.restart().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        // The time-out of I/O is real: 10 s, perhaps behind another fetch.
        stack
            .in_real_time("the time-out", Duration::from_secs(30), async || {
                stack.read(&started).await.text("/status") != "pending"
            })
            .await;
        assert_ended(&stack.read(&started).await, "failed", "token_invalid", "hang");
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_hang_refuse_a_start_after_one_attempt() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        stack.fault(json!({"endpoint": "metadata", "count": 100, "action": "hang"})).await;
        stack.restart().await;
        stack.start(DOCTOR).await.expect_problem(503, "provider_unavailable");
        assert_eq!(stack.calls("backchannel").await, 0);
    }
}
