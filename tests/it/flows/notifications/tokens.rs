//! The token that a provider must come with (row 21).

use relais::crypto::random::SystemRandom;
use relais::crypto::token::draw_notification_token;
use reqwest::Method;
use serde_json::json;

use super::{ADDRESS, Told, notify, shape};
use crate::support::database::Database;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn rp_021_each_login_has_a_token_of_its_own_and_the_database_only_its_hash() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().delivery("ping").start().await;
        let logins = [Told::start(&stack, DOCTOR).await, Told::start(&stack, "899700000002").await];
        assert_ne!(logins[0].token, logins[1].token);
        let dump = Database::of(&stack.config).await.dump().await;
        let is_written = |text: &str| dump.windows(text.len()).any(|it| it == text.as_bytes());
        for login in &logins {
            let token = &login.token;
            let random = token.strip_prefix("rnt_").expect("a notification token");
            assert!(random.len() >= 43 && token.len() <= 1024, "256 bits");
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert!(!is_written(token) && !is_written(&random[..16]), "{backend:?}");
            assert!(!is_written(&login.auth_req_id), "{backend:?}");
        }
        assert!(is_written("desk"), "the dump has the rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_089_whatever_the_body_is_whoever_has_no_token_gets_the_same_answer() {
    for mode in ["ping", "push"] {
        let stack = Stack::on(Backend::Sqlite).paced().delivery(mode).start().await;
        let login = Told::start(&stack, DOCTOR).await;
        let unknown = draw_notification_token(&SystemRandom).0.expose().to_owned();
        let ping = login.ping().to_string();
        let expected = shape(&notify(&stack.notified(), "x", login.ping()).await);
        assert_eq!((expected.0, expected.2.as_str()), (401, ""));
        for token in ["x", unknown.as_str(), login.holder.token().as_str()] {
            for path in [ADDRESS, "/providers/other/ciba"] {
                for (media, body) in [
                    ("application/json", " ".repeat(9000)),
                    ("application/json", String::new()),
                    ("application/json", "{".to_owned()),
                    ("text/plain", ping.clone()),
                ] {
                    // A connection of its own: one whose body was left unread may be closed.
                    let caller = stack.notified().bearer(token);
                    let answer = caller.send_text(Method::POST, path, media, &body).await;
                    assert_eq!(shape(&answer), expected, "{mode} {path} {media} {}", body.len());
                }
            }
        }
        assert!(login.is("pending").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_021_a_registration_that_is_polled_sends_none() {
    let stack = Stack::on(Backend::Sqlite).paced().start().await;
    stack.start(DOCTOR).await.expect(201);
    let request = stack.requests().await.remove(0);
    assert_eq!(request["client_notification_token"], json!(null));
    // A provider that expects one would say so.
    stack.settings(json!({ "delivery": { "mode": "ping", "endpoint": "http://127.0.0.1:1/" } })).await;
    let refused = stack.start("899700000002").await.expect(201);
    assert_eq!(refused.text("/reason"), "provider_refused");
}
