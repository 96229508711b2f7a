//! French labels of common codes (nomenclatures TRE_G15 and TRE_R23 of the *Modèle des objets de santé*).
//!
//! A code may come with its code system (`10^1.2.250.1.213.1.1.5.5`); the label belongs to what stands before it.
//! A code that is not here simply has no label.

const PROFESSIONS: [(&str, &str); 31] = [
    ("10", "Médecin"),
    ("21", "Pharmacien"),
    ("26", "Audioprothésiste"),
    ("28", "Opticien-lunetier"),
    ("31", "Assistant dentaire"),
    ("32", "Physicien médical"),
    ("35", "Aide-soignant"),
    ("36", "Ambulancier"),
    ("37", "Auxiliaire de puériculture"),
    ("38", "Préparateur en pharmacie hospitalière"),
    ("39", "Préparateur en pharmacie"),
    ("40", "Chirurgien-dentiste"),
    ("50", "Sage-femme"),
    ("60", "Infirmier"),
    ("69", "Infirmier psychiatrique"),
    ("70", "Masseur-kinésithérapeute"),
    ("71", "Ostéopathe"),
    ("72", "Psychothérapeute"),
    ("73", "Chiropracteur"),
    ("80", "Pédicure-podologue"),
    ("81", "Orthoprothésiste"),
    ("82", "Podo-orthésiste"),
    ("83", "Orthopédiste-orthésiste"),
    ("84", "Oculariste"),
    ("85", "Épithésiste"),
    ("86", "Technicien de laboratoire médical"),
    ("91", "Orthophoniste"),
    ("92", "Orthoptiste"),
    ("93", "Psychologue"),
    ("94", "Ergothérapeute"),
    ("95", "Diététicien"),
];

const MODES: [(&str, &str); 3] = [("B", "Bénévole"), ("L", "Libéral"), ("S", "Salarié")];

/// The label of a profession.
pub(super) fn profession(code: &str) -> Option<String> {
    label(&PROFESSIONS, code)
}

/// The label of a mode of practice.
pub(super) fn mode(code: &str) -> Option<String> {
    label(&MODES, code)
}

fn label(table: &[(&str, &str)], code: &str) -> Option<String> {
    let bare = code.split('^').next().unwrap_or(code);
    table.iter().find(|(known, _)| *known == bare).map(|(_, label)| (*label).to_owned())
}
