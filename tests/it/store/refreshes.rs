//! The refresh of a session: one attempt at a time over all callers, and an outcome that counts for the tokens that it
//! is about, or for nothing.

use std::time::Duration;

use relais::domain::grant::Tokens;
use relais::domain::ids::NodeId;
use relais::domain::secret::Secret;
use relais::domain::session::{Session, SessionEndReason, SessionState, Upstream};
use relais::engine::ports::{
    ClaimRefresh, EndRefused, EndSession, Live, LoggedOut, Moved, RecordUse, RefreshClaim, RefreshMiss,
    Renewal, RenewalOutcome, SessionTransition, ToRefresh, UseOutcome,
};

use super::harness::{
    ACCESS_TOKEN, Harness, ID_TOKEN, REFRESH_TOKEN, approve, at, attempt, for_each_store, holder, node, won,
};

for_each_store! {
    an_attempt_is_given_what_it_needs_and_is_the_only_one,
    of_many_at_once_one_sends,
    who_dies_while_sending_is_followed_by_one_further_attempt,
    a_clock_of_the_database_that_is_set_back_keeps_nobody_from_refreshing,
    the_provider_s_session_of_new_tokens_is_the_one_that_a_logout_names,
    an_attempt_that_was_answered_does_not_count,
    nobody_tries_again_too_soon,
    new_tokens_take_the_place_of_the_old_and_the_session_lives_longer,
    new_tokens_never_lengthen_a_session_beyond_its_own_ends,
    tokens_that_were_replaced_meanwhile_are_left_alone,
    a_refusal_ends_the_session_for_good,
    r_c_04_an_id_token_that_must_not_be_believed_is_recorded_for_itself,
    a_refusal_of_tokens_that_were_replaced_ends_nothing,
    whoever_ends_a_session_first_wins_against_a_refresh,
    a_session_without_a_refresh_token_or_over_is_not_refreshed,
    a_second_run_of_the_same_call_finds_the_first,
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_hours(1);

fn claim_of(session: &Session, seconds: u64, reserve: Duration) -> ClaimRefresh {
    ClaimRefresh {
        session_id: session.session_id,
        attempt: attempt(),
        owner: node(),
        now: at(seconds),
        generation: session.refresh.generation,
        reserve,
    }
}

async fn claim(h: &Harness, claim: &ClaimRefresh) -> RefreshClaim {
    h.store.claim_refresh(claim.clone()).await.expect("the store works")
}

async fn claimed(h: &Harness, wish: &ClaimRefresh) -> ToRefresh {
    match claim(h, wish).await {
        RefreshClaim::Won(job) => *job,
        other => panic!("{}", word(&other)),
    }
}

fn word(claim: &RefreshClaim) -> &'static str {
    match claim {
        RefreshClaim::Won(_) => "won",
        RefreshClaim::UnderWay { .. } => "under way",
        RefreshClaim::Fresh => "fresh",
        RefreshClaim::NotNow => "not now",
        RefreshClaim::Over => "over",
    }
}

fn renewal(session: &Session, name: &str, seconds: u64, ends: Option<u64>) -> Renewal {
    Renewal {
        session_id: session.session_id,
        attempt: attempt(),
        generation: session.refresh.generation,
        now: at(seconds),
        tokens: Tokens {
            access_token: Secret::new(format!("access-{name}")),
            access_expires_at: Some(at(seconds + 120)),
            refresh_token: Some(Secret::new(format!("refresh-{name}"))),
            refresh_expires_at: ends.map(at),
            id_token: Secret::new(format!("id-{name}")),
        },
        due_at: ends.map(|ends| at(u64::midpoint(seconds, ends))),
        moved: None,
    }
}

fn refusal(session: &Session, seconds: u64) -> EndRefused {
    EndRefused {
        session_id: session.session_id,
        attempt: attempt(),
        generation: session.refresh.generation,
        now: at(seconds),
        reason: SessionEndReason::ReauthRequired,
        not_believed: false,
    }
}

fn miss(claim: &ClaimRefresh, is_unanswered: bool, not_before: Option<u64>) -> RefreshMiss {
    RefreshMiss {
        session_id: claim.session_id,
        attempt: claim.attempt,
        generation: claim.generation,
        is_unanswered,
        not_before: not_before.map(at),
    }
}

async fn renew(h: &Harness, renewal: &Renewal) -> &'static str {
    match h.store.renew(renewal.clone()).await.expect("the store works") {
        RenewalOutcome::Committed(_) => "committed",
        RenewalOutcome::Overtaken => "overtaken",
        RenewalOutcome::Over => "over",
        RenewalOutcome::LoggedOut => "logged out",
    }
}

async fn read(h: &Harness, session: &Session) -> Session {
    h.store.session(session.session_id).await.expect("works").expect("the session exists")
}

async fn tokens(h: &Harness, session: &Session) -> Option<Tokens> {
    h.store.grant(session.grant_id).await.expect("works").expect("the grant exists").tokens
}

/// A session whose grant ends after half an hour.
async fn session(h: &Harness, hint: &str) -> Session {
    let new = h.approved(hint).await;
    let mut pick_up = h.pick_up(&new.login, &format!("rsh_{hint}"));
    pick_up.session.grant_expires_at = Some(at(1800));
    h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
    pick_up.session
}

async fn an_attempt_is_given_what_it_needs_and_is_the_only_one(h: Harness) {
    let session = session(&h, "person").await;
    assert_eq!((session.refresh.due_at, session.upstream()), (Some(at(900)), Upstream::Live));
    let job = claimed(&h, &claim_of(&session, 901, LONG)).await;
    assert_eq!(job.refresh_token.expose(), REFRESH_TOKEN);
    assert_eq!(job.tokens.access_token.expose(), ACCESS_TOKEN);
    assert!(job.tokens.id_token.expose().starts_with(ID_TOKEN), "each login has its own");
    assert_eq!(job.claims.subject.sub, "sub-1");
    assert_eq!(job.session.session_id, session.session_id);
    let other = ClaimRefresh { owner: NodeId(uuid::Uuid::nil()), ..claim_of(&session, 902, LONG) };
    let RefreshClaim::UnderWay { left } = claim(&h, &other).await else { panic!("two attempts at once") };
    assert!(left <= LONG && left + Duration::from_mins(5) > LONG, "{left:?}");
    let now = read(&h, &session).await;
    assert_eq!((now.version, now.upstream()), (1, Upstream::Live), "nothing to be seen");
}

async fn of_many_at_once_one_sends(h: Harness) {
    let session = session(&h, "person").await;
    let wishes: Vec<_> = (0..24).map(|_| claim_of(&session, 901, LONG)).collect();
    let outcomes = futures_util::future::join_all(wishes.iter().map(|wish| claim(&h, wish))).await;
    let words: Vec<_> = outcomes.iter().map(word).collect();
    assert_eq!(words.iter().filter(|word| **word == "won").count(), 1, "{words:?}");
    assert_eq!(words.iter().filter(|word| **word == "under way").count(), 23, "{words:?}");
}

async fn who_dies_while_sending_is_followed_by_one_further_attempt(h: Harness) {
    let session = session(&h, "person").await;
    // The reserved time is over at once, in the time of the database.
    claimed(&h, &claim_of(&session, 901, Duration::ZERO)).await;
    let further = claimed(&h, &claim_of(&session, 902, Duration::ZERO)).await;
    assert_eq!(further.refresh_token.expose(), REFRESH_TOKEN, "the same token");
    assert_eq!(further.session.refresh.unanswered, 2);
    assert_eq!(read(&h, &session).await.upstream(), Upstream::Retrying, "the first has failed");
    for seconds in [903, 1200] {
        assert_eq!(word(&claim(&h, &claim_of(&session, seconds, LONG)).await), "not now", "never a third");
    }
    assert_eq!(read(&h, &session).await.state, SessionState::Active, "silence ends nothing");
    // An answer counts whenever it comes.
    assert_eq!(renew(&h, &renewal(&session, "new", 910, Some(2710))).await, "committed");
    let refreshed = read(&h, &session).await;
    assert_eq!((refreshed.refresh.unanswered, refreshed.upstream()), (0, Upstream::Live));
    claimed(&h, &claim_of(&refreshed, 1800, LONG)).await;
}

async fn a_clock_of_the_database_that_is_set_back_keeps_nobody_from_refreshing(h: Harness) {
    let session = session(&h, "person").await;
    claimed(&h, &claim_of(&session, 901, LONG)).await;
    assert_eq!(word(&claim(&h, &claim_of(&session, 902, LONG)).await), "under way");
    let set_back = "UPDATE sessions SET refresh_deadline = refresh_deadline + 60000000";
    assert_eq!(h.raw.run(set_back).await.expect("works"), 1);
    let further = claimed(&h, &claim_of(&session, 903, LONG)).await;
    assert_eq!(further.session.refresh.unanswered, 2, "whoever had it has not been heard of again");
}

async fn the_provider_s_session_of_new_tokens_is_the_one_that_a_logout_names(h: Harness) {
    let session = session(&h, "person").await;
    let by = |sid: &str| LoggedOut {
        provider: "psc-bas".parse().expect("a name"),
        sid: Some(sid.to_owned()),
        sub: Some("sub-1".to_owned()),
        before: None,
    };
    let found = async |sid| h.store.logged_out(by(sid), 10).await.expect("works");
    let moved = Moved { sid: "sid-2".to_owned(), sub: "sub-1".to_owned() };
    let renewal = Renewal { moved: Some(moved), ..renewal(&session, "new", 902, Some(2702)) };
    assert_eq!(renew(&h, &renewal).await, "committed");
    assert_eq!(found("sid-2").await, [Live::Session(session.session_id)]);
    assert!(found("sid-1").await.is_empty());
}

async fn an_attempt_that_was_answered_does_not_count(h: Harness) {
    let session = session(&h, "person").await;
    for turn in 0..5 {
        let wish = claim_of(&session, 901 + turn, LONG);
        claimed(&h, &wish).await;
        let told = miss(&wish, false, Some(901 + turn));
        h.store.miss_refresh(told.clone()).await.expect("works");
        h.store.miss_refresh(told).await.expect("a second run changes nothing");
        let now = read(&h, &session).await;
        let failures = u32::try_from(turn + 1).expect("a few");
        assert_eq!((now.refresh.unanswered, now.refresh.failures), (0, failures));
        assert_eq!(now.upstream(), Upstream::Retrying);
    }
    // Nothing was sent: nothing has failed.
    let wish = claim_of(&session, 950, LONG);
    claimed(&h, &wish).await;
    h.store.miss_refresh(miss(&wish, false, None)).await.expect("works");
    assert_eq!(read(&h, &session).await.refresh.failures, 5);
    for second in [951, 952] {
        let wish = claim_of(&session, second, LONG);
        claimed(&h, &wish).await;
        h.store.miss_refresh(miss(&wish, true, Some(second))).await.expect("works");
    }
    assert_eq!(word(&claim(&h, &claim_of(&session, 960, LONG)).await), "not now", "two without an answer");
    assert_eq!(read(&h, &session).await.refresh.failures, 7);
}

async fn nobody_tries_again_too_soon(h: Harness) {
    let session = session(&h, "person").await;
    let wish = claim_of(&session, 901, LONG);
    claimed(&h, &wish).await;
    h.store.miss_refresh(miss(&wish, false, Some(931))).await.expect("works");
    let now = read(&h, &session).await;
    assert!(!now.refresh.is_due(at(930)) && now.refresh.is_due(at(931)));
    assert_eq!(word(&claim(&h, &claim_of(&session, 930, LONG)).await), "not now");
    claimed(&h, &claim_of(&session, 931, LONG)).await;
    // Somebody whose attempt this is not any more says nothing.
    h.store.miss_refresh(miss(&wish, false, Some(5000))).await.expect("works");
    assert_eq!(read(&h, &session).await.refresh.not_before, Some(at(931)));
}

async fn new_tokens_take_the_place_of_the_old_and_the_session_lives_longer(h: Harness) {
    let session = session(&h, "person").await;
    let used = RecordUse {
        handle: h.handle("rsh_person").hash,
        session_id: session.session_id,
        now: at(901),
        touch: true,
    };
    assert_eq!(h.store.record_use(used).await.expect("works"), UseOutcome::Recorded);
    claimed(&h, &claim_of(&session, 901, LONG)).await;
    assert_eq!(renew(&h, &renewal(&session, "new", 902, Some(2702))).await, "committed");
    let refreshed = read(&h, &session).await;
    assert_eq!((refreshed.refresh.generation, refreshed.refresh.due_at), (1, Some(at(1802))));
    assert_eq!((refreshed.grant_expires_at, refreshed.idle_expires_at()), (Some(at(2702)), at(2701)));
    assert_eq!((refreshed.version, refreshed.attempt), (session.version, session.attempt));
    let sealed = tokens(&h, &session).await.expect("tokens");
    assert_eq!(sealed.access_token.expose(), "access-new");
    assert_eq!(sealed.refresh_token.as_ref().map(Secret::expose), Some("refresh-new"));
    assert_eq!(sealed.id_token.expose(), "id-new");
    assert!(h.store.overdue_sessions(at(2700), 10).await.expect("works").is_empty());
    let over = h.store.overdue_sessions(at(2701), 10).await.expect("works");
    assert_eq!(over, [(session.session_id, SessionEndReason::Idle)]);
    let written = h.raw.texts("SELECT event FROM audit ORDER BY seq DESC LIMIT 1").await;
    assert_eq!(written, ["session.refreshed"]);
    assert_eq!(word(&claim(&h, &claim_of(&session, 1900, LONG)).await), "fresh", "of the tokens before");
    claimed(&h, &claim_of(&refreshed, 1900, LONG)).await;
}

async fn new_tokens_never_lengthen_a_session_beyond_its_own_ends(h: Harness) {
    for (name, absolute, grant, wanted) in [
        ("grant", 14_400, Some(1000), (1000, SessionEndReason::ReauthRequired)),
        ("idle", 14_400, Some(9000), (1810, SessionEndReason::Idle)),
        ("unknown", 14_400, None, (1810, SessionEndReason::Idle)),
        ("absolute", 1100, Some(9000), (1100, SessionEndReason::Absolute)),
        ("both", 1100, None, (1100, SessionEndReason::Absolute)),
    ] {
        let new = h.approved(name).await;
        let mut pick_up = h.pick_up(&new.login, &format!("rsh_{name}"));
        pick_up.session.grant_expires_at = Some(at(950));
        pick_up.session.expires_at = at(absolute);
        h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
        let session = pick_up.session;
        claimed(&h, &claim_of(&session, 901, LONG)).await;
        assert_eq!(renew(&h, &renewal(&session, name, 902, grant)).await, "committed");
        let (end, reason) = wanted;
        let found = h.store.overdue_sessions(at(end - 1), 100).await.expect("works");
        assert!(!found.iter().any(|(id, _)| *id == session.session_id), "{name} ends too soon");
        let found = h.store.overdue_sessions(at(end), 100).await.expect("works");
        assert!(found.contains(&(session.session_id, reason)), "{name}: {found:?}");
    }
}

async fn tokens_that_were_replaced_meanwhile_are_left_alone(h: Harness) {
    let session = session(&h, "person").await;
    claimed(&h, &claim_of(&session, 901, Duration::ZERO)).await;
    claimed(&h, &claim_of(&session, 902, LONG)).await;
    assert_eq!(renew(&h, &renewal(&session, "first", 903, Some(2703))).await, "committed");
    assert_eq!(renew(&h, &renewal(&session, "second", 904, Some(2704))).await, "overtaken");
    let sealed = tokens(&h, &session).await.expect("tokens");
    assert_eq!(sealed.access_token.expose(), "access-first");
    assert_eq!(read(&h, &session).await.refresh.generation, 1);
}

async fn a_refusal_ends_the_session_for_good(h: Harness) {
    let session = session(&h, "person").await;
    claimed(&h, &claim_of(&session, 901, LONG)).await;
    let refused = h.store.end_refused(refusal(&session, 902)).await.expect("works");
    let SessionTransition::Won(ended) = refused else { panic!("lost") };
    let reason = SessionEndReason::ReauthRequired;
    assert_eq!(ended.state, SessionState::Ended { reason, at: at(902) });
    assert!(tokens(&h, &session).await.is_none(), "wiped");
    assert_eq!(word(&claim(&h, &claim_of(&session, 903, LONG)).await), "over");
    assert_eq!(renew(&h, &renewal(&session, "late", 904, Some(2704))).await, "over");
    assert!(tokens(&h, &session).await.is_none(), "what comes later is not kept");
    let again = h.store.end_refused(refusal(&session, 905)).await.expect("works");
    assert!(matches!(again, SessionTransition::Lost(_)));
}

async fn r_c_04_an_id_token_that_must_not_be_believed_is_recorded_for_itself(h: Harness) {
    let session = session(&h, "person").await;
    let end = EndRefused { not_believed: true, ..refusal(&session, 902) };
    for _ in 0..2 {
        let ended = h.store.end_refused(end.clone()).await.expect("works");
        assert!(matches!(ended, SessionTransition::Won(_)), "also for its own attempt again");
    }
    let written = "SELECT event || ' ' || coalesce(reason, '-') FROM audit
                       WHERE event LIKE 'session.%' AND session_id IS NOT NULL ORDER BY seq";
    assert_eq!(h.raw.texts(written).await, ["session.token_invalid -", "session.ended reauth_required"]);
}

async fn a_refusal_of_tokens_that_were_replaced_ends_nothing(h: Harness) {
    let session = session(&h, "person").await;
    assert_eq!(renew(&h, &renewal(&session, "new", 902, Some(2702))).await, "committed");
    let late = h.store.end_refused(refusal(&session, 903)).await.expect("works");
    let SessionTransition::Lost(living) = late else { panic!("the session was ended") };
    assert_eq!(living.state, SessionState::Active);
}

async fn whoever_ends_a_session_first_wins_against_a_refresh(h: Harness) {
    let (mut ended_first, mut renewed_first) = (0, 0);
    for turn in 0..60u64 {
        let session = session(&h, &format!("person-{turn}")).await;
        let logout = EndSession {
            session_id: session.session_id,
            attempt: attempt(),
            now: at(903),
            reason: SessionEndReason::Logout,
        };
        let by = holder();
        let new = renewal(&session, "new", 902, Some(2702));
        let (ended, renewed) = if turn % 2 == 0 {
            tokio::join!(h.store.end_session(logout, &by), renew(&h, &new))
        } else {
            let (renewed, ended) = tokio::join!(renew(&h, &new), h.store.end_session(logout, &by));
            (ended, renewed)
        };
        assert!(matches!(ended.expect("works"), SessionTransition::Won(_)), "a logout always wins");
        match renewed {
            "over" => ended_first += 1,
            "committed" => renewed_first += 1,
            other => panic!("{other}"),
        }
        let now = read(&h, &session).await;
        let reason = SessionEndReason::Logout;
        assert_eq!(now.state, SessionState::Ended { reason, at: at(903) });
        assert!(tokens(&h, &session).await.is_none(), "no token is left");
    }
    assert!(ended_first + renewed_first == 60);
}

async fn a_session_without_a_refresh_token_or_over_is_not_refreshed(h: Harness) {
    let new = h.pending("without").await;
    let mut without = approve(new.login.login_id);
    without.tokens.refresh_token = None;
    won(h.store.approve(without).await.expect("works"));
    let pick_up = h.pick_up(&new.login, "rsh_without");
    h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
    assert_eq!(word(&claim(&h, &claim_of(&pick_up.session, 901, LONG)).await), "not now");

    let idle = session(&h, "idle").await;
    assert_eq!(word(&claim(&h, &claim_of(&idle, 1800, LONG)).await), "over", "nobody has ended it yet");
    let mut nobody = claim_of(&idle, 901, LONG);
    nobody.session_id = relais::domain::ids::SessionId(uuid::Uuid::nil());
    assert_eq!(word(&claim(&h, &nobody).await), "over");
}

async fn a_second_run_of_the_same_call_finds_the_first(h: Harness) {
    let session = session(&h, "person").await;
    let wish = claim_of(&session, 901, LONG);
    claimed(&h, &wish).await;
    let again = claimed(&h, &wish).await;
    assert_eq!(again.session.refresh.unanswered, 1, "it is one sending");
    let new = renewal(&session, "new", 902, Some(2702));
    assert_eq!(renew(&h, &new).await, "committed");
    assert_eq!(renew(&h, &new).await, "committed");
    assert_eq!(read(&h, &session).await.refresh.generation, 1);
    let refreshed = read(&h, &session).await;
    let end = refusal(&refreshed, 910);
    for _ in 0..2 {
        let ended = h.store.end_refused(end.clone()).await.expect("works");
        assert!(matches!(ended, SessionTransition::Won(_)));
    }
}
