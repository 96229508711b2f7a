//! `/try` of the demo: a practice's software beside the phone, as a browser without script uses it.

use reqwest::Method;
use serde_json::{Value, json};

use super::demo::Quarters;
use super::ports;
use super::running::Running;
use crate::support::desk::{Desk, FORM, between, calls, has_token};
use crate::support::http::Caller;

/// A running demo with a phone page.
struct Demo {
    phone: Caller,
    running: Running,
    _quarters: Quarters,
}

impl Demo {
    async fn start() -> Self {
        let (quarters, port) = (Quarters::new(), ports::block(6));
        let mut running = Running::start(quarters.demo(port));
        running.first_line().await;
        let phone = Caller::new(format!("http://127.0.0.1:{}", port + 2));
        phone.put("/_sim/settings", json!({ "interval": 1 })).await.expect(200);
        Self { phone, running, _quarters: quarters }
    }

    async fn desk(&self, lang: &str) -> Desk {
        Desk::open(&self.phone, lang).await
    }

    /// Decides the newest request.
    async fn decide(&self, decision: &str) {
        let requests = self.phone.get("/_sim/requests").await.expect(200).json();
        let newest = requests.as_array().and_then(|all| all.last()).expect("a request");
        let id = newest["auth_req_id"].as_str().expect("an id");
        self.phone.post(&format!("/_sim/requests/{id}/{decision}"), Value::Null).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_sign_in_to_sign_out() {
    let demo = Demo::start().await;
    let desk = demo.desk("en").await;
    let page = desk.get("").await.body;
    assert!(page.contains("CLAIRE LEROY-TEST, Médecin (899700000001)"), "{page}");
    desk.post("sign-in", "person=899700000001&login_hint=&channel=CARD").await;
    let page = desk.shows("Confirm the sign-in").await;
    let request = demo.phone.get("/_sim/requests").await;
    assert_eq!(request.text("/0/channel"), "CARD");
    let digits = request.text("/0/binding_message");
    assert!(page.contains(&format!("<p class=\"digits\">{digits}</p>")), "{page}");
    assert!(page.contains(&format!("check in CPS-Gestion that the code shown is {digits}")), "{page}");
    demo.decide("approve").await;
    let page = desk.shows("CLAIRE LEROY-TEST").await;
    for text in ["Médecin", "899700000001", "CABINET DU DR LEROY TEST, 35000", "CENTRE HOSPITALIER DE TEST"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("required checked"), "nothing is chosen yet");
    let ids: Vec<&str> = page.split("name=\"id\" value=\"").skip(1).collect();
    let second = ids[1].split_once('"').expect("an id").0;
    let page = desk.post("exercice", &format!("id={second}")).await;
    assert!(page.contains(&format!("value=\"{second}\" required checked")), "{page}");
    let expected = [
        "POST /v1/logins",
        "GET /v1/logins/{id}",
        "POST /v1/logins/{id}/session",
        "GET /v1/session",
        "GET /v1/session/events",
        "PUT /v1/session/exercice",
    ];
    assert_eq!(calls(&page), expected, "long waits, and no call more than a login needs");
    assert!(page.contains("authorization: Bearer rsh_••••••") && !has_token(&page));
    assert!(page.contains("&#34;login_token&#34;: &#34;rlt_••••••&#34;"), "{page}");
    desk.post("exercice", "id=none").await;
    desk.shows("CLAIRE LEROY-TEST").await;
    desk.post("sign-out", "").await;
    let page = desk.shows("Signed out").await;
    assert_eq!(calls(&page).last().map(String::as_str), Some("DELETE /v1/session"));
    assert!(!demo.running.stderr().contains("rsh_"), "{}", demo.running.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_ending_has_its_own_heading_and_the_next_attempt_is_open() {
    let demo = Demo::start().await;
    let desk = demo.desk("en").await;
    let sign_in = async |hint: &str| desk.post("sign-in", &format!("person=x&login_hint={hint}")).await;

    sign_in("899700000002").await;
    desk.shows("Confirm the sign-in").await;
    demo.decide("deny").await;
    let page = desk.shows("Request denied").await;
    assert!(page.contains("The sign-in request was refused."), "what Relais says: {page}");

    sign_in("899700000002").await;
    desk.shows("Confirm the sign-in").await;
    desk.post("cancel", "").await;
    desk.shows("Request cancelled").await;

    sign_in("unknown-1").await;
    desk.shows("Unknown person").await;

    sign_in("810123456789").await;
    desk.shows("Malformed identifier").await;

    let fault =
        json!({ "endpoint": "backchannel", "status": 503, "body": { "error": "temporarily_unavailable" } });
    demo.phone.post("/_sim/faults", fault).await.expect(201);
    sign_in("899700000003").await;
    desk.shows("Authentication service unavailable").await;

    sign_in("899700000004").await;
    desk.shows("Confirm the sign-in").await;
    let requests = demo.phone.get("/_sim/requests").await.json();
    let newest = requests.as_array().and_then(|all| all.last()).expect("a request")["auth_req_id"].clone();
    let path = format!("/_sim/requests/{}/approve", newest.as_str().expect("an id"));
    demo.phone.post(&path, json!({ "as": "899700000005" })).await.expect(204);
    desk.shows("Someone else confirmed").await;

    demo.phone.put("/_sim/settings", json!({ "expires_in": 2 })).await.expect(200);
    sign_in("899700000006").await;
    let page = desk.shows("No answer in time").await;
    assert!(page.contains("/sign-in?lang=en"), "the sign-in box is open again");
    assert!(page.contains("value=\"899700000006\" autocomplete"), "with what was typed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_know_nothing_of_each_other_until_one_replaces_the_others_request() {
    let demo = Demo::start().await;
    let (first, second) = (demo.desk("en").await, demo.desk("fr").await);
    assert_ne!(first.here, second.here);
    first.post("sign-in", "person=899700000001").await;
    first.shows("Confirm the sign-in").await;
    second.shows("Connexion").await;
    second.post("sign-in", "person=899700000001").await;
    let page = second.shows("Une demande est déjà en cours").await;
    let left: u64 = between(&page, "data-left=\"", "\"").and_then(|left| left.parse().ok()).expect("seconds");
    assert!((1..=120).contains(&left) && page.contains("Nouvel essai possible dans"), "{left}");
    assert!(page.contains("name=\"replace\""), "{page}");
    second.post("sign-in", "login_hint=899700000001&channel=MOBILE&replace=yes").await;
    second.shows("Confirmez la connexion").await;
    first.shows("Request replaced").await;
    demo.decide("approve").await;
    second.shows("CLAIRE LEROY-TEST").await;
    first.shows("Request replaced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_in_the_middle_is_spoken_by_relais_too_and_asked_for_once() {
    let demo = Demo::start().await;
    let mut desk = demo.desk("fr").await;
    desk.post("sign-in", "person=899700000001").await;
    let page = desk.shows("Confirmez la connexion").await;
    assert!(page.contains("vérifiez que le code affiché"), "{page}");
    let before = calls(&page).len();
    desk.lang = "en".to_owned();
    for _ in 0..3 {
        let page = desk.shows("Confirm the sign-in").await;
        assert!(page.contains("check that the code shown is") && page.contains("<html lang=\"en\">"));
        assert_eq!(calls(&page).len(), before + 1, "one more reading, in English");
    }
    desk.lang = "fr".to_owned();
    let page = desk.shows("Confirmez la connexion").await;
    assert_eq!(calls(&page).len(), before + 1);
    demo.decide("deny").await;
    desk.shows("Demande refusée").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn desks_are_protected_and_bounded() {
    let demo = Demo::start().await;
    let desk = demo.desk("en").await;
    let path = format!("{}/sign-in?lang=en", desk.here);
    for origin in ["http://example.fr", "null"] {
        let foreign = demo.phone.header("origin", origin);
        let answer = foreign.send_text(Method::POST, &path, FORM, "person=899700000001").await;
        assert_eq!(answer.expect(403).text("/error"), "foreign_origin");
    }
    let rebound = demo.phone.header("host", "relais.example.fr").get(&desk.here).await;
    assert_eq!(rebound.status.as_u16(), 421);
    assert_eq!(demo.phone.get("/_sim/requests").await.json(), json!([]), "nobody's phone rang");

    let page = desk.get("").await;
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-inline"));
    assert_eq!(page.header("cache-control"), Some("no-store"));

    for _ in 0..32 {
        demo.desk("en").await;
    }
    let asking = desk.get("&seen=0").await;
    assert_eq!(asking.status.as_u16(), 410, "its script loads the page again");
    let page = desk.get("").await.expect(200).body;
    assert!(!page.contains(&desk.here), "a new desk");
    desk.post("sign-in", "person=899700000001").await;
    assert_eq!(demo.phone.get("/_sim/requests").await.json(), json!([]));
}
