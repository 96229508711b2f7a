//! The sentences of the hints, side by side in both languages.

use super::Text;
use super::hints::Hint;

/// What stands for the code of both screens in a sentence.
pub(super) const CODE: &str = "{code}";

/// The sentence for a hint.
pub(super) const fn sentence(hint: Hint) -> Text {
    match hint {
        Hint::ContactingProvider
        | Hint::ConfirmInEcps
        | Hint::ConfirmOnPhone
        | Hint::ConfirmWithCard
        | Hint::ProviderSlow
        | Hint::PickUp
        | Hint::PickedUp => under_way(hint),
        Hint::UserDenied
        | Hint::NoAnswerEcps
        | Hint::NoAnswerPhone
        | Hint::NoAnswerCard
        | Hint::PickUpExpired
        | Hint::Cancelled
        | Hint::Superseded
        | Hint::UserUnknown
        | Hint::UserCodeRequired
        | Hint::UserCodeInvalid
        | Hint::IdentityMismatch
        | Hint::AcrInsufficient => for_the_person(hint),
        _ => technical(hint),
    }
}

const fn under_way(hint: Hint) -> Text {
    match hint {
        Hint::ContactingProvider => Text::new(
            "Votre demande de connexion part vers le service d’authentification. Le code à comparer sera {code}.",
            "Your sign-in request is on its way to the authentication service. The code to compare will be {code}.",
        ),
        Hint::ConfirmInEcps => Text::new(
            "Ouvrez l’application mobile e-CPS sur votre téléphone, vérifiez que le code affiché est bien {code}, \
             puis confirmez la connexion.",
            "Open the e-CPS mobile app on your phone, check that the code shown is {code}, then confirm the \
             sign-in.",
        ),
        Hint::ConfirmWithCard => Text::new(
            "Insérez votre carte CPS dans le lecteur, vérifiez dans CPS-Gestion que le code affiché est bien \
             {code}, puis saisissez votre code porteur pour confirmer la connexion.",
            "Insert your CPS card into the reader, check in CPS-Gestion that the code shown is {code}, then enter \
             your PIN to confirm the sign-in.",
        ),
        Hint::ProviderSlow => Text::new(
            "Le service d’authentification tarde à répondre. Si vous avez déjà confirmé le code {code}, patientez \
             sans rien refaire\u{a0}; sinon, vérifiez ce code et confirmez la connexion.",
            "The authentication service is slow to answer. If you have already confirmed the code {code}, just \
             wait; otherwise check this code and confirm the sign-in.",
        ),
        Hint::PickUp => Text::new(
            "La connexion est confirmée. Votre session va s’ouvrir.",
            "The sign-in is confirmed. Your session is about to open.",
        ),
        Hint::PickedUp => Text::new("Votre session est ouverte.", "Your session is open."),
        _ => Text::new(
            "Ouvrez la demande de connexion reçue sur votre téléphone, vérifiez que le code affiché est bien \
             {code}, puis confirmez la connexion.",
            "Open the sign-in request on your phone, check that the code shown is {code}, then confirm the \
             sign-in.",
        ),
    }
}

const fn for_the_person(hint: Hint) -> Text {
    match hint {
        Hint::UserDenied => Text::new(
            "La demande de connexion a été refusée. Si ce refus ne vient pas de vous, prévenez votre support \
             avant de recommencer.",
            "The sign-in request was refused. If it was not you who refused it, tell your support before trying \
             again.",
        ),
        Hint::NoAnswerEcps => Text::new(
            "La demande n’a pas été confirmée à temps dans l’application mobile e-CPS. Vérifiez l’identifiant \
             saisi, gardez votre téléphone à portée de main et recommencez.",
            "The request was not confirmed in time in the e-CPS mobile app. Check the identifier you typed, keep \
             your phone at hand and try again.",
        ),
        Hint::NoAnswerCard => Text::new(
            "La demande n’a pas été confirmée à temps avec la carte CPS. Vérifiez que votre carte est dans le \
             lecteur et que CPS-Gestion est ouvert, puis recommencez.",
            "The request was not confirmed in time with the CPS card. Check that your card is in the reader and \
             that CPS-Gestion is open, then try again.",
        ),
        Hint::PickUpExpired => Text::new(
            "La connexion a été confirmée, mais votre logiciel n’a pas ouvert la session à temps. Recommencez la \
             connexion.",
            "The sign-in was confirmed, but your software did not open the session in time. Please sign in again.",
        ),
        Hint::Cancelled => Text::new(
            "La demande de connexion a été annulée. Si elle s’affiche encore, ne la confirmez pas.",
            "The sign-in request was cancelled. If it is still displayed, do not confirm it.",
        ),
        Hint::Superseded => Text::new(
            "Une demande de connexion plus récente remplace celle-ci. Ne confirmez que la plus récente.",
            "A newer sign-in request replaces this one. Confirm only the newer one.",
        ),
        Hint::UserUnknown => Text::new(
            "Le service d’authentification ne connaît pas cet identifiant. Vérifiez votre saisie, et que votre \
             e-CPS ou votre carte CPS est bien activée.",
            "The authentication service does not know this identifier. Check what you typed, and that your e-CPS \
             or CPS card is activated.",
        ),
        Hint::UserCodeRequired => Text::new(
            "Le service d’authentification demande votre code personnel. Saisissez-le dans votre logiciel et \
             recommencez.",
            "The authentication service asks for your personal code. Enter it in your software and try again.",
        ),
        Hint::UserCodeInvalid => Text::new(
            "Le code personnel saisi n’est pas le bon. Vérifiez-le et recommencez.",
            "The personal code you entered is not correct. Check it and try again.",
        ),
        Hint::IdentityMismatch => Text::new(
            "La connexion a été confirmée par une autre personne que celle dont l’identifiant a été saisi. \
             Vérifiez l’identifiant, puis confirmez avec votre propre e-CPS ou votre propre carte CPS.",
            "The sign-in was confirmed by someone other than the person whose identifier was typed. Check the \
             identifier, then confirm with your own e-CPS or your own CPS card.",
        ),
        Hint::AcrInsufficient => Text::new(
            "Le moyen d’authentification utilisé n’offre pas le niveau de sécurité exigé. Recommencez avec \
             l’application mobile e-CPS ou votre carte CPS.",
            "The means of authentication used does not reach the required security level. Try again with the \
             e-CPS mobile app or your CPS card.",
        ),
        _ => Text::new(
            "La demande n’a pas été confirmée à temps sur votre téléphone. Vérifiez l’identifiant saisi, gardez \
             votre téléphone à portée de main et recommencez.",
            "The request was not confirmed in time on your phone. Check the identifier you typed, keep your phone \
             at hand and try again.",
        ),
    }
}

const fn technical(hint: Hint) -> Text {
    match hint {
        Hint::BindingMessageInvalid => Text::new(
            "Le service d’authentification n’a pas accepté le code de cette demande. Recommencez\u{a0}; si cela \
             se reproduit, contactez le support de votre logiciel.",
            "The authentication service did not accept the code of this request. Try again; if it happens again, \
             contact your software’s support.",
        ),
        Hint::ProviderRefused => Text::new(
            "Le service d’authentification a refusé la demande de connexion. Recommencez\u{a0}; si cela se \
             reproduit, contactez le support de votre logiciel.",
            "The authentication service refused the sign-in request. Try again; if it happens again, contact your \
             software’s support.",
        ),
        Hint::ClientRefused => Text::new(
            "Le service d’authentification n’accepte pas votre logiciel pour le moment. Vous n’y pouvez rien \
             vous-même\u{a0}: contactez le support de votre logiciel.",
            "The authentication service does not accept your software at the moment. There is nothing you can do \
             yourself: contact your software’s support.",
        ),
        Hint::ProviderFault => Text::new(
            "Le service d’authentification a donné une réponse inattendue. Si une demande s’affiche encore, \
             refusez-la, puis recommencez dans quelques minutes.",
            "The authentication service gave an unexpected answer. If a request is still displayed, refuse it, \
             then try again in a few minutes.",
        ),
        Hint::ProviderUnavailable => Text::new(
            "Le service d’authentification est momentanément indisponible. Recommencez dans quelques minutes.",
            "The authentication service is unavailable for the moment. Try again in a few minutes.",
        ),
        Hint::OutcomeUnknown => Text::new(
            "Nous ne savons pas si votre demande est parvenue au service d’authentification. Si elle s’affiche, \
             refusez-la, puis recommencez dans quelques minutes.",
            "We do not know whether your request reached the authentication service. If it is displayed, refuse \
             it, then try again in a few minutes.",
        ),
        Hint::TryAgain => Text::new(
            "La réponse du service d’authentification s’est perdue en chemin. Recommencez la connexion.",
            "The authentication service’s answer was lost on the way. Please sign in again.",
        ),
        Hint::AnswerUnverified => Text::new(
            "La réponse du service d’authentification n’a pas pu être vérifiée\u{a0}; par sécurité, la connexion \
             a été abandonnée. Contactez le support de votre logiciel.",
            "The authentication service’s answer could not be verified; for safety the sign-in was abandoned. \
             Contact your software’s support.",
        ),
        Hint::PolicyNotMet => Text::new(
            "Cette connexion n’est plus autorisée. Contactez le support de votre logiciel.",
            "This sign-in is no longer allowed. Contact your software’s support.",
        ),
        _ => Text::new(
            "Une erreur interne a interrompu la connexion. Recommencez\u{a0}; si cela se reproduit, contactez le \
             support de votre logiciel.",
            "An internal error interrupted the sign-in. Try again; if it happens again, contact your software’s \
             support.",
        ),
    }
}
