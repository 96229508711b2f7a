//! What the software says by itself, side by side in both languages. What Relais says (`user_message`) is not here.

use crate::client::{LoginObject, Problem, Word};
use crate::domain::login::{LoginReason, LoginStatus};
use crate::domain::texts::{Language, login_title, problem_title};

/// The words of the page in one language.
pub(super) struct Words {
    pub lang: &'static str,
    pub other_lang: &'static str,
    pub other_language: &'static str,
    pub title: &'static str,
    pub simulator: &'static str,
    pub intro: &'static str,
    pub lost: &'static str,
    pub reload: &'static str,
    pub software: &'static str,
    pub sign_in: &'static str,
    pub person: &'static str,
    pub other_person: &'static str,
    pub other_person_help: &'static str,
    pub channel: &'static str,
    pub mobile: &'static str,
    pub card: &'static str,
    pub start: &'static str,
    pub starting_text: &'static str,
    pub compare: &'static str,
    pub left: &'static str,
    pub cancel: &'static str,
    pub cancelling: &'static str,
    pub identifier: &'static str,
    pub profession: &'static str,
    pub no_profession: &'static str,
    pub ends: &'static str,
    pub idle_ends: &'static str,
    pub exercices: &'static str,
    pub choose: &'static str,
    pub no_exercice: &'static str,
    pub incomplete: &'static str,
    pub sign_out: &'static str,
    pub support_code: &'static str,
    pub retry_in: &'static str,
    pub retry: &'static str,
    pub replace: &'static str,
    pub not_replaceable: &'static str,
    pub failed: &'static str,
    pub phone: &'static str,
    pub protocol: &'static str,
    pub protocol_text: &'static str,
    pub no_call: &'static str,
    pub waits: &'static str,
    pub call_lost: &'static str,
    pub call_given_up: &'static str,
    pub request: &'static str,
    pub answer: &'static str,
    pub empty: &'static str,
    pub endings: &'static str,
    /// What brings about which ending, with what it is called.
    pub recipes: [(&'static str, &'static str); 7],
    signed_out: &'static str,
    signed_out_text: &'static str,
    session_over: &'static str,
    unreachable: &'static str,
    unreachable_text: &'static str,
}

static FRENCH: Words = Words {
    lang: "fr",
    other_lang: "en",
    other_language: "English",
    title: "Essayer une connexion",
    simulator: "Ceci est une démonstration\u{a0}: le logiciel, le téléphone et les personnes sont simulés.",
    intro: "Un logiciel de cabinet demande une connexion, le téléphone de la personne la confirme.",
    lost: "La démonstration ne répond plus. La page essaie de la retrouver.",
    reload: "Actualiser",
    software: "Logiciel de cabinet",
    sign_in: "Connexion",
    person: "Personne de test",
    other_person: "Ou un autre identifiant",
    other_person_help: "S’il est rempli, il remplace le choix ci-dessus. Ce qui commence par «\u{a0}unknown\u{a0}» n’est personne.",
    channel: "Moyen d’authentification",
    mobile: "e-CPS sur mobile",
    card: "Carte CPx",
    start: "Se connecter",
    starting_text: "Le logiciel demande à Relais de commencer une connexion.",
    compare: "Nombre à comparer",
    left: "Temps restant",
    cancel: "Annuler la demande",
    cancelling: "Annulation…",
    identifier: "Identifiant",
    profession: "Profession",
    no_profession: "aucune",
    ends: "Fin au plus tard",
    idle_ends: "Fin sans activité",
    exercices: "Situation d’exercice",
    choose: "Choisir cette situation",
    no_exercice: "Cette personne n’a aucune situation d’exercice.",
    incomplete: "Les données de la personne ne sont pas encore toutes arrivées.",
    sign_out: "Se déconnecter",
    support_code: "Code d’assistance",
    retry_in: "Nouvel essai possible dans",
    retry: "Réessayer",
    replace: "Remplacer la demande en cours",
    not_replaceable: "Cette demande ne peut pas être remplacée d’ici.",
    failed: "Cela n’a pas abouti. Réessayez.",
    phone: "Téléphone de la personne",
    protocol: "Échanges avec Relais",
    protocol_text: "Les appels HTTP du logiciel à l’API cliente, le plus récent d’abord. Jetons et secrets sont masqués.",
    no_call: "Aucun appel pour l’instant.",
    waits: "en attente",
    call_lost: "réponse perdue",
    call_given_up: "abandonné",
    request: "Requête",
    answer: "Réponse",
    empty: "sans corps",
    endings: "Provoquer chaque issue",
    recipes: [
        ("Session", "approuver sur le téléphone"),
        ("Refus", "refuser sur le téléphone"),
        ("Sans réponse", "ne rien faire pendant deux minutes"),
        ("Identifiant inconnu", "saisir unknown-1"),
        ("Identifiant mal formé", "saisir 810123456789, dont la clé est fausse"),
        ("Déjà en cours", "se connecter dans un second onglet pour la même personne"),
        ("Service indisponible", "commander une panne au simulateur, puis se connecter\u{a0}:"),
    ],
    signed_out: "Déconnexion effectuée",
    signed_out_text: "La session est terminée chez Relais\u{a0}; ses jetons sont effacés.",
    session_over: "La session est terminée",
    unreachable: "Relais ne répond pas",
    unreachable_text: "Le logiciel n’a obtenu aucune réponse exploitable. Réessayez dans un instant.",
};

static ENGLISH: Words = Words {
    lang: "en",
    other_lang: "fr",
    other_language: "Français",
    title: "Try a sign-in",
    simulator: "This is a demonstration: the software, the phone and the people are simulated.",
    intro: "A practice’s software asks for a sign-in, the person’s phone confirms it.",
    lost: "The demonstration no longer answers. The page keeps trying.",
    reload: "Reload",
    software: "Practice software",
    sign_in: "Sign in",
    person: "Test person",
    other_person: "Or another identifier",
    other_person_help: "Filled in, it takes the place of the choice above. What begins with “unknown” is nobody.",
    channel: "Means of authentication",
    mobile: "e-CPS on a mobile",
    card: "CPx card",
    start: "Sign in",
    starting_text: "The software asks Relais to start a login.",
    compare: "Number to compare",
    left: "Time left",
    cancel: "Cancel the request",
    cancelling: "Cancelling…",
    identifier: "Identifier",
    profession: "Profession",
    no_profession: "none",
    ends: "Ends at the latest",
    idle_ends: "Ends without activity",
    exercices: "Situation d’exercice",
    choose: "Choose this one",
    no_exercice: "This person has no situation d’exercice.",
    incomplete: "Not all of the person’s data have arrived yet.",
    sign_out: "Sign out",
    support_code: "Support code",
    retry_in: "Try again in",
    retry: "Try again",
    replace: "Replace the request under way",
    not_replaceable: "That request cannot be replaced from here.",
    failed: "That did not work. Try again.",
    phone: "The person’s phone",
    protocol: "Exchanges with Relais",
    protocol_text: "The software’s HTTP calls to the client API, newest first. Tokens and secrets are masked.",
    no_call: "No call yet.",
    waits: "waiting",
    call_lost: "answer lost",
    call_given_up: "given up",
    request: "Request",
    answer: "Answer",
    empty: "no body",
    endings: "Bring about each ending",
    recipes: [
        ("Session", "approve on the phone"),
        ("Denied", "deny on the phone"),
        ("No answer", "do nothing for two minutes"),
        ("Unknown person", "type unknown-1"),
        ("Malformed identifier", "type 810123456789, whose check digit is wrong"),
        ("Already under way", "sign in for the same person in a second tab"),
        ("Service unavailable", "order a fault at the simulator, then sign in:"),
    ],
    signed_out: "Signed out",
    signed_out_text: "The session has ended at Relais; its tokens are wiped.",
    session_over: "The session has ended",
    unreachable: "Relais does not answer",
    unreachable_text: "The software got no answer that it can use. Try again in a moment.",
};

/// How an ending is shown: a colour with an icon, and its name.
pub(super) struct Ending {
    pub tone: &'static str,
    pub title: &'static str,
}

impl Ending {
    pub(super) fn is(&self, tone: &str) -> bool {
        self.tone == tone
    }

    /// How a login that came to nothing ended.
    pub(super) fn of_login(login: &LoginObject, language: Language) -> Self {
        let reason = login.reason.as_ref().and_then(Word::known);
        let status = login.status.known().unwrap_or(LoginStatus::Failed);
        let tone = match reason {
            Some(LoginReason::Expired | LoginReason::PickUpExpired) => "expired",
            Some(LoginReason::Cancelled | LoginReason::Superseded) => "plain",
            Some(
                LoginReason::ProviderUnavailable | LoginReason::OutcomeUnknown | LoginReason::AnswerLost,
            ) => "late",
            _ => "denied",
        };
        Self { tone, title: login_title(status, reason, language) }
    }

    /// Why no login was started.
    pub(super) fn of_problem(problem: &Problem, language: Language) -> Self {
        let tone = match problem.code.as_str() {
            "already_pending" | "rate_limited" => "expired",
            "provider_unavailable" => "late",
            _ => "denied",
        };
        Self { tone, title: problem_title(&problem.code, language) }
    }
}

impl Words {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::French => &FRENCH,
            Language::English => &ENGLISH,
        }
    }

    pub(super) fn signed_out(&self) -> (Ending, String) {
        (Ending { tone: "plain", title: self.signed_out }, self.signed_out_text.to_owned())
    }

    pub(super) fn unreachable(&self) -> (Ending, String) {
        (Ending { tone: "late", title: self.unreachable }, self.unreachable_text.to_owned())
    }

    /// A session that ended without its holder's doing.
    pub(super) fn session_over(&self) -> Ending {
        Ending { tone: "plain", title: self.session_over }
    }

    pub(super) fn means(&self, channel: &str) -> &'static str {
        if channel == "CARD" { self.card } else { self.mobile }
    }
}
