//! An ID token approves one login: whoever comes with it for another one loses, and the other one stays pending.

use relais::domain::ids::LoginId;
use relais::domain::login::LoginStatus;
use relais::domain::secret::Secret;
use relais::engine::ports::{Approve, StoreError, Transition};

use super::harness::{Harness, approve, for_each_store, lost, won};

for_each_store! {
    r_c_06_an_id_token_approves_one_login,
    r_c_06_of_two_logins_at_once_one_id_token_approves_one,
}

fn approve_with(login_id: LoginId, id_token: &str) -> Approve {
    let mut approve = approve(login_id);
    approve.tokens.id_token = Secret::new(id_token);
    approve
}

async fn r_c_06_an_id_token_approves_one_login(h: Harness) {
    let first = h.pending("first").await.login.login_id;
    let second = h.pending("second").await.login.login_id;
    let approval = approve_with(first, "header.claims.signature");
    won(h.store.approve(approval.clone()).await.expect("works"));
    won(h.store.approve(approval).await.expect("works, after an unknown commit outcome"));
    // Some signatures can be written in more than one way: what they are over counts.
    for again in ["header.claims.signature", "header.claims.other"] {
        let login = lost(h.store.approve(approve_with(second, again)).await.expect("works"));
        assert_eq!((login.login_id, login.state.status()), (second, LoginStatus::Pending), "{again}");
    }
    assert_eq!(h.raw.number("SELECT count(*) FROM audit WHERE event = 'login.approved'").await, 1);
    assert_eq!(h.raw.number("SELECT count(*) FROM grants WHERE tokens IS NOT NULL").await, 1);
    won(h.store.approve(approve_with(second, "header.others.signature")).await.expect("works"));
}

async fn r_c_06_of_two_logins_at_once_one_id_token_approves_one(h: Harness) {
    for round in 0..10 {
        let mut racers = Vec::new();
        for racer in 0..4 {
            let login_id = h.pending(&format!("{round}-{racer}")).await.login.login_id;
            let (store, approval) = (h.store.clone(), approve_with(login_id, &format!("{round}.claims.x")));
            racers.push(tokio::spawn(async move {
                // As the engine does: a commit that was refused is tried again.
                loop {
                    match store.approve(approval.clone()).await {
                        Ok(transition) => return matches!(transition, Transition::Won(_)),
                        Err(StoreError::Refused { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        let mut winners = 0;
        for racer in racers {
            winners += u32::from(racer.await.expect("no panic"));
        }
        assert_eq!(winners, 1);
    }
}
