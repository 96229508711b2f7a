//! Client certificates: several at a time, replaced while running, the last good one kept.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::clock::Clock as _;
use relais::engine::ports::Providers;
use relais::provider::{Clients, SettingsError};
use tokio_util::sync::CancellationToken;

use crate::support::log;

use super::discovery::eventually;
use super::setup::{APPROVED, Setup, provider_settings, registration_settings};
use super::tls::{Pki, by_certificate, listen};

#[tokio::test]
async fn r_g_04_a_replaced_certificate_serves_new_logins_and_the_old_one_its_grants() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let old = setup.poll_request();
    assert!(setup.start().await.is_ok());
    pki.write("client", &pki.client(60));
    setup.clients.reload();
    let new = setup.poll_request();
    assert_ne!(old.x5t, new.x5t);
    assert!(setup.start().await.is_ok());
    for request in [old, new] {
        setup.clients.ensure_metadata(&setup.registration).await.expect("metadata");
        let answer = setup.clients.poll(&setup.registration, request).await;
        assert!(matches!(answer.answer, relais::engine::ports::PollAnswer::Approved(_)));
    }
}

#[tokio::test]
async fn r_g_04_a_replaced_certificate_goes_with_its_key_when_it_has_expired() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let in_use = || setup.clients.certificate_in_use(&setup.registration).expect("one");
    let is_there = |x5t: &str| setup.clients.identity(&setup.registration, x5t).is_some();
    let old = in_use();
    pki.write("client", &pki.client(60));
    setup.clients.reload();
    let new = in_use();
    assert!(old != new && is_there(&old) && is_there(&new));
    setup.clock.advance(Duration::from_hours(31 * 24));
    // No file has changed.
    setup.clients.reload();
    assert!(!is_there(&old) && is_there(&new));
}

#[tokio::test]
async fn r_g_04_a_changed_file_is_seen_without_being_told() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let shutdown = CancellationToken::new();
    let (clients, until) = (Arc::clone(&setup.clients), shutdown.clone());
    let running = tokio::spawn(async move { clients.run(until).await });
    let before = setup.clients.certificate_in_use(&setup.registration);
    eventually("the background work runs", || setup.op.count("metadata") > 0).await;
    pki.write("client", &pki.client(60));
    setup.clock.advance_slowly(Duration::from_secs(6), Duration::from_secs(1)).await;
    eventually("the new one is in use", || setup.clients.certificate_in_use(&setup.registration) != before)
        .await;
    shutdown.cancel();
    running.await.expect("it ends when told to");
}

#[tokio::test]
async fn r_g_04_a_refused_certificate_is_taken_over_once_the_mode_of_its_key_is_right() {
    use std::os::unix::fs::PermissionsExt as _;
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let before = setup.clients.certificate_in_use(&setup.registration);
    let mode = |mode| {
        std::fs::set_permissions(&files[0].key, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let log = log::capture();
    pki.write("client", &pki.client(60));
    mode(0o644);
    setup.clients.reload();
    setup.clients.reload();
    assert_eq!(setup.clients.certificate_in_use(&setup.registration), before);
    assert_eq!(log.text().matches("the last good one stays").count(), 1, "said once: {}", log.text());
    mode(0o600);
    setup.clients.reload();
    assert_ne!(setup.clients.certificate_in_use(&setup.registration), before);
}

#[tokio::test]
async fn r_g_04_files_that_cannot_be_used_change_nothing_and_are_logged() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let before = setup.clients.certificate_in_use(&setup.registration);
    let log = log::capture();
    let (one, other, expired) = (pki.client(30), pki.client(31), pki.client(0));
    std::fs::write(&files[0].cert, "nonsense").expect("written");
    setup.clients.reload();
    std::fs::write(&files[0].cert, &one.certificate).expect("written");
    setup.clients.reload();
    pki.write("client", &expired);
    setup.clock.advance(Duration::from_secs(60));
    setup.clients.reload();
    std::fs::remove_file(&files[0].cert).expect("removed");
    setup.clients.reload();
    assert_eq!(setup.clients.certificate_in_use(&setup.registration), before);
    let text = log.text();
    assert_eq!(text.matches("the last good one stays").count(), 4, "{text}");
    assert!(text.contains("does not belong to") && text.contains("expired at"), "{text}");
    assert!(!text.contains("PRIVATE KEY"));
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
    pki.write("client", &other);
    setup.clients.reload();
    assert_ne!(setup.clients.certificate_in_use(&setup.registration), before, "repaired");
}

#[tokio::test]
async fn the_first_certificate_is_in_use_and_the_others_serve_what_is_bound_to_them() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("new", &pki.client(60)), pki.write("old", &pki.client(30))];
    let only_old = Setup::at(op.clone(), by_certificate(&pki, &files[1..]));
    let setup = Setup::at(op, by_certificate(&pki, &files));
    let mut request = setup.poll_request();
    assert_ne!(request.x5t, only_old.poll_request().x5t);
    request.x5t = only_old.poll_request().x5t;
    setup.clients.ensure_metadata(&setup.registration).await.expect("metadata");
    let answer = setup.clients.poll(&setup.registration, request.clone()).await;
    assert!(matches!(answer.answer, relais::engine::ports::PollAnswer::Approved(_)));
    let names: Vec<_> = setup.clients.certificates().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["lps", "lps-2"]);
    request.x5t = Some("unknown".to_owned());
    let before = setup.op.count("token");
    let answer = setup.clients.poll(&setup.registration, request).await;
    assert!(matches!(answer.answer, relais::engine::ports::PollAnswer::Unreachable { .. }));
    assert_eq!(setup.op.count("token"), before, "never with another certificate");
}

#[tokio::test]
async fn r_g_05_an_expired_certificate_refuses_the_start() {
    let pki = Pki::new();
    let setup = Setup::new().await;
    let mut registration = registration_settings();
    registration.certificates = vec![pki.write("client", &pki.client(0))];
    setup.clock.advance(Duration::from_secs(60));
    let clock = Arc::new(setup.clock.clone());
    let made =
        Clients::new(vec![provider_settings(&setup.op)], vec![registration], clock, Arc::new(SystemRandom));
    assert!(matches!(made, Err(SettingsError::Client { .. })));
}

#[tokio::test]
async fn a_certificate_that_is_not_for_clients_is_not_used() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let good = [pki.write("client", &pki.client(30))];
    let setup = Setup::at(op, by_certificate(&pki, &good));
    let in_use = setup.clients.certificate_in_use(&setup.registration);
    let now = setup.clock.now();
    let (from, until) = (now - Duration::from_hours(1), now + Duration::from_hours(24));
    let for_servers = pki.authority.issue_server(&["localhost"], from, until).expect("a certificate");
    let log = log::capture();
    pki.write("client", &for_servers);
    setup.clients.reload();
    assert_eq!(setup.clients.certificate_in_use(&setup.registration), in_use, "the last good one stays");
    assert!(log.text().contains("not for clients"), "{}", log.text());

    let (mut provider, mut registration) = (provider_settings(&setup.op), registration_settings());
    by_certificate(&pki, &[pki.write("other", &for_servers)])(&mut provider, &mut registration);
    let made = Clients::new(
        vec![provider],
        vec![registration],
        Arc::new(setup.clock.clone()),
        Arc::new(SystemRandom),
    );
    assert!(matches!(made, Err(SettingsError::Client { .. })));
}
