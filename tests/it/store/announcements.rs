//! What providers say by themselves: found by the hash of their token, remembered once.

use relais::crypto::ring::{KeyedHash, Purpose};
use relais::domain::ids::{LoginId, NodeId};
use relais::domain::login::{EndStatus, LoginStatus};
use relais::domain::registration::Delivery;
use relais::engine::ports::{Acknowledge, NewLogin};

use super::harness::{
    AUTH_REQ_ID, Harness, acknowledge, application, approve, at, end_login, for_each_store, holder, node,
    ring, started, won,
};

for_each_store! {
    a_login_is_found_by_its_notification_token_in_every_state,
    rp_096_an_early_announcement_counts_where_it_named_the_request,
    an_outcome_is_announced_once,
    only_a_pending_login_is_announced,
    what_was_announced_is_found_by_whose_login_it_is,
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
            assert!(h.store.remember_announcement(login_id, &request(&h, named)).await.expect("works"));
        }
        assert!(!h.store.is_announced(login_id).await.expect("works"), "not before it is acknowledged");
        acknowledged(&h, login_id).await;
        assert_eq!(h.store.is_announced(login_id).await.expect("works"), counts, "{early:?}");
        let late = h.store.remember_announcement(login_id, &request(&h, AUTH_REQ_ID)).await;
        assert!(!late.expect("works"), "it is no longer starting");
        let again = h.store.announce(login_id, at(5)).await.expect("works");
        assert_eq!(again, !counts, "once");
    }
}

async fn an_outcome_is_announced_once(h: Harness) {
    let login_id = starting(&h, "person").await;
    acknowledged(&h, login_id).await;
    let version = h.read(login_id).await.version;
    let announce = || {
        let store = h.store.clone();
        tokio::spawn(async move { store.announce(login_id, at(5)).await.expect("works") })
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
    assert!(!h.store.announce(login_id, at(1)).await.expect("works"));
    acknowledged(&h, login_id).await;
    won(h.store.approve(approve(login_id)).await.expect("works"));
    assert!(!h.store.announce(login_id, at(2)).await.expect("works"));
    assert!(!h.store.is_announced(login_id).await.expect("works"));
    assert!(!h.store.announce(h.new_login("nobody").login.login_id, at(2)).await.expect("works"));
}

async fn what_was_announced_is_found_by_whose_login_it_is(h: Harness) {
    let of = async |node| h.store.announced(node).await.expect("works");
    let (login_id, other) = (starting(&h, "person").await, starting(&h, "another").await);
    acknowledged(&h, login_id).await;
    acknowledged(&h, other).await;
    assert!(of(node()).await.is_empty());
    assert!(h.store.announce(login_id, at(5)).await.expect("works"));
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
