//! What providers say by themselves: found by the hash of their token, remembered once.

use relais::crypto::ring::{KeyedHash, Purpose};
use relais::domain::ids::{LoginId, NodeId, OutboxId};
use relais::domain::login::{EndStatus, LoginStatus};
use relais::domain::registration::Delivery;
use relais::domain::secret::Secret;
use relais::engine::ports::{Acknowledge, Approve, DropTokens, NewLogin};

use super::harness::{
    AUTH_REQ_ID, Harness, acknowledge, application, approve, attempt, claims, end_login, for_each_store,
    holder, node, note, provider, ring, started, won,
};

for_each_store! {
    a_login_is_found_by_its_notification_token_in_every_state,
    rp_096_an_early_announcement_counts_where_it_named_the_request,
    an_outcome_is_announced_once,
    only_a_pending_login_is_announced,
    what_was_announced_is_found_by_whose_login_it_is,
    r_l_04_what_a_provider_tells_is_recorded_as_its_own_doing,
    r_l_01_what_a_provider_tells_and_cannot_be_recorded_is_not_noted,
    r_l_08_an_early_name_is_kept_until_the_acknowledgement_or_the_end,
    r_l_04_tokens_that_come_too_late_are_recorded_once,
    tokens_that_come_too_late_are_recorded_and_sealed_or_neither,
    tokens_of_a_login_that_lives_are_not_told_of_for_another,
    late_tokens_of_a_session_that_others_live_by_leave_it_alone,
    r_e_14_tokens_of_other_kinds_find_nothing,
}

fn token(h: &Harness, login_id: LoginId) -> Vec<KeyedHash> {
    h.ring.candidates(Purpose::NotificationToken, format!("rnt_{login_id}").as_bytes())
}

fn request(h: &Harness, id: &str) -> KeyedHash {
    h.ring.hash(Purpose::ProviderRequest, id.as_bytes())
}

fn new_login(h: &Harness, hint: &str) -> NewLogin {
    let mut new = h.new_login(hint);
    new.login.delivery = Delivery::Ping;
    new.notification = Some(token(h, new.login.login_id).remove(0));
    new
}

async fn starting(h: &Harness, hint: &str) -> LoginId {
    let new = new_login(h, hint);
    started(h.store.start_login(new.clone(), &application()).await.expect("the store works"));
    new.login.login_id
}

async fn acknowledged(h: &Harness, login_id: LoginId) {
    let ack = Acknowledge { request: Some(request(h, AUTH_REQ_ID)), ..acknowledge(login_id) };
    won(h.store.acknowledge(ack).await.expect("the store works"));
}

async fn a_login_is_found_by_its_notification_token_in_every_state(h: Harness) {
    let login_id = starting(&h, "person").await;
    let find = async || h.store.notifiable(&token(&h, login_id)).await.expect("works").expect("found");
    let found = find().await;
    assert_eq!(found.login.login_id, login_id);
    assert_eq!(found.login.delivery, Delivery::Ping);
    assert_eq!(found.login.state.status(), LoginStatus::Starting);
    assert!(found.request.is_none() && !found.is_announced);
    acknowledged(&h, login_id).await;
    let found = find().await;
    assert_eq!(found.request, Some(request(&h, AUTH_REQ_ID)));
    assert_eq!(found.scope, ["openid", "scope_all"]);
    assert_eq!(found.acr_values, ["eidas1"]);
    won(h.store.end_login(end_login(login_id, EndStatus::Denied), &holder()).await.expect("works"));
    let found = find().await;
    assert_eq!(found.login.state.status(), LoginStatus::Denied);
    assert_eq!(found.request, Some(request(&h, AUTH_REQ_ID)), "a late message can still be told apart");
    // Made with the key before this one.
    let older = starting(&h, "another").await;
    let rotated = ring("2026-10").candidates(Purpose::NotificationToken, format!("rnt_{older}").as_bytes());
    assert!(h.store.notifiable(&rotated).await.expect("works").is_some());
}

async fn rp_096_an_early_announcement_counts_where_it_named_the_request(h: Harness) {
    for (early, counts) in
        [(&["other", AUTH_REQ_ID][..], true), (&[AUTH_REQ_ID, "other"], false), (&[], false)]
    {
        let login_id = starting(&h, &format!("person-{}-{counts}", early.len())).await;
        for named in early {
            assert!(
                h.store.remember_announcement(note(login_id, 1), &request(&h, named)).await.expect("works")
            );
        }
        assert!(!h.store.is_announced(login_id).await.expect("works"), "not before it is acknowledged");
        acknowledged(&h, login_id).await;
        assert_eq!(h.store.is_announced(login_id).await.expect("works"), counts, "{early:?}");
        let late = h.store.remember_announcement(note(login_id, 4), &request(&h, AUTH_REQ_ID)).await;
        assert!(!late.expect("works"), "it is no longer starting");
        let again = h.store.announce(note(login_id, 5)).await.expect("works");
        assert_eq!(again, !counts, "once");
    }
}

async fn an_outcome_is_announced_once(h: Harness) {
    let login_id = starting(&h, "person").await;
    acknowledged(&h, login_id).await;
    let version = h.read(login_id).await.version;
    let announce = || {
        let store = h.store.clone();
        tokio::spawn(async move { store.announce(note(login_id, 5)).await.expect("works") })
    };
    let mut won = 0;
    for racer in (0..16).map(|_| announce()).collect::<Vec<_>>() {
        won += u32::from(racer.await.expect("no panic"));
    }
    assert_eq!(won, 1);
    assert!(h.store.is_announced(login_id).await.expect("works"));
    assert_eq!(h.read(login_id).await.version, version, "nobody sees a difference");
}

async fn only_a_pending_login_is_announced(h: Harness) {
    let login_id = starting(&h, "person").await;
    assert!(!h.store.announce(note(login_id, 1)).await.expect("works"));
    acknowledged(&h, login_id).await;
    won(h.store.approve(approve(login_id)).await.expect("works"));
    assert!(!h.store.announce(note(login_id, 2)).await.expect("works"));
    assert!(!h.store.is_announced(login_id).await.expect("works"));
    assert!(!h.store.announce(note(h.new_login("nobody").login.login_id, 2)).await.expect("works"));
}

async fn what_was_announced_is_found_by_whose_login_it_is(h: Harness) {
    let of = async |node| h.store.announced(node).await.expect("works");
    let (login_id, other) = (starting(&h, "person").await, starting(&h, "another").await);
    acknowledged(&h, login_id).await;
    acknowledged(&h, other).await;
    assert!(of(node()).await.is_empty());
    assert!(h.store.announce(note(login_id, 5)).await.expect("works"));
    assert_eq!(of(node()).await, [login_id]);
    assert!(of(NodeId(uuid::Uuid::from_u128(8))).await.is_empty());
    won(h.store.approve(approve(login_id)).await.expect("works"));
    assert!(of(node()).await.is_empty(), "it is over");
}

async fn r_e_14_tokens_of_other_kinds_find_nothing(h: Harness) {
    let login_id = starting(&h, "person").await;
    let text = format!("rnt_{login_id}");
    for purpose in [Purpose::LoginToken, Purpose::SessionHandle, Purpose::ProviderRequest] {
        let found = h.store.notifiable(&h.ring.candidates(purpose, text.as_bytes())).await.expect("works");
        assert!(found.is_none(), "{purpose:?}");
    }
    assert!(h.store.login_by_token(&token(&h, login_id)).await.expect("works").is_none());
    assert!(h.store.session_by_handle(&token(&h, login_id)).await.expect("works").is_none());
    let polled = h.pending("another").await.login.login_id;
    assert!(h.store.notifiable(&token(&h, polled)).await.expect("works").is_none());
}

/// What is recorded, in order: event, actor, address, port and request.
async fn records(h: &Harness) -> Vec<String> {
    h.raw
        .texts(
            "SELECT event || ' ' || actor || ' ' || coalesce(address, '-') || ' ' || coalesce(port, 0)
                 || ' ' || coalesce(request_id, '-')
             FROM audit WHERE event IN ('login.announced_early', 'login.announced', 'login.approved',
                 'login.denied', 'login.tokens_dropped') ORDER BY seq",
        )
        .await
}

const BY_PROVIDER: &str = "provider 192.0.2.2 4712 request-2";

async fn r_l_04_what_a_provider_tells_is_recorded_as_its_own_doing(h: Harness) {
    let early = starting(&h, "early").await;
    for named in ["other", "other", AUTH_REQ_ID, AUTH_REQ_ID] {
        let note = note(early, 1);
        assert!(h.store.remember_announcement(note, &request(&h, named)).await.expect("works"));
    }
    acknowledged(&h, early).await;
    assert!(!h.store.announce(note(early, 2)).await.expect("works"));
    let (early, told) = (format!("login.announced_early {BY_PROVIDER}"), "login.announced engine - 0 -");
    assert_eq!(
        records(&h).await,
        [early.as_str(), early.as_str(), told],
        "each name once, and that it was the right one"
    );

    let late = starting(&h, "late").await;
    acknowledged(&h, late).await;
    let first = note(late, 2);
    assert!(h.store.announce(first.clone()).await.expect("works"));
    // After an unknown commit outcome.
    assert!(h.store.announce(first).await.expect("works"));
    assert!(!h.store.announce(note(late, 3)).await.expect("works"));
    let by_push = Approve { by: provider(), ..approve(late) };
    won(h.store.approve(by_push).await.expect("works"));
    let expected = [format!("login.announced {BY_PROVIDER}"), format!("login.approved {BY_PROVIDER}")];
    assert_eq!(records(&h).await[3..], expected);
}

async fn r_l_01_what_a_provider_tells_and_cannot_be_recorded_is_not_noted(h: Harness) {
    let early = starting(&h, "early").await;
    let pending = starting(&h, "pending").await;
    acknowledged(&h, pending).await;
    h.raw.run("ALTER TABLE audit RENAME TO audit_elsewhere").await.expect("works");
    assert!(h.store.remember_announcement(note(early, 1), &request(&h, AUTH_REQ_ID)).await.is_err());
    assert!(h.store.announce(note(pending, 2)).await.is_err());
    assert!(!h.store.is_announced(pending).await.expect("works"));
    let noted = "SELECT count(*) FROM logins WHERE early_hash IS NOT NULL OR announced_at IS NOT NULL";
    assert_eq!(h.raw.number(noted).await, 0);
}

async fn r_l_08_an_early_name_is_kept_until_the_acknowledgement_or_the_end(h: Harness) {
    let kept = "SELECT count(*) FROM logins WHERE early_hash IS NOT NULL OR early_key_id IS NOT NULL";
    let (goes_on, ends) = (starting(&h, "goes on").await, starting(&h, "ends").await);
    for login_id in [goes_on, ends] {
        let named = request(&h, AUTH_REQ_ID);
        assert!(h.store.remember_announcement(note(login_id, 1), &named).await.expect("works"));
    }
    assert_eq!(h.raw.number(kept).await, 2);
    acknowledged(&h, goes_on).await;
    assert!(h.store.is_announced(goes_on).await.expect("works"));
    assert_eq!(h.raw.number(kept).await, 1);
    won(h.store.end_login(end_login(ends, EndStatus::Failed), &holder()).await.expect("works"));
    assert_eq!(h.raw.number(kept).await, 0);
}

fn dropped(login_id: LoginId, seconds: u64) -> DropTokens {
    DropTokens {
        note: note(login_id, seconds),
        outbox_id: OutboxId(attempt().0),
        tokens: Some(approve(login_id).tokens),
        sid: None,
    }
}

/// What is left to tell, in order: the refresh token, the access token, that the person has left.
async fn outbox(h: &Harness) -> Vec<String> {
    h.raw
        .texts(
            "SELECT cast(refresh_token_left AS TEXT) || ' ' || cast(access_token_left AS TEXT) || ' '
                 || cast(session_left AS TEXT) FROM outbox ORDER BY created_at",
        )
        .await
}

/// A login that was cancelled before its tokens came.
async fn cancelled(h: &Harness, hint: &str) -> LoginId {
    let login_id = h.pending(hint).await.login.login_id;
    won(h.store.end_login(end_login(login_id, EndStatus::Cancelled), &holder()).await.expect("works"));
    login_id
}

async fn tokens_that_come_too_late_are_recorded_and_sealed_or_neither(h: Harness) {
    let login_id = cancelled(&h, "person").await;
    h.raw.run("ALTER TABLE outbox RENAME TO outbox_elsewhere").await.expect("works");
    let late = dropped(login_id, 9);
    assert!(h.store.drop_tokens(late.clone()).await.is_err());
    assert_eq!(records(&h).await, Vec::<String>::new(), "whoever brings them again is the first");
    h.raw.run("ALTER TABLE outbox_elsewhere RENAME TO outbox").await.expect("works");
    for _ in 0..2 {
        assert!(h.store.drop_tokens(late.clone()).await.expect("works"), "also for its own attempt again");
    }
    assert_eq!(outbox(&h).await, ["1 1 1"]);
    // In a form that nothing can be told by.
    let unreadable = DropTokens { tokens: None, ..dropped(cancelled(&h, "another").await, 9) };
    assert!(h.store.drop_tokens(unreadable).await.expect("works"));
    assert_eq!((records(&h).await.len(), outbox(&h).await.len()), (2, 1));
}

async fn tokens_of_a_login_that_lives_are_not_told_of_for_another(h: Harness) {
    let living = h.approved("living").await.login.login_id;
    let tokens = Some(approve(living).tokens);
    for end in ["nobody's", "approved", "picked up", "ended"] {
        let late = DropTokens { tokens: tokens.clone(), ..dropped(cancelled(&h, end).await, 9) };
        match end {
            "nobody's" => {
                // Another signature makes them no others.
                let mut other = approve(living).tokens;
                other.id_token = Secret::new(other.id_token.expose().replace(".signature", ".other"));
                let late = DropTokens { tokens: Some(other), ..late };
                assert!(h.store.drop_tokens(late).await.expect("works"), "it is recorded");
                assert!(outbox(&h).await.is_empty());
                continue;
            }
            "picked up" => {
                let login = h.read(living).await;
                h.store.pick_up(h.pick_up(&login, "rsh_1"), &holder()).await.expect("works");
            }
            "ended" => {
                let session =
                    h.raw.run("UPDATE sessions SET status = 'ended', reason = 'logout', ended_at = 1").await;
                assert_eq!(session.expect("the database does not know better"), 1);
            }
            _ => {}
        }
        assert!(h.store.drop_tokens(late).await.expect("works"), "it is recorded");
        assert_eq!(outbox(&h).await.len(), usize::from(end == "ended"), "{end}");
    }
}

async fn late_tokens_of_a_session_that_others_live_by_leave_it_alone(h: Harness) {
    h.approved("living").await;
    let shared = |login_id| DropTokens { sid: claims().sid, ..dropped(login_id, 9) };
    assert!(h.store.drop_tokens(shared(cancelled(&h, "person").await)).await.expect("works"));
    assert_eq!(outbox(&h).await, ["0 1 0"], "the access token alone");
    let elsewhere = DropTokens { sid: Some("sid-2".to_owned()), ..dropped(cancelled(&h, "other").await, 10) };
    assert!(h.store.drop_tokens(elsewhere).await.expect("works"));
    assert_eq!(outbox(&h).await, ["0 1 0", "1 1 1"]);
}

async fn r_l_04_tokens_that_come_too_late_are_recorded_once(h: Harness) {
    let ended = starting(&h, "ended").await;
    acknowledged(&h, ended).await;
    assert!(!h.store.drop_tokens(dropped(ended, 5)).await.expect("works"));
    assert!(records(&h).await.is_empty(), "it is pending: nothing is too late");
    let version = {
        won(h.store.end_login(end_login(ended, EndStatus::Denied), &provider()).await.expect("works"));
        h.read(ended).await.version
    };
    let drops = (0..8).map(|_| {
        let store = h.store.clone();
        tokio::spawn(async move { store.drop_tokens(dropped(ended, 9)).await.expect("works") })
    });
    let mut first = 0;
    for dropped in drops.collect::<Vec<_>>() {
        first += usize::from(dropped.await.expect("no panic"));
    }
    assert_eq!(first, 1);
    assert_eq!(outbox(&h).await, ["1 1 1"], "sealed with the record");
    let expected = [format!("login.denied {BY_PROVIDER}"), format!("login.tokens_dropped {BY_PROVIDER}")];
    assert_eq!(records(&h).await, expected);
    assert_eq!(h.read(ended).await.version, version, "nobody sees a difference");
    let (signed_in, _) = h.picked_up("signed in", "rsh_1").await;
    h.store.drop_tokens(dropped(signed_in.login.login_id, 20)).await.expect("works");
    assert_eq!(records(&h).await.len(), 3, "they were not dropped");
}
