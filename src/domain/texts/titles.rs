//! Titles: in a few words what a login came to, above the sentence that says what to do now.

use super::{Language, Text};
use crate::domain::login::{LoginReason, LoginStatus};

/// The title of a login that stands at `status`, for `reason` where it did not end well.
#[must_use]
pub fn login_title(status: LoginStatus, reason: Option<LoginReason>, language: Language) -> &'static str {
    let text = match (status, reason) {
        (LoginStatus::Starting, _) => Text::new("Envoi de la demande", "Sending the request"),
        (LoginStatus::Pending, _) => Text::new("Confirmez la connexion", "Confirm the sign-in"),
        (LoginStatus::Approved, _) => Text::new("Connexion confirmée", "Sign-in confirmed"),
        (LoginStatus::PickedUp, _) => Text::new("Session ouverte", "Session open"),
        (_, Some(reason)) => of_reason(reason),
        (LoginStatus::Denied, None) => of_reason(LoginReason::UserDenied),
        (LoginStatus::Expired, None) => of_reason(LoginReason::Expired),
        (LoginStatus::Cancelled, None) => of_reason(LoginReason::Cancelled),
        (LoginStatus::Failed, None) => FAILED,
    };
    text.get(language)
}

/// The title of a call that was refused.
#[must_use]
pub fn problem_title(code: &str, language: Language) -> &'static str {
    let text = match code {
        "already_pending" => Text::new("Une demande est déjà en cours", "A request is already under way"),
        "rate_limited" => Text::new("Trop de demandes", "Too many requests"),
        "login_hint_malformed" => Text::new("Identifiant mal formé", "Malformed identifier"),
        "provider_unavailable" => of_reason(LoginReason::ProviderUnavailable),
        "identity_mismatch" => of_reason(LoginReason::IdentityMismatch),
        "application_unauthenticated" | "application_disabled" => {
            Text::new("Logiciel non autorisé", "Software not allowed")
        }
        _ => FAILED,
    };
    text.get(language)
}

const FAILED: Text = Text::new("La connexion a échoué", "The sign-in failed");

const fn of_reason(reason: LoginReason) -> Text {
    match reason {
        LoginReason::UserDenied => Text::new("Demande refusée", "Request denied"),
        LoginReason::Expired => Text::new("Aucune réponse à temps", "No answer in time"),
        LoginReason::PickUpExpired => Text::new("Session non ouverte à temps", "Session not opened in time"),
        LoginReason::Cancelled => Text::new("Demande annulée", "Request cancelled"),
        LoginReason::Superseded => Text::new("Demande remplacée", "Request replaced"),
        LoginReason::UserUnknown => Text::new("Identifiant inconnu", "Unknown person"),
        LoginReason::BindingMessageInvalid => Text::new("Code refusé", "Code not accepted"),
        LoginReason::UserCodeRequired => Text::new("Code personnel demandé", "Personal code required"),
        LoginReason::UserCodeInvalid => Text::new("Code personnel incorrect", "Wrong personal code"),
        LoginReason::ProviderRefused => {
            Text::new("Demande refusée par le service", "Request refused by the service")
        }
        LoginReason::ProviderRejectedClient => {
            Text::new("Logiciel refusé par le service", "Software refused by the service")
        }
        LoginReason::ProviderInvalidAnswer => Text::new("Réponse inattendue", "Unexpected answer"),
        LoginReason::ProviderUnavailable => {
            Text::new("Service d’authentification indisponible", "Authentication service unavailable")
        }
        LoginReason::OutcomeUnknown => Text::new("Issue inconnue", "Outcome unknown"),
        LoginReason::AnswerLost => Text::new("Réponse perdue", "Answer lost"),
        LoginReason::IdentityMismatch => Text::new("Une autre personne a confirmé", "Someone else confirmed"),
        LoginReason::TokenInvalid => Text::new("Réponse non vérifiée", "Answer not verified"),
        LoginReason::AcrInsufficient => Text::new("Niveau de sécurité insuffisant", "Security level too low"),
        LoginReason::PolicyNotMet => Text::new("Connexion non autorisée", "Sign-in not allowed"),
        LoginReason::Internal => Text::new("Erreur interne", "Internal error"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_end_has_its_own_title_in_both_languages() {
        let mut titles = HashSet::new();
        for language in Language::ALL {
            for reason in LoginReason::ALL {
                assert!(
                    titles.insert(login_title(LoginStatus::Failed, Some(reason), language)),
                    "{reason:?}"
                );
            }
            for status in [LoginStatus::Starting, LoginStatus::Pending, LoginStatus::Approved] {
                assert!(titles.insert(login_title(status, None, language)), "{status:?}");
            }
            assert!(titles.insert(login_title(LoginStatus::PickedUp, None, language)));
            assert!(titles.insert(login_title(LoginStatus::Failed, None, language)));
        }
        for title in titles {
            assert!(title.len() < 45 && !title.ends_with('.') && !title.contains(['\'', '_']), "{title}");
        }
    }

    #[test]
    fn a_refusal_without_a_title_of_its_own_has_the_general_one() {
        for language in Language::ALL {
            let general = problem_title("grown_since", language);
            assert_eq!(general, login_title(LoginStatus::Failed, None, language));
            assert_ne!(problem_title("already_pending", language), general);
        }
    }
}
