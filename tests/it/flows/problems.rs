//! Every problem code of the contract, as a client meets it: reached on a running stack, with its status, its members
//! and its headers, in both languages.

use std::collections::BTreeSet;
use std::time::Duration;

use relais::crypto::signing_key::SigningAlg;
use relais::domain::texts::PROBLEM_CODES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::{Answer, Caller};
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

/// Codes that nothing can raise yet: sealing and limits come with later versions.
const LATER: [&str; 2] = ["rate_limited", "sealed"];

/// Other people of the simulated provider: one login each may be under way.
const NURSE: &str = "899700000002";
const OTHERS: [&str; 5] = ["899700000003", "899700000004", "899700000005", "899700000006", "899700000007"];
const PATIENT: &str = "899700000009";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const KEY: &str = "0193a5f0-1111-4222-8333-444455556666";

/// What a browser or a framework sends for English.
const ENGLISH: &str = "en-GB,en;q=0.9,fr;q=0.5";

const SECTIONS: &str = r#"
[applications.closed]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
enabled = false
auth = "client_secret_basic"
secret = "a-secret-of-the-closed"
[applications.chooser]
kind = "backend"
tenant = "practice"
registrations = ["psc", "unreachable"]
binding_message = "client"
auth = "client_secret_basic"
secret = "a-secret-of-the-chooser"
[providers.unreachable]
profile = "psc"
environment = "test"
issuer = "https://localhost:9/auth/realms/nowhere"
metadata_url = "https://localhost:9/auth/realms/nowhere/.well-known/openid-configuration"
ca = "certs/ca.pem"
[registrations.unreachable]
provider = "unreachable"
client_id = "relais-demo"
auth = "tls_client_auth"
certificates = [{ cert = "certs/client.pem", key = "certs/client.key" }]
scope = "openid scope_all"
acr_values = ["eidas1"]
id_token_algs = ["RS256"]
"#;

/// Targets, one for each way to come to nothing: name, URL, what else is said of it and of its exchange.
const TARGETS: [(&str, &str, &str, &str); 4] = [
    ("api", "{issuer}/../../../target/", "ca = \"certs/ca.pem\"\ntimeout = \"400ms\"", ""),
    ("actor", "{issuer}/../../../target/", "ca = \"certs/ca.pem\"", "actor_token = \"cisis\""),
    ("nowhere", "https://localhost:9/", "ca = \"certs/ca.pem\"", ""),
    // Only the authorities of the system count here.
    ("untrusted", "{issuer}/../../../target/", "", "ca = \"certs/ca.pem\""),
];

fn sections() -> String {
    let target = |(name, url, target, exchange): (&str, &str, &str, &str)| {
        format!(
            r#"
[targets.{name}]
url = "{url}"
environment = "test"
registrations = ["psc"]
applications = ["desk"]
methods = ["GET"]
paths = ["/**"]
{target}
[targets.{name}.exchange]
token_endpoint = "{{issuer}}/as/token"
{exchange}
"#
        )
    };
    TARGETS.map(target).into_iter().fold(SECTIONS.to_owned(), |all, one| all + &one)
}

/// A stack whose callers speak one language, and the codes that they have met.
struct Run {
    stack: Stack,
    english: bool,
    met: BTreeSet<String>,
}

impl Run {
    async fn new(backend: Backend, english: bool) -> Self {
        let builder = Stack::on(backend).manual_clock().signing_key("signing", SigningAlg::Rs256);
        let builder = builder.registration("signing_key = \"keys/signing\"\nsigning_alg = \"RS256\"");
        let mut stack = builder.sections(&sections()).start().await;
        if english {
            stack.relais = stack.relais.header("accept-language", ENGLISH);
        }
        Self { stack, english, met: BTreeSet::new() }
    }

    fn chooser(&self) -> Caller {
        self.stack.relais.basic("chooser", "a-secret-of-the-chooser")
    }

    async fn start_with(&self, caller: &Caller, more: &[(&str, Value)]) -> Answer {
        let mut body = json!({ "login_hint": DOCTOR });
        for (name, value) in more {
            body[*name] = value.clone();
        }
        caller.post("/v1/logins", body).await
    }

    /// The answer is this problem, with all that every problem has. Gives its body back.
    #[track_caller]
    fn meets(&mut self, answer: Answer, status: u16, code: &str) -> Value {
        let answer = answer.expect_problem(status, code);
        let body = answer.json();
        assert_eq!(body["type"], format!("urn:relais:problem:{code}"));
        assert_eq!(body["status"], status);
        for member in ["title", "detail", "user_message"] {
            assert!(body[member].as_str().is_some_and(|text| text.len() > 5), "{code}: {member} in {body}");
        }
        assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"), "{code}");
        assert!(is_support_code(body["support_code"].as_str().unwrap_or_default()), "{code}: {body}");
        let language = if self.english { "en" } else { "fr" };
        assert_eq!(answer.header("content-language"), Some(language), "{code}");
        let sentence = body["user_message"].as_str().unwrap_or_default();
        assert_eq!(sounds_english(sentence), self.english, "{code}: {sentence}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{code}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{code}");
        let waits = matches!(status, 429 | 503) || code == "already_pending";
        let seconds = answer.header("retry-after").map(|text| text.parse::<u64>().expect("seconds"));
        assert_eq!(seconds.is_some_and(|seconds| seconds > 0), waits, "{code}: {seconds:?}");
        self.met.insert(code.to_owned());
        body
    }

    /// The same, and what is wrong is exactly at these places.
    #[track_caller]
    fn meets_at(&mut self, answer: Answer, code: &str, places: &[(&str, &str)]) {
        let body = self.meets(answer, 400, code);
        let errors = body["errors"].as_array().expect("errors");
        let found: Vec<_> = errors
            .iter()
            .map(|error| (error["pointer"].as_str().expect("text"), error["rule"].as_str().expect("text")))
            .collect();
        assert_eq!(found, places);
        assert!(errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty())));
    }
}

/// `K7QM-2P4X`: Crockford's alphabet has no I, L, O and U.
fn is_support_code(text: &str) -> bool {
    text.len() == 9
        && text
            .char_indices()
            .all(|(at, c)| if at == 4 { c == '-' } else { "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(c) })
}

/// Whether a sentence has words that only one of the languages has.
fn sounds_english(sentence: &str) -> bool {
    let words: Vec<String> = sentence.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let english = has(&["the", "your", "is", "this", "has", "not", "again", "sign"]);
    let french = has(&["le", "la", "les", "votre", "est", "cette", "une", "pas", "des"]);
    assert_ne!(english, french, "{sentence}");
    english
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_of_the_contract_is_met_by_a_client() {
    for backend in BACKENDS {
        for english in [false, true] {
            let mut run = Run::new(backend, english).await;
            any_call(&mut run).await;
            start_what_is_malformed(&mut run).await;
            start_what_is_not_allowed(&mut run).await;
            start_twice(&mut run).await;
            login_calls(&mut run).await;
            pick_ups(&mut run).await;
            pick_ups_of_what_was_decided_anew(&mut run).await;
            sessions(&mut run).await;
            targets(&mut run).await;
            too_much_at_once(&mut run).await;
            a_store_in_trouble(&mut run).await;
            let expected: BTreeSet<String> = PROBLEM_CODES
                .iter()
                .filter(|code| !LATER.contains(code))
                .map(|code| (*code).to_owned())
                .collect();
            assert_eq!(run.met, expected, "{backend:?}");
        }
    }
}

#[test]
fn what_comes_later_is_a_code_all_the_same() {
    assert!(LATER.iter().all(|code| PROBLEM_CODES.contains(code)));
}

async fn any_call(run: &mut Run) {
    let relais = run.stack.relais.clone();
    let desk = run.stack.desk();
    run.meets(relais.get("/v1/application").await, 401, "credential_missing");
    run.meets(relais.get("/v1/session").await, 401, "credential_missing");
    let wrong = relais.basic("desk", "wrong");
    run.meets(wrong.get("/v1/application").await, 401, "application_unauthenticated");
    run.meets(relais.bearer("rlt_x").get("/v1/session").await, 401, "wrong_token_kind");
    let closed = relais.basic("closed", "a-secret-of-the-closed");
    run.meets(closed.get("/v1/application").await, 403, "application_disabled");
    run.meets(desk.header("dpop", "proof").get("/v1/application").await, 400, "dpop_unsupported");
    run.meets(desk.get("/v1/nothing").await, 404, "not_found");
    run.meets(desk.send(Method::PATCH, "/v1/application", None).await, 405, "method_not_allowed");
    run.meets_at(desk.get("/v1/application?x=1").await, "invalid_request", &[("?x", "unknown_parameter")]);
    let large = json!({ "login_hint": "9".repeat(20_000) });
    run.meets(desk.post("/v1/logins", large).await, 413, "request_too_large");
    let form = "application/x-www-form-urlencoded";
    let answer = desk.send_text(Method::POST, "/v1/logins", form, "login_hint=x").await;
    run.meets(answer, 415, "unsupported_media_type");
}

async fn start_what_is_malformed(run: &mut Run) {
    let (desk, chooser) = (run.stack.desk(), run.chooser());
    let answer = desk
        .post(
            "/v1/logins",
            json!({
                "channel": 1, "requested_expiry": 0, "if_pending": "maybe", "reference": "x".repeat(65),
                "client_context": { "software": { "name": "s", "licence": "y" }, "seat": 3 }, "login_hnt": "x",
            }),
        )
        .await;
    run.meets_at(
        answer,
        "invalid_request",
        &[
            ("/login_hint", "required"),
            ("/channel", "type"),
            ("/requested_expiry", "range"),
            ("/if_pending", "enum"),
            ("/reference", "length"),
            ("/client_context/software/licence", "unknown_member"),
            ("/client_context/seat", "type"),
            ("/login_hnt", "unknown_member"),
        ],
    );
    for (hint, rule) in [("810000000008", "check_digit"), ("   ", "length"), ("8\u{7}", "length")] {
        let answer = desk.post("/v1/logins", json!({ "login_hint": hint })).await;
        run.meets_at(answer, "login_hint_malformed", &[("/login_hint", rule)]);
    }
    let answer = run.start_with(&chooser, &[("binding_message", json!("hello"))]).await;
    run.meets_at(answer, "binding_message_malformed", &[("/binding_message", "profile")]);
    let keyed = desk.header("idempotency-key", "1234");
    let answer = run.start_with(&keyed, &[]).await;
    run.meets(answer, 400, "idempotency_key_malformed");
    assert!(run.stack.requests().await.is_empty(), "no phone rang");
}

async fn start_what_is_not_allowed(run: &mut Run) {
    let (desk, chooser) = (run.stack.desk(), run.chooser());
    for (name, value, code) in [
        ("binding_message", json!("42"), "binding_message_not_allowed"),
        ("registration", json!("unreachable"), "registration_not_allowed"),
        ("registration", json!("Not a name"), "registration_not_allowed"),
        ("channel", json!("FAX"), "channel_not_allowed"),
        ("acr_values", json!("eidas1 eidas3"), "acr_not_allowed"),
        ("scope", json!("openid offline_access"), "scope_not_allowed"),
        ("scope", json!("scope_all"), "scope_not_allowed"),
    ] {
        let answer = run.start_with(&desk, &[(name, value)]).await;
        run.meets(answer, 403, code);
    }
    let answer = run.start_with(&chooser, &[("registration", json!("unreachable"))]).await;
    run.meets(answer, 503, "provider_unavailable");
    assert!(run.stack.requests().await.is_empty(), "no phone rang");
}

async fn start_twice(run: &mut Run) {
    let keyed = run.stack.desk().header("idempotency-key", KEY);
    run.start_with(&keyed, &[]).await.expect(201);
    let answer = run.start_with(&keyed, &[("reference", json!("another"))]).await;
    run.meets(answer, 422, "idempotency_key_reused");
    let other = run.chooser();
    for (caller, replaceable) in [(run.stack.desk(), true), (other, false)] {
        let answer = run.start_with(&caller, &[]).await;
        let retry_after = answer.header("retry-after").map(str::to_owned);
        let body = run.meets(answer, 409, "already_pending");
        assert_eq!(body["replaceable"], replaceable);
        assert_eq!(retry_after, body["expires_in"].as_u64().map(|seconds| seconds.to_string()));
        let members: BTreeSet<&str> =
            body.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(
            members.is_disjoint(&["login_id", "login_status", "application", "reference"].into()),
            "{body}"
        );
    }
    assert_eq!(run.stack.requests().await.len(), 1, "one phone rang, once");
}

async fn login_calls(run: &mut Run) {
    let started = run.stack.start(NURSE).await.expect(201);
    let (holder, path) = run.stack.holder(&started);
    let nothing = "/v1/logins/01890a5d-ac96-774b-bcce-b302099a8057";
    run.meets(holder.get(nothing).await, 404, "login_not_found");
    run.meets(run.stack.relais.bearer("rlt_unknown").get(&path).await, 404, "login_not_found");
    let body = run.meets(holder.post(&format!("{path}/session"), Value::Null).await, 409, "not_approved");
    assert_eq!(body["login_status"], "pending");
    assert_eq!(body["support_code"], started.text("/support_code"));
    holder.delete(&path).await.expect(204);
    let body = run.meets(holder.post(&format!("{path}/session"), Value::Null).await, 409, "not_approved");
    assert_eq!((&body["login_status"], &body["reason"]), (&json!("cancelled"), &json!("cancelled")));
    let unknown = json!({ "expected_subject": 1, "exercise": "x" });
    run.meets_at(
        holder.post(&format!("{path}/session"), unknown).await,
        "invalid_request",
        &[("/expected_subject", "type"), ("/exercise", "unknown_member")],
    );
}

/// A login that somebody has approved and nobody has picked up.
async fn approved(stack: &Stack, hint: &str) -> (Caller, String) {
    let started = stack.start(hint).await.expect(201);
    stack.decide("approve", Value::Null).await;
    let (holder, path) = stack.holder(&started);
    stack
        .eventually("the approval", || async {
            stack.clock.advance_slowly(SECOND, SECOND).await;
            holder.get(&path).await.expect(200).text("/status") == "approved"
        })
        .await;
    (holder, format!("{path}/session"))
}

async fn pick_ups(run: &mut Run) {
    let (holder, path) = approved(&run.stack, OTHERS[0]).await;
    let wrong = json!({ "exercice": "no-such-exercice" });
    run.meets(holder.post(&path, wrong).await, 409, "exercice_unknown");
    let picked_up = holder.post(&path, Value::Null).await.expect(201);
    run.stack.relais.bearer(&picked_up.text("/session_handle")).get("/v1/session").await.expect(200);
    run.meets(holder.post(&path, Value::Null).await, 409, "already_picked_up");
    let login = path.trim_end_matches("/session").to_owned();
    run.meets(holder.delete(&login).await, 409, "already_picked_up");

    let (holder, path) = approved(&run.stack, OTHERS[1]).await;
    let other = json!({ "expected_subject": DOCTOR });
    run.meets(holder.post(&path, other).await, 409, "identity_mismatch");
    let body = run.meets(holder.post(&path, Value::Null).await, 409, "not_approved");
    assert_eq!(body["reason"], "identity_mismatch");
}

async fn pick_ups_of_what_was_decided_anew(run: &mut Run) {
    let (holder, path) = approved(&run.stack, OTHERS[2]).await;
    let before = run.stack.config.clone();
    let disabled = before.replace("[registrations.psc]\n", "[registrations.psc]\nenabled = false\n");
    assert_ne!(before, disabled);
    run.stack.reload(&disabled);
    run.meets(holder.post(&path, Value::Null).await, 403, "policy_not_met");
    let answer = run.stack.start(OTHERS[2]).await;
    run.meets(answer, 403, "registration_not_allowed");
    run.stack.reload(&before);
    let body = run.meets(holder.post(&path, Value::Null).await, 409, "not_approved");
    assert_eq!(body["reason"], "policy_not_met");
}

async fn sessions(run: &mut Run) {
    let (holder, path) = approved(&run.stack, OTHERS[3]).await;
    let first = holder.post(&path, Value::Null).await.expect(201).text("/session_handle");
    let second = holder.post(&path, Value::Null).await.expect(201).text("/session_handle");
    let relais = run.stack.relais.clone();
    run.meets(relais.bearer(&first).get("/v1/session").await, 401, "handle_invalid");
    run.meets(relais.bearer("rsh_unknown").get("/v1/session").await, 401, "handle_invalid");
    let session = relais.bearer(&second);
    let put = |body: Value| session.put("/v1/session/exercice", body);
    run.meets(put(json!({ "id": "no-such-exercice" })).await, 409, "exercice_unknown");
    run.meets_at(put(json!({})).await, "invalid_request", &[("/id", "required")]);
    let query = session.get("/v1/session?touch=maybe").await;
    run.meets_at(query, "invalid_request", &[("?touch", "enum")]);
    session.delete("/v1/session").await.expect(204);
    let body = run.meets(session.get("/v1/session").await, 401, "session_ended");
    assert_eq!(body["reason"], "logout");
}

/// Calls of targets that come to nothing, by somebody with two practices.
async fn targets(run: &mut Run) {
    let desk = run.stack.desk();
    let started = run.start_with(&desk, &[("if_pending", json!("replace"))]).await.expect(201);
    run.stack.decide("approve", Value::Null).await;
    let (holder, path) = run.stack.holder(&started);
    run.stack
        .eventually("the approval", || async {
            run.stack.clock.advance_slowly(SECOND, SECOND).await;
            holder.get(&path).await.expect(200).text("/status") == "approved"
        })
        .await;
    let handle =
        holder.post(&format!("{path}/session"), Value::Null).await.expect(201).text("/session_handle");
    let session = run.stack.relais.bearer(&handle);
    let get = async |path: &str| session.get(&format!("/v1/targets/{path}")).await;
    run.meets(get("unknown/x").await, 404, "target_unknown");
    run.meets(session.delete("/v1/targets/api/x").await, 403, "target_not_allowed");
    run.meets(get("actor/x").await, 403, "exercice_required");
    run.meets(get("nowhere/x").await, 502, "target_unreachable");
    run.meets(get("untrusted/x").await, 502, "target_tls_failed");
    let elsewhere = json!({ "location": "https://elsewhere.example/" });
    run.stack.fault(json!({ "endpoint": "target", "status": 302, "headers": elsewhere })).await;
    run.meets(get("api/x").await, 502, "target_redirected");
    run.stack.fault(json!({ "endpoint": "target", "action": "hang" })).await;
    run.meets(get("api/x").await, 504, "target_timeout");
    let refusal = json!({ "error": "invalid_target" });
    run.stack.fault(json!({ "endpoint": "exchange", "status": 400, "body": refusal })).await;
    // The exchanged token of `api` is held; another session has none yet.
    let other = run.stack.relais.bearer(&another_session(&run.stack).await);
    run.meets(other.get("/v1/targets/api/x").await, 403, "exchange_refused");
    run.stack.clock.advance_slowly(MINUTE * 2, SECOND * 10).await;
    run.stack.fault(json!({ "endpoint": "exchange", "status": 503, "count": 9 })).await;
    run.meets(other.get("/v1/targets/api/x").await, 503, "exchange_unavailable");
    run.stack.no_faults().await;
}

/// A handle of somebody who has signed in once more.
async fn another_session(stack: &Stack) -> String {
    let (holder, path) = approved(stack, OTHERS[3]).await;
    holder.post(&path, Value::Null).await.expect(201).text("/session_handle")
}

/// The database is held by somebody else, and a row of it is damaged.
async fn a_store_in_trouble(run: &mut Run) {
    let (holder, path) = approved(&run.stack, OTHERS[4]).await;
    let mut database = Database::of(&run.stack.config).await;
    database.hold().await;
    let answer = run.stack.start(NURSE).await;
    run.meets(answer, 503, "store_unavailable");
    database.release().await;
    database.run("UPDATE grants SET wraps = '[]' WHERE wraps IS NOT NULL").await;
    let answer = holder.post(&path, Value::Null).await;
    let body = run.meets(answer, 500, "internal");
    assert!(!body.to_string().contains("grants"), "{body}");
}

/// The only place is taken by somebody who waits for a decision.
async fn too_much_at_once(run: &mut Run) {
    run.stack.config = run.stack.config.replace("[listeners.ops]", "max_requests = 1\n[listeners.ops]");
    run.stack.restart().await;
    if run.english {
        run.stack.relais = run.stack.relais.header("accept-language", ENGLISH);
    }
    let started = run.stack.start(PATIENT).await.expect(201);
    let (holder, path) = run.stack.holder(&started);
    let waiting = holder.header("prefer", "wait=30");
    let parked = tokio::spawn({
        let path = path.clone();
        async move {
            loop {
                let answer = waiting.get(&path).await;
                // The place may be taken by the question below.
                if answer.status.as_u16() != 503 {
                    return answer.expect(200);
                }
            }
        }
    });
    let desk = run.stack.desk();
    run.stack
        .eventually("the only place is taken", || async {
            desk.get("/v1/application").await.status.as_u16() == 503
        })
        .await;
    run.meets(desk.get("/v1/application").await, 503, "overloaded");
    run.stack.ops.get("/health/live").await.expect(200);
    let both = tokio::join!(parked, run.stack.clock.advance_slowly(MINUTE, MINUTE / 60));
    both.0.expect("the parked call is answered");
    desk.get("/v1/application").await.expect(200);
}
