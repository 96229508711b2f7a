//! Targets that cannot be had, or not trusted.

use serde_json::json;

use super::{API, at, like_api, signed_in};
use crate::support::downstream::Downstream;
use crate::support::stack::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn r_g_07_a_redirect_elsewhere_is_no_answer_and_is_not_followed() {
    for (status, location) in [
        (301, "http://169.254.169.254/latest/meta-data"),
        (302, "//evil.example/base/x"),
        (303, "/admin"),
        (307, "/base/../admin"),
        (308, "/base/%2e%2e/admin"),
        (302, "https://127.0.0.1/base/x"),
        (302, "/base//x"),
        (302, "javascript:alert(1)"),
    ] {
        let text = format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 6\r\nconnection: close\r\n\r\ncanary"
        );
        let downstream = Downstream::answering(text.leak()).await;
        let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let answer = session.get("/v1/targets/raw/a").await.expect_problem(502, "target_redirected");
        assert_eq!((answer.header("relais-answer"), answer.header("location")), (Some("relais"), None));
        assert!(!answer.body.contains("canary") && !answer.body.contains("169.254"));
        assert_eq!(downstream.heads().len(), 1, "{location}: asked once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_without_a_location_and_not_modified_are_answers() {
    for (status, more) in [(304, "etag: \"1\"\r\ncontent-length: 77\r\n"), (300, "content-length: 0\r\n")] {
        let text = format!("HTTP/1.1 {status} X\r\n{more}connection: close\r\n\r\n");
        let downstream = Downstream::answering(text.leak()).await;
        let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let answer = session.header("if-none-match", "\"1\"").get("/v1/targets/raw/a").await.expect(status);
        assert_eq!((answer.header("relais-answer"), answer.body.as_str()), (Some("target"), ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_there_is_unreachable() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound")
    };
    let nowhere = like_api("nowhere", &[("{issuer}/../../../target/", &format!("https://{gone}/"))]);
    let unknown = like_api("unknown", &[("{issuer}/../../../target/", "https://no-such-host.invalid/")]);
    // Link-local addresses hold the metadata services of clouds: never, whatever is configured (R-G-06).
    let metadata = like_api("metadata", &[("{issuer}/../../../target/", "https://169.254.169.254/")]);
    let decimal = like_api("decimal", &[("{issuer}/../../../target/", "https://2852039166/")]);
    let mapped = like_api("mapped", &[("{issuer}/../../../target/", "https://[::ffff:169.254.169.254]/")]);
    let (stack, session) =
        signed_in(Backend::Sqlite, &format!("{nowhere}{unknown}{metadata}{decimal}{mapped}")).await;
    for name in ["nowhere", "unknown", "metadata", "decimal", "mapped"] {
        let answer = session.get(&format!("/v1/targets/{name}/x")).await;
        let answer = answer.expect_problem(502, "target_unreachable");
        assert_eq!(answer.header("relais-answer"), Some("relais"), "{name}");
    }
    session.get("/v1/session").await.expect(200);
    drop(stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_certificate_does_not_do_is_not_called() {
    // Without its own authority's certificate only those of the system count.
    let untrusted =
        like_api("untrusted", &[("ca = \"certs/ca.pem\"\n", ""), ("cnf", "ca = \"certs/ca.pem\"\ncnf")]);
    let (stack, session) = signed_in(Backend::Sqlite, &format!("{API}{untrusted}")).await;
    let answer = session.get("/v1/targets/untrusted/x").await.expect_problem(502, "target_tls_failed");
    assert_eq!(answer.header("relais-answer"), Some("relais"));
    session.get("/v1/targets/api/x").await.expect(200);
    assert_eq!(super::calls(&stack, "target").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_unreachable() {
    for text in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ] {
        let downstream = Downstream::answering(text).await;
        let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        session.get("/v1/targets/raw/a").await.expect_problem(502, "target_unreachable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_told_and_a_cut_body_does_not_look_whole() {
    let (stack, session) = signed_in(Backend::Sqlite, API).await;
    stack.fault(json!({ "endpoint": "target", "action": "reset" })).await;
    session.get("/v1/targets/api/x").await.expect_problem(502, "target_unreachable");
    stack.fault(json!({ "endpoint": "target", "action": "truncate" })).await;
    let cut = session.try_send(reqwest::Method::GET, "/v1/targets/api/x", None).await;
    assert!(cut.is_err(), "half an answer was taken for a whole one");
    session.get("/v1/targets/api/x").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_is_given_up_before_and_within_its_answer() {
    let silent = Downstream::new(|connection| async move {
        std::future::pending::<()>().await;
        drop(connection);
    })
    .await;
    let begun = Downstream::new(|mut connection| async move {
        connection.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let sections = format!("{}{}", at("silent", &silent), at("begun", &begun));
    let (_stack, session) = signed_in(Backend::Sqlite, &sections).await;
    let answer = session.get("/v1/targets/silent/x").await.expect_problem(504, "target_timeout");
    assert_eq!(answer.header("relais-answer"), Some("relais"));
    let cut = session.try_send(reqwest::Method::GET, "/v1/targets/begun/x", None).await;
    assert!(cut.is_err(), "half an answer was taken for a whole one");
    assert_eq!((silent.heads().len(), begun.heads().len()), (1, 1));
}
