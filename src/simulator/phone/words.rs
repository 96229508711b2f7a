//! What the phone page says, side by side in both languages.

use super::view::{Channel, View, Waiting};
use crate::domain::texts::Language;
use crate::simulator::requests::Outcome;

/// The words of the page in one language.
pub(super) struct Words {
    pub lang: &'static str,
    pub other_lang: &'static str,
    pub other_language: &'static str,
    pub title: &'static str,
    pub simulator: &'static str,
    pub waiting: &'static str,
    pub none: &'static str,
    pub none_yet: &'static str,
    pub by_itself: &'static str,
    pub reload: &'static str,
    pub lost: &'static str,
    pub asks: &'static str,
    pub person: &'static str,
    pub digits: &'static str,
    pub no_digits: &'static str,
    pub channel: &'static str,
    pub left: &'static str,
    card: &'static str,
    mobile: &'static str,
    pub card_note: &'static str,
    pub approve: &'static str,
    pub deny: &'static str,
    pub decided: &'static str,
    pub number: &'static str,
    approved: &'static str,
    denied: &'static str,
    expired: &'static str,
    pub too_late: &'static str,
}

static FRENCH: Words = Words {
    lang: "fr",
    other_lang: "en",
    other_language: "English",
    title: "Téléphone simulé",
    simulator: "Ceci est un simulateur\u{a0}: aucune authentification réelle n’a lieu ici.",
    waiting: "En attente",
    none: "Aucune demande en attente.",
    none_yet: "La prochaine demande de connexion s’affichera ici.",
    by_itself: "Cette page se recharge d’elle-même toutes les cinq secondes tant que rien n’attend.",
    reload: "Actualiser",
    lost: "Le simulateur ne répond plus. La page essaie de le retrouver.",
    asks: "demande à vous connecter",
    person: "Pour",
    digits: "Vérifiez que ce nombre est celui affiché par le logiciel",
    no_digits: "Le logiciel n’a pas fourni de nombre à comparer.",
    channel: "Moyen",
    left: "Temps restant",
    card: "carte CPx",
    mobile: "e-CPS sur mobile",
    card_note: "En réalité, cette demande s’afficherait sur le poste, dans CPS-Gestion.",
    approve: "Approuver",
    deny: "Refuser",
    decided: "Historique",
    number: "nombre",
    approved: "Approuvée",
    denied: "Refusée",
    expired: "Expirée",
    too_late: "Cette demande n’est plus en attente.",
};

static ENGLISH: Words = Words {
    lang: "en",
    other_lang: "fr",
    other_language: "Français",
    title: "Simulated phone",
    simulator: "This is a simulator: no real authentication takes place here.",
    waiting: "Waiting",
    none: "No request is waiting.",
    none_yet: "The next sign-in request will appear here.",
    by_itself: "This page reloads by itself every five seconds while nothing is waiting.",
    reload: "Reload",
    lost: "The simulator no longer answers. The page keeps trying.",
    asks: "asks to sign you in",
    person: "For",
    digits: "Check that this number is the one the software shows",
    no_digits: "The software gave no number to compare.",
    channel: "By",
    left: "Time left",
    card: "CPx card",
    mobile: "e-CPS on a mobile",
    card_note: "In reality this request would appear on the workstation, in CPS-Gestion.",
    approve: "Approve",
    deny: "Deny",
    decided: "History",
    number: "number",
    approved: "Approved",
    denied: "Denied",
    expired: "Expired",
    too_late: "This request is not waiting any more.",
};

impl Words {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::French => &FRENCH,
            Language::English => &ENGLISH,
        }
    }

    fn is_french(&self) -> bool {
        self.lang == FRENCH.lang
    }

    pub(super) fn means(&self, channel: Channel) -> &'static str {
        match channel {
            Channel::Card => self.card,
            Channel::Mobile => self.mobile,
        }
    }

    pub(super) fn outcome(&self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Pending => self.waiting,
            Outcome::Approved => self.approved,
            Outcome::Denied => self.denied,
            Outcome::Expired => self.expired,
        }
    }

    /// One or two sentences for who hears the page: what has just happened, and what waits.
    pub(super) fn status(&self, view: &View, client: &str) -> String {
        let waits = match view.waiting.as_slice() {
            [] => self.none.to_owned(),
            [one] => self.one_waits(one, client),
            [.., newest] if self.is_french() => {
                format!("{} demandes en attente. {}", view.waiting.len(), self.one_waits(newest, client))
            }
            [.., newest] => {
                format!("{} requests are waiting. {}", view.waiting.len(), self.one_waits(newest, client))
            }
        };
        match view.just_over() {
            None | Some(Outcome::Pending) => waits,
            Some(Outcome::Approved) if self.is_french() => format!("Demande approuvée. {waits}"),
            Some(Outcome::Denied) if self.is_french() => format!("Demande refusée. {waits}"),
            Some(Outcome::Expired) if self.is_french() => format!("Demande expirée. {waits}"),
            Some(Outcome::Approved) => format!("Request approved. {waits}"),
            Some(Outcome::Denied) => format!("Request denied. {waits}"),
            Some(Outcome::Expired) => format!("Request expired. {waits}"),
        }
    }

    fn one_waits(&self, waiting: &Waiting, client: &str) -> String {
        let number = waiting.digits.as_deref().map(|digits| format!(", {} {digits}", self.number));
        let (name, number) = (&waiting.name, number.unwrap_or_default());
        if self.is_french() {
            format!("Demande de {client} pour {name}{number}.")
        } else {
            format!("Request from {client} for {name}{number}.")
        }
    }

    /// What a button says to who does not see which request it belongs to.
    pub(super) fn button(&self, verb: &str, waiting: &Waiting) -> String {
        let which = waiting.digits.as_deref().unwrap_or(&waiting.name);
        if self.is_french() {
            format!("{verb} la demande {which}")
        } else {
            format!("{verb} request {which}")
        }
    }
}
