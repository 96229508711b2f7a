use serde_json::json;

use crate::domain::claims::{ClaimPath, ClaimPaths, ExercicePaths};
use crate::domain::profile::ProfileName;

use super::*;

fn usual(profile: ProfileName) -> ClaimMap {
    ClaimMap::new(profile.profile(), &ClaimPaths::default())
}

fn path(text: &str) -> ClaimPath {
    text.parse().expect("a path")
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().expect("an object")
}

fn id_token() -> Object {
    object(&json!({
        "iss": "https://op.example", "sub": "1b4e28ba", "SubjectNameID": "899700000001",
        "preferred_username": "899700000001", "given_name": "Ada", "family_name": "", "acr": "eidas1",
        "amr": ["pwd", "mfa"], "auth_time": 1_795_312_800, "authMode": "CARD", "session_state": "s-1",
    }))
}

fn userinfo(exercices: &Value) -> Object {
    object(&json!({
        "sub": "1b4e28ba", "SubjectNameID": "899700000001", "given_name": "Ada", "family_name": "MARTIN",
        "SubjectRole": ["10^1.2.250.1.213.1.1.5.5"],
        "SubjectRefPro": {"codeCivilite": "MME", "exercices": exercices},
    }))
}

fn read(exercices: &Value) -> GrantClaims {
    let psc = &usual(ProfileName::Psc);
    with_userinfo(&from_id_token(&id_token(), psc, vec!["openid".to_owned()]), &userinfo(exercices), psc)
}

fn two_sites() -> Value {
    json!([
        {"codeProfession": "10", "codeSavoirFaire": "SM26", "activities": [
            {"codeModeExercice": "L", "raisonSocialeSite": "CABINET DU PORT", "numeroSiretSite": "12345678900011",
             "codePostal": "29200", "telephone": "0200000000"},
            {"codeModeExercice": "S", "raisonSocialeSite": "", "enseigneCommercialeSite": "CLINIQUE",
             "numeroFinessSite": 290_000_017, "codeRole": "8"},
        ]},
        {"codeProfession": "60^1.2.250.1.213.1.1.5.5", "activities": []},
    ])
}

#[test]
fn of_several_national_identifiers_none_is_taken() {
    let configured = ClaimPaths { national_id: Some(path("ids.value")), ..ClaimPaths::default() };
    let map = ClaimMap::new(ProfileName::Generic.profile(), &configured);
    let of = |ids: Value| national_id(&object(&json!({ "sub": "1", "ids": ids })), &map).map(str::to_owned);
    assert_eq!(of(json!({ "value": "8100" })).as_deref(), Some("8100"));
    assert_eq!(
        of(json!([{ "value": "8100" }, { "value": "" }, { "value": "8100" }])).as_deref(),
        Some("8100")
    );
    assert_eq!(of(json!([{ "value": "42" }, { "value": "8100" }])), None);
    assert_eq!(of(json!([])), None);
}

#[test]
fn an_id_token_gives_an_incomplete_subject() {
    let claims = from_id_token(&id_token(), &usual(ProfileName::Psc), vec!["openid".to_owned()]);
    let subject = &claims.subject;
    assert!(!subject.complete);
    assert_eq!(subject.national_id.as_deref(), Some("899700000001"));
    assert_eq!(subject.national_id_kind, Some(NationalIdKind::Rpps));
    assert_eq!(subject.family_name, None, "an empty text is absent");
    assert_eq!(subject.name.as_deref(), Some("Ada"));
    assert_eq!(claims.authenticated_by.as_deref(), Some("CARD"));
    assert_eq!(claims.sid.as_deref(), Some("s-1"));
    assert_eq!(claims.amr, ["pwd", "mfa"]);
    assert_eq!(claims.auth_time, Some(Timestamp::from_secs(1_795_312_800)));
}

#[test]
fn one_situation_per_exercice_and_activity() {
    let claims = read(&two_sites());
    let subject = &claims.subject;
    assert!(subject.complete);
    assert_eq!(subject.name.as_deref(), Some("Ada MARTIN"));
    let [port, clinic, nurse] = subject.exercices.as_slice() else { panic!("three situations") };
    assert_eq!(port.profession.label.as_deref(), Some("Médecin"));
    assert_eq!(port.savoir_faire.as_ref().map(|code| code.code.as_str()), Some("SM26"));
    assert_eq!(port.mode.as_ref().and_then(|mode| mode.label.as_deref()), Some("Libéral"));
    let site = clinic.site.as_ref().expect("a site");
    assert_eq!(site.name.as_deref(), Some("CLINIQUE"));
    assert_eq!(site.finess.as_deref(), Some("290000017"));
    assert_eq!(nurse.profession.code, "60^1.2.250.1.213.1.1.5.5");
    assert_eq!(nurse.profession.label.as_deref(), Some("Infirmier"));
    assert!(nurse.site.is_none());
}

#[test]
fn ids_depend_on_the_situation_and_on_nothing_else() {
    let ids = |exercices: &Value| -> Vec<String> {
        read(exercices).subject.exercices.into_iter().map(|exercice| exercice.id).collect()
    };
    let first = ids(&two_sites());
    assert!(first.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    let mut reordered = two_sites();
    reordered.as_array_mut().expect("an array").reverse();
    reordered[1]["activities"][0]["telephone"] = json!("0299999999");
    reordered[1]["activities"][0]["new"] = json!({"x": 1});
    let mut again = ids(&reordered);
    let mut sorted = first.clone();
    again.sort();
    sorted.sort();
    assert_eq!(again, sorted);
    let mut moved = two_sites();
    moved[0]["activities"][0]["numeroSiretSite"] = json!("98765432100011");
    assert_ne!(ids(&moved)[0], first[0]);
}

#[test]
fn a_situation_that_stands_there_twice_is_one() {
    let twice = json!([{"codeProfession": "10"}, {"codeProfession": "10"}]);
    assert_eq!(read(&twice).subject.exercices.len(), 1);
}

#[test]
fn nothing_that_a_provider_writes_makes_it_fail() {
    for odd in [
        json!(null),
        json!("x"),
        json!({}),
        json!([1, null, "x", []]),
        json!([{"activities": {"a": 1}}, {"codeProfession": ["10"], "activities": [1, {"codePostal": null}]}]),
    ] {
        let claims = read(&odd);
        assert!(claims.subject.complete);
        assert_eq!(claims.subject.national_id.as_deref(), Some("899700000001"));
    }
    let odd = object(
        &json!({"sub": 1, "given_name": {"x": 1}, "groups": {"a": 1}, "amr": "mfa", "SubjectRefPro": []}),
    );
    let claims = from_id_token(&odd, &usual(ProfileName::Psc), Vec::new());
    assert_eq!(claims.amr, ["mfa"]);
    assert_eq!(claims.subject.given_name, None);
}

#[test]
fn what_userinfo_leaves_out_stays_as_the_id_token_said_it() {
    let psc = &usual(ProfileName::Psc);
    let known = from_id_token(&id_token(), psc, Vec::new());
    let claims = with_userinfo(&known, &object(&json!({"sub": "1b4e28ba"})), psc);
    assert_eq!(claims.subject.national_id, known.subject.national_id);
    assert_eq!(claims.subject.given_name.as_deref(), Some("Ada"));
    assert_eq!(claims.authenticated_by, known.authenticated_by);
}

#[test]
fn a_provider_of_which_nothing_is_known_is_read_by_the_standard_alone() {
    let claims = object(&json!({
        "iss": "https://op.example", "sub": "s", "name": "Grace Hopper", "preferred_username": "grace",
        "groups": ["staff", 1, ""], "SubjectRefPro": {"exercices": [{"codeProfession": "10"}]},
    }));
    let subject = from_id_token(&claims, &usual(ProfileName::Generic), Vec::new()).subject;
    assert_eq!(subject.name.as_deref(), Some("Grace Hopper"));
    assert_eq!(subject.national_id, None);
    assert_eq!(subject.groups, ["staff"]);
    assert!(subject.exercices.is_empty());
}

#[test]
fn the_username_is_the_claim_that_equals_the_hint() {
    let of = |claims: Value| from_id_token(&object(&claims), &usual(ProfileName::Psc), Vec::new()).username;
    assert_eq!(of(json!({"SubjectNameID": "8", "preferred_username": "9"})).as_deref(), Some("8"));
    assert_eq!(of(json!({"SubjectNameID": "", "preferred_username": "9"})).as_deref(), Some("9"));
    assert_eq!(of(json!({"sub": "1"})), None);
}

#[test]
fn a_keycloak_that_passes_on_what_psc_says_gives_the_same_subject() {
    let (psc, keycloak) = (usual(ProfileName::Psc), usual(ProfileName::Keycloak));
    let of = |map: &ClaimMap| {
        with_userinfo(&from_id_token(&id_token(), map, Vec::new()), &userinfo(&two_sites()), map)
    };
    let (psc, keycloak) = (of(&psc).subject, of(&keycloak).subject);
    assert!(psc == keycloak, "the same");
    assert_eq!(keycloak.exercices.len(), 3);
    let own = object(&json!({"sub": "s", "preferred_username": "grace"}));
    let own = from_id_token(&own, &usual(ProfileName::Keycloak), Vec::new());
    assert_eq!((own.subject.national_id, own.username.as_deref()), (None, Some("grace")));
}

#[test]
fn groups_are_texts_each_once_wherever_they_stand() {
    let groups = |claims: &Value, configured: &str| {
        let paths = ClaimPaths {
            groups: (!configured.is_empty()).then(|| path(configured)),
            ..ClaimPaths::default()
        };
        let map = ClaimMap::new(ProfileName::Keycloak.profile(), &paths);
        from_id_token(&object(claims), &map, Vec::new()).subject.groups
    };
    let dn = "CN=medecins,OU=groupes,DC=chu,DC=fr";
    for (claims, configured, expected) in [
        (json!({"groups": ["a", "b", "a"]}), "", &["a", "b"][..]),
        (json!({"groups": "a b"}), "", &["a b"]),
        (json!({"memberOf": dn}), "", &[dn]),
        (json!({"memberOf": [dn, dn]}), "", &[dn]),
        (json!({"groups": [], "memberOf": ["a"]}), "", &["a"]),
        (json!({"groups": ["b"], "memberOf": ["a"]}), "", &["b"]),
        (json!({"groups": [1, null, true, {"name": "x"}, "", " ", ["c", ["d"]]]}), "", &["c", "d"]),
        (json!({"groups": {"a": "b"}}), "", &[]),
        (json!({"realm_access": {"roles": ["r1", "r2"]}}), "realm_access.roles", &["r1", "r2"]),
        (json!({"teams": [{"name": "t1"}, {"name": ["t2", "t1"]}, {}, 7]}), "teams.name", &["t1", "t2"]),
        (json!({"https://chu.fr/groups": ["g"]}), "\"https://chu.fr/groups\"", &["g"]),
        (json!({"groups": ["own"], "roles": []}), "roles", &[]),
        (json!({"a": "b"}), "a.b.c", &[]),
    ] {
        assert_eq!(groups(&claims, configured), expected, "{claims} {configured}");
    }
}

#[test]
fn a_shape_of_its_own_is_read_where_the_registration_says() {
    let paths = ClaimPaths {
        national_id: Some(path("ids.national")),
        name: Some(path("identity.display")),
        given_name: Some(path("identity.given")),
        family_name: Some(path("identity.family")),
        exercices: Some(path("practices")),
        exercice: Some(ExercicePaths {
            profession: Some(path("job.code")),
            savoir_faire: Some(path("job.specialities")),
            mode: Some(path("mode")),
            role: Some(path("role")),
            site_name: Some(path("place.label")),
            site_siret: Some(path("place.siret")),
            site_finess: Some(path("place.finess")),
            site_structure_id: Some(path("place.id")),
            site_postal_code: Some(path("place.address.zip")),
        }),
        ..ClaimPaths::default()
    };
    let map = ClaimMap::new(ProfileName::Generic.profile(), &paths);
    let claims = object(&json!({
        "sub": "s", "ids": [{"local": "x"}, {"national": "810012345678"}],
        "identity": {"given": "Ada", "family": "MARTIN", "display": ""},
        "practices": [
            {"job": {"code": "10^1.2.250.1.213.1.1.5.5", "specialities": ["SM26", "SM40"]}, "mode": "L", "role": 8,
             "place": {"label": "CABINET", "siret": "12345678900011", "finess": "", "id": "R1", "address": {"zip": 29200}}},
            {"job": {"code": "10^1.2.250.1.213.1.1.5.5", "specialities": ["SM26"]}, "mode": "L", "role": 8,
             "place": {"label": "CABINET", "siret": "12345678900011", "id": "R1", "address": {"zip": "29200"}, "telephone": "1"}},
            {"nothing": "known"}, "60", " ", 7, null,
        ],
    }));
    let subject = from_id_token(&claims, &map, Vec::new()).subject;
    assert_eq!(subject.national_id.as_deref(), Some("810012345678"));
    assert_eq!(subject.name.as_deref(), Some("Ada MARTIN"));
    let [doctor, nurse] = subject.exercices.as_slice() else { panic!("two: {}", subject.exercices.len()) };
    assert_eq!(doctor.profession.code, "10^1.2.250.1.213.1.1.5.5");
    assert_eq!(doctor.profession.label.as_deref(), Some("Médecin"));
    assert_eq!(doctor.savoir_faire.as_ref().map(|code| code.code.as_str()), Some("SM26"), "the first");
    assert_eq!(doctor.role.as_ref().map(|code| code.code.as_str()), Some("8"));
    let site = doctor.site.as_ref().expect("a site");
    assert_eq!((site.name.as_deref(), site.postal_code.as_deref()), (Some("CABINET"), Some("29200")));
    assert_eq!(site.finess, None);
    assert_eq!(
        (nurse.profession.code.as_str(), nurse.profession.label.as_deref()),
        ("60", Some("Infirmier"))
    );
    assert!(doctor.id != nurse.id && nurse.site.is_none());
}
