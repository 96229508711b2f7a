//! The provider's clock beside ours.

use super::Words;

pub(super) fn no_date() -> Words {
    Words {
        what: [
            "Aucune réponse du fournisseur ne dit l’heure qu’il y est.".to_owned(),
            "No answer of the provider says what time it is there.".to_owned(),
        ],
        fix: [
            "Vérifiez vous-même que l’horloge de cette machine est réglée par NTP.",
            "Make sure yourself that the clock of this machine is set by NTP.",
        ],
    }
}

pub(super) fn clocks_differ(seconds: u64, ours_is_ahead: bool) -> Words {
    let (avance, ahead) = if ours_is_ahead {
        (format!("avance de {seconds} s sur"), "ahead of")
    } else {
        (format!("retarde de {seconds} s sur"), "behind")
    };
    Words {
        what: [
            format!("L’horloge de cette machine {avance} celle du fournisseur."),
            format!("The clock of this machine is {seconds} s {ahead} the provider's."),
        ],
        fix: [
            "Réglez l’horloge de cette machine par NTP ; si elle est juste, prévenez le fournisseur.",
            "Set the clock of this machine by NTP; if it is right, tell the provider.",
        ],
    }
}
