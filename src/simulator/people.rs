//! The people behind the hints, and how PSC writes about them.
//!
//! Named people ([`named`]) cover the shapes that a client meets; any other hint is somebody too, always the same
//! ([`drawn`]); a hint that begins with `unknown` is nobody. All of them are invented.

mod drawn;
mod named;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::jose::sha256;
use super::personality::Shape;

const NOBODY: &str = "unknown";
const SECTORS: &str = "1.2.250.1.71.4.2.4";
const ROLES: &str = "1.2.250.1.213.1.1.5.5";

/// A person as the directory knows them.
#[derive(Clone)]
pub(super) struct Person {
    /// The national identifier, or whatever the hint was.
    pub login_hint: String,
    civility: &'static str,
    pub given_name: String,
    pub family_name: String,
    practices: Vec<Practice>,
    /// Written with absent, empty and `null` members, as directories do.
    ragged: bool,
}

/// An *exercice*: one profession, practised in several places.
#[derive(Clone)]
struct Practice {
    profession: &'static Profession,
    /// Type and code of the *savoir-faire*, both empty where there is none.
    savoir_faire: (&'static str, &'static str),
    activities: Vec<Activity>,
}

/// A profession of TRE_G15.
struct Profession {
    code: &'static str,
    label: &'static str,
    /// Who registers its members.
    authority: &'static str,
}

/// A practice in one place.
#[derive(Clone)]
struct Activity {
    /// `L` *libéral*, `S` *salarié*.
    mode: &'static str,
    sector: &'static str,
    /// Section of the order of pharmacists.
    section: &'static str,
    place: &'static Place,
}

/// Where somebody practises.
struct Place {
    name: &'static str,
    sign: &'static str,
    siret: &'static str,
    finess: &'static str,
    legal_finess: &'static str,
    structure: &'static str,
    number: &'static str,
    street_kind: &'static str,
    street: &'static str,
    postal_code: &'static str,
    commune: &'static str,
    city: &'static str,
    telephone: &'static str,
}

/// Whom a hint names.
pub(super) fn find(hint: &str) -> Option<Person> {
    if hint.starts_with(NOBODY) {
        return None;
    }
    Some(
        named::all()
            .into_iter()
            .find(|person| person.login_hint == hint)
            .unwrap_or_else(|| drawn::person(hint)),
    )
}

/// One line of `GET /_sim/people`.
#[derive(Serialize)]
pub(super) struct Listed {
    login_hint: String,
    given_name: String,
    family_name: String,
    /// In French; absent where the person has no *exercice*.
    #[serde(skip_serializing_if = "Option::is_none")]
    profession: Option<&'static str>,
    /// As in userinfo.
    exercices: Value,
}

/// The named people.
pub(super) fn list() -> Vec<Listed> {
    named::all()
        .into_iter()
        .map(|person| Listed {
            profession: person.practices.first().map(|practice| practice.profession.label),
            exercices: person.ref_pro().get("exercices").cloned().unwrap_or_default(),
            login_hint: person.login_hint,
            given_name: person.given_name,
            family_name: person.family_name,
        })
        .collect()
}

/// Somebody to sign in as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPerson {
    /// What a client asks for.
    pub login_hint: String,
    /// Given and family name.
    pub name: String,
    /// In French; absent where the person has no *exercice*.
    pub profession: Option<&'static str>,
}

/// The named people, for whoever offers them.
#[must_use]
pub fn named_people() -> Vec<NamedPerson> {
    named::all()
        .into_iter()
        .map(|person| NamedPerson {
            name: person.full_name(),
            profession: person.practices.first().map(|practice| practice.profession.label),
            login_hint: person.login_hint,
        })
        .collect()
}

impl Person {
    /// The technical identifier: always the same, and not the national one.
    pub(super) fn sub(&self) -> Uuid {
        let hash = sha256(format!("person|{}", self.login_hint).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Given and family name, for the phone.
    pub(super) fn full_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name).trim().to_owned()
    }

    /// `otherIds`.
    pub(super) fn other_ids(&self) -> Value {
        let digits = self.login_hint.bytes().all(|byte| byte.is_ascii_digit());
        let rpps = digits && self.login_hint.len() == 12 && self.login_hint.starts_with('8');
        let origin = if rpps { "RPPS" } else { "EDIT" };
        json!([{ "identifiant": self.login_hint, "origine": origin, "qualite": 1 }])
    }

    /// The userinfo answer, whole.
    pub(super) fn userinfo(&self, shape: Shape) -> Value {
        match shape {
            Shape::Psc => self.psc_userinfo(),
            Shape::Keycloak | Shape::Standard => {
                let mut info = Map::from_iter([("sub".to_owned(), json!(self.sub()))]);
                info.extend(self.standard_claims());
                Value::Object(info)
            }
        }
    }

    /// What OpenID Connect Core §5.1 has a name for.
    pub(super) fn standard_claims(&self) -> Map<String, Value> {
        [
            ("name", self.full_name()),
            ("preferred_username", self.login_hint.clone()),
            ("given_name", self.given_name.clone()),
            ("family_name", self.family_name.clone()),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), json!(text)))
        .collect()
    }

    fn psc_userinfo(&self) -> Value {
        let activity = self.practices.first().and_then(|practice| practice.activities.first());
        let place = activity.map(|activity| activity.place);
        let sector = activity.map(|activity| format!("{}^{SECTORS}", activity.sector));
        let mut roles: Vec<String> =
            self.practices.iter().map(|practice| format!("{}^{ROLES}", practice.profession.code)).collect();
        roles.dedup();
        let mut info = json!({
            "sub": self.sub(),
            "SubjectNameID": self.login_hint,
            "PSISubjectNameID": "",
            "preferred_username": self.login_hint,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "Secteur_Activite": sector.unwrap_or_default(),
            "codeGenreActivite": if activity.is_some() { "GENR01" } else { "" },
            "codeCivilite": self.civility,
            "SubjectOrganization": place.map_or("", |place| place.name),
            "SubjectOrganizationID": place.map_or("", |place| place.structure),
            "Mode_Acces_Raison": "",
            "Acces_Regulation_Medicale": "FAUX",
            "UITVersion": "1.0",
            "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
            "PSI_Locale": "1.2.250.1.213.1.3.1.1",
            "SubjectRole": roles,
            "otherIds": self.other_ids(),
            "SubjectRefPro": self.ref_pro(),
        });
        if self.ragged
            && let Some(members) = info.as_object_mut()
        {
            members.shift_remove("otherIds");
            members.shift_remove("SubjectOrganizationID");
            members.insert("codeCivilite".to_owned(), Value::Null);
        }
        info
    }

    fn ref_pro(&self) -> Value {
        let exercices: Vec<Value> = self.practices.iter().map(|practice| self.exercice(practice)).collect();
        json!({ "codeCivilite": self.civility, "exercices": exercices })
    }

    fn exercice(&self, practice: &Practice) -> Value {
        let activities: Vec<Value> = practice
            .activities
            .iter()
            .map(|activity| self.thinned(activity.wire(practice.profession)))
            .collect();
        let mut exercice = json!({
            "codeProfession": practice.profession.code,
            "codeCategorieProfessionnelle": "C",
            "codeCiviliteDexercice": self.civility,
            "nomDexercice": self.family_name,
            "prenomDexercice": self.given_name,
            "codeTypeSavoirFaire": practice.savoir_faire.0,
            "codeSavoirFaire": practice.savoir_faire.1,
            "activities": activities,
        });
        if self.ragged
            && practice.activities.is_empty()
            && let Some(members) = exercice.as_object_mut()
        {
            members.shift_remove("activities");
        }
        exercice
    }

    /// An activity as it is, or for a ragged person without its empty members.
    fn thinned(&self, mut activity: Map<String, Value>) -> Value {
        if self.ragged {
            activity.retain(|_, value| value.as_str().is_some_and(|text| !text.is_empty()));
            activity.insert("codePays".to_owned(), Value::Null);
            activity.insert("raisonSocialeSite".to_owned(), json!(""));
        }
        Value::Object(activity)
    }
}

impl Activity {
    fn wire(&self, profession: &Profession) -> Map<String, Value> {
        let place = self.place;
        let siren = place.siret.get(..9).unwrap_or_default();
        let department = place.postal_code.get(..2).unwrap_or_default();
        [
            ("codeModeExercice", self.mode),
            ("codeSecteurDactivite", self.sector),
            ("codeSectionPharmacien", self.section),
            ("codeRole", ""),
            ("codeGenreActivite", "GENR01"),
            ("numeroSiretSite", place.siret),
            ("numeroSirenSite", siren),
            ("numeroFinessSite", place.finess),
            ("numeroFinessetablissementJuridique", place.legal_finess),
            ("identifiantTechniqueDeLaStructure", place.structure),
            ("raisonSocialeSite", place.name),
            ("enseigneCommercialeSite", place.sign),
            ("complementDestinataire", ""),
            ("complementPointGeographique", ""),
            ("numeroVoie", place.number),
            ("indiceRepetitionVoie", ""),
            ("codeTypeDeVoie", place.street_kind),
            ("libelleVoie", place.street),
            ("mentionDistribution", ""),
            ("bureauCedex", place.city),
            ("codePostal", place.postal_code),
            ("codeCommune", place.commune),
            ("codePays", "99000"),
            ("telephone", place.telephone),
            ("telephone2", ""),
            ("telecopie", ""),
            ("adresseEMail", ""),
            ("codeDepartement", department),
            ("ancienIdentifiantDeLaStructure", ""),
            ("autoriteDenregistrement", profession.authority),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
    }
}
