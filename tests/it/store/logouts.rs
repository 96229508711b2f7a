//! Whom a provider has logged out, what was switched off, who has too many sessions.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::ring::Purpose::{ProviderSession, ProviderSubject};
use relais::domain::ids::{Attempt, SessionId};
use relais::domain::login::LoginStatus;
use relais::domain::session::{Session, SessionEndReason};
use relais::domain::time::Timestamp;
use relais::engine::ports::{EndSession, Live, LoggedOut, SwitchedOff, TakeLogoutToken};

use super::harness::{
    Harness, approve, at, attempt, claims, for_each_store, holder, lost, provider, ring, won,
};

for_each_store! {
    rp_105_sessions_are_found_by_sid_by_sub_and_by_both,
    rp_105_another_provider_s_sessions_are_not_found,
    what_an_older_ring_key_hashed_is_found,
    what_was_not_there_then_is_left_alone,
    what_has_ended_is_not_found_and_leaves_no_hash,
    rp_108_a_logout_token_is_taken_once,
    rp_105_a_session_that_the_provider_has_just_ended_approves_nothing,
    of_many_who_present_it_at_once_one_is_the_first,
    what_is_switched_off_is_found_by_its_name,
    the_oldest_sessions_beyond_the_limit_are_found,
}

/// A session of `sub` whose provider calls it `sid`.
async fn signed_in(h: &Harness, sub: &str, sid: &str, now: Timestamp) -> Session {
    let new = h.pending(&format!("{sub}-{sid}")).await;
    let mut approval = approve(new.login.login_id);
    sub.clone_into(&mut approval.claims.subject.sub);
    approval.claims.sid = Some(sid.to_owned());
    approval.now = now;
    won(h.store.approve(approval).await.expect("works"));
    let mut pick_up = h.pick_up(&new.login, &format!("rsh_{sub}_{sid}"));
    pick_up.session.created_at = now + Duration::from_secs(30);
    h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
    pick_up.session
}

fn whom(sid: Option<&str>, sub: Option<&str>) -> LoggedOut {
    LoggedOut {
        provider: "psc-bas".parse().expect("a name"),
        sid: sid.map(str::to_owned),
        sub: sub.map(str::to_owned),
        before: None,
    }
}

async fn found(h: &Harness, whom: LoggedOut) -> Vec<Live> {
    h.store.logged_out(whom, 100).await.expect("works")
}

fn all(sessions: &[&Session]) -> Vec<Live> {
    sessions.iter().map(|session| Live::Session(session.session_id)).collect()
}

async fn end(h: &Harness, session_id: SessionId) {
    let end = EndSession { session_id, attempt: attempt(), now: at(50), reason: SessionEndReason::Logout };
    h.store.end_session(end, &holder()).await.expect("works");
}

async fn rp_105_sessions_are_found_by_sid_by_sub_and_by_both(h: Harness) {
    let first = signed_in(&h, "alice", "one", at(10)).await;
    let second = signed_in(&h, "alice", "two", at(10)).await;
    let other = signed_in(&h, "bob", "three", at(10)).await;
    let waiting = h.pending("waiting").await;
    let mut approval = approve(waiting.login.login_id);
    "alice".clone_into(&mut approval.claims.subject.sub);
    approval.claims.sid = None;
    won(h.store.approve(approval).await.expect("works"));
    assert_eq!(found(&h, whom(Some("two"), None)).await, all(&[&second]));
    let of_alice = found(&h, whom(None, Some("alice"))).await;
    let mut hers = all(&[&first, &second]);
    hers.push(Live::Login(waiting.login.login_id));
    assert_eq!(of_alice.len(), hers.len());
    assert!(hers.iter().all(|one| of_alice.contains(one)), "{of_alice:?}");
    assert_eq!(found(&h, whom(Some("three"), Some("bob"))).await, all(&[&other]));
    // Which session the provider means by a grant that names none, nobody knows: the person's name is enough.
    let login = Live::Login(waiting.login.login_id);
    assert_eq!(found(&h, whom(Some("three"), Some("alice"))).await, [login]);
    assert_eq!(found(&h, whom(Some("two"), Some("alice"))).await, [all(&[&second])[0], login]);
    for (sid, sub) in [
        (Some("alice"), None),
        (None, Some("one")),
        (Some("four"), None),
        (None, Some("carol")),
        (None, None),
    ] {
        assert!(found(&h, whom(sid, sub)).await.is_empty(), "{sid:?} {sub:?}");
    }
    assert_eq!(h.store.logged_out(whom(None, Some("alice")), 1).await.expect("works").len(), 1);
}

async fn rp_105_another_provider_s_sessions_are_not_found(h: Harness) {
    signed_in(&h, "alice", "one", at(10)).await;
    let elsewhere = || LoggedOut { provider: "other".parse().expect("a name"), ..whom(Some("one"), None) };
    assert!(found(&h, elsewhere()).await.is_empty());
    // Not even where the row says so: the hash is the provider's too.
    h.raw.run("UPDATE logins SET provider = 'other'").await.expect("the database does not know better");
    assert!(found(&h, elsewhere()).await.is_empty());
}

async fn what_an_older_ring_key_hashed_is_found(h: Harness) {
    let session = signed_in(&h, "alice", "one", at(10)).await;
    let older = ring("2026-10");
    let input = |value: &str| [&7u64.to_be_bytes()[..], b"psc-bas", value.as_bytes()].concat();
    let hash = |purpose, value| super::harness::hex(&older.hash(purpose, &input(value)).hash);
    let (sid, sub) = (hash(ProviderSession, "one"), hash(ProviderSubject, "alice"));
    let literal = |hex: &str| if h.raw.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'") };
    let sql = format!(
        "UPDATE grants SET sid_hash = {}, sub_hash = {}, logout_key_id = '2026-10'",
        literal(&sid),
        literal(&sub)
    );
    assert_eq!(h.raw.run(Box::leak(sql.into_boxed_str())).await.expect("works"), 1);
    assert_eq!(found(&h, whom(Some("one"), Some("alice"))).await, all(&[&session]));
    assert_eq!(found(&h, whom(None, Some("alice"))).await, all(&[&session]));
}

async fn what_was_not_there_then_is_left_alone(h: Harness) {
    let early = signed_in(&h, "alice", "one", at(10)).await;
    assert!(early.created_at > at(10), "what was approved then counts, though it was picked up since");
    signed_in(&h, "alice", "two", at(11)).await;
    let then = LoggedOut { before: Some(at(10)), ..whom(None, Some("alice")) };
    assert_eq!(found(&h, then).await, all(&[&early]));
}

async fn what_has_ended_is_not_found_and_leaves_no_hash(h: Harness) {
    let session = signed_in(&h, "alice", "one", at(10)).await;
    end(&h, session.session_id).await;
    assert!(found(&h, whom(Some("one"), None)).await.is_empty());
    assert!(found(&h, whom(None, Some(&claims().subject.sub))).await.is_empty());
    let left = "SELECT count(*) FROM grants WHERE sid_hash IS NOT NULL OR sub_hash IS NOT NULL";
    assert_eq!(h.raw.number(left).await, 0);
}

fn take(jti: &str, now: Timestamp) -> TakeLogoutToken {
    TakeLogoutToken {
        provider: "psc-bas".parse().expect("a name"),
        registration: "lps-bas".parse().expect("a name"),
        by: provider(),
        jti: jti.to_owned(),
        sid: None,
        sub: None,
        attempt: attempt(),
        now,
        until: at(150),
    }
}

async fn rp_108_a_logout_token_is_taken_once(h: Harness) {
    let taken = async |take: TakeLogoutToken| h.store.take_logout_token(take).await.expect("works");
    let first = TakeLogoutToken { attempt: Attempt(uuid::Uuid::from_u128(7)), ..take("1", at(0)) };
    assert_eq!(taken(first.clone()).await, None);
    assert_eq!(taken(first).await, None, "the same attempt, after an unknown commit outcome");
    assert_eq!(taken(take("1", at(20))).await, Some(at(0)));
    assert_eq!(taken(take("1", at(149))).await, Some(at(0)));
    assert_eq!(taken(take("2", at(20))).await, None, "another name");
    let other = TakeLogoutToken { provider: "other".parse().expect("a name"), ..take("1", at(20)) };
    assert_eq!(taken(other).await, None, "another provider");
    let replays =
        "SELECT event || ' ' || registration || ' ' || actor || ' ' || address FROM audit ORDER BY seq";
    assert_eq!(h.raw.texts(replays).await, ["logout_token_replay lps-bas provider 192.0.2.2"; 2]);
    assert!(h.store.housekeep(at(149)).await.expect("works").rows == 0);
    assert_eq!(h.store.housekeep(at(150)).await.expect("works").rows, 3);
    assert_eq!(h.raw.number("SELECT count(*) FROM logout_tokens").await, 0);
}

async fn rp_105_a_session_that_the_provider_has_just_ended_approves_nothing(h: Harness) {
    let login_id = h.pending("person").await.login.login_id;
    let approval = |sid: &str, seconds| {
        let mut approval = approve(login_id);
        approval.claims.sid = Some(sid.to_owned());
        approval.now = at(seconds);
        approval
    };
    let of = |sid: &str| TakeLogoutToken { sid: Some(sid.to_owned()), ..take(sid, at(5)) };
    let elsewhere = TakeLogoutToken { provider: "other".parse().expect("a name"), ..of("two") };
    for told in [of("one"), elsewhere] {
        assert_eq!(h.store.take_logout_token(told).await.expect("works"), None);
    }
    let refused = lost(h.store.approve(approval("one", 149)).await.expect("works"));
    assert_eq!(refused.state.status(), LoginStatus::Pending);
    won(h.store.approve(approval("two", 149)).await.expect("works"));
    let later = h.pending("another").await.login.login_id;
    let mut approval = approval("one", 150);
    approval.login_id = later;
    approval.tokens = approve(later).tokens;
    won(h.store.approve(approval).await.expect("works"));
}

async fn of_many_who_present_it_at_once_one_is_the_first(h: Harness) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(&h.store);
        tasks.spawn(async move { store.take_logout_token(take("1", at(5))).await.expect("works") });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Some(at(5))).count(), 11);
}

async fn what_is_switched_off_is_found_by_its_name(h: Harness) {
    let (_, session) = h.picked_up("person", "rsh_1").await;
    let application = |name: &str| {
        SwitchedOff::Application("cabinet".parse().expect("a name"), name.parse().expect("a name"))
    };
    let registration = |name: &str| SwitchedOff::Registration(name.parse().expect("a name"));
    let off = async |what| h.store.switched_off(what, 10).await.expect("works");
    assert_eq!(off(application("logiciel")).await, [session.session_id]);
    assert_eq!(off(registration("lps-bas")).await, [session.session_id]);
    assert!(off(application("other")).await.is_empty());
    assert!(off(registration("other")).await.is_empty());
    end(&h, session.session_id).await;
    assert!(off(application("logiciel")).await.is_empty());
    assert!(off(registration("lps-bas")).await.is_empty());
}

async fn the_oldest_sessions_beyond_the_limit_are_found(h: Harness) {
    let mut sessions = Vec::new();
    for number in 0..4u64 {
        let new = h.approved("person").await;
        let mut pick_up = h.pick_up(&new.login, &format!("rsh_{number}"));
        pick_up.session.created_at = at(10 + number);
        h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
        sessions.push(pick_up.session.session_id);
    }
    h.picked_up("somebody else", "rsh_other").await;
    let surplus = async |most| h.store.surplus_sessions(sessions[3], most).await.expect("works");
    assert!(surplus(4).await.is_empty());
    assert_eq!(surplus(2).await, [sessions[1], sessions[0]]);
    // Whoever looks sees the same, but for himself.
    assert_eq!(h.store.surplus_sessions(sessions[0], 2).await.expect("works"), [sessions[1]]);
    end(&h, sessions[0]).await;
    assert_eq!(surplus(2).await, [sessions[1]]);
}
