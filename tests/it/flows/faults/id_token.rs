//! ID tokens that must not be believed: the login fails with one of three reasons, and nothing is done with them.

use relais::domain::clock::Clock as _;
use serde_json::{Value, json};

use super::person;
use crate::flows::pace::{PACE, assert_ended};
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// Members of a `token` fault; in those of time, a number is seconds from the moment at which the token is made.
fn at_the_poll(stack: &Stack, altered: &Value) -> Value {
    let made = (stack.clock.now() + PACE).as_secs();
    let mut altered = altered.clone();
    for name in ["exp", "iat", "nbf", "auth_time"] {
        if let Some(away) = altered.get(name).and_then(Value::as_i64) {
            altered[name] = json!(made + away);
        }
    }
    altered
}

/// The person approves, the token is altered: the login ends with `reason`, or is approved where there is none.
async fn assert_altered(stack: &Stack, number: usize, case: &str, altered: &Value, reason: Option<&str>) {
    let started = stack.start(&person(number)).await.expect(201);
    stack.decide("approve", Value::Null).await;
    stack.fault(json!({"endpoint": "token", "token": at_the_poll(stack, altered)})).await;
    let before = stack.calls("userinfo").await;
    stack.next_poll(PACE).await;
    let login = stack.outcome(&started).await;
    if let Some(reason) = reason {
        assert_ended(&login, "failed", reason, case);
        stack.pick_up(&started, Value::Null).await.expect_problem(409, "not_approved");
        assert_eq!(stack.calls("userinfo").await, before, "{case}: the access token is not used");
    } else {
        assert_eq!(login.text("/status"), "approved", "{case}: {}", login.body);
        stack.pick_up(&started, Value::Null).await.expect(201);
    }
    assert_eq!(stack.polls().await, 1, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_065_to_073_a_token_of_another_issuer_audience_or_time_is_refused() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let cases = [
            ("another issuer", json!({"iss": "https://elsewhere.example/"})),
            ("issuer with a slash", json!({"iss": format!("{}/", stack.issuer())})),
            ("no issuer", json!({"iss": null})),
            ("another audience", json!({"aud": "somebody-else"})),
            ("two audiences", json!({"aud": ["relais-demo", "somebody-else"]})),
            ("no audience", json!({"aud": null})),
            ("an empty list of audiences", json!({"aud": []})),
            ("another authorised party", json!({"azp": "somebody-else"})),
            ("expired", json!({"exp": -31})),
            ("no exp", json!({"exp": null})),
            ("exp a text", json!({"exp": "tomorrow"})),
            ("issued long ago", json!({"iat": -120 - 300 - 60})),
            ("issued in the future", json!({"iat": 120})),
            ("no iat", json!({"iat": null})),
            ("not valid yet", json!({"nbf": 60})),
            ("authenticated in the future", json!({"auth_time": 3600})),
            ("no sub", json!({"sub": null})),
            ("an empty sub", json!({"sub": ""})),
            ("a long sub", json!({"sub": "x".repeat(256)})),
            ("another request", json!({"urn:openid:params:jwt:claim:auth_req_id": "another"})),
        ];
        for (number, (case, altered)) in cases.iter().enumerate() {
            assert_altered(&stack, number, case, altered, Some("token_invalid")).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_067_to_071_a_token_that_is_not_signed_as_it_must_be_is_refused() {
    let cases = [
        ("alg none", json!({"alg": "none"})),
        ("alg None", json!({"alg": "None"})),
        ("HS256 under the client's secret", json!({"alg": "HS256"})),
        ("HS256 under the public key", json!({"signature": "public_key_hmac"})),
        ("RS512, which is not pinned", json!({"alg": "RS512"})),
        ("PS256, which is not pinned", json!({"alg": "PS256"})),
        ("ES256 that is none", json!({"alg": "ES256"})),
        ("no alg", json!({"alg": null})),
        ("one bit turned", json!({"signature": "bad"})),
        ("a foreign key under our name", json!({"signature": "foreign_key"})),
        ("a foreign key without a name", json!({"signature": "foreign_key", "kid": null})),
        ("a key that nobody knows", json!({"kid": "nobody-knows"})),
        ("at_hash of another access token", json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"})),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, altered)) in cases.iter().enumerate() {
            assert_altered(&stack, number, case, altered, Some("token_invalid")).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_074_to_076_another_person_or_level_has_its_own_reason() {
    let cases = [
        ("another level", json!({"acr": "eidas0"}), "acr_insufficient"),
        ("no level", json!({"acr": null}), "acr_insufficient"),
        ("another person", json!({"SubjectNameID": "899700000099"}), "identity_mismatch"),
        ("a person who is a number", json!({"SubjectNameID": 899_700_000_001_i64}), "identity_mismatch"),
        ("nobody", json!({"SubjectNameID": null, "preferred_username": null}), "identity_mismatch"),
        (
            "another person in the second claim",
            json!({"SubjectNameID": null, "preferred_username": "899700000099"}),
            "identity_mismatch",
        ),
    ];
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        for (number, (case, altered, reason)) in cases.iter().enumerate() {
            assert_altered(&stack, number, case, altered, Some(reason)).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_leave_out_or_add_fails_nothing() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let cases = [
            ("no at_hash", json!({"at_hash": null})),
            ("no azp", json!({"azp": null})),
            ("no auth_time", json!({"auth_time": null})),
            ("an audience in a list", json!({"aud": ["relais-demo"]})),
            ("a clock behind ours", json!({"exp": -20})),
            ("a clock ahead of ours", json!({"iat": 40, "nbf": 20})),
            ("something new", json!({"new": {"deeply": ["nested"]}})),
            ("no name of the key", json!({"kid": null})),
            ("the person in the second claim", json!({"SubjectNameID": null})),
            ("the second claim is not asked", json!({"preferred_username": "somebody"})),
        ];
        for (number, (case, altered)) in cases.iter().enumerate() {
            assert_altered(&stack, number, case, altered, None).await;
        }
        stack.stays_silent().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_076_an_approval_by_another_person_on_the_phone_fails_the_login() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let started = stack.start(DOCTOR).await.expect(201);
        stack.decide("approve", json!({"as": "899700000002"})).await;
        stack.next_poll(PACE).await;
        let failed = stack.outcome(&started).await;
        assert_ended(&failed, "failed", "identity_mismatch", "somebody else");
        assert_eq!(failed.text("/hint"), "identity_mismatch");
        assert!(!failed.body.contains("899700000002"), "who it was is not told");
        assert_eq!(stack.calls("userinfo").await, 0);
        stack.stays_silent().await;
        stack.start(DOCTOR).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_c_06_an_id_token_signs_in_once() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().start().await;
        let now = stack.clock.now().as_secs();
        // Nothing ties it to one request, and it is in date both times.
        let altered = json!({"iat": now, "auth_time": now, "exp": now + 600, "jti": "the-same", "sid": "the-same",
            "at_hash": null});
        let mut ends = Vec::new();
        for _ in 0..2 {
            let started = stack.start(DOCTOR).await.expect(201);
            stack.decide("approve", Value::Null).await;
            stack.fault(json!({"endpoint": "token", "token": altered})).await;
            stack.next_poll(PACE).await;
            ends.push((stack.outcome(&started).await, started));
        }
        assert_eq!(ends[0].0.text("/status"), "approved", "{backend:?}");
        assert_ended(&ends[1].0, "failed", "token_invalid", "the same ID token again");
        stack.pick_up(&ends[0].1, Value::Null).await.expect(201);
        stack.pick_up(&ends[1].1, Value::Null).await.expect_problem(409, "not_approved");
        // One that resembles it is another.
        let other = stack.start(DOCTOR).await.expect(201);
        stack.decide("approve", Value::Null).await;
        stack.next_poll(PACE).await;
        assert_eq!(stack.outcome(&other).await.text("/status"), "approved");
    }
}
