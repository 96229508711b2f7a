//! One workstation, one application, several people who come and go (R-E-15): what was lost on the way out never shows one
//! of them to another.

use std::time::Duration;

use serde_json::Value;

use super::sessions::{assert_ended, holder};
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

const ALICE: &str = DOCTOR;
const BOB: &str = "899700000002";

/// Who an answer says it is; it must be nobody else anywhere in it.
#[track_caller]
fn is_of(answer: &Answer, mine: &str, other: &str) {
    assert_eq!(answer.text("/subject/national_id"), mine);
    assert!(!answer.body.contains(other), "{}", answer.body);
}

async fn reads(session: &Caller, mine: &str, other: &str) {
    is_of(&session.get("/v1/session").await.expect(200), mine, other);
    let userinfo = session.get("/v1/session/userinfo").await.expect(200);
    assert!(userinfo.body.contains(mine) && !userinfo.body.contains(other), "{}", userinfo.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_15_alice_then_bob_then_alice_and_no_answer_ever_mixes_them() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        // Alice signs in and walks away: her logout never leaves the workstation.
        let first = stack.session(ALICE).await;
        is_of(&first, ALICE, BOB);
        let alice = holder(&stack, &first);
        reads(&alice, ALICE, BOB).await;
        // Bob sits down. The workstation still has her handle, and asks with it while he is signed in.
        let started = stack.approved(BOB).await;
        is_of(&alice.get("/v1/session").await.expect(200), ALICE, BOB);
        let second = stack.pick_up(&started, Value::Null).await.expect(201);
        is_of(&second, BOB, ALICE);
        let bob = holder(&stack, &second);
        assert_ne!(first.text("/session_id"), second.text("/session_id"));
        reads(&bob, BOB, ALICE).await;
        reads(&alice, ALICE, BOB).await;
        // Bob's answer was lost, he picks up again; then his logout arrives, and its answer is lost.
        let lost = stack.pick_up(&started, Value::Null).await;
        lost.expect_problem(409, "already_picked_up");
        bob.delete("/v1/session").await.expect(204);
        assert_ended(bob.get("/v1/session").await, "logout");
        // The server goes down and comes back before Alice does.
        let handles = [alice.token(), bob.token()];
        stack.restart().await;
        let [alice, bob] = handles.map(|handle| stack.relais.bearer(&handle));
        assert_ended(bob.delete("/v1/session").await, "logout");
        assert_ended(bob.get("/v1/session/userinfo").await, "logout");
        reads(&alice, ALICE, BOB).await;
        // Alice signs in again, with an answer that is lost and asked for again.
        let started = stack.approved(ALICE).await;
        let lost = stack.pick_up(&started, Value::Null).await.expect(201);
        let third = stack.pick_up(&started, Value::Null).await.expect(201);
        is_of(&third, ALICE, BOB);
        holder(&stack, &lost).get("/v1/session").await.expect_problem(401, "handle_invalid");
        let again = holder(&stack, &third);
        reads(&again, ALICE, BOB).await;
        for earlier in [&first, &second] {
            assert_ne!(third.text("/session_id"), earlier.text("/session_id"));
        }
        // A late logout of Bob's ends nothing of hers; hers of the first session leaves the second.
        assert_ended(bob.delete("/v1/session").await, "logout");
        alice.delete("/v1/session").await.expect(204);
        assert_ended(alice.get("/v1/session").await, "logout");
        reads(&again, ALICE, BOB).await;
        // What the provider was told is about who had left, and no other.
        stack.pass(Duration::from_secs(1)).await;
        let gone = async || {
            let sessions = stack.sessions().await;
            let gone = |number: usize| sessions[number]["logged_out"] == true;
            (gone(0), gone(1), gone(2))
        };
        stack.happens("the provider is told", async || gone().await == (true, true, false)).await;
        reads(&again, ALICE, BOB).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_15_with_one_session_a_person_what_was_left_behind_ends_at_the_next_sign_in() {
    for backend in BACKENDS {
        let stack = Stack::on(backend).paced().application("session = { per_person = 1 }").start().await;
        let left = holder(&stack, &stack.session(ALICE).await);
        let bob = holder(&stack, &stack.session(BOB).await);
        left.get("/v1/session").await.expect(200);
        let again = holder(&stack, &stack.session(ALICE).await);
        assert_ended(left.get("/v1/session").await, "superseded");
        reads(&again, ALICE, BOB).await;
        reads(&bob, BOB, ALICE).await;
    }
}
