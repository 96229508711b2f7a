//! The named people: one for each shape that a client has to cope with.

use super::{Activity, Person, Place, Practice, Profession};

pub(super) static DOCTOR: Profession =
    Profession { code: "10", label: "Médecin", authority: "CNOM/CNOM/CNOM" };
pub(super) static PHARMACIST: Profession =
    Profession { code: "21", label: "Pharmacien", authority: "CNOP/CNOP/CNOP" };
pub(super) static DENTIST: Profession =
    Profession { code: "40", label: "Chirurgien-dentiste", authority: "CNOCD/CNOCD/CNOCD" };
pub(super) static MIDWIFE: Profession =
    Profession { code: "50", label: "Sage-femme", authority: "CNOSF/CNOSF/CNOSF" };
pub(super) static NURSE: Profession =
    Profession { code: "60", label: "Infirmier", authority: "CNOI/CNOI/CNOI" };
pub(super) static PHYSIOTHERAPIST: Profession =
    Profession { code: "70", label: "Masseur-kinésithérapeute", authority: "CNOMK/CNOMK/CNOMK" };
pub(super) static PODIATRIST: Profession =
    Profession { code: "80", label: "Pédicure-podologue", authority: "CNOPP/CNOPP/CNOPP" };

pub(super) static SURGERY: Place = Place {
    name: "CABINET DU DR LEROY TEST",
    sign: "CABINET DES LILAS",
    siret: "39900000100018",
    finess: "",
    legal_finess: "",
    structure: "R10100000900001",
    number: "12",
    street_kind: "R",
    street: "DES LILAS",
    postal_code: "35000",
    commune: "35238",
    city: "RENNES",
    telephone: "0299000001",
};
pub(super) static HEALTH_CENTRE: Place = Place {
    name: "MAISON DE SANTE DU PORT TEST",
    sign: "MSP DU PORT",
    siret: "39900000200016",
    finess: "350900002",
    legal_finess: "",
    structure: "F350900002",
    number: "3",
    street_kind: "QUAI",
    street: "DE LA VILAINE",
    postal_code: "35480",
    commune: "35126",
    city: "GUIPRY-MESSAC",
    telephone: "0299000002",
};
pub(super) static HOSPITAL: Place = Place {
    name: "CENTRE HOSPITALIER DE TEST",
    sign: "",
    siret: "26900000300012",
    finess: "350900010",
    legal_finess: "350900011",
    structure: "F350900010",
    number: "1",
    street_kind: "AV",
    street: "DE L'HOPITAL",
    postal_code: "35300",
    commune: "35115",
    city: "FOUGERES",
    telephone: "0299000003",
};
pub(super) static PHARMACY: Place = Place {
    name: "PHARMACIE DE LA MAIRIE TEST",
    sign: "PHARMACIE DE LA MAIRIE",
    siret: "39900000400012",
    finess: "750900020",
    legal_finess: "750900021",
    structure: "F750900020",
    number: "45",
    street_kind: "PL",
    street: "DE LA MAIRIE",
    postal_code: "75011",
    commune: "75111",
    city: "PARIS",
    telephone: "0100000004",
};
pub(super) static GROUP_PRACTICE: Place = Place {
    name: "SCM SOINS ET MOUVEMENT TEST",
    sign: "",
    siret: "39900000500019",
    finess: "",
    legal_finess: "",
    structure: "R10100000900005",
    number: "8",
    street_kind: "BD",
    street: "DES ALPES",
    postal_code: "38000",
    commune: "38185",
    city: "GRENOBLE",
    telephone: "0476000005",
};

fn at(mode: &'static str, sector: &'static str, place: &'static Place) -> Activity {
    Activity { mode, sector, section: "", place }
}

fn practice(profession: &'static Profession, activities: Vec<Activity>) -> Practice {
    Practice { profession, savoir_faire: ("", ""), activities }
}

fn person(
    login_hint: &str,
    civility: &'static str,
    (given_name, family_name): (&str, &str),
    practices: Vec<Practice>,
) -> Person {
    Person {
        login_hint: login_hint.to_owned(),
        civility,
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        practices,
        ragged: false,
    }
}

/// Two *exercices* and three places: a general practitioner in two surgeries who is an emergency doctor in a
/// hospital.
fn doctor() -> Person {
    let general = Practice {
        profession: &DOCTOR,
        savoir_faire: ("S", "SM54"),
        activities: vec![at("L", "SA07", &SURGERY), at("L", "SA08", &HEALTH_CENTRE)],
    };
    let emergency = Practice {
        profession: &DOCTOR,
        savoir_faire: ("S", "SM92"),
        activities: vec![at("S", "SA01", &HOSPITAL)],
    };
    person("899700000001", "MME", ("CLAIRE", "LEROY-TEST"), vec![general, emergency])
}

fn pharmacist() -> Person {
    let officine = Activity { mode: "L", sector: "SA33", section: "A", place: &PHARMACY };
    person("899700000002", "M", ("KARIM", "BENALI-TEST"), vec![practice(&PHARMACIST, vec![officine])])
}

fn nurse() -> Person {
    let activities = vec![at("L", "SA08", &GROUP_PRACTICE), at("S", "SA01", &HOSPITAL)];
    person("899700000003", "MME", ("JEANNE", "MOREAU-TEST"), vec![practice(&NURSE, activities)])
}

/// What directories do to a person: an *exercice* without activities, empty names, members that are missing.
fn ragged() -> Person {
    let practices = vec![
        practice(&PODIATRIST, vec![at("L", "SA07", &SURGERY), at("", "", &HEALTH_CENTRE)]),
        practice(&PODIATRIST, Vec::new()),
    ];
    Person { ragged: true, ..person("899700000008", "", ("", "INCOMPLET-TEST"), practices) }
}

/// All of them.
pub(super) fn all() -> Vec<Person> {
    vec![
        doctor(),
        pharmacist(),
        nurse(),
        person(
            "899700000004",
            "MME",
            ("AÏCHA", "DIALLO-TEST"),
            vec![practice(&MIDWIFE, vec![at("L", "SA08", &HEALTH_CENTRE), at("S", "SA01", &HOSPITAL)])],
        ),
        person(
            "899700000005",
            "M",
            ("HUGO", "PETIT-TEST"),
            vec![practice(&PHYSIOTHERAPIST, vec![at("L", "SA08", &GROUP_PRACTICE)])],
        ),
        person(
            "899700000006",
            "M",
            ("JEAN-MARIE", "D'ARC-TEST"),
            vec![practice(&DENTIST, vec![at("L", "SA07", &SURGERY)])],
        ),
        person("899700000007", "MME", ("LOUISE", "SANSEXERCICE-TEST"), Vec::new()),
        ragged(),
        person(
            "500000001815646/CPAT00045",
            "MME",
            ("SOPHIE", "ACCUEIL-TEST"),
            vec![practice(&NURSE, vec![at("S", "SA01", &HOSPITAL)])],
        ),
        person(
            "ANS20230000042",
            "M",
            ("PAUL", "EDITEUR-TEST"),
            vec![practice(&DOCTOR, vec![at("S", "SA01", &HOSPITAL)])],
        ),
    ]
}
