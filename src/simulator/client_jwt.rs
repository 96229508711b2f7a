//! JWTs that the client has signed: its assertions (RFC 7523 §3), its authentication requests (CIBA §7.1.1) and its
//! actor tokens (RFC 8693 §4.1).
//!
//! The letter of the specifications, with no indulgence: what a lenient provider lets through hides a client's mistake.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::Simulator;
use super::endpoints::token_exchange;
use super::jose::from_base64url;

/// The members of a header or of claims.
type Members = Map<String, Value>;

/// The longest life of an assertion, in seconds.
const ASSERTION_LIFE: i64 = 60;
/// The longest life of a signed request, in seconds (FAPI-CIBA 5.2.2).
const REQUEST_LIFE: i64 = 3600;

/// Names of JWTs that have been taken, with the end of their time in seconds.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, i64>);

impl Taken {
    /// Takes a name, once.
    fn take(&mut self, jti: &str, exp: i64, now: i64) -> bool {
        self.0.retain(|_, exp| *exp > now);
        self.0.insert(jti.to_owned(), exp).is_none()
    }
}

/// Whether an assertion proves that its sender is the client. The error is the rule that it breaks.
pub(super) fn check_assertion(
    simulator: &Simulator,
    keys: &JwkSet,
    assertion: &str,
) -> Result<(), &'static str> {
    let (header, claims) = verified(keys, assertion)?;
    match header.get("typ").map(Value::as_str) {
        None | Some(Some("client-authentication+jwt" | "JWT")) => {}
        Some(_) => return Err("typ"),
    }
    let client_id = simulator.inner.client_id.as_str();
    if text(&claims, "iss") != Some(client_id) || text(&claims, "sub") != Some(client_id) {
        return Err("iss, sub");
    }
    // CIBA §7.1: one of these, and as a text (RFC 10070).
    let inner = &simulator.inner;
    let paths = &inner.traits.paths;
    let at = |path: &str| format!("{}{path}", inner.issuer);
    let audiences = [inner.issuer.clone(), at(paths.token), at(paths.backchannel), at(token_exchange::PATH)];
    if !text(&claims, "aud").is_some_and(|aud| audiences.iter().any(|it| it == aud)) {
        return Err("aud");
    }
    let now = inner.clock.now().as_secs();
    let exp = seconds(&claims, "exp").filter(|exp| (now + 1..=now + ASSERTION_LIFE).contains(exp));
    let exp = exp.ok_or("exp")?;
    if seconds(&claims, "iat").is_none_or(|iat| iat > now) {
        return Err("iat");
    }
    take(simulator, &claims, exp)
}

/// Who acts, by an actor token (RFC 8693 §4.1) that the client has signed, for the authorization server where it names
/// anybody: its claims about the actor. The error is the rule that it breaks.
pub(super) fn checked_actor(
    simulator: &Simulator,
    keys: &JwkSet,
    token: &str,
) -> Result<Members, &'static str> {
    let (_, mut claims) = verified(keys, token)?;
    let inner = &simulator.inner;
    let client_id = inner.client_id.as_str();
    if text(&claims, "iss") != Some(client_id) || text(&claims, "sub") != Some(client_id) {
        return Err("iss, sub");
    }
    let audience = format!("{}{}", inner.issuer, token_exchange::PATH);
    if claims.get("aud").is_some_and(|aud| aud.as_str() != Some(audience.as_str())) {
        return Err("aud");
    }
    let now = inner.clock.now().as_secs();
    let exp = seconds(&claims, "exp").filter(|exp| (now + 1..=now + ASSERTION_LIFE).contains(exp));
    take(simulator, &claims, exp.ok_or("exp")?)?;
    for name in ["iss", "aud", "exp", "iat", "jti"] {
        claims.remove(name);
    }
    Ok(claims)
}

/// The parameters of a signed authentication request.
pub(super) fn request_parameters(
    simulator: &Simulator,
    keys: &JwkSet,
    alg: &str,
    request: &str,
) -> Result<BTreeMap<String, String>, &'static str> {
    let (header, mut claims) = verified(keys, request)?;
    if !matches!(header.get("typ").map(Value::as_str), None | Some(Some("oauth-authz-req+jwt"))) {
        return Err("typ");
    }
    if text(&header, "alg") != Some(alg) {
        return Err("alg");
    }
    if text(&claims, "iss") != Some(simulator.inner.client_id.as_str()) {
        return Err("iss");
    }
    if text(&claims, "aud") != Some(simulator.inner.issuer.as_str()) {
        return Err("aud");
    }
    let now = simulator.inner.clock.now().as_secs();
    let exp = seconds(&claims, "exp").filter(|exp| *exp > now).ok_or("exp")?;
    let nbf = seconds(&claims, "nbf").filter(|nbf| *nbf <= now).ok_or("nbf")?;
    if exp - nbf > REQUEST_LIFE || seconds(&claims, "iat").is_none_or(|iat| iat > now) {
        return Err("exp, iat");
    }
    // RFC 9101 §10.8, CIBA §7.1.1.
    if ["sub", "request", "request_uri"].iter().any(|name| claims.contains_key(*name)) {
        return Err("sub, request");
    }
    take(simulator, &claims, exp)?;
    for name in ["iss", "aud", "exp", "nbf", "iat", "jti"] {
        claims.remove(name);
    }
    let told = claims.into_iter().map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) if name == "requested_expiry" => Some((name, number.to_string())),
        _ => None,
    });
    told.collect::<Option<_>>().ok_or("parameters are texts")
}

fn take(simulator: &Simulator, claims: &Members, exp: i64) -> Result<(), &'static str> {
    let jti = text(claims, "jti").ok_or("jti")?;
    let now = simulator.inner.clock.now().as_secs();
    if simulator.state().taken.take(jti, exp, now) { Ok(()) } else { Err("jti") }
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn seconds(members: &Members, name: &str) -> Option<i64> {
    members.get(name).and_then(Value::as_i64)
}

/// Header and claims of a JWS that the key of its `kid` has signed, by that key's own algorithm.
fn verified(keys: &JwkSet, token: &str) -> Result<(Members, Members), &'static str> {
    let (input, signature) = token.rsplit_once('.').ok_or("form")?;
    let (header, claims) = input.split_once('.').ok_or("form")?;
    let members = |part: &str| -> Option<Members> { serde_json::from_slice(&from_base64url(part)?).ok() };
    let (header, claims) = members(header).zip(members(claims)).ok_or("form")?;
    let key = text(&header, "kid").and_then(|kid| keys.find(kid)).ok_or("kid")?;
    let alg = algorithm(key).ok_or("alg")?;
    if serde_json::to_value(alg).ok().as_ref() != header.get("alg") {
        return Err("alg");
    }
    let key = DecodingKey::from_jwk(key).map_err(|_| "kid")?;
    match jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, alg) {
        Ok(true) => Ok((header, claims)),
        _ => Err("signature"),
    }
}

/// The algorithm that a key is registered for.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    key.common.key_algorithm?.to_string().parse().ok()
}
