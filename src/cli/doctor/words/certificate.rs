//! A registration's own certificate, before anybody is called.

use super::Words;
use crate::domain::time::Timestamp;

pub(super) fn expired(file: &str, not_after: Timestamp) -> Words {
    Words {
        what: [
            format!("Le certificat client {file} a expiré le {not_after}."),
            format!("The client certificate {file} expired at {not_after}."),
        ],
        fix: [
            "Faites-en établir un nouveau, et écrivez-le avec sa clé à la place des anciens fichiers.",
            "Have a new one made, and write it and its key over the old files.",
        ],
    }
}

pub(super) fn not_yet_valid(file: &str, not_before: Timestamp) -> Words {
    Words {
        what: [
            format!("Le certificat client {file} n’est valable qu’à partir du {not_before}."),
            format!("The client certificate {file} is valid from {not_before} only."),
        ],
        fix: [
            "Vérifiez l’horloge de cette machine, ou attendez cette date.",
            "Check the clock of this machine, or wait for that date.",
        ],
    }
}

pub(super) fn expires_soon(file: &str, days: u64) -> Words {
    // French counts nought as one.
    let (jours, in_english) =
        (if days < 2 { "jour" } else { "jours" }, if days == 1 { "day" } else { "days" });
    Words {
        what: [
            format!("Le certificat client {file} expire dans {days} {jours}."),
            format!("The client certificate {file} expires in {days} {in_english}."),
        ],
        fix: [
            "Faites-le renouveler avant cette date : un certificat expiré ne se renouvelle pas partout.",
            "Have it renewed before: not every authority renews what has expired.",
        ],
    }
}

pub(super) fn unusable(file: &str) -> Words {
    Words {
        what: [
            format!("Le certificat client {file} ou sa clé est inutilisable."),
            format!("The client certificate {file} or its key cannot be used."),
        ],
        fix: ["Lancez `relais check`, qui dit pourquoi.", "Run `relais check`, which says why."],
    }
}

pub(super) fn name_differs(common_name: Option<&str>, client_id: &str) -> Words {
    let what = match common_name {
        Some(name) => [
            format!("Le CN du certificat client est {name:?}, le client_id est {client_id:?}."),
            format!("The CN of the client certificate is {name:?}, the client_id is {client_id:?}."),
        ],
        None => [
            format!("Le certificat client n’a pas de CN ; le client_id est {client_id:?}."),
            format!("The client certificate has no CN; the client_id is {client_id:?}."),
        ],
    };
    Words {
        what,
        fix: [
            "Si le fournisseur n’a pas lié ce certificat à ce client_id, donnez le bon dans `certificates`, ou corrigez `client_id`.",
            "If the provider has not linked this certificate to this client_id, name the right one in `certificates`, or correct `client_id`.",
        ],
    }
}
