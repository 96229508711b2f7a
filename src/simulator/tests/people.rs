//! The people.

use crate::simulator::personality::Shape;
use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use super::Lab;
use crate::simulator::people::find;

async fn list() -> Vec<Value> {
    let list = Lab::new().control(Method::GET, "/_sim/people", Value::Null).await.json();
    list.as_array().expect("a list").clone()
}

#[tokio::test]
async fn the_named_people_cover_what_a_client_meets() {
    let people = list().await;
    let hints: BTreeSet<&str> =
        people.iter().map(|person| person["login_hint"].as_str().expect("a hint")).collect();
    assert_eq!(hints.len(), people.len(), "nobody is listed twice");
    for hint in ["899700000001", "500000001815646/CPAT00045"] {
        assert!(hints.contains(hint), "{hint}");
    }
    assert!(hints.iter().any(|hint| hint.starts_with("ANS")));
    let professions: BTreeSet<&str> =
        people.iter().filter_map(|person| person["profession"].as_str()).collect();
    assert!(professions.len() >= 6, "{professions:?}");
    let exercices = |person: &Value| person["exercices"].as_array().expect("a list").len();
    assert!(people.iter().any(|person| exercices(person) == 0));
    assert!(people.iter().any(|person| exercices(person) == 2));
}

#[tokio::test]
async fn each_named_person_is_who_userinfo_tells() {
    let lab = Lab::new();
    for person in list().await {
        let hint = person["login_hint"].as_str().expect("a hint");
        let tokens = lab.tokens(hint, Value::Null).await;
        let info = lab.userinfo(tokens["access_token"].as_str().expect("a token")).await.json();
        assert_eq!(info["SubjectNameID"], hint);
        assert_eq!(info["family_name"], person["family_name"]);
        assert_eq!(info["SubjectRefPro"]["exercices"], person["exercices"]);
    }
}

#[test]
fn the_ragged_person_lacks_members_and_has_empty_and_null_ones() {
    let info = find("899700000008").expect("somebody").userinfo(Shape::Psc);
    assert_eq!(info["given_name"], "");
    assert!(info.get("otherIds").is_none());
    assert!(info["codeCivilite"].is_null());
    let exercices = info["SubjectRefPro"]["exercices"].as_array().expect("a list");
    assert!(exercices.iter().any(|exercice| exercice.get("activities").is_none()));
    let activity = &exercices[0]["activities"][0];
    assert!(activity.get("numeroFinessSite").is_none());
    assert!(activity["codePays"].is_null());
    assert_eq!(activity["raisonSocialeSite"], "");
}

#[test]
fn anybody_else_is_drawn_from_the_hint_alone() {
    let (first, again) = (find("810003456782").expect("somebody"), find("810003456782").expect("somebody"));
    assert_eq!(first.userinfo(Shape::Psc), again.userinfo(Shape::Psc));
    assert_eq!(first.userinfo(Shape::Psc)["SubjectNameID"], "810003456782");
    let names: BTreeSet<String> =
        (0..50).map(|number| find(&format!("8997001{number:05}")).expect("somebody").full_name()).collect();
    assert!(names.len() > 20, "{}", names.len());
}

#[test]
fn hints_that_begin_with_unknown_are_nobody() {
    for hint in ["unknown", "unknown-1", "unknown/CPAT1"] {
        assert!(find(hint).is_none());
    }
    assert!(find("not-unknown").is_some());
}
