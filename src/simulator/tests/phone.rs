//! The phone page.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab, answer, asked};

async fn page(lab: &Lab, path: &str, language: &str) -> Answer {
    let request = lab.request(Method::GET, path, &[("accept-language", language)], Body::empty());
    answer(lab.control.clone(), request).await
}

#[tokio::test]
async fn it_shows_who_asks_for_whom_with_the_digits() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let html = page(&lab, "/", "fr").await.text();
    for text in ["relais-demo", "CLAIRE LEROY-TEST", ">42<", "carte CPx", "simulateur"] {
        assert!(html.contains(text), "{text}");
    }
    for decision in ["approve", "deny"] {
        assert!(html.contains(&format!("method=\"post\" action=\"/phone/{id}/{decision}?lang=fr\"")));
    }
}

#[tokio::test]
async fn the_language_is_the_address_s_then_the_browser_s_then_french() {
    let lab = Lab::new();
    for (path, accepted, expected) in [
        ("/", "", "fr"),
        ("/", "de", "fr"),
        ("/", "en-GB,en;q=0.9,fr;q=0.5", "en"),
        ("/", "en;q=0.3, fr-FR", "fr"),
        ("/", "en;q=0, *", "fr"),
        ("/?lang=en", "fr", "en"),
        ("/?lang=fr", "en", "fr"),
        ("/?lang=xx", "en", "en"),
    ] {
        let html = page(&lab, path, accepted).await.text();
        assert!(html.contains(&format!("<html lang=\"{expected}\">")), "{path} {accepted}");
    }
}

#[tokio::test]
async fn a_form_decides_and_leads_back() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let path = format!("/phone/{id}/approve?lang=en");
    let decided = lab.control(Method::POST, &path, Value::Null).await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER);
    assert_eq!(decided.headers[header::LOCATION], "/?lang=en");
    assert_eq!(lab.requests().await[0]["status"], "approved");
    assert!(!page(&lab, "/", "en").await.text().contains(">42<"), "decided requests are no longer shown");
    let again = lab.control(Method::POST, &path, Value::Null).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text().contains("not waiting any more"));
    let unknown = lab.control(Method::POST, "/phone/none/deny", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn expired_requests_are_not_shown() {
    let lab = Lab::new();
    lab.start(DOCTOR).await;
    lab.advance(120_000);
    assert!(page(&lab, "/", "en").await.text().contains("No request is waiting."));
}

#[tokio::test]
async fn what_clients_send_stays_text() {
    let lab = Lab::new();
    let answer = lab.start_with(&asked("<script>alert(1)</script>")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let html = page(&lab, "/", "en").await.text();
    assert!(!html.contains("<script>alert"));
    assert!(html.contains("&#60;script&#62;alert(1)"));
}

#[tokio::test]
async fn the_page_may_load_nothing_and_be_framed_by_nobody() {
    let lab = Lab::new();
    let (first, second) = (page(&lab, "/", "en").await, page(&lab, "/", "en").await);
    let policy = |answer: &Answer| {
        let value = &answer.headers[header::CONTENT_SECURITY_POLICY];
        value.to_str().expect("a text").to_owned()
    };
    assert!(policy(&first).contains("default-src 'none'"));
    assert!(policy(&first).contains("frame-ancestors 'none'"));
    assert!(!policy(&first).contains("unsafe-inline"));
    assert_ne!(policy(&first), policy(&second), "a nonce is used once");
    assert_eq!(first.headers[header::CACHE_CONTROL], json!("no-store").as_str().expect("a text"));
}
