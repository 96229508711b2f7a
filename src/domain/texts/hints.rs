//! What a person is told about a login: the machine word (`hint`) and the sentence (`user_message`).

use super::Language;
use super::sentences::{CODE, sentence};
use crate::domain::login::{LoginReason, LoginStatus, Shown};

/// What the person should do now. The word is contract; several variants may share one word where only the
/// sentence differs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hint {
    /// The provider is being asked.
    ContactingProvider,
    /// Confirm in the e-CPS application (channel `MOBILE`).
    ConfirmInEcps,
    /// Confirm on the phone, whatever application the provider has there.
    ConfirmOnPhone,
    /// Confirm with the CPS card (channel `CARD`).
    ConfirmWithCard,
    /// The provider has not answered the last polls.
    ProviderSlow,
    /// Approved: the software opens the session.
    PickUp,
    /// The session is open.
    PickedUp,
    /// Somebody said no.
    UserDenied,
    /// Nobody answered in the e-CPS application.
    NoAnswerEcps,
    /// Nobody answered on the phone.
    NoAnswerPhone,
    /// Nobody answered with the card.
    NoAnswerCard,
    /// Approved, and the software did not open the session in time.
    PickUpExpired,
    /// Cancelled.
    Cancelled,
    /// Replaced by a newer login.
    Superseded,
    /// The provider knows nobody by this identifier.
    UserUnknown,
    /// The provider did not take the code of both screens.
    BindingMessageInvalid,
    /// The provider wants a personal code.
    UserCodeRequired,
    /// The personal code was wrong.
    UserCodeInvalid,
    /// The provider refused for a reason of its own.
    ProviderRefused,
    /// The provider does not accept Relais as a client: an operator must look.
    ClientRefused,
    /// The provider's answer made no sense.
    ProviderFault,
    /// The provider cannot be reached.
    ProviderUnavailable,
    /// Nobody knows whether the request reached the person.
    OutcomeUnknown,
    /// The confirmation was lost on the way.
    TryAgain,
    /// Another person confirmed.
    IdentityMismatch,
    /// The provider's answer could not be verified.
    AnswerUnverified,
    /// Authenticated at a lower level than asked for.
    AcrInsufficient,
    /// No longer allowed.
    PolicyNotMet,
    /// A defect of Relais.
    InternalError,
}

impl Hint {
    /// Every hint.
    pub const ALL: [Self; 29] = [
        Self::ContactingProvider,
        Self::ConfirmInEcps,
        Self::ConfirmOnPhone,
        Self::ConfirmWithCard,
        Self::ProviderSlow,
        Self::PickUp,
        Self::PickedUp,
        Self::UserDenied,
        Self::NoAnswerEcps,
        Self::NoAnswerPhone,
        Self::NoAnswerCard,
        Self::PickUpExpired,
        Self::Cancelled,
        Self::Superseded,
        Self::UserUnknown,
        Self::BindingMessageInvalid,
        Self::UserCodeRequired,
        Self::UserCodeInvalid,
        Self::ProviderRefused,
        Self::ClientRefused,
        Self::ProviderFault,
        Self::ProviderUnavailable,
        Self::OutcomeUnknown,
        Self::TryAgain,
        Self::IdentityMismatch,
        Self::AnswerUnverified,
        Self::AcrInsufficient,
        Self::PolicyNotMet,
        Self::InternalError,
    ];

    /// The hint for what a caller is shown of a login.
    ///
    /// `channel` is the login's; `provider_slow` counts only while the login is pending.
    #[must_use]
    pub fn of(shown: &Shown, channel: Option<&str>, provider_slow: bool) -> Self {
        match (shown.status, shown.reason) {
            (LoginStatus::Starting, _) => Self::ContactingProvider,
            (LoginStatus::Pending, _) if provider_slow => Self::ProviderSlow,
            (LoginStatus::Pending, _) => Self::confirm(channel),
            (LoginStatus::Approved, _) => Self::PickUp,
            (LoginStatus::PickedUp, _) => Self::PickedUp,
            (_, Some(reason)) => Self::of_reason(reason, channel),
            (LoginStatus::Denied, None) => Self::UserDenied,
            (LoginStatus::Expired, None) => Self::no_answer(channel),
            (LoginStatus::Cancelled, None) => Self::Cancelled,
            (LoginStatus::Failed, None) => Self::InternalError,
        }
    }

    /// The hint for a login that ended for `reason`.
    #[must_use]
    pub fn of_reason(reason: LoginReason, channel: Option<&str>) -> Self {
        match reason {
            LoginReason::UserDenied => Self::UserDenied,
            LoginReason::Expired => Self::no_answer(channel),
            LoginReason::PickUpExpired => Self::PickUpExpired,
            LoginReason::Cancelled => Self::Cancelled,
            LoginReason::Superseded => Self::Superseded,
            LoginReason::UserUnknown => Self::UserUnknown,
            LoginReason::BindingMessageInvalid => Self::BindingMessageInvalid,
            LoginReason::UserCodeRequired => Self::UserCodeRequired,
            LoginReason::UserCodeInvalid => Self::UserCodeInvalid,
            LoginReason::ProviderRefused => Self::ProviderRefused,
            LoginReason::ProviderRejectedClient => Self::ClientRefused,
            LoginReason::ProviderInvalidAnswer => Self::ProviderFault,
            LoginReason::ProviderUnavailable => Self::ProviderUnavailable,
            LoginReason::OutcomeUnknown => Self::OutcomeUnknown,
            LoginReason::AnswerLost => Self::TryAgain,
            LoginReason::IdentityMismatch => Self::IdentityMismatch,
            LoginReason::TokenInvalid => Self::AnswerUnverified,
            LoginReason::AcrInsufficient => Self::AcrInsufficient,
            LoginReason::PolicyNotMet => Self::PolicyNotMet,
            LoginReason::Internal => Self::InternalError,
        }
    }

    fn confirm(channel: Option<&str>) -> Self {
        match channel {
            Some("CARD") => Self::ConfirmWithCard,
            Some("MOBILE") => Self::ConfirmInEcps,
            _ => Self::ConfirmOnPhone,
        }
    }

    fn no_answer(channel: Option<&str>) -> Self {
        match channel {
            Some("CARD") => Self::NoAnswerCard,
            Some("MOBILE") => Self::NoAnswerEcps,
            _ => Self::NoAnswerPhone,
        }
    }

    /// The machine word, as the login object's `hint` shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContactingProvider => "contacting_provider",
            Self::ConfirmInEcps | Self::ConfirmOnPhone => "confirm_on_phone",
            Self::ConfirmWithCard => "confirm_with_card",
            Self::ProviderSlow => "provider_slow",
            Self::PickUp => "pick_up",
            Self::PickedUp => "picked_up",
            Self::UserDenied => "user_denied",
            Self::NoAnswerEcps | Self::NoAnswerPhone => "no_answer_phone",
            Self::NoAnswerCard => "no_answer_card",
            Self::PickUpExpired => "pick_up_expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::UserUnknown => "user_unknown",
            Self::BindingMessageInvalid => "binding_message_invalid",
            Self::UserCodeRequired => "user_code_required",
            Self::UserCodeInvalid => "user_code_invalid",
            Self::ProviderRefused => "provider_refused",
            Self::ClientRefused => "client_refused",
            Self::ProviderFault => "provider_fault",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::TryAgain => "try_again",
            Self::IdentityMismatch => "identity_mismatch",
            Self::AnswerUnverified => "answer_unverified",
            Self::AcrInsufficient => "acr_insufficient",
            Self::PolicyNotMet => "policy_not_met",
            Self::InternalError => "internal_error",
        }
    }

    /// The sentence for the person. `binding_message` is the code of both screens; it appears while the person
    /// still has something to compare it with.
    #[must_use]
    pub fn message(self, language: Language, binding_message: &str) -> String {
        sentence(self).get(language).replace(CODE, binding_message)
    }

    /// Whether the sentence carries the code of both screens.
    #[must_use]
    pub fn shows_code(self) -> bool {
        sentence(self).french.contains(CODE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::domain::time::Timestamp;

    const CHANNELS: [Option<&str>; 4] = [None, Some("MOBILE"), Some("CARD"), Some("OTHER")];

    fn every_situation() -> Vec<(Shown, Option<&'static str>, bool)> {
        let reasons = LoginReason::ALL.into_iter().map(Some).chain([None]);
        let mut situations = Vec::new();
        for reason in reasons {
            for status in LoginStatus::ALL {
                for channel in CHANNELS {
                    for slow in [false, true] {
                        let expires_at = Timestamp::from_secs(0);
                        let shown = Shown { status, reason, version: 1, expires_at, changes_at: None };
                        situations.push((shown, channel, slow));
                    }
                }
            }
        }
        situations
    }

    #[test]
    fn every_status_reason_and_channel_has_a_sentence_in_both_languages() {
        for (shown, channel, slow) in every_situation() {
            let hint = Hint::of(&shown, channel, slow);
            let [french, english] = Language::ALL.map(|language| hint.message(language, "42"));
            for message in [&french, &english] {
                assert!(message.ends_with('.') && message.len() > 20, "{shown:?}: {message}");
                assert!(!message.contains(['{', '}', '\n']) && !message.contains("  "), "{message}");
            }
            assert_ne!(french, english, "{shown:?}");
        }
    }

    #[test]
    fn the_code_is_shown_exactly_while_there_is_something_to_compare() {
        for (shown, channel, slow) in every_situation() {
            let hint = Hint::of(&shown, channel, slow);
            for language in Language::ALL {
                assert_eq!(
                    hint.message(language, "4711").contains("4711"),
                    shown.status.is_open(),
                    "{hint:?} {language:?}"
                );
            }
            assert_eq!(hint.shows_code(), shown.status.is_open());
        }
    }

    #[test]
    fn every_hint_has_its_own_sentence_and_is_reached_from_some_situation() {
        let reached: HashSet<Hint> =
            every_situation().iter().map(|(shown, channel, slow)| Hint::of(shown, *channel, *slow)).collect();
        let mut sentences = HashMap::new();
        for hint in Hint::ALL {
            assert!(reached.contains(&hint), "{hint:?}");
            for language in Language::ALL {
                let previous = sentences.insert(hint.message(language, "42"), hint);
                assert_eq!(previous, None, "{hint:?}");
            }
        }
        assert_eq!(reached.len(), Hint::ALL.len());
    }

    #[test]
    fn the_words_of_the_contract() {
        let word = |status, reason, channel, slow| {
            let expires_at = Timestamp::from_secs(0);
            Hint::of(&Shown { status, reason, version: 1, expires_at, changes_at: None }, channel, slow)
                .as_str()
        };
        let pending = |channel, slow| word(LoginStatus::Pending, None, channel, slow);
        assert_eq!(word(LoginStatus::Starting, None, None, false), "contacting_provider");
        assert_eq!(pending(None, false), "confirm_on_phone");
        assert_eq!(pending(Some("MOBILE"), false), "confirm_on_phone");
        assert_eq!(pending(Some("CARD"), false), "confirm_with_card");
        assert_eq!(pending(Some("CARD"), true), "provider_slow");
        assert_eq!(word(LoginStatus::Approved, None, None, true), "pick_up");
        let expired = |channel| word(LoginStatus::Expired, Some(LoginReason::Expired), channel, false);
        assert_eq!(expired(Some("MOBILE")), "no_answer_phone");
        assert_eq!(expired(Some("CARD")), "no_answer_card");
        let failed = |reason| word(LoginStatus::Failed, Some(reason), None, false);
        assert_eq!(failed(LoginReason::UserUnknown), "user_unknown");
        assert_eq!(failed(LoginReason::IdentityMismatch), "identity_mismatch");
        assert_eq!(failed(LoginReason::ProviderUnavailable), "provider_unavailable");
        assert_eq!(failed(LoginReason::ProviderRejectedClient), "client_refused");
        assert_eq!(word(LoginStatus::Denied, Some(LoginReason::UserDenied), None, false), "user_denied");
        assert_eq!(word(LoginStatus::Cancelled, Some(LoginReason::Cancelled), None, false), "cancelled");
        for hint in Hint::ALL {
            assert!(hint.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }

    #[test]
    fn french_typography_survives_an_old_workstation() {
        for hint in Hint::ALL {
            let message = hint.message(Language::French, "42");
            assert!(!message.contains('\''), "straight apostrophe: {message}");
            for mark in [" :", " ;", " !", " ?"] {
                assert!(!message.contains(mark), "a no-break space belongs before it: {message}");
            }
            assert!(message.chars().all(|c| c <= '\u{ff}' || c == '’' || c == 'œ'), "{message}");
        }
    }
}
