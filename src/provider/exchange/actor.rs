//! The `actor_token` of CI-SIS (API Pro Santé Connectée): who acts for the person, with which software, in which
//! *situation d'exercice*.
//!
//! A JWT (RFC 7519) of the registration, made for one request, with the claims of the guide's example and no audience,
//! which has none either: so it never passes for a client assertion (RFC 7523 §3), whoever gets to see it. The guide leaves
//! the form of `situation_exercice` open: it is the one of the session object.

use serde_json::{Map, Value, json};

use crate::crypto::signer::SigningFailed;
use crate::domain::secret::Secret;
use crate::engine::ports::Acting;
use crate::provider::client_auth::Identity;

/// A token for one request.
pub fn token(identity: &Identity<'_>, acting: &Acting) -> Result<Secret, SigningFailed> {
    identity.about_itself(None, None, about(acting))
}

/// What it says besides who Relais is; nothing of what is not known.
fn about(acting: &Acting) -> Map<String, Value> {
    let software = &acting.software;
    [("lps_nom", &software.name), ("lps_id", &software.id), ("lps_version", &software.version)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))))
        .chain(acting.exercice.iter().map(|exercice| ("situation_exercice".to_owned(), json!(exercice))))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::subject::{Code, Exercice, Site};
    use crate::engine::ports::Software;

    use super::*;

    #[test]
    fn software_and_exercice_have_the_guides_names() {
        let acting = Acting {
            software: Software {
                name: Some("Médical +".to_owned()),
                version: Some("12.3".to_owned()),
                id: Some("LPS-77".to_owned()),
            },
            exercice: Some(Exercice {
                id: "a1".to_owned(),
                profession: Code { code: "10".to_owned(), label: None },
                savoir_faire: None,
                mode: None,
                role: None,
                site: Some(Site { siret: Some("12345678900011".to_owned()), ..Site::default() }),
            }),
        };
        let expected = json!({
            "lps_nom": "Médical +", "lps_id": "LPS-77", "lps_version": "12.3",
            "situation_exercice":
                {"id": "a1", "profession": {"code": "10"}, "site": {"siret": "12345678900011"}},
        });
        assert_eq!(Value::Object(about(&acting)), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let nothing = Acting { software: Software::default(), exercice: None };
        assert_eq!(Value::Object(about(&nothing)), json!({}));
    }
}
