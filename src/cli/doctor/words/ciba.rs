//! What the provider said to the request that names nobody.

use super::Words;

pub(super) fn not_enabled(code: &str) -> Words {
    Words {
        what: [
            format!("Le fournisseur ne laisse pas ce client utiliser CIBA (réponse {code})."),
            format!("The provider does not let this client use CIBA (answer {code})."),
        ],
        fix: [
            "Demandez au fournisseur d’activer CIBA pour ce client_id.",
            "Ask the provider to switch CIBA on for this client_id.",
        ],
    }
}

pub(super) fn credentials_refused(code: &str) -> Words {
    Words {
        what: [
            format!("Le fournisseur refuse les justificatifs du client (réponse {code})."),
            format!("The provider refuses the client's credentials (answer {code})."),
        ],
        fix: [
            "Vérifiez `client_id`, `auth` et le secret ou le certificat, et demandez au fournisseur ce qui est enregistré chez lui.",
            "Check `client_id`, `auth`, and the secret or the certificate, and ask the provider what is registered there.",
        ],
    }
}

pub(super) fn refused_otherwise(code: &str) -> Words {
    Words {
        what: [
            format!(
                "Le fournisseur a refusé la demande d’essai pour une autre raison que l’absence d’identifiant (réponse {code})."
            ),
            format!(
                "The provider refused the trial request for another reason than its missing hint (answer {code})."
            ),
        ],
        fix: [
            "Vérifiez `scope` et `extra_parameters`, et demandez au fournisseur ce qu’il attend d’une demande CIBA.",
            "Check `scope` and `extra_parameters`, and ask the provider what it expects of a CIBA request.",
        ],
    }
}

pub(super) fn accepted_without_hint() -> Words {
    Words {
        what: [
            "Le fournisseur a accepté une demande qui ne nomme personne.".to_owned(),
            "The provider accepted a request that names nobody.".to_owned(),
        ],
        fix: [
            "Demandez au fournisseur qui serait appelé : la norme exige un identifiant.",
            "Ask the provider who would be rung: the standard requires a hint.",
        ],
    }
}
