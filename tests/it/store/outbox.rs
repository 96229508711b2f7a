//! What providers are still to be told: it enters with the end, is one node's at a time, and goes whole.

use std::sync::Arc;
use std::time::Duration;

use relais::domain::grant::Tokens;
use relais::domain::ids::{Attempt, LoginId, OutboxId, SessionId};
use relais::domain::login::EndStatus;
use relais::domain::names::ProviderName;
use relais::domain::session::SessionEndReason;
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    ClaimOutbox, CloseOutbox, EndLogin, EndSession, LateTokens, Left, OutboxEnd, OutboxEntry, PostponeOutbox,
    SoFar,
};

use super::harness::{
    ACCESS_TOKEN, HINT, Harness, ID_TOKEN, REFRESH_TOKEN, approve, at, attempt, end_login, for_each_store,
    holder, won,
};

for_each_store! {
    the_end_of_a_session_leaves_its_tokens_to_be_told,
    an_approval_that_ends_leaves_its_tokens_too,
    who_has_left_by_the_provider_s_word_is_not_told_back,
    a_provider_s_session_that_others_live_by_goes_on_unless_it_was_to_end,
    what_has_died_is_not_told,
    tokens_that_do_not_open_keep_nothing_from_ending,
    late_tokens_enter_once,
    late_tokens_of_a_refresh_spare_a_provider_s_session_that_others_live_by,
    an_entry_is_one_claimers_until_its_time_is_over,
    of_many_who_claim_at_once_one_gets_each,
    an_attempt_finds_its_claim_again,
    a_postponed_entry_remembers_what_was_told_and_is_never_due_too_late,
    a_closed_entry_is_gone_with_its_record,
    an_entry_that_cannot_be_read_keeps_no_other_from_its_turn_and_is_given_up,
    providers_are_told_apart,
    r_k_01_tokens_moved_to_another_entry_do_not_open,
    entries_are_counted,
}

const HELD: u64 = 120;
const DAY: u64 = 24 * 3600;

async fn ended(h: &Harness, hint: &str, reason: SessionEndReason, now: Timestamp) -> LoginId {
    let (new, session) = h.picked_up(hint, &format!("rsh_{hint}")).await;
    end(h, session.session_id, reason, now).await;
    new.login.login_id
}

async fn end(h: &Harness, session_id: SessionId, reason: SessionEndReason, now: Timestamp) {
    let end = EndSession { session_id, attempt: attempt(), now, reason };
    h.store.end_session(end, &holder()).await.expect("works");
}

fn wanted(now: Timestamp) -> ClaimOutbox {
    ClaimOutbox {
        provider: "psc-bas".parse().expect("a name"),
        attempt: attempt(),
        now,
        until: now + Duration::from_secs(HELD),
        limit: 100,
    }
}

async fn claim(h: &Harness, now: Timestamp) -> (Attempt, Vec<OutboxEntry>) {
    let wanted = wanted(now);
    (wanted.attempt, h.store.claim_outbox(wanted).await.expect("works"))
}

async fn entries(h: &Harness) -> i64 {
    h.raw.number("SELECT count(*) FROM outbox").await
}

fn late_for(login_id: LoginId) -> LateTokens {
    LateTokens {
        login_id,
        session_id: None,
        sid: None,
        outbox_id: OutboxId(attempt().0),
        attempt: attempt(),
        now: at(30),
        tokens: approve(login_id).tokens,
    }
}

#[track_caller]
fn are_the_tokens(tokens: Option<&Tokens>) {
    let tokens = tokens.expect("they open");
    assert_eq!(tokens.access_token.expose(), ACCESS_TOKEN);
    assert_eq!(tokens.refresh_token.as_ref().expect("there").expose(), REFRESH_TOKEN);
    assert!(tokens.id_token.expose().starts_with(ID_TOKEN), "each login has its own");
}

const ALL: Left = Left { refresh_token: true, access_token: true, session: true };

async fn the_end_of_a_session_leaves_its_tokens_to_be_told(h: Harness) {
    let login_id = ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE tokens IS NOT NULL").await, 0);
    assert!(h.store.outbox_due(at(19)).await.expect("works").is_empty());
    let due = h.store.outbox_due(at(20)).await.expect("works");
    assert_eq!(due.iter().map(ProviderName::as_str).collect::<Vec<_>>(), ["psc-bas"]);
    let (_, claimed) = claim(&h, at(20)).await;
    let entry = claimed.first().expect("one");
    assert_eq!((claimed.len(), entry.login_id, entry.tries), (1, login_id, 1));
    assert_eq!((entry.left, entry.so_far, entry.give_up_at), (ALL, SoFar::Nothing, at(20 + DAY)));
    assert!(entry.session_id.is_some());
    assert_eq!((entry.registration.as_str(), entry.x5t.as_deref()), ("lps-bas", Some("thumbprint")));
    are_the_tokens(entry.tokens.as_ref());
}

async fn an_approval_that_ends_leaves_its_tokens_too(h: Harness) {
    for end in [EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled] {
        let new = h.approved(HINT).await;
        won(h.store.end_login(end_login(new.login.login_id, end), &holder()).await.expect("works"));
        let (_, claimed) = claim(&h, at(8)).await;
        assert_eq!((claimed.len(), claimed[0].login_id), (1, new.login.login_id));
        assert_eq!((claimed[0].session_id, claimed[0].left), (None, ALL));
        are_the_tokens(claimed[0].tokens.as_ref());
    }
    // Before the tokens there is nothing to tell.
    for end in [EndStatus::Denied, EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled] {
        let new = h.pending("other").await;
        won(h.store.end_login(end_login(new.login.login_id, end), &holder()).await.expect("works"));
    }
    assert_eq!(entries(&h).await, 3);
}

async fn who_has_left_by_the_provider_s_word_is_not_told_back(h: Harness) {
    ended(&h, HINT, SessionEndReason::IdpLogout, at(20)).await;
    let (_, claimed) = claim(&h, at(20)).await;
    assert_eq!(claimed[0].left, Left { session: false, ..ALL });
    // The access token of the harness lives until 126, the refresh token until 1800.
    ended(&h, "later", SessionEndReason::IdpLogout, at(1800)).await;
    assert_eq!(entries(&h).await, 1, "nothing is left to tell");
}

/// The harness gives every grant the same session of the provider's.
async fn a_provider_s_session_that_others_live_by_goes_on_unless_it_was_to_end(h: Harness) {
    let access_token_alone = Left { refresh_token: false, access_token: true, session: false };
    let by_the_provider = Left { session: false, ..ALL };
    h.picked_up("living", "rsh_living").await;
    for (number, (reason, left)) in (20..).zip([
        (SessionEndReason::Idle, access_token_alone),
        (SessionEndReason::Absolute, access_token_alone),
        (SessionEndReason::ReauthRequired, access_token_alone),
        (SessionEndReason::Superseded, access_token_alone),
        (SessionEndReason::Logout, ALL),
        (SessionEndReason::Revoked, ALL),
        (SessionEndReason::IdpLogout, by_the_provider),
    ]) {
        ended(&h, &format!("person-{number}"), reason, at(number)).await;
        assert_eq!(claim(&h, at(number)).await.1[0].left, left, "{reason:?}");
    }
    for (number, end) in (30..).zip([EndStatus::Expired, EndStatus::Cancelled]) {
        let new = h.approved("another").await;
        let end = EndLogin { now: at(number), ..end_login(new.login.login_id, end) };
        won(h.store.end_login(end, &holder()).await.expect("works"));
        assert_eq!(claim(&h, at(number)).await.1[0].left, access_token_alone);
    }
    // Of a session that nobody else lives by it is the end.
    h.raw.run("UPDATE grants SET sid_hash = NULL").await.expect("the database does not know better");
    ended(&h, "alone", SessionEndReason::Idle, at(40)).await;
    assert_eq!(claim(&h, at(40)).await.1[0].left, ALL);
}

async fn what_has_died_is_not_told(h: Harness) {
    for (seconds, left) in [
        (125, ALL),
        (126, Left { access_token: false, ..ALL }),
        (1800, Left { refresh_token: false, access_token: false, ..ALL }),
    ] {
        ended(&h, &format!("person-{seconds}"), SessionEndReason::Logout, at(seconds)).await;
        let (_, claimed) = claim(&h, at(seconds)).await;
        assert_eq!(claimed[0].left, left, "{seconds}");
        assert_eq!(h.raw.run("DELETE FROM outbox").await.expect("works"), 1);
    }
}

async fn tokens_that_do_not_open_keep_nothing_from_ending(h: Harness) {
    let (_, session) = h.picked_up(HINT, "rsh_1").await;
    h.raw.run("UPDATE grants SET tokens = claims").await.expect("the database does not know better");
    let end = EndSession {
        session_id: session.session_id,
        attempt: attempt(),
        now: at(20),
        reason: SessionEndReason::Logout,
    };
    h.store.end_session(end, &holder()).await.expect("the end is the end");
    assert_eq!(entries(&h).await, 0);
}

async fn late_tokens_enter_once(h: Harness) {
    let new = h.pending(HINT).await;
    let login_id = new.login.login_id;
    won(h.store.end_login(end_login(login_id, EndStatus::Cancelled), &holder()).await.expect("works"));
    let late = late_for(login_id);
    for _ in 0..2 {
        assert!(h.store.late_tokens(late.clone()).await.expect("works"), "also for its own attempt again");
    }
    assert_eq!(entries(&h).await, 1);
    let (_, claimed) = claim(&h, at(30)).await;
    assert_eq!((claimed[0].outbox_id, claimed[0].left), (late.outbox_id, ALL));
    are_the_tokens(claimed[0].tokens.as_ref());
    let written = "SELECT count(*) FROM audit WHERE event = 'tokens.late'";
    assert_eq!(h.raw.number(written).await, 1);
    // The provider has been told between two runs of one call.
    h.raw.run("DELETE FROM outbox").await.expect("works");
    assert!(h.store.late_tokens(late.clone()).await.expect("works"));
    assert_eq!(entries(&h).await, 0, "once is enough");
    h.store.late_tokens(late_for(login_id)).await.expect("works");
    // Of a session that has ended, as after a refresh.
    let (of_session, session) = h.picked_up("other", "rsh_other").await;
    let of_session = of_session.login.login_id;
    assert!(!h.store.late_tokens(late_for(of_session)).await.expect("works"), "they were written after all");
    end(&h, session.session_id, SessionEndReason::Logout, at(20)).await;
    let of_refresh = LateTokens { session_id: Some(session.session_id), ..late_for(of_session) };
    assert!(h.store.late_tokens(of_refresh).await.expect("works"));
    let count = "SELECT count(*) FROM outbox WHERE session_id IS NOT NULL";
    assert_eq!(h.raw.number(count).await, 2);
    let nobody = late_for(LoginId(uuid::Uuid::nil()));
    assert!(!h.store.late_tokens(nobody).await.expect("works"));
}

async fn late_tokens_of_a_refresh_spare_a_provider_s_session_that_others_live_by(h: Harness) {
    let access_token_alone = Left { refresh_token: false, access_token: true, session: false };
    let by_the_provider = Left { session: false, ..ALL };
    h.picked_up("living", "rsh_living").await;
    let (theirs, another) = (Some("sid-1"), Some("sid-2"));
    for (number, (reason, sid, left)) in (20..).zip([
        (SessionEndReason::Superseded, theirs, access_token_alone),
        (SessionEndReason::Idle, theirs, access_token_alone),
        (SessionEndReason::ReauthRequired, theirs, access_token_alone),
        (SessionEndReason::Superseded, another, ALL),
        (SessionEndReason::Superseded, None, ALL),
        (SessionEndReason::Logout, theirs, ALL),
        (SessionEndReason::Revoked, theirs, ALL),
        (SessionEndReason::IdpLogout, theirs, by_the_provider),
    ]) {
        let name = format!("refreshed-{number}");
        let (new, session) = h.picked_up(&name, &name).await;
        end(&h, session.session_id, reason, at(number)).await;
        let late = LateTokens {
            session_id: Some(session.session_id),
            sid: sid.map(str::to_owned),
            ..late_for(new.login.login_id)
        };
        let outbox_id = late.outbox_id;
        assert!(h.store.late_tokens(late).await.expect("works"), "{reason:?}");
        // Beside what the end itself has left.
        let (_, claimed) = claim(&h, at(30)).await;
        let entry = claimed.iter().find(|entry| entry.outbox_id == outbox_id).expect("it is due");
        assert_eq!(entry.left, left, "{reason:?} {sid:?}");
    }
}

async fn an_entry_is_one_claimers_until_its_time_is_over(h: Harness) {
    ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    let (first, claimed) = claim(&h, at(20)).await;
    assert_eq!(claimed.len(), 1);
    assert!(h.store.outbox_due(at(20 + HELD - 1)).await.expect("works").is_empty());
    assert!(claim(&h, at(20 + HELD - 1)).await.1.is_empty());
    let (second, again) = claim(&h, at(20 + HELD)).await;
    assert_eq!((again.len(), again[0].tries), (1, 2), "whoever had it is dead, or takes too long");
    // What the first one says does not count any more.
    let outbox_id = again[0].outbox_id;
    let postpone =
        PostponeOutbox { outbox_id, claim: first, due_at: at(500), left: ALL, so_far: SoFar::Told };
    assert!(!h.store.postpone_outbox(postpone.clone()).await.expect("works"));
    let close = CloseOutbox {
        outbox_id,
        login_id: again[0].login_id,
        claim: first,
        attempt: attempt(),
        now: at(200),
        end: OutboxEnd::Told,
    };
    assert!(!h.store.close_outbox(close.clone()).await.expect("works"));
    assert!(h.store.close_outbox(CloseOutbox { claim: second, ..close }).await.expect("works"));
}

async fn of_many_who_claim_at_once_one_gets_each(h: Harness) {
    for number in 0..20 {
        ended(&h, &format!("person-{number}"), SessionEndReason::Logout, at(20)).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&h.store);
        let wanted = ClaimOutbox { limit: 7, ..wanted(at(20)) };
        tasks.spawn(async move { store.claim_outbox(wanted).await.expect("works") });
    }
    let claimed: Vec<_> = tasks.join_all().await.into_iter().flatten().map(|entry| entry.outbox_id).collect();
    let different: std::collections::BTreeSet<_> = claimed.iter().collect();
    assert_eq!(claimed.len(), different.len(), "one entry was given to two");
    let (_, rest) = claim(&h, at(20)).await;
    assert_eq!(claimed.len() + rest.len(), 20);
}

async fn an_attempt_finds_its_claim_again(h: Harness) {
    ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    let wanted = wanted(at(20));
    let first = h.store.claim_outbox(wanted.clone()).await.expect("works");
    let again = h.store.claim_outbox(wanted.clone()).await.expect("works");
    assert_eq!((first.len(), again.len()), (1, 1), "after an unknown commit outcome");
    assert_eq!(again[0].tries, 1);
    let close = CloseOutbox {
        outbox_id: first[0].outbox_id,
        login_id: first[0].login_id,
        claim: wanted.attempt,
        attempt: attempt(),
        now: at(21),
        end: OutboxEnd::Told,
    };
    assert!(h.store.close_outbox(close.clone()).await.expect("works"));
    assert!(h.store.close_outbox(close).await.expect("works"), "its own attempt");
    assert_eq!(h.raw.number("SELECT count(*) FROM audit WHERE event = 'provider.told'").await, 1);
}

async fn a_postponed_entry_remembers_what_was_told_and_is_never_due_too_late(h: Harness) {
    ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    let (first, claimed) = claim(&h, at(20)).await;
    let left = Left { refresh_token: false, access_token: false, session: true };
    let postpone = PostponeOutbox {
        outbox_id: claimed[0].outbox_id,
        claim: first,
        due_at: at(40),
        left,
        so_far: SoFar::Refused,
    };
    assert!(h.store.postpone_outbox(postpone.clone()).await.expect("works"));
    assert!(!h.store.postpone_outbox(postpone.clone()).await.expect("works"), "it is nobody's now");
    assert!(claim(&h, at(39)).await.1.is_empty());
    let (second, claimed) = claim(&h, at(40)).await;
    assert_eq!((claimed[0].left, claimed[0].so_far, claimed[0].tries), (left, SoFar::Refused, 2));
    let much_later = PostponeOutbox { claim: second, due_at: at(100 * DAY), ..postpone };
    assert!(h.store.postpone_outbox(much_later).await.expect("works"));
    assert!(claim(&h, at(20 + DAY - 1)).await.1.is_empty());
    assert_eq!(claim(&h, at(20 + DAY)).await.1.len(), 1, "due when it is given up");
}

async fn a_closed_entry_is_gone_with_its_record(h: Harness) {
    for (number, end) in [OutboxEnd::Told, OutboxEnd::Refused, OutboxEnd::NotOffered, OutboxEnd::GivenUp]
        .into_iter()
        .enumerate()
    {
        let login_id = ended(&h, &format!("person-{number}"), SessionEndReason::Logout, at(20)).await;
        let (claim, claimed) = claim(&h, at(20)).await;
        let close = CloseOutbox {
            outbox_id: claimed[0].outbox_id,
            login_id,
            claim,
            attempt: attempt(),
            now: at(30),
            end,
        };
        assert!(h.store.close_outbox(close).await.expect("works"));
        assert_eq!(entries(&h).await, 0);
    }
    let records =
        "SELECT event || ' ' || coalesce(reason, '-') || ' ' || actor || ' ' || application FROM audit
                   WHERE event LIKE 'provider.%' AND session_id IS NOT NULL ORDER BY seq";
    assert_eq!(
        h.raw.texts(records).await,
        [
            "provider.told - engine logiciel",
            "provider.not_told refused engine logiciel",
            "provider.not_told not_offered engine logiciel",
            "provider.not_told given_up engine logiciel",
        ]
    );
}

async fn an_entry_that_cannot_be_read_keeps_no_other_from_its_turn_and_is_given_up(h: Harness) {
    ended(&h, "unreadable", SessionEndReason::Logout, at(20)).await;
    h.raw.run("UPDATE outbox SET registration = 'Not a name!'").await.expect("works");
    let login_id = ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    let (_, claimed) = claim(&h, at(20)).await;
    assert_eq!(claimed.iter().map(|entry| entry.login_id).collect::<Vec<_>>(), [login_id]);
    h.store.housekeep(at(20 + DAY + 599)).await.expect("works");
    assert_eq!(entries(&h).await, 2, "left to those who tell");
    while h.store.housekeep(at(20 + DAY + 600)).await.expect("works").rows > 0 {}
    assert_eq!(entries(&h).await, 0, "nothing sealed is left");
    let given_up = "SELECT count(*) FROM audit WHERE event = 'provider.not_told' AND reason = 'given_up'
                        AND session_id IS NOT NULL AND actor = 'engine'";
    assert_eq!(h.raw.number(given_up).await, 2);
}

async fn providers_are_told_apart(h: Harness) {
    ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    h.raw.run("UPDATE outbox SET provider = 'other'").await.expect("works");
    ended(&h, "person", SessionEndReason::Logout, at(20)).await;
    let due = h.store.outbox_due(at(20)).await.expect("works");
    assert_eq!(due.iter().map(ProviderName::as_str).collect::<Vec<_>>(), ["other", "psc-bas"]);
    assert_eq!(claim(&h, at(20)).await.1.len(), 1);
}

async fn r_k_01_tokens_moved_to_another_entry_do_not_open(h: Harness) {
    ended(&h, "mine", SessionEndReason::Logout, at(20)).await;
    ended(&h, "theirs", SessionEndReason::Logout, at(20)).await;
    let moved = "UPDATE outbox SET tokens = (SELECT tokens FROM outbox o ORDER BY outbox_id LIMIT 1),
                     wraps = (SELECT wraps FROM outbox o ORDER BY outbox_id LIMIT 1)";
    h.raw.run(moved).await.expect("the database does not know better");
    let (_, claimed) = claim(&h, at(20)).await;
    let opened = claimed.iter().filter(|entry| entry.tokens.is_some()).count();
    assert_eq!((claimed.len(), opened), (2, 1), "it is told of, so that it does not stay for ever");
}

async fn entries_are_counted(h: Harness) {
    ended(&h, HINT, SessionEndReason::Logout, at(20)).await;
    assert_eq!(h.store.counts().await.expect("works").outbox, 1);
}
