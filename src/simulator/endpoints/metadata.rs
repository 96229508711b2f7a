//! The metadata document (OIDC Discovery §3, CIBA §4) and the key set.
//!
//! The lists are PSC's, with their oddities: `acr_values_supported` names nothing useful, `ping` is advertised but
//! not offered, methods are listed that no client uses unless it is registered for one. Only endpoints that answer are named, and the
//! authorization endpoint, which lives on another host in the field and which parsers insist on.

use serde_json::{Value, json};

use super::super::Simulator;
use super::super::exchange::{Call, Reply};

/// `GET …/.well-known/…`.
pub(super) fn document(simulator: &Simulator, _: &Call) -> Reply {
    Reply::ok(&metadata(simulator))
}

/// `GET …/certs`.
pub(super) fn jwks(simulator: &Simulator, _: &Call) -> Reply {
    Reply::ok(&json!({ "keys": [simulator.inner.signing_key.jwk()] }))
}

fn metadata(simulator: &Simulator) -> Value {
    let inner = &simulator.inner;
    let issuer = &inner.issuer;
    let paths = &inner.traits.paths;
    let origin = issuer.strip_suffix(&inner.path).unwrap_or(issuer);
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
    let token = format!("{issuer}{}", paths.token);
    let userinfo = format!("{issuer}{}", paths.userinfo);
    let backchannel = format!("{issuer}{}", paths.backchannel);
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{origin}/auth"),
        "token_endpoint": token,
        "userinfo_endpoint": userinfo,
        "jwks_uri": format!("{issuer}{}", paths.jwks),
        "backchannel_authentication_endpoint": backchannel,
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_authentication_request_signing_alg_values_supported": asymmetric,
        "grant_types_supported": [
            "authorization_code", "implicit", "refresh_token", "password", "client_credentials",
            "urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "acr_values_supported": ["0", "0"],
        "response_types_supported": [
            "code", "none", "id_token", "token", "id_token token", "code id_token", "code token",
            "code id_token token",
        ],
        "response_modes_supported": [
            "query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt", "jwt",
        ],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": signatures,
        "userinfo_signing_alg_values_supported": ["RS256", "none"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signatures,
        "claims_supported": [
            "aud", "sub", "iss", "auth_time", "name", "given_name", "family_name", "preferred_username",
            "email", "acr",
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": true,
        "scopes_supported": inner.traits.scopes,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": true,
        "require_request_uri_registration": true,
        "code_challenge_methods_supported": ["plain", "S256"],
        "tls_client_certificate_bound_access_tokens": true,
        "authorization_response_iss_parameter_supported": true,
        "mtls_endpoint_aliases": {
            "token_endpoint": token,
            "userinfo_endpoint": userinfo,
            "backchannel_authentication_endpoint": backchannel,
        },
    })
}
