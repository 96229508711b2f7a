//! Two nodes of `relais serve` on one PostgreSQL: they serve each other's logins, and one takes over when the other
//! stalls.

use serde_json::Value;

use super::site::{Site, nothing_happens_for, person};
use crate::support::stack::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_started_on_one_node_is_waited_for_and_picked_up_on_the_other() {
    let site = Site::on(Backend::Postgres).await;
    let (one, other) = tokio::join!(site.serve(), site.serve());
    let hint = person(300);
    let started = one.start(&hint).await.expect(201);
    other.start(&hint).await.expect_problem(409, "already_pending");
    let (holder, path) = other.holder(&started);
    let version = holder.get(&path).await.expect(200).at("/version");
    let parked = format!("{path}?wait=30&after={version}");
    let (parked, ()) = tokio::join!(holder.get(&parked), async {
        nothing_happens_for(1).await;
        site.approve(&hint).await;
    });
    assert_eq!(parked.expect(200).text("/status"), "approved");
    let picked_up = other.pick_up(&started).await.expect(201);
    let session = one.relais().bearer(&picked_up.text("/session_handle"));
    session.get("/v1/session").await.expect(200);
    other.relais().bearer(&picked_up.text("/session_handle")).delete("/v1/session").await.expect(204);
    session.get("/v1/session").await.expect_problem(401, "session_ended");
    assert_eq!(site.rings(&hint).await, 1);
    site.assert_polite().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_047_a_stalled_node_loses_its_logins_to_the_other_and_does_no_harm_afterwards() {
    let site = Site::on(Backend::Postgres).await;
    let (stalled, other) = tokio::join!(site.serve(), site.serve());
    let (approved_meanwhile, approved_after) = (person(310), person(311));
    let first = stalled.start(&approved_meanwhile).await.expect(201);
    let second = stalled.start(&approved_after).await.expect(201);
    stalled.process.signal("STOP");
    let polls_at_stop = polls(&site, &approved_meanwhile).await;
    // The lease (5 s), the longest poll (8 s), one interval.
    nothing_happens_for(8).await;
    assert!(
        polls(&site, &approved_meanwhile).await <= polls_at_stop + 1,
        "nobody polls for a node whose poll may still be under way"
    );
    other
        .process
        .logged("the adoption", |line| line["message"] == "a login of another node is adopted")
        .await;
    site.approve(&approved_meanwhile).await;
    let picked_up = other.pick_up(&first).await.expect(201);
    stalled.process.signal("CONT");
    // It wakes up with polls that were due long ago.
    nothing_happens_for(4).await;
    site.assert_polite().await;
    site.approve(&approved_after).await;
    stalled.pick_up(&second).await.expect(201);
    let session = stalled.relais().bearer(&picked_up.text("/session_handle"));
    session.get("/v1/session").await.expect(200);
    for hint in [&approved_meanwhile, &approved_after] {
        assert_eq!(site.rings(hint).await, 1);
    }
    site.assert_polite().await;
    stalled.sign_in(&site, &person(312)).await;
}

async fn polls(site: &Site, hint: &str) -> u64 {
    site.request_for(hint).await["polls"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_left_behind_is_gone_on_with_at_once_after_a_drain() {
    let site = Site::on(Backend::Postgres).await;
    let (mut leaving, other) = tokio::join!(site.serve(), site.serve());
    let hint = person(320);
    let started = leaving.start(&hint).await.expect(201);
    leaving.process.signal("TERM");
    assert_eq!(leaving.process.ended().await, 0, "{}", leaving.process.stderr());
    site.approve(&hint).await;
    let (holder, path) = other.holder(&started);
    holder.header("prefer", "wait=30").post(&format!("{path}/session"), Value::Null).await.expect(201);
    assert_eq!(site.rings(&hint).await, 1);
    site.assert_polite().await;
}
