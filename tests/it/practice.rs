//! The practice's software against a Relais in this process: what a demo does not come to by itself.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::secret::Secret;
use relais::practice::{Practice, PracticeSettings, TestPerson};
use serde_json::{Value, json};

use crate::support::desk::{Desk, between, calls};
use crate::support::http::Caller;
use crate::support::stack::{Backend, DOCTOR, SECRET, Stack};

/// The software's pages, on a socket of their own.
async fn pages(stack: &Stack) -> Caller {
    let settings = PracticeSettings {
        server: stack.relais.base().parse().expect("a URL"),
        application: "desk".to_owned(),
        secret: Secret::new(SECRET),
        people: vec![TestPerson { login_hint: DOCTOR.to_owned(), name: "X".to_owned(), profession: None }],
        phone: "/",
    };
    let clock = Arc::new(stack.clock.clone());
    let practice = Practice::new(settings, clock, Arc::new(SystemRandom)).expect("a client");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, practice.router()).await });
    Caller::new(format!("http://{address}"))
}

async fn signed_in(stack: &Stack, desk: &Desk) {
    desk.post("sign-in", &format!("person={DOCTOR}")).await;
    desk.shows("Confirm the sign-in").await;
    stack.decide("approve", Value::Null).await;
    let mut shows = Box::pin(desk.shows("CLAIRE LEROY-TEST"));
    loop {
        tokio::select! {
            _ = &mut shows => return,
            () = stack.clock.advance_slowly(Duration::from_millis(250), Duration::from_millis(250)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_without_its_holder_is_shown_as_ended_with_the_reason() {
    let idle = "session = { idle = \"10m\" }";
    let stack = Stack::on(Backend::Sqlite).manual_clock().application(idle).start().await;
    let desk = Desk::open(&pages(&stack).await, "en").await;
    signed_in(&stack, &desk).await;
    let before = calls(&desk.get("").await.body).len();
    let mut shows = Box::pin(desk.shows("The session has ended"));
    let page = loop {
        tokio::select! {
            page = &mut shows => break page,
            () = stack.clock.advance_slowly(Duration::from_secs(120), Duration::from_secs(2)) => {}
        }
    };
    assert!(page.contains("closed for lack of activity"), "{page}");
    // Ten minutes without a use: the software heard of the end, it did not keep asking for it.
    let after = calls(&page);
    assert!(after.len() - before <= 2, "{after:?}");
    desk.post("sign-in", &format!("person={DOCTOR}")).await;
    desk.shows("Confirm the sign-in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relais_that_does_not_answer_is_told_and_tried_again() {
    let mut stack = Stack::on(Backend::Sqlite).start().await;
    let desk = Desk::open(&pages(&stack).await, "en").await;
    stack.stop().await;
    desk.post("sign-in", &format!("person={DOCTOR}")).await;
    let mut shows = Box::pin(desk.shows("Relais does not answer"));
    let page = loop {
        tokio::select! {
            page = &mut shows => break page,
            () = stack.clock.advance_slowly(Duration::from_millis(250), Duration::from_millis(250)) => {}
        }
    };
    assert_eq!(calls(&page), ["POST /v1/logins"; 4], "a bounded number of times");
    assert!(page.contains("answer lost"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_applications_request_is_waited_for_and_cannot_be_replaced() {
    let other = "[applications.other]\nkind = \"backend\"\ntenant = \"elsewhere\"\nregistrations = [\"psc\"]\n\
                 auth = \"client_secret_basic\"\nsecret = \"another-secret\"\n";
    let stack = Stack::on(Backend::Sqlite).sections(other).start().await;
    let elsewhere = stack.relais.basic("other", "another-secret");
    elsewhere.post("/v1/logins", json!({ "login_hint": DOCTOR })).await.expect(201);
    let desk = Desk::open(&pages(&stack).await, "en").await;
    desk.post("sign-in", &format!("person={DOCTOR}")).await;
    let page = desk.shows("A request is already under way").await;
    assert!(page.contains("cannot be replaced from here") && !page.contains("name=\"replace\""), "{page}");
    assert!(between(&page, "data-left=\"", "\"").is_some(), "how long to wait: {page}");
}
