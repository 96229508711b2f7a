//! What the provider says of itself: its document, its issuer, and what it offers.

use super::Words;

pub(super) fn malformed() -> Words {
    Words {
        what: [
            "Le document de métadonnées n’est pas un objet JSON bien formé.".to_owned(),
            "The metadata document is no well-formed JSON object.".to_owned(),
        ],
        fix: [
            "Vérifiez que `metadata_url` mène au document .well-known du fournisseur.",
            "Check that `metadata_url` leads to the provider's .well-known document.",
        ],
    }
}

pub(super) fn member(member: &str) -> Words {
    Words {
        what: [
            format!("Les métadonnées n’ont pas de {member} valable."),
            format!("The metadata have no valid {member}."),
        ],
        fix: [
            "Vérifiez que `metadata_url` mène au document qui décrit CIBA, ou demandez au fournisseur de l’activer.",
            "Check that `metadata_url` leads to the document that describes CIBA, or ask the provider to switch it on.",
        ],
    }
}

pub(super) fn insecure(member: &str) -> Words {
    Words {
        what: [
            format!(
                "Les métadonnées donnent un {member} qui ne peut pas être appelé, par exemple sans https."
            ),
            format!("The metadata name a {member} that may not be called, such as one without https."),
        ],
        fix: [
            "Demandez au fournisseur de corriger ses métadonnées.",
            "Ask the provider to mend its metadata.",
        ],
    }
}

pub(super) fn issuer_differs(found: Option<&str>, configured: &str) -> Words {
    let what = match found {
        Some(found) => [
            format!("Les métadonnées nomment l’émetteur {found:?}, la configuration nomme {configured:?}."),
            format!("The metadata name the issuer {found:?}, the configuration names {configured:?}."),
        ],
        None => [
            format!("Les métadonnées ne nomment aucun émetteur, la configuration nomme {configured:?}."),
            format!("The metadata name no issuer, the configuration names {configured:?}."),
        ],
    };
    Words {
        what,
        fix: [
            "Écrivez `issuer` exactement comme les métadonnées, à l’octet près, si c’est bien ce fournisseur ; sinon corrigez `metadata_url`.",
            "Write `issuer` exactly as the metadata do, byte for byte, if this is the right provider; otherwise correct `metadata_url`.",
        ],
    }
}

pub(super) fn delivery_not_offered(wanted: &str, offered: &[&str]) -> Words {
    let modes = offered.join(", ");
    let (propose, offers) = if offered.is_empty() {
        ("ne propose aucun mode connu".to_owned(), "offers none that is known".to_owned())
    } else {
        (format!("propose {modes}"), format!("offers {modes}"))
    };
    Words {
        what: [
            format!("L’enregistrement utilise le mode de remise {wanted} ; le fournisseur {propose}."),
            format!("The registration uses the delivery mode {wanted}; the provider {offers}."),
        ],
        fix: [
            "Écrivez dans `delivery` un mode que le fournisseur propose, ou demandez-lui d’ajouter celui-ci.",
            "Write in `delivery` a mode that the provider offers, or ask it to add this one.",
        ],
    }
}

pub(super) fn not_offered(member: &str, wanted: &str) -> Words {
    Words {
        what: [
            format!("Le {member} du fournisseur ne nomme pas {wanted}, que l’enregistrement utilise."),
            format!(
                "The provider's {member} does not name {wanted}, which the registration is configured for."
            ),
        ],
        fix: [
            "Utilisez dans `auth`, `signing_alg` et `signed_requests` ce que le fournisseur annonce, ou demandez-lui d’annoncer cela.",
            "Use in `auth`, `signing_alg` and `signed_requests` what the provider names, or ask it to name this.",
        ],
    }
}
