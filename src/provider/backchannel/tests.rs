use serde_json::json;

use http::HeaderValue;

use crate::domain::profile::ProfileName;

use super::*;

fn answer(content_type: Option<&'static str>, body: &[u8]) -> OutboundResponse {
    let named = content_type.map(|text| (header::CONTENT_TYPE, HeaderValue::from_static(text)));
    OutboundResponse { status: StatusCode::OK, headers: named.into_iter().collect(), body: body.to_vec() }
}

fn read(body: &Value) -> Result<(String, u64, u64), &'static str> {
    acknowledgement(&answer(Some("application/json"), body.to_string().as_bytes()))
        .map(|ack| (ack.auth_req_id.expose().to_owned(), ack.expires_in.as_secs(), ack.interval.as_secs()))
}

fn with(name: &str, value: Value) -> Value {
    let mut body = json!({"auth_req_id": "id", "expires_in": 120, "interval": 7});
    body[name] = value;
    body
}

#[test]
fn rp_028_unknown_members_are_ignored() {
    assert_eq!(read(&with("new", json!({"a": 1}))), Ok(("id".to_owned(), 120, 7)));
}

#[test]
fn rp_029_auth_req_id_is_a_text_that_is_not_empty() {
    for bad in [json!(null), json!(""), json!(1), json!(["id"]), json!("x".repeat(MAX_AUTH_REQ_ID + 1))] {
        assert_eq!(read(&with("auth_req_id", bad)), Err("auth_req_id"));
    }
}

#[test]
fn rp_030_expires_in_is_a_positive_whole_number() {
    for bad in [json!(null), json!(0), json!(-1), json!("120"), json!(1.5), json!(true), json!(-0.0)] {
        assert_eq!(read(&with("expires_in", bad.clone())), Err("expires_in"), "{bad}");
    }
    assert_eq!(read(&with("expires_in", json!(120.0))).map(|ack| ack.1), Ok(120));
    assert_eq!(read(&with("expires_in", json!(u64::MAX))).map(|ack| ack.1), Ok(3600));
}

#[test]
fn rp_031_an_unusable_interval_is_five_and_none_is_longer_than_the_request() {
    let interval = |value| read(&with("interval", value)).map(|ack| ack.2);
    for odd in
        [json!(0), json!(-3), json!("7"), json!(null), json!([]), json!(true), json!(1.5), json!(-1e300)]
    {
        assert_eq!(interval(odd.clone()), Ok(5), "{odd}");
    }
    assert_eq!(interval(json!(31)), Ok(31));
    for absurd in [json!(100_000), json!(u64::MAX), json!(9_223_372_036_854_775_808_u64), json!(1e300)] {
        assert_eq!(interval(absurd.clone()), Ok(120), "{absurd}");
    }
    assert_eq!(read(&json!({"auth_req_id": "id", "expires_in": 120})).map(|ack| ack.2), Ok(5));
    assert_eq!(read(&json!({"auth_req_id": "id", "expires_in": 3})).map(|ack| ack.2), Ok(3));
}

#[test]
fn rp_032_auth_req_id_is_kept_byte_for_byte() {
    let odd = format!("{}.+/=&% é", "a".repeat(2000));
    assert_eq!(read(&with("auth_req_id", json!(odd))).map(|ack| ack.0), Ok(odd));
}

#[test]
fn rp_039_what_is_no_json_object_is_no_acknowledgement() {
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"<html>",
        b"\xff",
        br#"{"auth_req_id":"a","auth_req_id":"b","expires_in":9}"#,
    ] {
        assert!(acknowledgement(&answer(Some("application/json"), body)).is_err());
    }
}

#[test]
fn rp_039_an_answer_that_says_it_is_something_else_is_no_acknowledgement() {
    let body = br#"{"auth_req_id":"id","expires_in":120}"#;
    for json in
        [None, Some("application/json"), Some("Application/JSON; charset=utf-8"), Some("application/x+json")]
    {
        assert!(acknowledgement(&answer(json, body)).is_ok(), "{json:?}");
    }
    for other in ["text/html", "text/plain; charset=utf-8", "application/jwt", "", "application/xml+json2"] {
        let read = acknowledgement(&answer(Some(other), body)).map(|_| ());
        assert_eq!(read, Err("content-type"), "{other}");
    }
}

fn verdict(profile: ProfileName, status: u16, body: &str) -> (LoginReason, bool) {
    let status = StatusCode::from_u16(status).expect("a status");
    let failure = judge(profile.profile(), status, OAuthError::read(body.as_bytes()).as_ref());
    (failure.reason, failure.may_have_been_accepted)
}

fn coded(status: u16, code: &str) -> (LoginReason, bool) {
    verdict(ProfileName::Psc, status, &json!({ "error": code }).to_string())
}

#[test]
fn rp_033_an_unknown_person_is_one_whatever_the_provider_calls_it() {
    assert_eq!(coded(400, "unknown_user_id"), (LoginReason::UserUnknown, false));
    let keycloak = r#"{"error":"invalid_request","error_description":"invalid user"}"#;
    for profile in [ProfileName::Psc, ProfileName::Keycloak] {
        assert_eq!(verdict(profile, 400, keycloak), (LoginReason::UserUnknown, false));
    }
    assert_eq!(verdict(ProfileName::Generic, 400, keycloak), (LoginReason::ProviderRefused, false));
    let other = r#"{"error":"invalid_request","error_description":"missing parameter : scope"}"#;
    assert_eq!(verdict(ProfileName::Psc, 400, other), (LoginReason::ProviderRefused, false));
}

#[test]
fn rp_034_codes_about_the_request_have_their_own_reasons() {
    assert_eq!(coded(400, "invalid_binding_message"), (LoginReason::BindingMessageInvalid, false));
    assert_eq!(coded(400, "missing_user_code"), (LoginReason::UserCodeRequired, false));
    assert_eq!(coded(400, "invalid_user_code"), (LoginReason::UserCodeInvalid, false));
    assert_eq!(coded(400, "unauthorized_client"), (LoginReason::ProviderRejectedClient, false));
    for code in ["invalid_scope", "invalid_request", "expired_login_hint_token"] {
        assert_eq!(coded(400, code), (LoginReason::ProviderRefused, false), "{code}");
    }
}

#[test]
fn rp_035_a_rejected_client_is_told_apart_whatever_the_status() {
    for code in ["invalid_client", "invalid_grant", "unauthorized_client"] {
        for status in [400, 401, 403] {
            assert_eq!(coded(status, code), (LoginReason::ProviderRejectedClient, false), "{code}");
        }
    }
    assert_eq!(verdict(ProfileName::Psc, 401, "<html>"), (LoginReason::ProviderRejectedClient, false));
}

#[test]
fn rp_036_access_denied_at_the_start_is_a_refusal_by_the_provider() {
    assert_eq!(coded(403, "access_denied"), (LoginReason::ProviderRefused, false));
}

#[test]
fn rp_037_busy_and_broken_are_told_apart() {
    assert_eq!(coded(503, "server_error"), (LoginReason::ProviderUnavailable, false));
    assert_eq!(coded(500, "access_denied"), (LoginReason::ProviderUnavailable, false));
    assert_eq!(coded(503, "temporarily_unavailable"), (LoginReason::ProviderUnavailable, false));
    assert_eq!(verdict(ProfileName::Psc, 429, ""), (LoginReason::ProviderUnavailable, false));
    assert_eq!(coded(429, "slow_down"), (LoginReason::ProviderUnavailable, false));
    for status in [500, 502, 503, 504] {
        assert_eq!(verdict(ProfileName::Psc, status, "<html>"), (LoginReason::OutcomeUnknown, true));
        // Written by gateways and frameworks, and by Keycloak where it breaks half-way.
        for code in ["Internal Server Error", "unknown_error", "Bad Gateway", "slow_down"] {
            assert_eq!(coded(status, code), (LoginReason::OutcomeUnknown, true), "{code}");
        }
    }
}

#[test]
fn rp_038_any_other_code_is_a_refusal() {
    assert_eq!(coded(400, "expired_id_token_hint"), (LoginReason::ProviderRefused, false));
    assert_eq!(verdict(ProfileName::Psc, 404, "not found"), (LoginReason::ProviderRefused, false));
}

#[test]
fn rp_027_a_redirect_says_neither_yes_nor_no() {
    assert_eq!(verdict(ProfileName::Psc, 302, ""), (LoginReason::ProviderInvalidAnswer, true));
}
