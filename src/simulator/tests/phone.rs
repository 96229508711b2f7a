//! The phone page.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab, answer, asked};
use crate::net::listener::Peer;
use crate::simulator::{Beside, Front, Steering};

async fn page(lab: &Lab, path: &str, language: &str) -> Answer {
    let request = lab.request(Method::GET, path, &[("accept-language", language)], Body::empty());
    answer(lab.control.clone(), request).await
}

/// The text between two marks.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = html.split_once(from).unwrap_or_else(|| panic!("no {from} in {html}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} in {html}")).0
}

fn revision(html: &str) -> String {
    between(html, "data-revision=\"", "\"").to_owned()
}

/// The live region: what somebody hears who does not see the page.
fn heard(html: &str) -> &str {
    between(html, "role=\"status\" data-key=\"status\">", "</p>")
}

/// The entries of the history, each as its outcome and whom it was for.
fn history(html: &str) -> Vec<(&str, &str)> {
    let Some((_, list)) = html.split_once("<ol class=\"history\">") else { return Vec::new() };
    let entries = list.split_once("</ol>").expect("its end").0.split("<li ").skip(1);
    entries
        .map(|entry| {
            (between(entry, "<strong>", "</strong>"), between(entry, "<p class=\"who\">", " <span").trim())
        })
        .collect()
}

#[tokio::test]
async fn it_shows_who_asks_for_whom_with_the_digits() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    let html = page(&lab, "/", "fr").await.text();
    for text in ["Relais Demo", "relais-demo", "CLAIRE LEROY-TEST", DOCTOR, ">42<", "carte CPx"] {
        assert!(html.contains(text), "{text}");
    }
    for decision in ["approve", "deny"] {
        assert!(html.contains(&format!("method=\"post\" action=\"/phone/{id}/{decision}?lang=fr\"")));
    }
    assert!(html.contains("data-left=\"120\"") && html.contains(">2 min 0 s<"));
    lab.advance(61_500);
    assert!(page(&lab, "/", "fr").await.text().contains(">59 s<"));
}

#[tokio::test]
async fn its_first_words_are_that_it_is_a_simulator() {
    let lab = Lab::new();
    for (language, first) in [("fr", "Ceci est un simulateur"), ("en", "This is a simulator")] {
        let html = page(&lab, "/", language).await.text();
        let body = html.split_once("<body>").expect("a body").1;
        let words = body.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text.trim());
        let said = words.clone().find(|text| !text.is_empty()).expect("words");
        assert!(said.starts_with(first), "{said}");
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
    let html = page(&lab, "/", "en").await.text();
    assert!(!html.contains(">42<") && !html.contains("<button"), "what is decided cannot be decided again");
    let again = lab.control(Method::POST, &path, Value::Null).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text().contains("role=\"alert\"") && again.text().contains("not waiting any more"));
    let unknown = lab.control(Method::POST, "/phone/none/deny", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_history_tells_what_became_of_requests_newest_first() {
    let lab = Lab::new();
    let mut ids = Vec::new();
    for hint in [DOCTOR, "899700000002", "899700000003"] {
        ids.push(lab.start(hint).await);
        lab.advance(1000);
    }
    lab.deny(&ids[1]).await;
    lab.advance(5000);
    lab.approve(&ids[0], Value::Null).await;
    lab.advance(1000);
    // That the client fetches the tokens later changes nothing about when the person decided.
    assert_eq!(lab.poll_result(&ids[0]).await, "ok");
    let html = page(&lab, "/", "en").await.text();
    assert_eq!(history(&html), [("Approved", "CLAIRE LEROY-TEST"), ("Denied", "KARIM BENALI-TEST")]);
    assert!(html.contains("datetime=\"2026-11-22T02:00:08.000Z\">02:00 UTC<"), "{html}");
    lab.advance(120_000);
    let html = page(&lab, "/", "fr").await.text();
    let expected = [
        ("Expirée", "JEANNE MOREAU-TEST"),
        ("Approuvée", "CLAIRE LEROY-TEST"),
        ("Refusée", "KARIM BENALI-TEST"),
    ];
    assert_eq!(history(&html), expected);
    lab.advance(600_000);
    assert_eq!(history(&page(&lab, "/", "fr").await.text()), [], "forgotten");
}

#[tokio::test]
async fn an_approved_request_that_no_client_fetched_stays_approved() {
    let lab = Lab::new();
    let id = lab.start(DOCTOR).await;
    lab.approve(&id, Value::Null).await;
    lab.advance(120_000);
    assert_eq!(lab.requests().await[0]["status"], "expired");
    assert_eq!(history(&page(&lab, "/", "en").await.text()), [("Approved", "CLAIRE LEROY-TEST")]);
}

#[tokio::test]
async fn the_history_is_bounded() {
    let lab = Lab::new();
    for number in 0..25 {
        let id = lab.start(&format!("8100000{number:05}")).await;
        lab.deny(&id).await;
        lab.advance(1000);
    }
    let html = page(&lab, "/", "en").await.text();
    assert_eq!(history(&html).len(), 20);
    assert!(html.contains("810000000024") && !html.contains("810000000004"), "the oldest are left out");
}

#[tokio::test]
async fn expired_requests_do_not_wait() {
    let lab = Lab::new();
    lab.start(DOCTOR).await;
    lab.advance(119_999);
    assert!(page(&lab, "/", "en").await.text().contains("<button"));
    lab.advance(1);
    let html = page(&lab, "/", "en").await.text();
    assert!(html.contains("No request is waiting.") && !html.contains("<button"));
}

#[tokio::test]
async fn who_hears_the_page_is_told_the_last_event_and_what_waits_but_no_countdown() {
    let lab = Lab::new();
    assert_eq!(heard(&page(&lab, "/", "fr").await.text()), "Aucune demande en attente.");
    let first = lab.start(DOCTOR).await;
    let one = page(&lab, "/", "en").await.text();
    assert_eq!(heard(&one), "Request from Relais Demo for CLAIRE LEROY-TEST, number 42.");
    lab.advance(7000);
    assert_eq!(heard(&page(&lab, "/", "en").await.text()), heard(&one), "nothing is said twice");
    lab.start("899700000002").await;
    let two = page(&lab, "/", "fr").await.text();
    let expected = "2 demandes en attente. Demande de Relais Demo pour KARIM BENALI-TEST, nombre 42.";
    assert_eq!(heard(&two), expected);
    lab.advance(1000);
    lab.deny(&first).await;
    let denied = page(&lab, "/", "en").await.text();
    let expected = "Request denied. Request from Relais Demo for KARIM BENALI-TEST, number 42.";
    assert_eq!(heard(&denied), expected);
    lab.advance(120_000);
    assert_eq!(heard(&page(&lab, "/", "en").await.text()), "Request expired. No request is waiting.");
}

#[tokio::test]
async fn without_script_it_reloads_while_nothing_waits_and_when_a_request_ends() {
    let lab = Lab::new();
    let reload = |html: &str| between(html, "http-equiv=\"refresh\" content=\"", "\"").to_owned();
    assert_eq!(reload(&page(&lab, "/", "en").await.text()), "5;url=/?lang=en");
    lab.start(DOCTOR).await;
    lab.advance(20_000);
    assert_eq!(reload(&page(&lab, "/", "en").await.text()), "101;url=/?lang=en");
}

/// A page that asks with the revision it shows; whether it is answered, and with what.
struct Asking(tokio::task::JoinHandle<Answer>);

impl Asking {
    fn with(lab: &Lab, seen: &str) -> Self {
        let path = format!("/?lang=en&seen={seen}");
        let request = lab.request(Method::GET, &path, &[], Body::empty());
        Self(tokio::spawn(answer(lab.control.clone(), request)))
    }

    async fn is_parked(&self) -> bool {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        !self.0.is_finished()
    }

    async fn answered(self) -> Answer {
        self.0.await.expect("an answer")
    }
}

#[tokio::test]
async fn a_page_that_asks_is_answered_when_there_is_something_new() {
    let lab = Lab::new();
    let mut seen = revision(&page(&lab, "/", "en").await.text());
    assert!(Asking::with(&lab, "another").answered().await.text().contains(&seen), "at once");

    let asking = Asking::with(&lab, &seen);
    assert!(asking.is_parked().await);
    let id = lab.start(DOCTOR).await;
    let html = asking.answered().await.text();
    assert!(html.contains("CLAIRE LEROY-TEST"));
    seen = revision(&html);

    let asking = Asking::with(&lab, &seen);
    lab.advance(10_000);
    assert!(asking.is_parked().await, "the countdown alone is nothing new");
    lab.deny(&id).await;
    let html = asking.answered().await.text();
    assert_eq!(history(&html), [("Denied", "CLAIRE LEROY-TEST")]);

    // A decision that nobody takes: the end of the request, and one that makes itself.
    lab.start("899700000002").await;
    lab.advance(100_000);
    let asking = Asking::with(&lab, &revision(&page(&lab, "/", "en").await.text()));
    assert!(asking.is_parked().await);
    lab.advance(20_000);
    assert!(asking.answered().await.text().contains("Expired"));
    lab.settings(json!({ "auto": { "decision": "approve", "after_ms": 3000 } })).await;
    lab.start("899700000003").await;
    let asking = Asking::with(&lab, &revision(&page(&lab, "/", "en").await.text()));
    assert!(asking.is_parked().await);
    lab.advance(3000);
    assert!(history(&asking.answered().await.text()).contains(&("Approved", "JEANNE MOREAU-TEST")));
}

#[tokio::test]
async fn a_page_that_asks_in_vain_is_told_so_after_25_seconds() {
    let lab = Lab::new();
    let asking = Asking::with(&lab, &revision(&page(&lab, "/", "en").await.text()));
    assert!(asking.is_parked().await);
    lab.advance(24_999);
    assert!(asking.is_parked().await);
    lab.advance(1);
    let nothing = asking.answered().await;
    assert_eq!((nothing.status, nothing.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(nothing.headers[header::CACHE_CONTROL], "no-store");
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
async fn the_page_may_load_nothing_and_be_framed_by_its_own_origin_only() {
    let lab = Lab::new();
    let (first, second) = (page(&lab, "/", "en").await, page(&lab, "/", "en").await);
    let policy = |answer: &Answer| {
        let value = &answer.headers[header::CONTENT_SECURITY_POLICY];
        value.to_str().expect("a text").to_owned()
    };
    assert!(policy(&first).contains("default-src 'none'"));
    assert!(policy(&first).contains("frame-ancestors 'self'"));
    assert!(!policy(&first).contains("unsafe-inline"));
    assert_ne!(policy(&first), policy(&second), "a nonce is used once");
    assert_eq!(first.headers[header::CACHE_CONTROL], json!("no-store").as_str().expect("a text"));
    // With `no-referrer` a browser would send the forms with `Origin: null`, which is refused.
    assert_eq!(first.headers[header::REFERRER_POLICY], "same-origin");
}

/// `GET path` as a caller at `address`; the status, and the body.
async fn from(router: &Router, address: impl Into<std::net::IpAddr>, path: &str) -> (u16, String) {
    let peer = Peer { address: SocketAddr::new(address.into(), 4711), certificate: None };
    let request = Request::get(path).extension(peer).body(Body::empty()).expect("a request");
    let answer = answer(router.clone(), request).await;
    (answer.status.as_u16(), answer.text())
}

fn with_a_neighbour(lab: &Lab, steering: Steering) -> Router {
    let router = Router::new().route("/beside", get(|| async { "neighbour" }));
    let beside = Beside { router, path: "/beside", french: "À côté", english: "Next door" };
    lab.simulator.control_router(Front { steering, beside: Some(beside), also_on: None })
}

#[tokio::test]
async fn another_machine_sees_the_phone_page_and_steers_nothing_unless_it_may() {
    let lab = Lab::new();
    let phone = Ipv4Addr::new(192, 0, 2, 7);
    let mapped = "::ffff:127.0.0.1".parse::<std::net::Ipv6Addr>().expect("an address");
    let guarded = with_a_neighbour(&lab, Steering::FromThisMachine);
    for path in ["/_sim/requests", "/_sim/people", "/_sim/stats", "/beside"] {
        let (status, why) = from(&guarded, phone, path).await;
        assert_eq!(status, 403, "{path}");
        assert!(why.contains("other_machine"), "{why}");
        assert_eq!(from(&guarded, Ipv4Addr::LOCALHOST, path).await.0, 200, "{path}");
        assert_eq!(from(&guarded, mapped, path).await.0, 200, "{path}");
        let open = with_a_neighbour(&lab, Steering::FromAnywhere);
        assert_eq!(from(&open, phone, path).await.0, 200, "{path}");
    }
    let (status, html) = from(&guarded, phone, "/?lang=en").await;
    assert!(status == 200 && !html.contains("Next door"), "no link that leads nowhere");
    assert!(from(&guarded, Ipv4Addr::LOCALHOST, "/?lang=en").await.1.contains("Next door"));
}

#[tokio::test]
async fn what_stands_beside_is_protected_like_the_rest() {
    let lab = Lab::new();
    let router = with_a_neighbour(&lab, Steering::FromThisMachine);
    for (name, value, status) in
        [("host", "relais.example.fr", 421), ("origin", "http://example.fr", 403), ("origin", "null", 403)]
    {
        let mut headers = vec![(name, value)];
        if name == "origin" {
            headers.push(("host", "127.0.0.1:8082"));
        }
        let request = lab.request(Method::GET, "/beside", &headers, Body::empty());
        assert_eq!(answer(router.clone(), request).await.status.as_u16(), status, "{name} {value}");
    }
}
