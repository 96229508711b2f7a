//! Signing keys: the provider's, by which its tokens are verified, and the registration's own.

use super::Words;

pub(super) fn own_unusable() -> Words {
    Words {
        what: [
            "La clé de signature de l’enregistrement est inutilisable.".to_owned(),
            "The signing key of the registration cannot be used.".to_owned(),
        ],
        fix: [
            "Lancez `relais check`, qui dit pourquoi `signing_key` ou `published_keys` ne conviennent pas.",
            "Run `relais check`, which says why `signing_key` or `published_keys` do not do.",
        ],
    }
}

/// Nothing can be done here about either.
const MEND: [&str; 2] = [
    "Demandez au fournisseur de corriger ses clés : sans elles aucun jeton ne peut être vérifié.",
    "Ask the provider to mend its keys: without them no token can be verified.",
];

pub(super) fn malformed() -> Words {
    Words {
        what: [
            "Les clés du fournisseur ne forment pas un JSON Web Key Set bien formé.".to_owned(),
            "The provider's keys are no well-formed JSON Web Key Set.".to_owned(),
        ],
        fix: MEND,
    }
}

pub(super) fn none_usable() -> Words {
    Words {
        what: [
            "Le fournisseur ne publie aucune clé de signature utilisable.".to_owned(),
            "The provider publishes no usable signing key.".to_owned(),
        ],
        fix: MEND,
    }
}

/// The provider alone knows what it signs with for this client.
const ASK_FOR_THE_ALGORITHM: [&str; 2] = [
    "Demandez au fournisseur par quel algorithme il signe pour ce client, et écrivez-le dans `id_token_algs`.",
    "Ask the provider by which algorithm it signs for this client, and write it in `id_token_algs`.",
];

pub(super) fn none_for(algs: &[&str]) -> Words {
    let algs = algs.join(", ");
    Words {
        what: [
            format!("Le fournisseur ne publie aucune clé pour {algs}, que l’enregistrement accepte."),
            format!("The provider publishes no key for {algs}, which the registration accepts."),
        ],
        fix: ASK_FOR_THE_ALGORITHM,
    }
}

pub(super) fn algs_not_advertised(algs: &[&str]) -> Words {
    let algs = algs.join(", ");
    Words {
        what: [
            format!("Le fournisseur n’annonce pas {algs}, que l’enregistrement accepte."),
            format!("The provider does not advertise {algs}, which the registration accepts."),
        ],
        fix: ASK_FOR_THE_ALGORITHM,
    }
}
