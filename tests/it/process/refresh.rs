//! Refreshes by nodes that are processes of their own: a storm of uses, and a node that is killed while it sends.
//!
//! `RELAIS_REFRESH_STORM` says how many callers there are at once.

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::running::eventually;
use super::site::{Node, Site, nothing_happens_for, person};
use crate::support::http::{Answer, Caller};
use crate::support::stack::Backend;

/// Callers at once, unless the environment says otherwise: many more are many connections, and still few readings.
const STORM: usize = 60;

async fn refreshes(site: &Site) -> Value {
    site.stats().await["refreshes"].clone()
}

async fn database(site: &Site) -> PgConnection {
    PgConnection::connect(site.store_url()).await.expect("the cluster answers")
}

/// From now on every use finds its refresh token more than half over.
async fn every_session_is_due(site: &Site) {
    let due = sqlx::query("UPDATE sessions SET refresh_due_at = 0");
    due.execute(&mut database(site).await).await.expect("its owner may");
}

/// Microseconds that are left of the time in which nobody else sends than the node whose attempt was recorded first.
struct Reserved {
    database: PgConnection,
    deadline: i64,
}

impl Reserved {
    async fn of(site: &Site) -> Self {
        let mut database = database(site).await;
        let deadline = sqlx::query_scalar("SELECT refresh_deadline FROM sessions");
        let deadline = deadline.fetch_one(&mut database).await.expect("an attempt is recorded");
        Self { database, deadline }
    }

    async fn is_over(&mut self) -> bool {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let now: i64 = sqlx::query_scalar(now).fetch_one(&mut self.database).await.expect("the time");
        now >= self.deadline
    }
}

/// The holder of a person's session, at each node.
async fn signed_in(site: &Site, nodes: &[&Node], number: u32) -> Vec<Caller> {
    let picked_up = nodes[0].sign_in(site, &person(number)).await;
    let handle = picked_up.text("/session_handle");
    nodes.iter().map(|node| node.relais().bearer(&handle)).collect()
}

async fn storm(callers: &[Caller], at_once: usize) -> Vec<Answer> {
    let uses = (0..at_once).map(|number| callers[number % callers.len()].get("/v1/session"));
    join_all(uses).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rp_083_a_storm_of_uses_on_two_processes_causes_one_refresh_and_no_error() {
    let at_once = std::env::var("RELAIS_REFRESH_STORM").map_or(STORM, |text| text.parse().expect("a number"));
    let site = Site::on(Backend::Postgres).await;
    let (one, other) = tokio::join!(site.serve(), site.serve());
    let callers = signed_in(&site, &[&one, &other], 500).await;
    // It is in use: its handle's first use is written.
    callers[0].get("/v1/session").await.expect(200);
    every_session_is_due(&site).await;
    for answer in storm(&callers, at_once).await {
        answer.expect(200);
    }
    eventually("a refresh", async || (refreshes(&site).await == json!({ "ok": 1 })).then_some(())).await;
    for answer in storm(&callers, at_once).await {
        assert_eq!(answer.expect(200).text("/upstream"), "live");
    }
    assert_eq!(refreshes(&site).await, json!({ "ok": 1 }));
    let mut told = Vec::new();
    for node in [&one, &other] {
        let metrics = node.ops().get("/metrics").await.expect(200).body;
        let lines = metrics.lines().filter(|line| line.starts_with("relais_refreshes_total{"));
        told.extend(lines.map(str::to_owned));
    }
    assert_eq!(told, ["relais_refreshes_total{result=\"ok\"} 1"], "one of the two nodes sent it");
}

/// The provider has new tokens, and a node is killed that waits for them. The sessions' holder at the other node.
async fn killed_while_it_sends(site: &Site, rotation: &str) -> (Node, Caller) {
    site.settings(json!({ "refresh": rotation })).await;
    let (mut sender, survivor) = tokio::join!(site.serve(), site.serve());
    let callers = signed_in(site, &[&sender, &survivor], 510).await;
    every_session_is_due(site).await;
    site.fault(json!({ "endpoint": "token", "action": "hang", "when": "after" })).await;
    callers[0].get("/v1/session").await.expect(200);
    eventually("it is sent", async || (refreshes(site).await == json!({ "ok": 1 })).then_some(())).await;
    sender.process.kill().await;
    (survivor, callers[1].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_04_a_node_killed_after_it_sent_is_followed_by_one_further_attempt() {
    let site = Site::on(Backend::Postgres).await;
    let (_survivor, session) = killed_while_it_sends(&site, "grace").await;
    // Many look, one of them asks the provider, and nobody before the dead node's time is over.
    let mut reserved = Reserved::of(&site).await;
    loop {
        for answer in storm(std::slice::from_ref(&session), 20).await {
            answer.expect(200);
        }
        let seen = refreshes(&site).await;
        if reserved.is_over().await {
            break;
        }
        assert_eq!(seen, json!({ "ok": 1 }), "the dead node may still be heard");
        nothing_happens_for(1).await;
    }
    eventually("the further attempt", async || {
        session.get("/v1/session").await.expect(200);
        (refreshes(&site).await == json!({ "ok": 2 })).then_some(())
    })
    .await;
    eventually("it is live again", async || {
        (session.get("/v1/session").await.expect(200).text("/upstream") == "live").then_some(())
    })
    .await;
    assert_eq!(refreshes(&site).await, json!({ "ok": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn r_d_04_where_the_provider_does_not_honour_the_old_token_every_caller_is_told_once_and_clearly() {
    let site = Site::on(Backend::Postgres).await;
    let (survivor, session) = killed_while_it_sends(&site, "rotate").await;
    // Callers that keep on calling: each is served until it is told.
    let calling = (0..20).map(|_| async {
        loop {
            let answer = session.get("/v1/session").await;
            if answer.status.as_u16() != 200 {
                return answer.expect_problem(401, "session_ended").text("/reason");
            }
            nothing_happens_for(1).await;
        }
    });
    let mut told = stream::iter(calling).buffer_unordered(20);
    while let Some(reason) = told.next().await {
        assert_eq!(reason, "reauth_required");
    }
    assert_eq!(refreshes(&site).await, json!({ "invalid_grant": 1, "ok": 1 }));
    let ended = survivor.process.logged("the end", |line| line["message"] == "a session has ended").await;
    assert_eq!(ended["reason"], "reauth_required");
}
