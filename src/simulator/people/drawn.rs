//! The person behind a hint that nobody named: derived from the hint alone.

use super::super::jose::sha256;
use super::named::{
    DENTIST, DOCTOR, GROUP_PRACTICE, HEALTH_CENTRE, HOSPITAL, MIDWIFE, NURSE, PHARMACIST, PHARMACY,
    PHYSIOTHERAPIST, SURGERY,
};
use super::{Activity, Person, Place, Practice, Profession};

static GIVEN_NAMES: [(&str, &str); 12] = [
    ("MME", "ALICE"),
    ("M", "BRUNO"),
    ("MME", "CÉCILE"),
    ("M", "DAVID"),
    ("MME", "ÉLODIE"),
    ("M", "FARID"),
    ("MME", "GAËLLE"),
    ("M", "HENRI"),
    ("MME", "INÈS"),
    ("M", "JULIEN"),
    ("MME", "LÉA"),
    ("M", "NICOLAS"),
];
static FAMILY_NAMES: [&str; 12] = [
    "BERNARD",
    "CHEVALIER",
    "DUPONT",
    "FAURE",
    "GARNIER",
    "LAMBERT",
    "LE GALL",
    "MERCIER",
    "NGUYEN",
    "ROUX",
    "SCHMITT",
    "VIDAL",
];
static TRADES: [(&Profession, &str, &str, &Place); 7] = [
    (&DOCTOR, "SA07", "", &SURGERY),
    (&PHARMACIST, "SA33", "A", &PHARMACY),
    (&DENTIST, "SA07", "", &SURGERY),
    (&MIDWIFE, "SA08", "", &HEALTH_CENTRE),
    (&NURSE, "SA08", "", &GROUP_PRACTICE),
    (&PHYSIOTHERAPIST, "SA08", "", &GROUP_PRACTICE),
    (&DOCTOR, "SA08", "", &HEALTH_CENTRE),
];

fn pick<T>(choices: &[T], byte: u8) -> &T {
    &choices[usize::from(byte) % choices.len()]
}

/// Always the same person for the same hint; every third has a second place of practice.
pub(super) fn person(hint: &str) -> Person {
    let hash = sha256(hint.as_bytes());
    let (civility, given_name) = *pick(&GIVEN_NAMES, hash[0]);
    let family_name = *pick(&FAMILY_NAMES, hash[1]);
    let (profession, sector, section, place) = *pick(&TRADES, hash[2]);
    let mut activities = vec![Activity { mode: "L", sector, section, place }];
    if hash[3].is_multiple_of(3) {
        activities.push(Activity { mode: "S", sector: "SA01", section: "", place: &HOSPITAL });
    }
    Person {
        login_hint: hint.to_owned(),
        civility,
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        practices: vec![Practice { profession, savoir_faire: ("", ""), activities }],
        ragged: false,
    }
}
