//! The metadata document (OIDC Discovery §3, CIBA §4) and the key set.
//!
//! Keycloak's lists have oddities, PSC's more: `acr_values_supported` names nothing useful, `ping` is advertised but
//! not offered, methods are listed that no client uses unless it is registered for one. Only endpoints that answer
//! are named, and the authorization endpoint, which lives on another host in the field and which parsers insist on.
//! The document of plain CIBA says what is true and no more.

use serde_json::{Map, Value, json};

use super::super::Simulator;
use super::super::exchange::{Call, Reply};
use super::super::personality::{Document, UserCode};

/// `GET …/.well-known/…`.
pub(super) fn document(simulator: &Simulator, _: &Call) -> Reply {
    Reply::ok(&metadata(simulator))
}

/// `GET …/certs`.
pub(super) fn jwks(simulator: &Simulator, _: &Call) -> Reply {
    Reply::ok(&json!({ "keys": [simulator.inner.signing_key.jwk()] }))
}

fn metadata(simulator: &Simulator) -> Map<String, Value> {
    let inner = &simulator.inner;
    let (issuer, traits) = (&inner.issuer, inner.traits);
    let paths = &traits.paths;
    let token = json!(format!("{issuer}{}", paths.token));
    let userinfo = json!(format!("{issuer}{}", paths.userinfo));
    let backchannel = json!(format!("{issuer}{}", paths.backchannel));
    let revocation = json!(format!("{issuer}{}", paths.revocation));
    let aliases = json!({
        "token_endpoint": token,
        "revocation_endpoint": revocation,
        "userinfo_endpoint": userinfo,
        "backchannel_authentication_endpoint": backchannel,
    });
    let mut modes = traits.delivery_modes.to_vec();
    // How the client is registered is offered, whoever the provider is like.
    if let Some(mode) = simulator.state().settings.delivery.as_ref().map(|delivery| delivery.mode.as_str())
        && !modes.contains(&mode)
    {
        modes.push(mode);
    }
    let mut members = named([
        ("issuer", json!(issuer)),
        ("token_endpoint", token),
        ("userinfo_endpoint", userinfo),
        ("jwks_uri", json!(format!("{issuer}{}", paths.jwks))),
        ("revocation_endpoint", revocation),
        ("end_session_endpoint", json!(format!("{issuer}{}", paths.logout))),
        ("backchannel_logout_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(true)),
        ("backchannel_authentication_endpoint", backchannel),
        ("backchannel_token_delivery_modes_supported", json!(modes)),
        ("acr_values_supported", json!(traits.acr_values)),
        ("scopes_supported", json!(traits.scopes)),
        ("subject_types_supported", json!(["public"])),
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        ("mtls_endpoint_aliases", aliases),
    ]);
    match traits.document {
        Document::Keycloak => {
            let origin = issuer.strip_suffix(&inner.path).unwrap_or(issuer);
            members.extend(keycloak(origin));
        }
        Document::Ciba => {
            let user_code = matches!(traits.user_code, UserCode::LastFourOfTheHint(_));
            members.extend(ciba(user_code));
        }
    }
    members
}

fn ciba(user_code: bool) -> Map<String, Value> {
    named([
        ("grant_types_supported", json!(["urn:openid:params:grant-type:ciba", "refresh_token"])),
        ("response_types_supported", json!([])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
        ("token_endpoint_auth_methods_supported", json!(["tls_client_auth", "client_secret_basic"])),
        ("backchannel_user_code_parameter_supported", json!(user_code)),
    ])
}

fn keycloak(origin: &str) -> Map<String, Value> {
    let signatures = [
        "PS384", "RS384", "EdDSA", "ES384", "HS256", "HS512", "ES256", "RS256", "HS384", "ES512", "PS256",
        "PS512", "RS512",
    ];
    let asymmetric =
        ["PS384", "RS384", "EdDSA", "ES384", "ES256", "RS256", "ES512", "PS256", "PS512", "RS512"];
    let methods = [
        "private_key_jwt",
        "client_secret_basic",
        "client_secret_post",
        "tls_client_auth",
        "client_secret_jwt",
    ];
    named([
        ("authorization_endpoint", json!(format!("{origin}/auth"))),
        ("backchannel_authentication_request_signing_alg_values_supported", json!(asymmetric)),
        (
            "grant_types_supported",
            json!([
                "authorization_code",
                "implicit",
                "refresh_token",
                "password",
                "client_credentials",
                "urn:openid:params:grant-type:ciba",
                "urn:ietf:params:oauth:grant-type:device_code",
            ]),
        ),
        (
            "response_types_supported",
            json!([
                "code",
                "none",
                "id_token",
                "token",
                "id_token token",
                "code id_token",
                "code token",
                "code id_token token",
            ]),
        ),
        (
            "response_modes_supported",
            json!(["query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt", "jwt"]),
        ),
        ("subject_types_supported", json!(["public", "pairwise"])),
        ("id_token_signing_alg_values_supported", json!(signatures)),
        ("userinfo_signing_alg_values_supported", json!(["RS256", "none"])),
        ("token_endpoint_auth_methods_supported", json!(methods)),
        ("token_endpoint_auth_signing_alg_values_supported", json!(signatures)),
        (
            "claims_supported",
            json!([
                "aud",
                "sub",
                "iss",
                "auth_time",
                "name",
                "given_name",
                "family_name",
                "preferred_username",
                "email",
                "acr",
            ]),
        ),
        ("claim_types_supported", json!(["normal"])),
        ("claims_parameter_supported", json!(true)),
        ("request_parameter_supported", json!(true)),
        ("request_uri_parameter_supported", json!(true)),
        ("require_request_uri_registration", json!(true)),
        ("code_challenge_methods_supported", json!(["plain", "S256"])),
        ("authorization_response_iss_parameter_supported", json!(true)),
    ])
}

fn named<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
