//! `kill -9` between two steps, then the same configuration again: the login goes on or fails clearly, and no second
//! request reaches the phone.

use std::time::Duration;

use serde_json::{Value, json};

use super::running::{eventually, pause};
use super::site::{Node, Site, nothing_happens_for, person};
use crate::support::http::Answer;
use crate::support::stack::{BACKENDS, Backend};

/// A start that may be repeated: the answer, where one came.
async fn start(node: &Node, hint: &str, key: &str) -> Option<Answer> {
    let desk = node.desk().header("idempotency-key", key);
    desk.try_send(reqwest::Method::POST, "/v1/logins", Some(json!({ "login_hint": hint }))).await.ok()
}

const KEY: &str = "6a1f0c8e-2d5b-4c43-9a7e-0b9d6c1f7e21";

/// One kill, and a login at each step of its life when it strikes.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_each_login_goes_on_or_fails_clearly() {
    for backend in BACKENDS {
        let site = Site::on(backend).await;
        let mut node = site.serve().await;
        let [picked_up, approved, lost, pending, unknown] =
            std::array::from_fn(|number| person(400 + u32::try_from(number).expect("a few")));
        let session = node.sign_in(&site, &picked_up).await;
        let approved_login = node.start(&approved).await.expect(201);
        site.approve(&approved).await;
        eventually("it is approved", async || {
            (node.login(&approved_login).await.text("/status") == "approved").then_some(())
        })
        .await;
        // The tokens are spent, and their answer is still on its way. Time enough before the first poll.
        site.settings(json!({ "interval": 3 })).await;
        let lost_login = node.start(&lost).await.expect(201);
        site.fault(json!({ "endpoint": "token", "delay_ms": 20_000 })).await;
        site.approve(&lost).await;
        eventually("the tokens are spent", async || {
            (site.request_for(&lost).await["status"] == "redeemed").then_some(())
        })
        .await;
        let pending_login = node.start(&pending).await.expect(201);
        // The phone rings, and its acknowledgement is still on its way.
        site.fault(json!({ "endpoint": "backchannel", "delay_ms": 20_000 })).await;
        let killed = async {
            site.request_for(&unknown).await;
            node.process.signal("KILL");
        };
        let (answer, ()) = tokio::join!(start(&node, &unknown, KEY), killed);
        assert!(answer.is_none(), "nothing was acknowledged");
        node.process.ended().await;
        node.restart().await;

        node.relais().bearer(&session.text("/session_handle")).get("/v1/session").await.expect(200);
        let late = node.pick_up(&approved_login).await.expect(201);
        assert_eq!(late.text("/subject/national_id"), approved);
        let gone_on = async {
            site.approve(&pending).await;
            node.pick_up(&pending_login).await.expect(201);
        };
        let answer_lost = eventually("the lost answer is noticed", async || {
            let login = node.login(&lost_login).await;
            (login.text("/status") != "pending").then_some(login)
        });
        let outcome_unknown = eventually("the unknown outcome is told", async || {
            let replayed = start(&node, &unknown, KEY).await?.expect(200);
            (replayed.text("/status") != "starting").then_some(replayed)
        });
        let ((), answer_lost, outcome_unknown) = tokio::join!(gone_on, answer_lost, outcome_unknown);
        assert_eq!(
            (answer_lost.text("/status"), answer_lost.text("/reason")),
            ("failed".into(), "answer_lost".into())
        );
        assert_eq!(
            (outcome_unknown.text("/status"), outcome_unknown.text("/reason")),
            ("failed".into(), "outcome_unknown".into())
        );
        // The phone may still show the request: nobody rings it again.
        let kept = node.start(&unknown).await.expect_problem(409, "already_pending");
        assert_eq!(kept.at("/replaceable"), json!(false));
        for hint in [&picked_up, &approved, &lost, &pending, &unknown] {
            assert_eq!(site.rings(hint).await, 1, "{backend:?}");
        }
        assert_eq!(site.request_for(&unknown).await["polls"], json!(0));
        site.assert_polite().await;
        node.start(&lost).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_055_a_first_poll_comes_one_interval_after_the_restart_and_a_cancelled_login_is_not_polled() {
    let site = Site::on(Backend::Sqlite).await;
    let mut node = site.serve().await;
    let (kept, cancelled) = (person(420), person(421));
    site.settings(json!({ "interval": 8 })).await;
    let started = node.start(&kept).await.expect(201);
    let given_up = node.start(&cancelled).await.expect(201);
    let (holder, path) = node.holder(&given_up);
    holder.delete(&path).await.expect(204);
    pause(Duration::from_millis(3500)).await;
    node.process.kill().await;
    node.restart().await;
    // Until it would have been due, had the node lived on.
    nothing_happens_for(6).await;
    assert_eq!(site.request_for(&kept).await["polls"], json!(0), "polled sooner than one interval");
    site.approve(&kept).await;
    node.pick_up(&started).await.expect(201);
    assert_eq!(site.request_for(&cancelled).await["polls"], json!(0));
    let (holder, path) = node.holder(&given_up);
    assert_eq!(holder.get(&path).await.expect(200).text("/status"), "cancelled");
    holder.post(&format!("{path}/session"), Value::Null).await.expect_problem(409, "not_approved");
    site.assert_polite().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_time_ran_out_while_nobody_served_is_expired_after_the_restart() {
    let site = Site::on(Backend::Sqlite).await;
    let mut node = site.serve().await;
    site.settings(json!({ "expires_in": 3 })).await;
    let hint = person(430);
    let started = node.start(&hint).await.expect(201);
    node.process.kill().await;
    nothing_happens_for(3).await;
    node.restart().await;
    let ended = eventually("it has ended", async || {
        let login = node.login(&started).await;
        (login.text("/status") != "pending").then_some(login)
    })
    .await;
    assert_eq!((ended.text("/status"), ended.text("/reason")), ("expired".into(), "expired".into()));
    node.start(&hint).await.expect(201);
    site.assert_polite().await;
}
