//! What must hold of a start's body whatever bytes come: see [`crate::crypto::fuzzing`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::start_login::read;
use crate::crypto::fuzzing::Zeros;
use crate::domain::application::{
    Application, ApplicationCredential, ApplicationKind, BindingMessageBy, SessionPolicy,
};
use crate::domain::hint::normalise;
use crate::domain::profile::{BindingRule, HintRule};
use crate::domain::support_code::SupportCode;
use crate::domain::texts::Language;
use crate::http::extract::Caller;
use crate::http::front::RequestContext;
use crate::http::fuzzing::CANARY;
use crate::http::json;
use crate::http::problem::Problem;

/// The body of a start. What is kept of it is as short and as printable as it must be; a hint has one form; the answer
/// to a bad one is bounded and repeats no value.
pub fn login_start(input: &[u8]) -> bool {
    let Ok(body) = json::read(input) else { return false };
    let context = RequestContext::of(&HeaderMap::new(), None, &Zeros);
    let start = match read(body, &context, &caller()) {
        Ok(start) => start,
        Err(problem) => {
            refused(&problem);
            return false;
        }
    };
    let reference = start.reference.unwrap_or_default();
    assert!(reference.chars().count() <= 64 && !reference.chars().any(char::is_control), "{reference:?}");
    if let Some(text) = &start.client_context {
        let context: Value = serde_json::from_str(text).expect("JSON");
        assert!(context.is_object() && text.len() <= 1024, "a context of another form");
    }
    assert!(start.requested_expiry != Some(0));
    for rule in [HintRule::Verbatim, HintRule::FrenchNationalId] {
        let Ok(hint) = normalise(rule, start.login_hint.expose()) else { continue };
        let hint = hint.expose();
        assert!((1..=129).contains(&hint.chars().count()) && !hint.chars().any(char::is_control), "{hint:?}");
        let Ok(again) = normalise(rule, hint) else { unreachable!("a form that is refused: {hint:?}") };
        assert_eq!(again.expose(), hint, "one person, two hints");
    }
    let binding_message = start.binding_message.unwrap_or_default();
    for rule in [BindingRule::TwoDigits, BindingRule::KeycloakPlainText] {
        let is_short = binding_message.is_ascii() && (1..=50).contains(&binding_message.len());
        assert!(is_short || !rule.accepts(&binding_message), "{binding_message:?}");
    }
    true
}

fn refused(problem: &Problem) {
    let support_code = SupportCode::from_compact("K7QM2P4X".to_owned());
    let answer = problem.render(Language::English, "request-0001", &support_code);
    let Some(Ok(body)) = answer.into_body().collect().now_or_never() else {
        unreachable!("it is there in whole")
    };
    let body = body.to_bytes();
    assert!(body.len() < 64 * 1024, "an answer of {} bytes", body.len());
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(told["code"], "invalid_request");
    let errors = told["errors"].as_array().expect("what is wrong");
    // Some of ours, and as many unknown ones at each of three places.
    assert!((1..=100).contains(&errors.len()), "{} problems", errors.len());
    let repeats = |error: &Value| error["message"].as_str().is_none_or(|text| text.contains(CANARY));
    assert!(!errors.iter().any(repeats), "a value is repeated");
}

fn caller() -> Caller {
    let application = Application {
        name: "desk".parse().expect("a name"),
        kind: ApplicationKind::Backend,
        tenant: "practice".parse().expect("a name"),
        enabled: true,
        registrations: vec!["lps".parse().expect("a name")],
        credential: ApplicationCredential::SecretSha256([0; 32]),
        binding_message: BindingMessageBy::Client,
        reveal_unknown_person: true,
        session: SessionPolicy { idle: Duration::ZERO, absolute: Duration::ZERO, per_person: 1 },
        pick_up_window: Duration::ZERO,
        pick_up_repeat: Duration::ZERO,
    };
    Caller { application: Arc::new(application), credential: "secret".to_owned() }
}
