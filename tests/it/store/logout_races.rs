//! A provider logs somebody out at the very moment at which an approval, or new tokens, of the same session of its own are
//! written: once the logout is answered nothing lives by that session, whoever came first.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use relais::domain::ids::LoginId;
use relais::domain::login::{EndStatus, LoginState, LoginStatus};
use relais::domain::secret::Secret;
use relais::domain::session::{SessionEndReason, SessionState};
use relais::engine::ports::{
    Approve, EndRefused, EndSession, Live, LoggedOut, Moved, PickUpOutcome, Renewal, RenewalOutcome, Store,
    StoreError, TakeLogoutToken, Transition,
};
use sqlx::{Connection as _, PgConnection};

use super::harness::{Harness, Raw, approve, at, attempt, end_login, for_each_store, holder, provider, won};

for_each_store! {
    rp_105_of_an_approval_and_a_logout_at_once_nothing_lives_on,
    rp_105_of_new_tokens_and_a_logout_at_once_nothing_lives_on,
    rp_105_new_tokens_of_a_session_that_the_provider_has_just_ended_are_nobody_s,
}

const RACES: u64 = 200;
const AT_ONCE: usize = 12;

/// Lets one side be early, the other one the next time.
async fn lag(number: u64) {
    let _ = tokio::time::timeout(Duration::from_micros(number % 8 * 500), std::future::pending::<()>()).await;
}

/// A logout token is taken, and what it names ends, as the engine does it. From its return on it is answered.
async fn told(store: &dyn Store, sid: Option<&str>, sub: Option<&str>) -> Result<(), StoreError> {
    let (sid, sub) = (sid.map(str::to_owned), sub.map(str::to_owned));
    let take = TakeLogoutToken {
        provider: "psc-bas".parse().expect("a name"),
        registration: "lps-bas".parse().expect("a name"),
        by: provider(),
        jti: format!("{sid:?} {sub:?}"),
        sid: sid.clone(),
        sub: sub.clone(),
        attempt: attempt(),
        now: at(6),
        until: at(150),
    };
    let before = store.take_logout_token(take.clone()).await?;
    let whom = LoggedOut { provider: take.provider, sid, sub, before };
    loop {
        let live = store.logged_out(whom.clone(), 100).await?;
        if live.is_empty() {
            return Ok(());
        }
        for one in live {
            match one {
                Live::Login(login_id) => {
                    store.end_login(end_login(login_id, EndStatus::Failed), &provider()).await.map(drop)?;
                }
                Live::Session(session_id) => {
                    let (now, reason) = (at(8), SessionEndReason::IdpLogout);
                    let end = EndSession { session_id, attempt: attempt(), now, reason };
                    store.end_session(end, &provider()).await.map(drop)?;
                }
            }
        }
    }
}

/// The approval of a login by one session of the provider's.
async fn approval(h: &Harness, name: &str) -> Approve {
    let mut approval = approve(h.pending(name).await.login.login_id);
    approval.claims.sid = Some(format!("sid-{name}"));
    approval.claims.subject.sub = format!("sub-{name}");
    approval
}

/// Whether somebody is signed in, or could be by picking up.
async fn lives(h: &Harness, login_id: LoginId) -> bool {
    let session_id = match h.read(login_id).await.state {
        LoginState::Approved { .. } => return true,
        LoginState::PickedUp { session_id, .. } => session_id,
        _ => return false,
    };
    let session = h.store.session(session_id).await.expect("works").expect("it is there");
    session.state == SessionState::Active
}

/// Says whether the login was approved before it was over.
async fn approval_against_logout(h: &Harness, number: u64) -> (bool, bool) {
    let name = format!("raced-{number}");
    let approval = approval(h, &name).await;
    let login_id = approval.login_id;
    let approving = async {
        lag(number / 8).await;
        let Transition::Won(login) = h.store.approve(approval).await.expect("works") else { return false };
        // Every other one is picked up at once.
        if number.is_multiple_of(2) {
            let pick_up = h.store.pick_up(h.pick_up(&login, &name), &holder()).await.expect("works");
            assert!(matches!(pick_up, PickUpOutcome::First(_) | PickUpOutcome::NotApproved(_)), "{name}");
        }
        true
    };
    let telling = async {
        lag(number).await;
        told(&*h.store, Some(&format!("sid-{name}")), Some(&format!("sub-{name}"))).await.expect("works");
    };
    let (is_approved, ()) = tokio::join!(approving, telling);
    (is_approved, lives(h, login_id).await)
}

async fn rp_105_of_an_approval_and_a_logout_at_once_nothing_lives_on(h: Harness) {
    let raced: Vec<_> = stream::iter(0..RACES)
        .map(|number| approval_against_logout(&h, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let approved = raced.iter().filter(|(is_approved, _)| *is_approved).count();
    let living = raced.iter().filter(|(_, lives)| *lives).count();
    assert_eq!(living, 0, "of {approved} that were approved, in {RACES} races");
}

/// New tokens for a session; by their ID token the provider calls its session otherwise than before.
async fn renewal(h: &Harness, name: &str) -> Renewal {
    let (new, session) = h.picked_up(name, name).await;
    let mut tokens = approve(new.login.login_id).tokens;
    tokens.refresh_token = Some(Secret::new(format!("refresh-{name}")));
    Renewal {
        session_id: session.session_id,
        attempt: attempt(),
        generation: session.refresh.generation,
        now: at(20),
        tokens,
        due_at: Some(at(900)),
        moved: Some(Moved { sid: format!("sid-{name}"), sub: "sub-1".to_owned() }),
    }
}

/// Writes new tokens, and ends the session where they are nobody's, as the engine does it.
async fn renewed(store: &dyn Store, renewal: Renewal) -> &'static str {
    let (session_id, generation) = (renewal.session_id, renewal.generation);
    match store.renew(renewal).await.expect("works") {
        RenewalOutcome::Committed(_) => "committed",
        RenewalOutcome::LoggedOut => {
            let (now, reason) = (at(21), SessionEndReason::IdpLogout);
            let end =
                EndRefused { session_id, attempt: attempt(), generation, now, reason, not_believed: false };
            store.end_refused(end).await.expect("works");
            "logged out"
        }
        RenewalOutcome::Overtaken | RenewalOutcome::Over => "else",
    }
}

async fn renewal_against_logout(h: &Harness, number: u64) -> (&'static str, bool) {
    let name = format!("renewed-{number}");
    let renewal = renewal(h, &name).await;
    let session_id = renewal.session_id;
    let renewing = async {
        lag(number / 8).await;
        renewed(&*h.store, renewal).await
    };
    let telling = async {
        lag(number).await;
        told(&*h.store, Some(&format!("sid-{name}")), None).await.expect("works");
    };
    let (outcome, ()) = tokio::join!(renewing, telling);
    let session = h.store.session(session_id).await.expect("works").expect("it is there");
    (outcome, session.state == SessionState::Active)
}

async fn rp_105_of_new_tokens_and_a_logout_at_once_nothing_lives_on(h: Harness) {
    let raced: Vec<_> = stream::iter(0..RACES)
        .map(|number| renewal_against_logout(&h, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let count = |wanted| raced.iter().filter(|(outcome, _)| *outcome == wanted).count();
    assert_eq!(count("committed") + count("logged out"), raced.len(), "nobody else is about");
    let living = raced.iter().filter(|(_, lives)| *lives).count();
    assert_eq!(living, 0, "of {} that were renewed, in {RACES} races", count("committed"));
}

async fn rp_105_new_tokens_of_a_session_that_the_provider_has_just_ended_are_nobody_s(h: Harness) {
    let (late, again) = (renewal(&h, "late").await, renewal(&h, "again").await);
    assert_eq!(renewed(&*h.store, again.clone()).await, "committed");
    for name in ["late", "again"] {
        told(&*h.store, Some(&format!("sid-{name}")), None).await.expect("works");
    }
    let other = Renewal { now: at(150), ..renewal(&h, "other").await };
    told(&*h.store, Some("sid-other"), None).await.expect("works");
    assert_eq!(renewed(&*h.store, other).await, "committed", "the logout token's time is over");
    let session_id = late.session_id;
    assert_eq!(renewed(&*h.store, late.clone()).await, "logged out");
    let session = h.store.session(session_id).await.expect("works").expect("it is there");
    let reason = SessionEndReason::IdpLogout;
    assert_eq!(session.state, SessionState::Ended { reason, at: at(21) });
    let recorded = "SELECT event FROM audit WHERE event = 'session.refreshed'";
    assert_eq!(h.raw.texts(recorded).await.len(), 2, "those of the two that were written");
    // Presented again, as after an unknown commit outcome, each is told what it came to.
    assert_eq!(renewed(&*h.store, again).await, "committed");
    assert_eq!(renewed(&*h.store, late).await, "else");
}

/// Waits until as many connections as that wait for `what`, and says so; or until `done`.
async fn waits_for(watcher: &mut PgConnection, what: &str, done: impl Fn() -> bool) -> bool {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND wait_event = $1";
    while !done() {
        let found: i64 =
            sqlx::query_scalar(waiting).bind(what).fetch_one(&mut *watcher).await.expect("a number");
        if found > 0 {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// An approval stands open between its look at logout tokens and its commit while one is taken. `None`: the database has
/// waited for too long, and nothing was tried.
async fn open_approval_against_logout(
    h: &Arc<Harness>,
    name: &str,
    by_sid: bool,
) -> Option<(bool, LoginStatus)> {
    let Raw::Postgres(pool) = &h.raw else { panic!("this is about PostgreSQL") };
    let mut watcher = PgConnection::connect(h.url.expose()).await.expect("the cluster answers");
    let approval = approval(h, name).await;
    let login_id = approval.login_id;
    let mut in_the_way = pool.begin().await.expect("its only connection");
    let hold = "SELECT 1 FROM grants WHERE login_id = $1 FOR UPDATE";
    sqlx::query(hold).bind(login_id.0).execute(&mut *in_the_way).await.expect("nobody else has it");
    let store = Arc::clone(&h.store);
    let approving = tokio::spawn(async move { store.approve(approval).await });
    waits_for(&mut watcher, "transactionid", || approving.is_finished()).await;
    let (store, name) = (Arc::clone(&h.store), name.to_owned());
    let telling = tokio::spawn(async move {
        let (sid, sub) = (format!("sid-{name}"), format!("sub-{name}"));
        told(&*store, by_sid.then_some(sid.as_str()), (!by_sid).then_some(sub.as_str())).await
    });
    let has_waited = waits_for(&mut watcher, "advisory", || telling.is_finished()).await;
    in_the_way.rollback().await.expect("works");
    let (approved, told) = (approving.await.expect("no panic"), telling.await.expect("no panic"));
    won(approved.ok()?);
    told.ok()?;
    Some((has_waited, h.status(login_id).await))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rp_105_on_postgres_a_logout_waits_for_an_approval_that_is_being_written() {
    let h = Arc::new(Harness::postgres().await);
    for by_sid in [true, false] {
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            let name = format!("open-{by_sid}-{tries}");
            if let Some(outcome) = open_approval_against_logout(&h, &name, by_sid).await {
                break outcome;
            }
            assert!(tries < 20, "the database always waits for too long");
        };
        assert_eq!(outcome, (true, LoginStatus::Failed), "by {}", if by_sid { "sid" } else { "sub" });
    }
}
