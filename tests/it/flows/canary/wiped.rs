//! What was sealed is gone when it is not needed any more.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

const SEALED: &str = "SELECT (SELECT count(*) FROM outbox)
    + (SELECT count(*) FROM grants WHERE wraps IS NOT NULL OR hint IS NOT NULL OR request IS NOT NULL
        OR tokens IS NOT NULL OR claims IS NOT NULL OR userinfo IS NOT NULL OR sid_hash IS NOT NULL
        OR sub_hash IS NOT NULL)";

/// Longer than a login can be read after its end.
const LATER: Duration = Duration::from_secs(11 * 60);
const STEP: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn r_l_01_nothing_sealed_is_left_ten_minutes_after_the_end() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).manual_clock().expires_in(60).start().await;
        let mut database = Database::of(&stack.config).await;
        let handle = stack.sign_in(DOCTOR).await.text("/session_handle");
        let idle = stack.sign_in("899700000002").await.text("/session_handle");
        let denied = stack.start("899700000003").await.expect(201);
        stack.decide("deny", Value::Null).await;
        stack.start("899700000004").await.expect(201);
        let (holder, path) = stack.holder(&stack.start("899700000005").await);
        holder.delete(&path).await.expect(204);
        stack.start("unknown-to-all").await.expect(201);
        stack.start("899700000006").await.expect(201);
        stack.decide("approve", json!({ "as": DOCTOR })).await;
        stack.start("899700000007").await.expect(201);
        stack.decide("approve", Value::Null).await;
        stack.clock.advance_slowly(Duration::from_secs(10), Duration::from_millis(500)).await;
        let (holder, path) = stack.holder(&denied);
        stack
            .eventually("the refusal is known", || async {
                holder.get(&path).await.expect(200).text("/status") == "denied"
            })
            .await;
        assert!(database.number(SEALED).await >= 6, "hints are readable as long as logins are");
        let tokens = "SELECT count(*) FROM grants WHERE tokens IS NOT NULL";
        stack
            .eventually("two sessions, and one that waits for its pick-up", || async {
                Database::of(&stack.config).await.number(tokens).await == 3
            })
            .await;
        stack.relais.bearer(&handle).delete("/v1/session").await.expect(204);
        assert_eq!(database.number(tokens).await, 2, "an ended session's tokens are wiped at once");
        stack.relais.bearer(&idle).get("/v1/session").await.expect(200);
        // The unused session ends by itself after half an hour, the rest before.
        stack.clock.advance_slowly(Duration::from_secs(31 * 60), STEP).await;
        stack.clock.advance_slowly(LATER, STEP).await;
        stack
            .eventually("everything is wiped", || async {
                stack.clock.advance(Duration::from_secs(1));
                Database::of(&stack.config).await.number(SEALED).await == 0
            })
            .await;
        assert_eq!(database.number("SELECT count(*) FROM logins WHERE status = 'pending'").await, 0);
        assert!(database.number("SELECT count(*) FROM grants").await >= 8, "the rows themselves stay");
    }
}
