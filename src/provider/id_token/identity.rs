//! Whether the person who authenticated is the one who was asked, at the level that was asked for (R-C-04, R-C-05).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::Value;

use crate::domain::login::LoginReason;
use crate::domain::profile::Profile;
use crate::domain::secret::Secret;
use crate::provider::strict_json::Object;

use super::Refusal;

/// The first present one of the profile's identity claims equals the hint. A profile without such claims asks for
/// no check; a token without any of them fails it.
pub(super) fn check_person(claims: &Object, profile: &Profile, hint: &Secret) -> Result<(), Refusal> {
    if profile.identity_claims.is_empty() {
        return Ok(());
    }
    let is_present = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let named = profile.identity_claims.iter().find_map(|name| claims.get(*name).filter(is_present));
    let same = named
        .and_then(Value::as_str)
        .is_some_and(|person| verify_slices_are_equal(person.as_bytes(), hint.expose().as_bytes()).is_ok());
    if same { Ok(()) } else { Err(Refusal { rule: "identity", reason: LoginReason::IdentityMismatch }) }
}

/// `acr` is one of those asked for. Nothing asked: anything is enough.
pub(super) fn check_acr(claims: &Object, asked: &[String]) -> Result<(), Refusal> {
    let reached = claims.get("acr").and_then(Value::as_str);
    let enough = asked.is_empty() || reached.is_some_and(|acr| asked.iter().any(|asked| asked == acr));
    if enough { Ok(()) } else { Err(Refusal { rule: "acr", reason: LoginReason::AcrInsufficient }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::profile::ProfileName;

    use super::*;

    fn person(claims: &Value) -> bool {
        let claims = claims.as_object().expect("an object");
        check_person(claims, ProfileName::Psc.profile(), &Secret::new("899700000001")).is_ok()
    }

    #[test]
    fn rp_076_the_first_present_identity_claim_decides() {
        assert!(person(&json!({"SubjectNameID": "899700000001", "preferred_username": "other"})));
        assert!(person(&json!({"SubjectNameID": "", "preferred_username": "899700000001"})));
        assert!(!person(&json!({"SubjectNameID": "899700000002", "preferred_username": "899700000001"})));
        assert!(!person(
            &json!({"SubjectNameID": 899_700_000_001_i64, "preferred_username": "899700000001"})
        ));
        assert!(!person(&json!({"subjectnameid": "899700000001"})));
        assert!(!person(&json!({"sub": "899700000001"})));
        assert!(!person(&json!({})));
    }

    #[test]
    fn rp_074_acr_is_asked_for_or_anything_is_enough() {
        let check = |claims: Value, asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|acr| (*acr).to_owned()).collect();
            check_acr(claims.as_object().expect("an object"), &asked).is_ok()
        };
        assert!(check(json!({}), &[]));
        assert!(check(json!({"acr": "eidas2"}), &["eidas1", "eidas2"]));
        assert!(!check(json!({"acr": "eidas1"}), &["eidas2"]));
        assert!(!check(json!({"acr": 1}), &["1"]));
        assert!(!check(json!({}), &["eidas1"]));
    }
}
