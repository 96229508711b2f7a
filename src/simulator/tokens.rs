//! What the provider gives out: request ids, access and refresh tokens.
//!
//! Access and ID tokens are RS256 JWTs in Keycloak's and PSC's shape of 2026: `sub` is a technical UUID, the
//! national identifier is in `SubjectNameID` (PSC) and `preferred_username`. The refresh token is opaque to clients (an
//! HS512 JWT under a key of the realm).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Simulator;
use super::id_token;
use super::jose::{base64url, from_base64url, signing_input};
use super::people::Person;
use super::personality::{Channel, Shape};
use super::requests::Redeemed;
use super::sessions::{Begun, Token};
use crate::domain::random::uuid_v4;
use crate::net::listener::PeerCertificate;

/// Bytes of the ciphertext part: the whole id is some 1100 characters long, as Keycloak's.
const CIPHERTEXT: usize = 752;

/// A token answer (OIDC Core §3.1.3.3 with Keycloak's members).
#[derive(Serialize)]
pub(super) struct Tokens {
    access_token: String,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_in: Option<i64>,
    refresh_token: String,
    token_type: &'static str,
    id_token: String,
    #[serde(rename = "not-before-policy", skip_serializing_if = "Option::is_none")]
    not_before_policy: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_state: Option<Uuid>,
    scope: String,
}

/// What the tokens of one answer have in common.
pub(super) struct Facts<'a> {
    pub redeemed: &'a Redeemed,
    pub certificate: Option<&'a PeerCertificate>,
    pub session: Uuid,
    /// Seconds since the epoch.
    pub issued_at: i64,
    /// When the person was authenticated.
    pub auth_time: i64,
    pub life: i64,
    pub refresh_life: i64,
}

/// The refresh token of an answer.
#[derive(Clone, Copy)]
pub(super) enum RefreshToken<'a> {
    /// A new one of this name.
    Named(Uuid),
    /// The one that was presented.
    Same(&'a str),
}

/// The tokens for an approved request: somebody is signed in. `more` are further claims of the ID token, made from the
/// refresh token.
pub(super) fn issue(
    simulator: &Simulator,
    redeemed: &Redeemed,
    certificate: Option<&PeerCertificate>,
    more: impl FnOnce(&str) -> Vec<(String, Value)>,
) -> Tokens {
    let inner = &simulator.inner;
    let (fresh, id) = (uuid_v4(&*inner.random), uuid_v4(&*inner.random));
    let session = going_on(simulator, &redeemed.person).unwrap_or(fresh);
    let auth_time = inner.clock.now().as_secs();
    let facts = facts(simulator, redeemed, certificate, session, auth_time);
    let thumbprint = certificate.map(|certificate| certificate.thumbprint);
    let begun = Begun { redeemed: redeemed.clone(), auth_time, thumbprint };
    let life = Duration::from_secs(u64::try_from(facts.refresh_life).unwrap_or(0));
    let person = &redeemed.person;
    let mut state = simulator.state();
    state.departures.begin(session, person.sub(), &person.login_hint, inner.clock.now());
    state.sessions.begin(session, begun, id, inner.clock.monotonic() + life);
    drop(state);
    let refresh_token = refresh_token(simulator, &facts, id);
    let more = more(&refresh_token);
    answer(simulator, &facts, refresh_token, more)
}

/// The session that a person is signed in with, where approvals share it.
fn going_on(simulator: &Simulator, person: &Person) -> Option<Uuid> {
    let state = simulator.state();
    if state.settings.shared_session { state.departures.living_of(&person.login_hint) } else { None }
}

/// New tokens for somebody who is signed in.
pub(super) fn renew(
    simulator: &Simulator,
    begun: &Begun,
    session: Uuid,
    certificate: Option<&PeerCertificate>,
    refresh_token_of: RefreshToken<'_>,
) -> Tokens {
    let facts = facts(simulator, &begun.redeemed, certificate, session, begun.auth_time);
    let refresh_token = match refresh_token_of {
        RefreshToken::Named(id) => refresh_token(simulator, &facts, id),
        RefreshToken::Same(text) => text.to_owned(),
    };
    answer(simulator, &facts, refresh_token, Vec::new())
}

fn facts<'a>(
    simulator: &Simulator,
    redeemed: &'a Redeemed,
    certificate: Option<&'a PeerCertificate>,
    session: Uuid,
    auth_time: i64,
) -> Facts<'a> {
    let state = simulator.state();
    let seconds = |length: u64| i64::try_from(length).unwrap_or(i64::MAX);
    Facts {
        redeemed,
        certificate,
        session,
        issued_at: simulator.inner.clock.now().as_secs(),
        auth_time,
        life: seconds(state.settings.access_token_seconds),
        refresh_life: seconds(state.settings.refresh_token_seconds),
    }
}

fn answer(
    simulator: &Simulator,
    facts: &Facts<'_>,
    refresh_token: String,
    more: Vec<(String, Value)>,
) -> Tokens {
    let inner = &simulator.inner;
    let altered = simulator.state().faults.altered_token();
    let access_token = access_token(simulator, facts);
    let more = more.into_iter().chain(altered.into_iter().flatten());
    let as_keycloak = inner.traits.shape != Shape::Standard;
    Tokens {
        id_token: id_token::issue(simulator, facts, &access_token, more),
        refresh_token,
        access_token,
        expires_in: facts.life,
        refresh_expires_in: as_keycloak.then_some(facts.refresh_life),
        token_type: "Bearer",
        not_before_policy: as_keycloak.then_some(0),
        session_state: as_keycloak.then_some(facts.session),
        scope: facts.redeemed.scope.clone(),
    }
}

/// The members that access and ID token share.
pub(super) fn common_claims(simulator: &Simulator, facts: &Facts<'_>) -> Map<String, Value> {
    let inner = &simulator.inner;
    let redeemed = facts.redeemed;
    let channel = inner.traits.channels.get(redeemed.channel);
    let person = &redeemed.person;
    let acr = redeemed.acr.as_deref().unwrap_or(inner.traits.acr);
    let amr = match (&redeemed.amr, channel) {
        (Some(amr), _) => Some(json!(amr)),
        (None, channel) => channel.map(|channel| json!(channel.amr)),
    };
    let mut claims = Map::new();
    for (name, value) in [
        ("exp", json!(facts.issued_at.saturating_add(facts.life))),
        ("iat", json!(facts.issued_at)),
        ("auth_time", json!(facts.auth_time)),
        ("iss", json!(inner.issuer)),
        ("aud", json!(inner.client_id)),
        ("sub", json!(person.sub())),
        ("azp", json!(inner.client_id)),
        ("sid", json!(facts.session)),
        ("acr", json!(acr)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    claims.extend(amr.map(|amr| ("amr".to_owned(), amr)));
    match inner.traits.shape {
        Shape::Psc => claims.extend(psc_claims(person, channel)),
        Shape::Keycloak | Shape::Standard => claims.extend(person.standard_claims()),
    }
    claims
}

fn psc_claims(person: &Person, channel: Option<&Channel>) -> impl Iterator<Item = (String, Value)> {
    [
        ("SubjectNameID", json!(person.login_hint)),
        ("PSISubjectNameID", json!("")),
        ("preferred_username", json!(person.login_hint)),
        ("otherIds", person.other_ids()),
        ("authMode", json!(channel.map(|channel| channel.name))),
        ("auth_level", json!("1")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
}

fn access_token(simulator: &Simulator, facts: &Facts<'_>) -> String {
    let inner = &simulator.inner;
    let mut claims = common_claims(simulator, facts);
    claims.insert("aud".to_owned(), json!("account"));
    claims.insert("typ".to_owned(), json!("Bearer"));
    claims.insert("jti".to_owned(), json!(format!("{}{}", inner.traits.jti_prefix, uuid_v4(&*inner.random))));
    claims.insert("scope".to_owned(), json!(facts.redeemed.scope));
    if let Some(certificate) = facts.certificate {
        claims.insert("cnf".to_owned(), json!({ "x5t#S256": base64url(&certificate.thumbprint) }));
    }
    let header = header("RS256", inner.signing_key.kid());
    let input = signing_input(&header, &claims);
    let signature = base64url(&inner.signing_key.sign("RS256", &input));
    format!("{input}.{signature}")
}

/// A JOSE header of Keycloak's.
pub(super) fn header(alg: &str, kid: &str) -> Map<String, Value> {
    [("alg", alg), ("typ", "JWT"), ("kid", kid)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

fn refresh_token(simulator: &Simulator, facts: &Facts<'_>, id: Uuid) -> String {
    let inner = &simulator.inner;
    let members = json!({
        "exp": facts.issued_at.saturating_add(facts.refresh_life),
        "iat": facts.issued_at,
        "jti": id,
        "iss": inner.issuer,
        "aud": inner.issuer,
        "sub": facts.redeemed.person.sub(),
        "typ": "Refresh",
        "azp": inner.client_id,
        "sid": facts.session,
        "scope": facts.redeemed.scope,
    });
    let Value::Object(claims) = members else { return String::new() };
    let input = signing_input(&header("HS512", &inner.realm_key_id), &claims);
    let signature = base64url(&inner.realm_key.hs512(&input));
    format!("{input}.{signature}")
}

/// The claims of a refresh token of ours, whether it still counts or not.
pub(super) fn refresh_token_claims(simulator: &Simulator, text: &str) -> Option<Map<String, Value>> {
    let (input, signature) = text.rsplit_once('.')?;
    if from_base64url(signature)? != simulator.inner.realm_key.hs512(input) {
        return None;
    }
    let (_, claims) = input.split_once('.')?;
    serde_json::from_slice(&from_base64url(claims)?).ok()
}

/// Those of one that counts.
pub(super) fn living_refresh_token(simulator: &Simulator, text: &str) -> Option<Map<String, Value>> {
    let claims = refresh_token_claims(simulator, text)?;
    let token = named(&claims)?;
    let state = simulator.state();
    let counts = state.departures.is_alive(token.session, &token.id.to_string())
        && state.sessions.counts(&token, simulator.inner.clock.monotonic());
    counts.then_some(claims)
}

/// What a refresh token of ours names, whether it still counts or not.
pub(super) fn verified_refresh_token(simulator: &Simulator, text: &str) -> Option<Token> {
    named(&refresh_token_claims(simulator, text)?)
}

fn named(claims: &Map<String, Value>) -> Option<Token> {
    let id = |name: &str| Uuid::parse_str(claims.get(name)?.as_str()?).ok();
    let scope = claims.get("scope")?.as_str()?.to_owned();
    Some(Token { session: id("sid")?, id: id("jti")?, scope })
}

/// The claims of an access token of ours that is still alive, and its session too.
pub(super) fn verified_access_token(simulator: &Simulator, token: &str) -> Option<Map<String, Value>> {
    let claims = verified(simulator, token, &simulator.inner.issuer)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let sid = Uuid::try_parse(text("sid")).ok()?;
    let is_alive = simulator.state().departures.is_alive(sid, text("jti"));
    is_alive.then_some(claims)
}

/// The claims of an exchanged token of ours that is still alive.
pub(super) fn verified_exchanged_token(simulator: &Simulator, token: &str) -> Option<Map<String, Value>> {
    verified(simulator, token, &exchange_issuer(simulator))
}

fn verified(simulator: &Simulator, token: &str, issuer: &str) -> Option<Map<String, Value>> {
    let inner = &simulator.inner;
    let claims = inner.signing_key.verified_claims(token)?;
    let expires = claims.get("exp")?.as_i64()?;
    let is_access_token = claims.get("typ").and_then(Value::as_str) == Some("Bearer")
        && claims.get("iss").and_then(Value::as_str) == Some(issuer);
    (is_access_token && inner.clock.now().as_secs() < expires).then_some(claims)
}

/// The issuer of exchanged tokens.
fn exchange_issuer(simulator: &Simulator) -> String {
    format!("{}/as", simulator.inner.issuer)
}

/// A token for a target, about the person of a subject token. `more` are its other claims.
pub(super) fn exchanged_token(
    simulator: &Simulator,
    subject: &Map<String, Value>,
    life: i64,
    more: Map<String, Value>,
) -> String {
    let inner = &simulator.inner;
    let now = inner.clock.now().as_secs();
    let mut claims = Map::new();
    for (name, value) in [
        ("exp", json!(now.saturating_add(life))),
        ("iat", json!(now)),
        ("jti", json!(uuid_v4(&*inner.random))),
        ("iss", json!(exchange_issuer(simulator))),
        ("typ", json!("Bearer")),
        ("azp", json!(inner.client_id)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    for name in ["sub", "sid", "acr", "SubjectNameID", "preferred_username"] {
        claims.extend(subject.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    claims.extend(more);
    let input = signing_input(&header("RS256", inner.signing_key.kid()), &claims);
    let signature = base64url(&inner.signing_key.sign("RS256", &input));
    format!("{input}.{signature}")
}

/// A new request id: where they are long, in the form of a compact JWE with direct encryption (RFC 7516 §7.1: the
/// second part is empty). The content is random; the tag is a true one, so that a foreign text is told apart from an id that is no more.
pub(super) fn auth_req_id(simulator: &Simulator) -> String {
    let inner = &simulator.inner;
    if !inner.traits.long_request_ids {
        let mut drawn = [0; 20];
        inner.random.fill(&mut drawn);
        let drawn = base64url(&drawn);
        let tag = base64url(&inner.realm_key.tag(&drawn));
        return format!("{drawn}.{tag}");
    }
    let mut bytes = [0; 16 + CIPHERTEXT];
    inner.random.fill(&mut bytes);
    let (nonce, ciphertext) = bytes.split_at(16);
    let header = json!({ "alg": "dir", "enc": "A128CBC-HS256", "kid": inner.realm_key_id });
    let head = base64url(header.to_string().as_bytes());
    let sealed = format!("{head}..{}.{}", base64url(nonce), base64url(ciphertext));
    let tag = base64url(&inner.realm_key.tag(&sealed));
    format!("{sealed}.{tag}")
}

/// Whether a text was ever given out by [`auth_req_id`] here.
pub(super) fn is_auth_req_id(simulator: &Simulator, text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(sealed, tag)| {
        from_base64url(tag).as_deref() == Some(&simulator.inner.realm_key.tag(sealed))
    })
}
