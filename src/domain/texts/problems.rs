//! What a person is told when a call is refused: the `user_message` of a problem.

use super::hints::Hint;
use super::{Language, Text};
use crate::domain::login::LoginReason;

/// The texts by problem code. A code that is not here is technical: the person can do nothing but ask for help.
const TEXTS: [(&str, Text); 30] = [
    (
        "application_unauthenticated",
        Text::new(
            "Votre logiciel n’a pas pu prouver son identité au service de connexion. Contactez le support de votre \
             logiciel.",
            "Your software could not prove its identity to the sign-in service. Contact your software’s support.",
        ),
    ),
    (
        "application_disabled",
        Text::new(
            "Les connexions depuis ce logiciel sont désactivées. Contactez le support de votre logiciel.",
            "Signing in from this software has been switched off. Contact your software’s support.",
        ),
    ),
    (
        "registration_not_allowed",
        Text::new(
            "Ce mode de connexion n’est pas ouvert à votre logiciel. Contactez le support de votre logiciel.",
            "This way of signing in is not open to your software. Contact your software’s support.",
        ),
    ),
    (
        "channel_not_allowed",
        Text::new(
            "Ce moyen d’authentification n’est pas disponible ici. Choisissez-en un autre, par exemple \
             l’application mobile e-CPS ou la carte CPS.",
            "This means of authentication is not available here. Choose another one, for example the e-CPS mobile \
             app or the CPS card.",
        ),
    ),
    (
        "rate_limited",
        Text::new(
            "Trop de demandes de connexion en peu de temps. Patientez quelques minutes avant de recommencer.",
            "Too many sign-in requests in a short time. Wait a few minutes before trying again.",
        ),
    ),
    ("overloaded", BUSY),
    ("store_unavailable", BUSY),
    ("sealed", BUSY),
    (
        "login_hint_malformed",
        Text::new(
            "L’identifiant saisi n’est pas valide\u{a0}: vérifiez chaque chiffre et recommencez. Aucune demande n’a \
             été envoyée.",
            "The identifier you typed is not valid: check each digit and try again. No request has been sent.",
        ),
    ),
    (
        "already_pending",
        Text::new(
            "Une demande de connexion est déjà en cours pour cette personne. Répondez-y ou attendez qu’elle expire, \
             puis recommencez.",
            "A sign-in request is already under way for this person. Answer it or wait until it expires, then try \
             again.",
        ),
    ),
    (
        "provider_unavailable",
        Text::new(
            "Le service d’authentification est momentanément indisponible, et aucune demande n’a été envoyée. \
             Recommencez dans quelques minutes.",
            "The authentication service is unavailable for the moment, and no request has been sent. Try again in a \
             few minutes.",
        ),
    ),
    (
        "login_not_found",
        Text::new(
            "Cette demande de connexion n’existe plus. Recommencez la connexion.",
            "This sign-in request no longer exists. Please sign in again.",
        ),
    ),
    (
        "not_approved",
        Text::new(
            "La connexion n’est pas encore confirmée. Vérifiez le code affiché et confirmez-la.",
            "The sign-in is not confirmed yet. Check the code shown and confirm it.",
        ),
    ),
    (
        "already_picked_up",
        Text::new(
            "La session de cette connexion a déjà été ouverte. Recommencez la connexion si vous n’y avez plus accès.",
            "The session of this sign-in has already been opened. Sign in again if you can no longer reach it.",
        ),
    ),
    (
        "identity_mismatch",
        Text::new(
            "La connexion a été confirmée par une autre personne que celle attendue. Confirmez avec votre propre \
             e-CPS ou votre propre carte CPS.",
            "The sign-in was confirmed by someone other than the person expected. Confirm with your own e-CPS or \
             your own CPS card.",
        ),
    ),
    (
        "exercice_unknown",
        Text::new(
            "La situation d’exercice choisie ne fait pas partie des vôtres. Choisissez-en une dans la liste.",
            "The chosen practice is not one of yours. Choose one from the list.",
        ),
    ),
    (
        "policy_not_met",
        Text::new(
            "Cette connexion n’est pas autorisée. Contactez le support de votre logiciel.",
            "This sign-in is not allowed. Contact your software’s support.",
        ),
    ),
    (
        "target_unknown",
        Text::new(
            "Le service demandé n’est pas configuré. Contactez le support de votre logiciel.",
            "The requested service is not configured. Contact your software’s support.",
        ),
    ),
    (
        "target_not_allowed",
        Text::new(
            "Votre logiciel n’a pas le droit de faire cette demande à ce service. Contactez le support de votre \
             logiciel.",
            "Your software may not make this request to this service. Contact your software’s support.",
        ),
    ),
    (
        "exchange_refused",
        Text::new(
            "Le service demandé ne vous donne pas accès. Vérifiez vos droits auprès de ce service ou contactez le \
             support de votre logiciel.",
            "The requested service does not give you access. Check your rights with that service or contact your \
             software’s support.",
        ),
    ),
    (
        "exercice_required",
        Text::new(
            "Choisissez d’abord la situation d’exercice dans laquelle vous agissez, puis recommencez.",
            "Choose first the practice in which you act, then try again.",
        ),
    ),
    ("target_unreachable", TARGET_DOWN),
    ("target_tls_failed", TARGET_BROKEN),
    ("target_redirected", TARGET_BROKEN),
    ("exchange_unavailable", TARGET_DOWN),
    (
        "target_timeout",
        Text::new(
            "Le service demandé n’a pas répondu à temps. Vérifiez si votre demande a été prise en compte avant de \
             recommencer.",
            "The requested service did not answer in time. Check whether your request was taken into account before \
             trying again.",
        ),
    ),
    (
        "handle_invalid",
        Text::new(
            "Votre session n’est pas reconnue. Reconnectez-vous pour continuer.",
            "Your session is not recognised. Sign in again to continue.",
        ),
    ),
    (
        "session_ended",
        Text::new(
            "Votre session est terminée. Reconnectez-vous pour continuer.",
            "Your session has ended. Sign in again to continue.",
        ),
    ),
    (
        "internal",
        Text::new(
            "Une erreur interne est survenue. Recommencez\u{a0}; si cela se reproduit, contactez le support de votre \
             logiciel.",
            "An internal error occurred. Try again; if it happens again, contact your software’s support.",
        ),
    ),
    ("invalid_request", TECHNICAL),
];

const BUSY: Text = Text::new(
    "Le service de connexion est momentanément indisponible. Recommencez dans un instant.",
    "The sign-in service is unavailable for the moment. Try again shortly.",
);

const TARGET_DOWN: Text = Text::new(
    "Le service demandé est momentanément indisponible. Recommencez dans quelques minutes.",
    "The requested service is unavailable for the moment. Try again in a few minutes.",
);

const TARGET_BROKEN: Text = Text::new(
    "Le service demandé ne peut pas être joint en toute sécurité. Contactez le support de votre logiciel.",
    "The requested service cannot be reached safely. Contact your software’s support.",
);

const TECHNICAL: Text = Text::new(
    "Votre logiciel a envoyé une demande que le service de connexion ne peut pas traiter. Contactez le support de \
     votre logiciel.",
    "Your software sent a request that the sign-in service cannot handle. Contact your software’s support.",
);

/// Why a session ended, in the words of `domain::session::SessionEndReason`.
const SESSION_ENDS: [(&str, Text); 7] = [
    (
        "logout",
        Text::new("Cette session a été fermée à votre demande.", "This session was closed at your request."),
    ),
    (
        "idle",
        Text::new(
            "Votre session s’est fermée faute d’activité. Reconnectez-vous pour continuer.",
            "Your session was closed for lack of activity. Sign in again to continue.",
        ),
    ),
    (
        "absolute",
        Text::new(
            "Votre session a atteint sa durée maximale. Reconnectez-vous pour continuer.",
            "Your session has reached its maximum length. Sign in again to continue.",
        ),
    ),
    (
        "revoked",
        Text::new(
            "Votre session a été fermée par un administrateur. Reconnectez-vous, ou contactez le support de votre \
             logiciel.",
            "Your session was closed by an administrator. Sign in again, or contact your software’s support.",
        ),
    ),
    (
        "idp_logout",
        Text::new(
            "Le service d’authentification a fermé votre session. Reconnectez-vous pour continuer.",
            "The authentication service signed you out. Sign in again to continue.",
        ),
    ),
    (
        "reauth_required",
        Text::new(
            "Le service d’authentification demande une nouvelle connexion. Reconnectez-vous pour continuer.",
            "The authentication service requires a new sign-in. Sign in again to continue.",
        ),
    ),
    (
        "superseded",
        Text::new(
            "Une session plus récente a remplacé celle-ci. Poursuivez dans la plus récente ou reconnectez-vous.",
            "A newer session has replaced this one. Continue in the newer one or sign in again.",
        ),
    ),
];

/// Every problem code of the client API.
pub const PROBLEM_CODES: [&str; 43] = [
    "invalid_request",
    "dpop_unsupported",
    "application_unauthenticated",
    "credential_missing",
    "wrong_token_kind",
    "application_disabled",
    "not_found",
    "method_not_allowed",
    "request_too_large",
    "unsupported_media_type",
    "rate_limited",
    "overloaded",
    "store_unavailable",
    "sealed",
    "internal",
    "login_hint_malformed",
    "binding_message_malformed",
    "idempotency_key_malformed",
    "registration_not_allowed",
    "channel_not_allowed",
    "acr_not_allowed",
    "scope_not_allowed",
    "binding_message_not_allowed",
    "already_pending",
    "idempotency_key_reused",
    "provider_unavailable",
    "login_not_found",
    "not_approved",
    "already_picked_up",
    "identity_mismatch",
    "exercice_unknown",
    "policy_not_met",
    "session_ended",
    "handle_invalid",
    "target_unknown",
    "target_not_allowed",
    "exchange_refused",
    "exercice_required",
    "target_unreachable",
    "target_tls_failed",
    "target_redirected",
    "exchange_unavailable",
    "target_timeout",
];

/// The sentence for the person who stands behind a refused call.
///
/// `reason` is the problem's own: of the login for `not_approved`, of the session's end for `session_ended`.
#[must_use]
pub fn problem_message(code: &str, reason: Option<&str>, language: Language) -> String {
    let by_reason = match (code, reason) {
        ("session_ended", Some(reason)) => {
            find(&SESSION_ENDS, reason).map(|text| text.get(language).to_owned())
        }
        ("not_approved", Some(reason)) => {
            LoginReason::parse(reason).map(|reason| Hint::of_reason(reason, None).message(language, ""))
        }
        _ => None,
    };
    by_reason.unwrap_or_else(|| find(&TEXTS, code).unwrap_or(TECHNICAL).get(language).to_owned())
}

fn find(table: &[(&str, Text)], key: &str) -> Option<Text> {
    table.iter().find(|(name, _)| *name == key).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::SessionEndReason;

    fn in_both(code: &str, reason: Option<&str>) -> [String; 2] {
        Language::ALL.map(|language| problem_message(code, reason, language))
    }

    #[test]
    fn every_problem_has_a_sentence_in_both_languages() {
        for code in PROBLEM_CODES.into_iter().chain(["grown_since"]) {
            let [french, english] = in_both(code, None);
            assert_ne!(french, english, "{code}");
            for message in [french, english] {
                assert!(message.ends_with('.') && !message.contains(['{', '}', '\'']), "{code}: {message}");
                assert!(!message.contains('_') && !message.contains("  "), "{code}: {message}");
            }
        }
    }

    #[test]
    fn no_text_stands_for_a_code_that_does_not_exist() {
        for (code, _) in TEXTS {
            assert!(PROBLEM_CODES.contains(&code), "{code}");
        }
    }

    #[test]
    fn a_session_s_end_is_explained_by_its_reason() {
        let mut seen = vec![in_both("session_ended", None)];
        for reason in SessionEndReason::ALL {
            let messages = in_both("session_ended", Some(reason.as_str()));
            assert!(!seen.contains(&messages), "{reason:?}");
            seen.push(messages);
        }
        assert_eq!(in_both("session_ended", Some("grown_since")), in_both("session_ended", None));
    }

    #[test]
    fn a_pick_up_too_late_says_how_the_login_ended() {
        for reason in LoginReason::ALL {
            let [french, english] = in_both("not_approved", Some(reason.as_str()));
            assert_eq!(french, Hint::of_reason(reason, None).message(Language::French, ""));
            assert_ne!(french, english);
        }
        assert_eq!(in_both("not_approved", Some("pending")), in_both("not_approved", None));
    }
}
