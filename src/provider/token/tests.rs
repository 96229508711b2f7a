use std::time::Duration;

use http::header::RETRY_AFTER;

use super::*;

fn verdict(status: u16, body: &str, retry_after: Option<&str>) -> String {
    let mut headers = HeaderMap::new();
    if let Some(text) = retry_after {
        headers.insert(RETRY_AFTER, text.parse().expect("a header value"));
    }
    let status = StatusCode::from_u16(status).expect("a status");
    let error = OAuthError::read(body.as_bytes());
    let wait = |wait: Option<Duration>| wait.map_or(String::new(), |wait| format!(" {}", wait.as_secs()));
    match judge(status, error.as_ref(), &headers, Timestamp::from_secs(0)) {
        PollAnswer::Pending { retry_after } => format!("pending{}", wait(retry_after)),
        PollAnswer::SlowDown { retry_after } => format!("slow_down{}", wait(retry_after)),
        PollAnswer::Unreachable { retry_after } => format!("unreachable{}", wait(retry_after)),
        PollAnswer::Ended { status, reason } => {
            format!("{} {}", status.status().as_str(), reason.as_str())
        }
        PollAnswer::Approved(_) => "approved".to_owned(),
    }
}

fn coded(status: u16, code: &str) -> String {
    verdict(status, &format!(r#"{{"error":"{code}"}}"#), None)
}

#[test]
fn rp_042_043_pending_and_slow_down() {
    assert_eq!(coded(400, "authorization_pending"), "pending");
    assert_eq!(coded(400, "slow_down"), "slow_down");
    let pending = r#"{"error":"authorization_pending"}"#;
    assert_eq!(verdict(400, pending, Some("9")), "pending 9");
}

#[test]
fn rp_048_a_busy_provider_says_when_to_come_back() {
    assert_eq!(verdict(503, "", Some("30")), "unreachable 30");
    assert_eq!(verdict(429, "", Some("x")), "unreachable");
    assert_eq!(coded(503, "server_error"), "unreachable");
    assert_eq!(coded(500, "invalid_request"), "unreachable");
    assert_eq!(verdict(502, "<html>", None), "unreachable");
    assert_eq!(verdict(408, "", None), "unreachable");
}

#[test]
fn rp_049_050_denied_and_expired() {
    assert_eq!(coded(400, "access_denied"), "denied user_denied");
    assert_eq!(coded(400, "expired_token"), "expired expired");
}

#[test]
fn rp_051_invalid_request_stops() {
    assert_eq!(coded(400, "invalid_request"), "failed provider_refused");
    assert_eq!(coded(400, "something_new"), "failed provider_refused");
}

#[test]
fn rp_052_057_terminal_codes() {
    assert_eq!(coded(400, "invalid_grant"), "failed answer_lost");
    assert_eq!(coded(401, "invalid_client"), "failed provider_rejected_client");
    assert_eq!(coded(400, "unauthorized_client"), "failed provider_rejected_client");
}

#[test]
fn rp_056_the_code_decides_and_not_the_status() {
    for status in [400, 401, 403, 503] {
        assert_eq!(coded(status, "authorization_pending"), "pending", "{status}");
        assert_eq!(coded(status, "access_denied"), "denied user_denied", "{status}");
    }
}

#[test]
fn what_an_intermediary_says_is_polled_on() {
    for status in [301, 302, 307, 403, 404] {
        for text in ["", "<html>", r#"{"message":"Forbidden"}"#] {
            assert_eq!(verdict(status, text, None), "unreachable", "{status}");
        }
    }
}

#[test]
fn rp_039_an_answer_that_the_protocol_does_not_know_ends_it() {
    for status in [400, 405, 406, 415] {
        assert_eq!(verdict(status, "no", None), "failed provider_invalid_answer", "{status}");
    }
    assert_eq!(verdict(401, "", None), "failed provider_rejected_client");
}
