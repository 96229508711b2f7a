//! What must hold of the readers of a provider's words whatever bytes come: see [`crate::crypto::fuzzing`].

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use openidconnect::JsonWebKey as _;
use serde_json::{Value, json};

use super::exchange::answer::ExchangedAnswer;
use super::id_token::{Came, Companions, Received, Terms};
use super::jwt::{self, Unverified};
use super::keys::Keys;
use super::metadata::{Endpoint, Metadata};
use super::oauth_error::OAuthError;
use super::settings::IdTokenAlg;
use super::subject::{self, ClaimMap};
use super::token::answer::TokenAnswer;
use super::userinfo::Document;
use crate::crypto::fuzzing::{Jwt, jwt, parts, public_key};
use crate::crypto::jws::FORBIDDEN;
use crate::domain::claims::{ClaimPaths, ExercicePaths};
use crate::domain::grant::GrantClaims;
use crate::domain::profile::{Profile, ProfileName};
use crate::domain::registration::Delivery;
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::time::Timestamp;
use crate::engine::ports::{ExchangeAnswer, Expectation, PollAnswer};
use crate::net::outbound::OutboundResponse;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://op.example";
const CLIENT_ID: &str = "relais";
const HINT: &str = "899700000001";
const ACR: &str = "eidas1";
const AUTH_REQ_ID: &str = "request-1";
const LIFETIME: Duration = Duration::from_secs(120);
/// Which algorithms are pinned. The key that signs is of the first; the others have a key and no signature.
const PINNED: [IdTokenAlg; 4] = [IdTokenAlg::EdDsa, IdTokenAlg::Rs256, IdTokenAlg::Ps256, IdTokenAlg::Es256];
/// The longest that `Retry-After` counts.
const HOUR: Duration = Duration::from_hours(1);

const PROFILES: [ProfileName; 3] = [ProfileName::Psc, ProfileName::Keycloak, ProfileName::Generic];

/// As in the engine: RFC 7517 A.1, RFC 7638 §3.1.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "own", "x": public_key()},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "RSA", "kid": "rsa", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
    ]});
    Keys::read(set.to_string().as_bytes()).expect("usable keys")
});

// === Answers ===

/// An answer as HTTP writes it: status, headers, an empty line, body. What is not of this form is the body of a 200.
fn answer(input: &[u8]) -> OutboundResponse {
    written(input).unwrap_or_else(|| OutboundResponse {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: input.to_vec(),
    })
}

fn written(input: &[u8]) -> Option<OutboundResponse> {
    let at = input.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = std::str::from_utf8(&input[..at]).ok()?.lines();
    let status = StatusCode::from_bytes(lines.next()?.as_bytes()).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(OutboundResponse { status, headers, body: input[at + 2..].to_vec() })
}

/// An OAuth error; what a log shows of it is one of the registered words, never what the provider wrote.
fn oauth_error(body: &[u8]) -> Option<OAuthError> {
    let error = OAuthError::read(body)?;
    let shown = error.loggable_code();
    assert!(shown == error.code || shown == "other", "another code is logged");
    assert!(shown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "no word");
    let _ = error.mentions("hint");
    Some(error)
}

/// An answer to an authentication request. A person is free at once only where the provider has certainly not accepted.
pub fn backchannel(input: &[u8]) -> bool {
    let answer = answer(input);
    if answer.status.is_success() {
        let Ok(told) = super::backchannel::acknowledgement(&answer) else { return false };
        assert!((1..=8192).contains(&told.auth_req_id.expose().len()), "no auth_req_id");
        assert!((Duration::from_secs(1)..=HOUR).contains(&told.expires_in), "{:?}", told.expires_in);
        assert!((Duration::from_secs(1)..=told.expires_in).contains(&told.interval), "{:?}", told.interval);
        return true;
    }
    let error = oauth_error(&answer.body);
    for profile in PROFILES.map(ProfileName::profile) {
        let failure = super::backchannel::judge(profile, answer.status, error.as_ref());
        let said_no = answer.status.is_client_error() || error.is_some();
        assert!(failure.may_have_been_accepted || said_no, "{} frees the person", answer.status);
    }
    false
}

/// An answer to a token request. Without success nobody is approved, and waiting has an end.
pub fn token(input: &[u8]) -> bool {
    let answer = answer(input);
    if answer.status.is_success() {
        let Ok(told) = TokenAnswer::read(&answer.body) else { return false };
        bounded(&told);
        return true;
    }
    let error = oauth_error(&answer.body);
    let code = error.as_ref().map(|error| error.code.as_str());
    let wait = match super::token::judge(answer.status, error.as_ref(), &answer.headers, NOW) {
        PollAnswer::Approved(_) => unreachable!("approved by an error"),
        PollAnswer::Pending { retry_after } => {
            assert_eq!(code, Some("authorization_pending"));
            retry_after
        }
        PollAnswer::SlowDown { retry_after } => {
            assert_eq!(code, Some("slow_down"));
            retry_after
        }
        PollAnswer::Unreachable { retry_after } => retry_after,
        PollAnswer::Ended { .. } => None,
    };
    assert!(wait.is_none_or(|wait| (Duration::from_secs(1)..=HOUR).contains(&wait)), "{wait:?}");
    false
}

fn bounded(told: &TokenAnswer) {
    let tokens = [Some(&told.access_token), Some(&told.id_token), told.refresh_token.as_ref()];
    for token in tokens.into_iter().flatten() {
        assert!((1..=jwt::MAX_SIZE).contains(&token.expose().len()), "a token of no size");
    }
    assert!(told.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()), "no header value");
    let ten_years = Duration::from_hours(10 * 365 * 24);
    for life in [told.expires_in, told.refresh_expires_in].into_iter().flatten() {
        assert!(life <= ten_years, "{life:?}");
    }
    let words = told.scope.iter().flatten();
    assert!(words.into_iter().all(|word| !word.is_empty() && !word.contains(' ')), "no words of a scope");
}

/// An answer to an exchange. What is taken can stand in a header of a call of the target; without success there is no
/// token, and a server in trouble has refused nothing.
pub fn exchange(input: &[u8]) -> bool {
    let answer = answer(input);
    if answer.status.is_success() {
        let Ok(told) = ExchangedAnswer::read(&answer.body) else { return false };
        let token = told.access_token.expose();
        assert!((1..=jwt::MAX_SIZE).contains(&token.len()), "a token of no size");
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "no header value");
        assert!(told.expires_in.is_none_or(|life| !life.is_zero()), "a dead token");
        return true;
    }
    let error = oauth_error(&answer.body);
    match super::exchange::judge(answer.status, error.as_ref(), &answer.headers, NOW) {
        ExchangeAnswer::Exchanged { .. } => unreachable!("exchanged by an error"),
        ExchangeAnswer::Refused { of_subject_token } => {
            assert!(answer.status.is_client_error(), "{} refuses", answer.status);
            assert!(error.is_some() || !of_subject_token, "a token is refused without a word");
        }
        ExchangeAnswer::Unavailable { retry_after } => {
            let bounds = Duration::from_secs(1)..=HOUR;
            assert!(retry_after.is_none_or(|wait| bounds.contains(&wait)), "{retry_after:?}");
        }
    }
    false
}

// === Documents ===

/// Metadata: no endpoint that Relais may not call, and no other issuer.
pub fn metadata(input: &[u8]) -> bool {
    let mut is_taken = false;
    for allow_http in [false, true] {
        let Ok(metadata) = Metadata::read(input, ISSUER, allow_http, &Delivery::ALL) else { continue };
        let ordinary: Value = serde_json::from_slice(input).expect("what is taken is JSON");
        assert_eq!(ordinary["issuer"], ISSUER);
        let endpoints = [Endpoint::Backchannel, Endpoint::Token, Endpoint::Userinfo];
        let urls = endpoints
            .iter()
            .flat_map(|endpoint| [metadata.endpoint(*endpoint, false), metadata.endpoint(*endpoint, true)]);
        for url in urls.flatten().chain([&metadata.jwks_uri]) {
            let host = url.host_str().unwrap_or_default();
            let is_local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
            assert!(url.scheme() == "https" || (allow_http && url.scheme() == "http" && is_local), "{url}");
            assert!(url.username().is_empty() && url.password().is_none() && !host.is_empty(), "{url}");
            let port = url.port_or_known_default().expect("a port");
            assert!(metadata.hosts().contains(&(host.to_owned(), port)), "{url} is nowhere");
        }
        assert!(metadata.endpoint(Endpoint::Token, true).is_some());
        for method in ["client_secret_basic", "private_key_jwt"] {
            let _ = metadata.not_offered(method, Some(crate::crypto::signing_key::SigningAlg::Es256), true);
        }
        assert!(Delivery::ALL.into_iter().any(|delivery| metadata.offers(delivery)), "nothing is offered");
        is_taken = true;
    }
    is_taken
}

/// A key set: what is kept can be tried, quickly, and takes no signature of nobody.
pub fn jwks(input: &[u8]) -> bool {
    let Ok(keys) = Keys::read(input) else { return false };
    assert!((1..=64).contains(&keys.count()), "none, or too many");
    for alg in IdTokenAlg::ALL.map(IdTokenAlg::jws) {
        for key in keys.candidates(None, &alg) {
            for length in [0, 64, 96, 256, 512] {
                assert!(
                    key.verify_signature(&alg, b"message", &vec![1; length]).is_err(),
                    "nobody signed it"
                );
            }
        }
    }
    true
}

// === Tokens ===

fn expectation() -> Expectation {
    Expectation {
        login_hint: Secret::new(HINT),
        scope: vec!["openid".to_owned()],
        acr_values: vec![ACR.to_owned()],
        started_at: NOW - LIFETIME,
        lifetime: LIFETIME,
    }
}

fn terms<'a>(
    profile: &'a Profile,
    expectation: &'a Expectation,
    auth_req_id: &'a Secret,
    came: Came,
) -> Terms<'a> {
    Terms {
        issuer: ISSUER,
        client_id: CLIENT_ID,
        algs: &PINNED,
        profile,
        expectation,
        auth_req_id,
        came,
        max_age: None,
        now: NOW,
    }
}

/// What every accepted ID token says, by an ordinary reader.
fn is_what_was_asked_for(jwt: &Jwt) {
    assert!(jwt.is_signed, "nobody has signed it");
    let (header, claims) = parts(&jwt.text);
    assert_eq!(header["alg"], "EdDSA");
    assert!(FORBIDDEN.iter().all(|name| header.get(name).is_none()), "a forbidden parameter");
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["aud"] == CLIENT_ID || claims["aud"] == json!([CLIENT_ID]), "for somebody else");
    assert!(claims["azp"].is_null() || claims["azp"] == CLIENT_ID, "for somebody else");
    assert!(claims["sub"].as_str().is_some_and(|sub| (1..=255).contains(&sub.len())), "about nobody");
    let named = ["SubjectNameID", "preferred_username"].map(|name| claims[name].as_str().unwrap_or_default());
    assert!(named.contains(&HINT), "about somebody else");
    assert_eq!(claims["acr"], ACR);
    let secs = |name: &str| claims[name].as_f64().expect("a date");
    let now = f64::from(1_800_000_000);
    assert!(secs("exp") > now - 30.0, "its time is over");
    assert!((now - 421.0..now + 61.0).contains(&secs("iat")), "it was not made just now");
}

/// An ID token that was asked for.
pub fn id_token(input: &[u8]) -> bool {
    let Some(jwt) = jwt(input) else { return false };
    let (expectation, request) = (expectation(), Secret::new(AUTH_REQ_ID));
    let mut is_accepted = false;
    for profile in PROFILES.map(ProfileName::profile) {
        let terms = terms(profile, &expectation, &request, Came::Asked);
        let Ok(received) = Received::read(&jwt.text, &terms) else { continue };
        let access_token = Secret::new("at");
        let companions = Companions { access_token: &access_token, refresh_token: None };
        let Ok(claims) = received.verify(&KEYS, &companions, &terms) else { continue };
        is_what_was_asked_for(&jwt);
        let map = ClaimMap::new(profile, &ClaimPaths::default());
        let claims = subject::from_id_token(claims, &map, expectation.scope.clone());
        assert!(claims.subject.iss == ISSUER && !claims.subject.sub.is_empty() && !claims.subject.complete);
        is_accepted = true;
    }
    is_accepted
}

/// A message of a provider, ping or push: header and payload of its ID token, then the message, a line each. Where the
/// message has `"id_token": null`, that is the token, signed here.
pub fn notification(input: &[u8]) -> bool {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (Some(header), Some(payload), Some(message)) = (lines.next(), lines.next(), lines.next()) else {
        return announced(input);
    };
    let Some(jwt) = jwt(&[header, &b"\n"[..], payload].concat()) else { return false };
    let mut message = message.to_vec();
    if let Ok(Value::Object(mut members)) = serde_json::from_slice(&message)
        && members.get("id_token").is_some_and(Value::is_null)
    {
        members.insert("id_token".to_owned(), json!(jwt.text));
        message = Value::Object(members).to_string().into_bytes();
    }
    announced(&message) && pushed(&jwt, &message)
}

/// Whether it says that it is about a request and holds an outcome.
fn announced(message: &[u8]) -> bool {
    let Ok(read) = super::notification::announcement(&SecretBytes::new(message.to_vec()), NOW) else {
        return false;
    };
    let ordinary: Value = serde_json::from_slice(message).expect("what is taken is JSON");
    assert_eq!(ordinary["auth_req_id"], read.auth_req_id.expose());
    assert!(!read.auth_req_id.expose().is_empty());
    let has = |name: &str| ordinary.get(name).is_some();
    assert_eq!(read.has_outcome, has("access_token") || has("id_token") || has("error"));
    read.has_outcome
}

fn pushed(jwt: &Jwt, message: &[u8]) -> bool {
    if oauth_error(message).is_some() {
        return false;
    }
    let Ok(told) = TokenAnswer::read(message) else { return false };
    bounded(&told);
    let (expectation, request) = (expectation(), Secret::new(AUTH_REQ_ID));
    let terms = terms(ProfileName::Generic.profile(), &expectation, &request, Came::Pushed);
    let Ok(received) = Received::read(told.id_token.expose(), &terms) else { return false };
    let companions =
        Companions { access_token: &told.access_token, refresh_token: told.refresh_token.as_ref() };
    if received.verify(&KEYS, &companions, &terms).is_err() {
        return false;
    }
    assert_eq!(told.id_token.expose(), jwt.text, "nobody has signed it");
    is_what_was_asked_for(jwt);
    let (_, claims) = parts(&jwt.text);
    let claim = |name: &str| claims[format!("urn:openid:params:jwt:claim:{name}")].clone();
    assert_eq!(claim("auth_req_id"), AUTH_REQ_ID, "about another request");
    // 32 bytes, the left half of SHA-512.
    let is_hash = |claim: &Value| claim.as_str().is_some_and(|text| text.len() == 43);
    assert!(is_hash(&claims["at_hash"]), "the access token is not covered");
    assert!(told.refresh_token.is_none() || is_hash(&claim("rt_hash")), "the refresh token is not covered");
    true
}

// === Userinfo ===

/// An answer of the userinfo endpoint, plain or signed: about the person of the ID token, or nobody.
pub fn userinfo(input: &[u8]) -> bool {
    let mut is_accepted = false;
    let answer = answer(input);
    for map in claim_maps() {
        let document = if super::userinfo::is_jwt(&answer.headers) {
            let Some(jwt) = jwt(&answer.body) else { return false };
            signed(&jwt)
        } else {
            super::userinfo::plain(answer.body.clone(), &map).ok()
        };
        let Some(document) = document else { continue };
        let known = known();
        let Ok(userinfo) = super::userinfo::accept(document, &known, &map) else { continue };
        let whole: Value = serde_json::from_str(userinfo.document.expose()).expect("JSON is handed on");
        assert_eq!(whole["sub"], "f:1:2", "about somebody else");
        let subject = &userinfo.claims.subject;
        assert!(subject.complete && subject.sub == "f:1:2" && subject.iss == ISSUER);
        let mut ids: Vec<_> = subject.exercices.iter().map(|exercice| &exercice.id).collect();
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "one situation twice");
        let groups: BTreeSet<_> = subject.groups.iter().collect();
        assert!(groups.len() == subject.groups.len(), "one group twice");
        assert!(groups.iter().all(|group| !group.trim().is_empty()), "a group without a name");
        is_accepted = true;
    }
    is_accepted
}

fn signed(jwt: &Jwt) -> Option<Document> {
    let token = Unverified::read(&jwt.text, &jwt::USERINFO, &PINNED).ok()?;
    token.verify(&KEYS).ok()?;
    assert!(jwt.is_signed, "nobody has signed it");
    let document = super::userinfo::told_to(token, ISSUER, CLIENT_ID, NOW).ok()?;
    let (_, claims) = parts(&jwt.text);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims, serde_json::from_str::<Value>(&document.text).expect("JSON"), "other claims");
    Some(document)
}

/// What the ID token has said.
fn known() -> GrantClaims {
    let claims = json!({"iss": ISSUER, "sub": "f:1:2", "preferred_username": HINT});
    let members = claims.as_object().expect("an object");
    subject::from_id_token(
        members,
        &ClaimMap::new(ProfileName::Psc.profile(), &ClaimPaths::default()),
        Vec::new(),
    )
}

/// Of every profile, and of one whose claims stand elsewhere.
fn claim_maps() -> Vec<ClaimMap> {
    let path = |text: &str| text.parse().ok();
    let exercice = ExercicePaths {
        profession: path("job.code"),
        site_name: path("job.places.name"),
        ..Default::default()
    };
    let elsewhere = ClaimPaths {
        national_id: path("ids.national"),
        name: path("person.name"),
        groups: path("realm_access.roles"),
        exercices: path("practices"),
        exercice: Some(exercice),
        ..ClaimPaths::default()
    };
    let own = PROFILES.map(|name| ClaimMap::new(name.profile(), &ClaimPaths::default()));
    own.into_iter().chain([ClaimMap::new(ProfileName::Keycloak.profile(), &elsewhere)]).collect()
}
