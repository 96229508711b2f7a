//! Every arrow of the state table, and every arrow that is not in it.

use std::time::Duration;

use relais::domain::ids::{LoginId, NodeId};
use relais::domain::login::{EndStatus, LoginReason, LoginState, LoginStatus};
use relais::domain::random::uuid_v4;
use relais::engine::ports::{EndLogin, Pace, PickUpOutcome, StoreError, Transition};

use super::harness::{
    Harness, acknowledge, approve, at, attempt, end_login, for_each_store, holder, lost, node, won,
};

for_each_store! {
    a_login_goes_from_its_start_to_its_session,
    only_the_arrows_of_the_table_lead_to_an_end,
    an_end_happens_only_from_the_states_that_it_names,
    only_starting_becomes_pending,
    only_pending_becomes_approved,
    only_approved_is_picked_up,
    a_second_run_with_its_own_attempt_has_won,
    the_owner_guards_what_is_sent_and_not_what_arrives,
    a_new_pace_is_seen_only_where_the_provider_slows_down,
    a_hidden_end_is_cancelled_once,
    a_login_is_found_by_its_token_under_any_ring_key,
    an_unknown_login_is_not_found,
    a_row_that_the_model_does_not_know_is_an_error,
    the_database_itself_refuses_to_leave_a_terminal_state,
    r_i_01_of_many_opposing_ends_exactly_one_wins,
}

const ENDS: [EndStatus; 4] = [EndStatus::Denied, EndStatus::Expired, EndStatus::Failed, EndStatus::Cancelled];

async fn a_login_goes_from_its_start_to_its_session(h: Harness) {
    let new = h.starting("810000000009").await;
    let login_id = new.login.login_id;
    let read = h.read(login_id).await;
    assert_eq!(read.state, LoginState::Starting { until: at(25) });
    assert_eq!(read.login_hint.expect("readable").expose(), "810000000009");
    assert_eq!(
        (read.reference, read.channel, read.x5t, read.client_context),
        (new.login.reference, new.login.channel, new.login.x5t, new.login.client_context)
    );
    assert_eq!((read.version, read.attempt, read.owner), (1, new.login.attempt, node()));

    let ack = acknowledge(login_id);
    let pending = won(h.store.acknowledge(ack.clone()).await.expect("works"));
    let interval = Duration::from_secs(5);
    let expected = LoginState::Pending { until: at(121), interval, not_before: None, provider_slow: false };
    assert_eq!(pending.state, expected);
    assert_eq!((pending.version, pending.attempt), (2, ack.attempt));

    let approved = won(h.store.approve(approve(login_id)).await.expect("works"));
    assert_eq!(approved.state, LoginState::Approved { at: at(6), until: at(306) });
    assert_eq!(approved.version, 3);

    let pick_up = h.pick_up(&approved, "rsh_1");
    let session_id = pick_up.session.session_id;
    let outcome = h.store.pick_up(pick_up, &holder()).await.expect("works");
    assert!(matches!(outcome, PickUpOutcome::First(_)));
    let picked_up = h.read(login_id).await;
    let expected = LoginState::PickedUp { at: at(10), session_id, repeatable_until: at(70) };
    assert_eq!(picked_up.state, expected);
    assert_eq!(picked_up.version, 4);
}

async fn only_the_arrows_of_the_table_lead_to_an_end(h: Harness) {
    for from in LoginStatus::ALL {
        for to in ENDS {
            let hint = format!("{}-{}", from.as_str(), to.status().as_str());
            let new = h.in_status(from, &hint).await;
            let allowed = match from {
                LoginStatus::Starting => matches!(to, EndStatus::Failed | EndStatus::Cancelled),
                LoginStatus::Pending => true,
                LoginStatus::Approved => to != EndStatus::Denied,
                _ => false,
            };
            let before = h.read(new.login.login_id).await;
            let outcome = h.store.end_login(end_login(before.login_id, to), &holder()).await.expect("works");
            let after = h.read(before.login_id).await;
            if allowed {
                let reported = won(outcome);
                assert_eq!(reported.state, after.state);
                assert_eq!(after.state.status(), to.status(), "{hint}");
                assert_eq!(after.version, before.version + 1);
            } else {
                lost(outcome);
                assert_eq!(after.state, before.state, "{hint}");
                assert_eq!((after.version, after.attempt), (before.version, before.attempt));
            }
        }
    }
}

async fn an_end_happens_only_from_the_states_that_it_names(h: Harness) {
    let new = h.approved("810000000009").await;
    let expire = EndLogin {
        from: &[LoginStatus::Starting, LoginStatus::Pending],
        ..end_login(new.login.login_id, EndStatus::Expired)
    };
    lost(h.store.end_login(expire, &holder()).await.expect("works"));
    assert_eq!(h.status(new.login.login_id).await, LoginStatus::Approved);
}

async fn only_starting_becomes_pending(h: Harness) {
    for from in LoginStatus::ALL {
        let new = h.in_status(from, from.as_str()).await;
        let outcome = h.store.acknowledge(acknowledge(new.login.login_id)).await.expect("works");
        if from == LoginStatus::Starting {
            won(outcome);
        } else {
            assert_eq!(lost(outcome).state.status(), from);
            assert_eq!(h.status(new.login.login_id).await, from);
        }
    }
}

async fn only_pending_becomes_approved(h: Harness) {
    for from in LoginStatus::ALL {
        let new = h.in_status(from, from.as_str()).await;
        let had_tokens = matches!(from, LoginStatus::Approved | LoginStatus::PickedUp);
        let outcome = h.store.approve(approve(new.login.login_id)).await.expect("works");
        if from == LoginStatus::Pending {
            won(outcome);
        } else {
            assert_eq!(lost(outcome).state.status(), from);
            let grant = h.store.grant(new.login.grant_id).await.expect("works").expect("there");
            assert_eq!(grant.tokens.is_some(), had_tokens, "nothing is stored for a {}", from.as_str());
        }
    }
}

async fn only_approved_is_picked_up(h: Harness) {
    for from in LoginStatus::ALL {
        if matches!(from, LoginStatus::Approved | LoginStatus::PickedUp) {
            continue;
        }
        let new = h.in_status(from, from.as_str()).await;
        let outcome = h.store.pick_up(h.pick_up(&new.login, from.as_str()), &holder()).await.expect("works");
        let PickUpOutcome::NotApproved(login) = outcome else { panic!("{} was picked up", from.as_str()) };
        assert_eq!(login.state.status(), from);
    }
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(h.raw.number("SELECT count(*) FROM handles").await, 0);
}

async fn a_second_run_with_its_own_attempt_has_won(h: Harness) {
    let new = h.pending("810000000009").await;
    let approval = approve(new.login.login_id);
    won(h.store.approve(approval.clone()).await.expect("works"));
    assert_eq!(won(h.store.approve(approval.clone()).await.expect("works")).version, 3);

    // Also when somebody has gone on from there: tokens that were committed must not count as dropped.
    let pick_up = h.pick_up(&new.login, "rsh_1");
    let first = h.store.pick_up(pick_up.clone(), &holder()).await.expect("works");
    assert!(matches!(first, PickUpOutcome::First(_)));
    let again = won(h.store.approve(approval).await.expect("works"));
    assert_eq!(again.state.status(), LoginStatus::PickedUp);

    let second = h.store.pick_up(pick_up, &holder()).await.expect("works");
    assert!(matches!(second, PickUpOutcome::First(_)), "the same attempt finds its own pick-up");
    assert_eq!(h.raw.number("SELECT count(*) FROM handles").await, 1);
}

async fn the_owner_guards_what_is_sent_and_not_what_arrives(h: Harness) {
    let new = h.pending("810000000009").await;
    let login_id = new.login.login_id;
    let other = NodeId(uuid::Uuid::from_u128(8));
    assert_eq!(h.store.still_mine(node(), &[login_id]).await.expect("works"), [login_id]);
    assert!(h.store.still_mine(other, &[login_id]).await.expect("works").is_empty());
    let pace = Pace { interval: Duration::from_secs(10), not_before: None, provider_slow: false };
    assert!(h.store.set_pace(login_id, other, pace).await.expect("works").is_none());
    let expire = EndLogin { owner: Some(other), ..end_login(login_id, EndStatus::Expired) };
    lost(h.store.end_login(expire, &holder()).await.expect("works"));
    won(h.store.approve(approve(login_id)).await.expect("works"));
    assert!(h.store.still_mine(node(), &[login_id]).await.expect("works").is_empty());
}

async fn a_new_pace_is_seen_only_where_the_provider_slows_down(h: Harness) {
    let new = h.pending("810000000009").await;
    let login_id = new.login.login_id;
    let slower = Pace { interval: Duration::from_secs(10), not_before: Some(at(30)), provider_slow: false };
    let login = h.store.set_pace(login_id, node(), slower).await.expect("works").expect("pending");
    assert_eq!(login.version, 2, "a poller's own business");
    let LoginState::Pending { interval, not_before, .. } = login.state else { panic!("pending") };
    assert_eq!((interval, not_before), (slower.interval, slower.not_before));
    let silent = Pace { provider_slow: true, ..slower };
    let login = h.store.set_pace(login_id, node(), silent).await.expect("works").expect("pending");
    assert_eq!(login.version, 3);
    let login = h.store.set_pace(login_id, node(), silent).await.expect("works").expect("pending");
    assert_eq!(login.version, 3);
    let versions = h.store.login_versions(&[login_id, LoginId(uuid::Uuid::nil())]).await.expect("works");
    assert_eq!(versions, [(login_id, 3)]);
}

async fn a_hidden_end_is_cancelled_once(h: Harness) {
    let new = h.starting("810000000009").await;
    let login_id = new.login.login_id;
    let hide = EndLogin {
        reason: LoginReason::UserUnknown,
        hidden_until: Some(at(120)),
        ..end_login(login_id, EndStatus::Failed)
    };
    let hidden = won(h.store.end_login(hide, &holder()).await.expect("works"));
    assert_eq!(hidden.shown(at(20)).status, LoginStatus::Pending);
    let cancelled = won(h.store.cancel_hidden(login_id, attempt(), at(20), &holder()).await.expect("works"));
    assert_eq!(cancelled.shown(at(21)).status, LoginStatus::Cancelled);
    lost(h.store.cancel_hidden(login_id, attempt(), at(22), &holder()).await.expect("works"));

    let plain = h.in_status(LoginStatus::Failed, "other").await;
    lost(h.store.cancel_hidden(plain.login.login_id, attempt(), at(20), &holder()).await.expect("works"));
}

async fn a_login_is_found_by_its_token_under_any_ring_key(h: Harness) {
    let mut new = h.new_login("810000000009");
    let candidates = h.token_of(new.login.login_id);
    assert_eq!(candidates.len(), 2);
    // As if it had been started before the rotation.
    new.token_hash = candidates[1].clone();
    h.store.start_login(new.clone(), &holder()).await.expect("works");
    let found = h.store.login_by_token(&candidates).await.expect("works").expect("found");
    assert_eq!(found.login_id, new.login.login_id);
    assert!(h.store.login_by_token(&candidates[..1]).await.expect("works").is_none());
    let foreign = h.token_of(LoginId(uuid::Uuid::nil()));
    assert!(h.store.login_by_token(&foreign).await.expect("works").is_none());
}

async fn an_unknown_login_is_not_found(h: Harness) {
    let login_id = LoginId(uuid_v4(&relais::crypto::random::SystemRandom));
    let not_found = |transition| matches!(transition, Transition::NotFound);
    assert!(h.store.login(login_id).await.expect("works").is_none());
    assert!(not_found(h.store.acknowledge(acknowledge(login_id)).await.expect("works")));
    assert!(not_found(h.store.approve(approve(login_id)).await.expect("works")));
    let end = end_login(login_id, EndStatus::Cancelled);
    assert!(not_found(h.store.end_login(end, &holder()).await.expect("works")));
    let mut pick_up = h.pick_up(&h.new_login("x").login, "rsh_1");
    pick_up.session.login_id = login_id;
    let outcome = h.store.pick_up(pick_up, &holder()).await.expect("works");
    assert!(matches!(outcome, PickUpOutcome::NotFound));
}

async fn a_row_that_the_model_does_not_know_is_an_error(h: Harness) {
    let new = h.in_status(LoginStatus::Denied, "810000000009").await;
    h.raw.run("UPDATE logins SET reason = 'because'").await.expect("no check stands in the way");
    let read = h.store.login(new.login.login_id).await;
    assert!(matches!(read, Err(StoreError::Inconsistent { table: "logins", column: "reason" })));
    h.raw.run("UPDATE logins SET reason = 'user_denied', hidden_cancelled_at = 1").await.expect("likewise");
    let read = h.store.login(new.login.login_id).await;
    assert!(matches!(read, Err(StoreError::Inconsistent { column: "hidden_cancelled_at", .. })));
    let open = h.pending("other").await;
    h.raw.run("UPDATE logins SET approved_at = 1 WHERE status = 'pending'").await.expect("likewise");
    let read = h.store.login(open.login.login_id).await;
    assert!(matches!(read, Err(StoreError::Inconsistent { column: "status", .. })));
}

async fn the_database_itself_refuses_to_leave_a_terminal_state(h: Harness) {
    h.in_status(LoginStatus::Denied, "810000000009").await;
    let back =
        "UPDATE logins SET status = 'pending', until = 1, interval_us = 1, reason = NULL, ended_at = NULL";
    let refused = h.raw.run(back).await.expect_err("terminal is terminal");
    assert!(refused.to_string().contains("does not change its state"), "{refused}");
    h.pending("other").await;
    let bare = "UPDATE logins SET until = NULL WHERE status = 'pending'";
    assert!(h.raw.run(bare).await.is_err(), "a pending login has a deadline");
}

async fn r_i_01_of_many_opposing_ends_exactly_one_wins(h: Harness) {
    for round in 0..10 {
        let new = h.pending(&format!("person-{round}")).await;
        let login_id = new.login.login_id;
        let mut tasks = tokio::task::JoinSet::new();
        for turn in 0..12 {
            let store = std::sync::Arc::clone(&h.store);
            tasks.spawn(async move {
                match turn % 3 {
                    0 => store.approve(approve(login_id)).await,
                    1 => store.end_login(end_login(login_id, EndStatus::Cancelled), &holder()).await,
                    _ => {
                        let expire = EndLogin {
                            from: &[LoginStatus::Pending],
                            ..end_login(login_id, EndStatus::Expired)
                        };
                        store.end_login(expire, &holder()).await
                    }
                }
            });
        }
        let outcomes = tasks.join_all().await;
        let winners: Vec<_> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome.expect("works") {
                Transition::Won(login) => Some(login.state.status()),
                _ => None,
            })
            .collect();
        // An approved login may still be cancelled; nothing else follows anything.
        match winners.as_slice() {
            [_] => {}
            [..] if winners.len() == 2 => {
                assert!(
                    winners.contains(&LoginStatus::Approved) && winners.contains(&LoginStatus::Cancelled)
                );
            }
            _ => panic!("{winners:?} won"),
        }
        let last = h.status(login_id).await;
        assert!(winners.contains(&last), "{winners:?} won and it is {last:?}");
    }
}
