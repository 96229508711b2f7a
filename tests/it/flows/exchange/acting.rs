//! Targets that want to know who acts: the software, and the chosen *situation d'exercice* (CI-SIS).

use relais::crypto::signing_key::SigningAlg;
use relais::simulator::Registered;
use serde_json::{Value, json};

use super::{BACKENDS, Backend, DOCTOR, Stack, User, claims, fails, target};
use crate::support::jwt::{self, Key};
use crate::support::stack::Builder;

/// Has one practice.
const PHARMACIST: &str = "899700000002";
/// Has none.
const WITHOUT: &str = "899700000007";

fn with_actor(backend: Backend) -> Builder {
    let alg = SigningAlg::Es256;
    Stack::on(backend)
        .registration(&format!("signing_key = \"keys/signing.pem\"\nsigning_alg = \"{}\"", alg.as_str()))
        .signing_key("signing.pem", alg)
        .sections(&target("dmp", "audience = \"dmp\"\nactor_token = \"cisis\"\ncnf = \"rfc8705\"\n"))
        .sections(&target("mss", "audience = \"mss\"\n"))
        .paced()
}

impl Stack {
    /// The provider's neighbour knows the key that Relais signs with.
    async fn acting(builder: Builder) -> Self {
        let stack = builder.start().await;
        let pem = std::fs::read_to_string(stack.folder.join("keys/signing.pem")).expect("a key");
        let keys = jwt::set(&[&Key::from_pem(&pem, SigningAlg::Es256)]);
        stack.simulator.register(Registered { keys, ..Registered::default() });
        stack
    }

    /// Somebody signs in with software that says what it is.
    async fn user_with(&self, hint: &str, client_context: &Value) -> User {
        let body = json!({ "login_hint": hint, "client_context": client_context });
        let started = self.desk().post("/v1/logins", body).await.expect(201);
        self.decide("approve", Value::Null).await;
        self.pass(std::time::Duration::from_secs(6)).await;
        assert_eq!(self.outcome(&started).await.text("/status"), "approved");
        let picked_up = self.pick_up(&started, Value::Null).await.expect(201);
        self.user_of(&picked_up)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_learns_the_software_and_the_chosen_exercice() {
    let context =
        json!({ "software": { "name": "Médical +", "version": "12.3", "id": "LPS-77" }, "seat": "2" });
    for backend in BACKENDS {
        let stack = Stack::acting(with_actor(backend)).await;
        let user = stack.user_with(DOCTOR, &context).await;
        fails(user.token("dmp").await, "exercice_required");
        assert_eq!(stack.calls("exchange").await, 0, "{backend:?}");
        user.token("mss").await.expect("a target that does not ask who acts");
        let session = user.session.get("/v1/session").await.expect(200);
        let exercices = session.at("/subject/exercices").as_array().expect("a list").clone();
        assert!(exercices.len() > 1);
        for exercice in &exercices[..2] {
            user.session.put("/v1/session/exercice", json!({ "id": exercice["id"] })).await.expect(200);
            let act = claims(&user.token("dmp").await.expect("a token"))["act"].clone();
            let expected = json!({
                "sub": "relais-demo", "lps_nom": "Médical +", "lps_id": "LPS-77", "lps_version": "12.3",
                "situation_exercice": exercice,
            });
            assert_eq!(act, expected);
        }
        assert_eq!(stack.exchanged().await, 3, "{backend:?}: one for each of the two");
        // Back again: that token is held still.
        user.session.put("/v1/session/exercice", json!({ "id": exercices[0]["id"] })).await.expect(200);
        let act = claims(&user.token("dmp").await.expect("a token"))["act"].clone();
        assert_eq!(act["situation_exercice"]["id"], exercices[0]["id"]);
        assert_eq!(stack.exchanged().await, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_exercice_need_not_be_chosen_and_none_is_none() {
    let stack = Stack::acting(with_actor(Backend::Sqlite)).await;
    let pharmacist = stack.user_with(PHARMACIST, &json!({ "software": { "name": "Officine" } })).await;
    let act = claims(&pharmacist.token("dmp").await.expect("a token"))["act"].clone();
    let session = pharmacist.session.get("/v1/session").await.expect(200);
    assert_eq!(act["situation_exercice"], session.at("/subject/exercices/0"));
    assert_eq!(
        (&act["lps_nom"], act.get("lps_id"), act.get("lps_version")),
        (&json!("Officine"), None, None)
    );
    let without = stack.user_with(WITHOUT, &json!({})).await;
    let act = claims(&without.token("dmp").await.expect("a token"))["act"].clone();
    assert_eq!(act, json!({ "sub": "relais-demo" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercice_that_nobody_can_know_yet_is_not_guessed() {
    let stack = Stack::acting(with_actor(Backend::Sqlite)).await;
    stack.fault(json!({ "endpoint": "userinfo", "count": 20, "status": 500, "body": "" })).await;
    let user = stack.user_with(DOCTOR, &json!({})).await;
    fails(user.token("dmp").await, "unavailable");
    assert_eq!(stack.calls("exchange").await, 0);
    stack.no_faults().await;
    stack.clock.advance(std::time::Duration::from_secs(11));
    fails(user.token("dmp").await, "exercice_required");
}
