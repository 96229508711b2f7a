//! Who calls: `tls_client_auth` (RFC 8705 §2.1: `client_id` in the body, certificate on the connection, no secret)
//! or `client_secret_basic` (RFC 6749 §2.3.1), one of them; and nothing but its own method, where the client is
//! registered for one.

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use rustls_pki_types::CertificateDer;
use url::form_urlencoded;

use super::Simulator;
use super::client_jwt::check_assertion;
use super::endpoints::form::{Duplicated, Form};
use super::exchange::Call;
use super::personality::{Refusal, bad};
use crate::crypto::x509::Certificate;
use crate::net::listener::PeerCertificate;

static MISSING_TOKEN: Refusal = bad("invalid_request", "Token not provided");

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A method of RFC 8414 that a client may be registered for instead of what every client may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `client_secret_post` (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// `private_key_jwt` (RFC 7523 §2.2).
    PrivateKeyJwt,
}

/// What the client is registered with, beyond its secret and its certificate.
#[derive(Clone, Default)]
pub struct Registered {
    /// How it authenticates, and no other way. `None`: by certificate or by `client_secret_basic`.
    pub method: Option<Method>,
    /// Its public keys, with `kid` and `alg`.
    pub keys: JwkSet,
    /// By which algorithm it signs its authentication requests (`backchannel_authentication_request_signing_alg`).
    /// `None`: it does not sign them.
    pub request_alg: Option<String>,
}

/// The form of the one client that exists: each parameter once, and its credential with it.
pub(super) fn form_of_client(simulator: &Simulator, call: &Call) -> Result<Form, &'static Refusal> {
    let form = Form::parse(&call.body)
        .map_err(|Duplicated| &simulator.inner.traits.refusals.duplicated_parameter)?;
    authenticate(simulator, call, &form)?;
    Ok(form)
}

/// The token that the client wants to know of, or to be rid of (RFC 7009 §2.1, RFC 7662 §2.1).
pub(super) fn presented_token(simulator: &Simulator, call: &Call) -> Result<String, &'static Refusal> {
    let form = form_of_client(simulator, call)?;
    form.get("token").map(str::to_owned).ok_or(&MISSING_TOKEN)
}

fn authenticate(simulator: &Simulator, call: &Call, form: &Form) -> Result<(), &'static Refusal> {
    let registered = simulator.state().client.clone();
    match registered.method {
        None => by_certificate_or_basic(simulator, call, form),
        Some(method) => by_body(simulator, call, form, method, &registered.keys),
    }
}

/// A secret or an assertion in the body, and no other credential there or in the header.
fn by_body(
    simulator: &Simulator,
    call: &Call,
    form: &Form,
    method: Method,
    keys: &JwkSet,
) -> Result<(), &'static Refusal> {
    let refusals = &simulator.inner.traits.refusals;
    let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
    if call.headers.contains_key(header::AUTHORIZATION) || (secret.is_some() && assertion.is_some()) {
        return Err(&refusals.two_client_credentials);
    }
    let client_id = form.get("client_id");
    let is_proven = match method {
        Method::ClientSecretPost => {
            if client_id != Some(simulator.inner.client_id.as_str()) {
                return Err(&refusals.unknown_client);
            }
            secret.is_some_and(|secret| same(secret, simulator.inner.client_secret.expose()))
        }
        Method::PrivateKeyJwt => {
            if client_id.is_some_and(|client_id| client_id != simulator.inner.client_id) {
                return Err(&refusals.unknown_client);
            }
            form.get("client_assertion_type") == Some(JWT_BEARER)
                && assertion.is_some_and(|assertion| match check_assertion(simulator, keys, assertion) {
                    Ok(()) => true,
                    Err(rule) => {
                        tracing::info!(rule, "the simulated provider refuses an assertion");
                        false
                    }
                })
        }
    };
    if is_proven { Ok(()) } else { Err(&refusals.wrong_credentials) }
}

fn by_certificate_or_basic(simulator: &Simulator, call: &Call, form: &Form) -> Result<(), &'static Refusal> {
    let refusals = &simulator.inner.traits.refusals;
    let client_id = form.get("client_id");
    let secret_in_body = form.get("client_secret");
    let assertion = form.get("client_assertion");
    if call.headers.contains_key(header::AUTHORIZATION) {
        if client_id.is_some() || secret_in_body.is_some() || assertion.is_some() {
            return Err(&refusals.two_client_credentials);
        }
        let (name, secret) = basic(&call.headers).ok_or(&refusals.unknown_client)?;
        return if name != simulator.inner.client_id {
            Err(&refusals.unknown_client)
        } else if same(&secret, simulator.inner.client_secret.expose()) {
            Ok(())
        } else {
            Err(&refusals.wrong_credentials)
        };
    }
    if client_id != Some(simulator.inner.client_id.as_str()) {
        return Err(&refusals.unknown_client);
    }
    if secret_in_body.is_some() || assertion.is_some() {
        return Err(&refusals.wrong_credentials);
    }
    if call.certificate.as_deref().is_some_and(|certificate| names(certificate, &simulator.inner.client_id)) {
        Ok(())
    } else {
        Err(&refusals.wrong_credentials)
    }
}

/// Whether a certificate that our authority has signed has this name as its only CN.
fn names(certificate: &PeerCertificate, client_id: &str) -> bool {
    let parsed = Certificate::parse(&CertificateDer::from(certificate.der.as_slice()));
    certificate.chained && parsed.is_ok_and(|parsed| parsed.common_names() == [client_id])
}

/// Name and secret of a `Basic` header, both form-decoded.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = pair.split_once(':')?;
    Some((form_decoded(name), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // `parse` splits at `&` and `=`, which an encoded text does not hold; a raw one may, so they are encoded first.
    let one_key = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(one_key.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

/// Compares in a time that does not tell where the texts differ.
fn same(given: &str, expected: &str) -> bool {
    constant_time::verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
}
