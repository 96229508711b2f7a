//! Provider metadata (OpenID Connect Discovery §3, CIBA §4, RFC 8705 §5): what is read of it, and when it counts.
//!
//! Read by an own, lenient structure: a CIBA-only provider has no `authorization_endpoint`, and a member that is
//! not used cannot make a document invalid. What is used is checked strictly, the issuer byte for byte.

use std::collections::BTreeSet;

use serde_json::Value;
use thiserror::Error;
use url::{Host, Url};

use crate::crypto::signing_key::SigningAlg;
use crate::domain::registration::Delivery;

use super::strict_json::{self, Object};

/// The largest document that is read, in bytes.
pub const MAX_SIZE: usize = 256 * 1024;

/// What is used of a provider's metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Where its signing keys are.
    pub jwks_uri: Url,
    /// How it tells outcomes; `None`: it does not say.
    modes: Option<Vec<Delivery>>,
    plain: Endpoints,
    mtls: Endpoints,
    /// What it takes of its clients; a list that is absent says nothing.
    auth_methods: Option<Vec<String>>,
    auth_algs: Option<Vec<String>>,
    request_algs: Option<Vec<String>>,
}

/// Something that a registration is configured for and that the document does not name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotOffered {
    /// The list that does not name it.
    pub member: &'static str,
    /// What is wanted.
    pub wanted: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Endpoints {
    backchannel: Option<Url>,
    token: Option<Url>,
    userinfo: Option<Url>,
    revocation: Option<Url>,
    end_session: Option<Url>,
}

/// An endpoint that a registration calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `backchannel_authentication_endpoint`.
    Backchannel,
    /// `token_endpoint`.
    Token,
    /// `userinfo_endpoint`.
    Userinfo,
    /// `revocation_endpoint` (RFC 8414 §2).
    Revocation,
    /// `end_session_endpoint` (RP-Initiated Logout §2.1).
    EndSession,
}

/// Why a document is not used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MetadataError {
    /// No JSON object, or one with a member twice.
    #[error("the document is no JSON object, or has a member twice")]
    Malformed,
    /// Another issuer than the configured one (Discovery §4.3).
    #[error("the document's issuer is not the configured one, byte for byte")]
    IssuerMismatch,
    /// A member that CIBA needs is missing or of the wrong type.
    #[error("{member} is missing or no URL")]
    Missing {
        /// Which one.
        member: &'static str,
    },
    /// An endpoint that is not https.
    #[error("{member} is not acceptable: https, without user information or fragment")]
    Insecure {
        /// Which one.
        member: &'static str,
    },
    /// The provider offers no delivery mode that a registration here has.
    #[error("backchannel_token_delivery_modes_supported does not name the mode of any registration")]
    NoUsedMode,
}

impl Metadata {
    /// Reads a document. `allow_http`: loopback may be plain http (development). `used`: how the outcome comes at the
    /// registrations here; one of these modes at least must be offered.
    pub fn read(
        body: &[u8],
        issuer: &str,
        allow_http: bool,
        used: &[Delivery],
    ) -> Result<Self, MetadataError> {
        let members = strict_json::object(body).map_err(|_| MetadataError::Malformed)?;
        if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(MetadataError::IssuerMismatch);
        }
        let modes = modes(&members);
        if modes.as_ref().is_some_and(|modes| !used.iter().any(|mode| modes.contains(mode))) {
            return Err(MetadataError::NoUsedMode);
        }
        let endpoint = |members: &Object, member| optional(members, member, allow_http);
        // Nobody is kept from signing in by an address that only the way out needs.
        let usable = |members: &Object, member| optional(members, member, allow_http).ok().flatten();
        let required = |member| endpoint(&members, member)?.ok_or(MetadataError::Missing { member });
        let aliases = members.get("mtls_endpoint_aliases").and_then(Value::as_object);
        let alias = |member| aliases.map_or(Ok(None), |aliases| endpoint(aliases, member));
        Ok(Self {
            modes,
            jwks_uri: required("jwks_uri")?,
            plain: Endpoints {
                backchannel: Some(required(BACKCHANNEL)?),
                token: Some(required(TOKEN)?),
                userinfo: endpoint(&members, USERINFO)?,
                revocation: usable(&members, REVOCATION),
                end_session: usable(&members, END_SESSION),
            },
            mtls: Endpoints {
                backchannel: alias(BACKCHANNEL)?,
                token: alias(TOKEN)?,
                userinfo: alias(USERINFO)?,
                revocation: aliases.and_then(|aliases| usable(aliases, REVOCATION)),
                end_session: aliases.and_then(|aliases| usable(aliases, END_SESSION)),
            },
            auth_methods: list(&members, AUTH_METHODS),
            auth_algs: list(&members, AUTH_ALGS),
            request_algs: list(&members, REQUEST_ALGS),
        })
    }

    /// The first thing that a registration needs and that the provider says not to take: its method, the algorithm of
    /// its assertions, that of its signed requests. Whoever publishes no list of methods or of algorithms for
    /// assertions has not said no (both are optional, RFC 8414 §2); whoever publishes none for signed requests has
    /// (CIBA §4).
    pub fn not_offered(
        &self,
        method: &'static str,
        alg: Option<SigningAlg>,
        signs_requests: bool,
    ) -> Option<NotOffered> {
        let lacks = |list: &Option<Vec<String>>, wanted: &str| {
            list.as_ref().is_some_and(|list| !list.iter().any(|it| it == wanted))
        };
        if lacks(&self.auth_methods, method) {
            return Some(NotOffered { member: AUTH_METHODS, wanted: method });
        }
        let wanted = alg?.as_str();
        if method == "private_key_jwt" && lacks(&self.auth_algs, wanted) {
            return Some(NotOffered { member: AUTH_ALGS, wanted });
        }
        if signs_requests && (self.request_algs.is_none() || lacks(&self.request_algs, wanted)) {
            return Some(NotOffered { member: REQUEST_ALGS, wanted });
        }
        None
    }

    /// Whether the provider tells the outcome in this way, as far as it says.
    pub fn offers(&self, delivery: Delivery) -> bool {
        self.modes.as_ref().is_none_or(|modes| modes.contains(&delivery))
    }

    /// Where an endpoint is: its alias where a client certificate is in use and there is one (RFC 8705 §5).
    pub fn endpoint(&self, endpoint: Endpoint, with_certificate: bool) -> Option<&Url> {
        let alias = with_certificate.then(|| self.mtls.get(endpoint)).flatten();
        alias.or_else(|| self.plain.get(endpoint))
    }

    /// Forgets what only the way out needs where it is at none of these hosts. Whether there was such an address.
    pub fn keep_ways_out(&mut self, hosts: &BTreeSet<(String, u16)>) -> bool {
        let mut has_moved = false;
        for endpoints in [&mut self.plain, &mut self.mtls] {
            for address in [&mut endpoints.revocation, &mut endpoints.end_session] {
                if address.as_ref().and_then(host).is_some_and(|host| !hosts.contains(&host)) {
                    *address = None;
                    has_moved = true;
                }
            }
        }
        has_moved
    }

    /// Every host and port that the document sends us to.
    pub fn hosts(&self) -> BTreeSet<(String, u16)> {
        [Some(&self.jwks_uri)]
            .into_iter()
            .chain(self.plain.all())
            .chain(self.mtls.all())
            .flatten()
            .filter_map(host)
            .collect()
    }
}

fn host(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

impl Endpoints {
    fn get(&self, endpoint: Endpoint) -> Option<&Url> {
        match endpoint {
            Endpoint::Backchannel => self.backchannel.as_ref(),
            Endpoint::Token => self.token.as_ref(),
            Endpoint::Userinfo => self.userinfo.as_ref(),
            Endpoint::Revocation => self.revocation.as_ref(),
            Endpoint::EndSession => self.end_session.as_ref(),
        }
    }

    fn all(&self) -> [Option<&Url>; 5] {
        let Self { backchannel, token, userinfo, revocation, end_session } = self;
        [backchannel, token, userinfo, revocation, end_session].map(Option::as_ref)
    }
}

const BACKCHANNEL: &str = "backchannel_authentication_endpoint";
const TOKEN: &str = "token_endpoint";
const USERINFO: &str = "userinfo_endpoint";
const REVOCATION: &str = "revocation_endpoint";
const END_SESSION: &str = "end_session_endpoint";

const AUTH_METHODS: &str = "token_endpoint_auth_methods_supported";
const AUTH_ALGS: &str = "token_endpoint_auth_signing_alg_values_supported";
const REQUEST_ALGS: &str = "backchannel_authentication_request_signing_alg_values_supported";

/// A list of texts. One that is malformed names nothing: only whoever needs what it should name is refused.
fn list(members: &Object, member: &str) -> Option<Vec<String>> {
    let value = members.get(member).filter(|value| !value.is_null())?;
    let texts = value.as_array().and_then(|items| {
        items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    Some(texts.unwrap_or_default())
}

fn optional(members: &Object, member: &'static str, allow_http: bool) -> Result<Option<Url>, MetadataError> {
    let Some(value) = members.get(member).filter(|value| !value.is_null()) else { return Ok(None) };
    let url =
        value.as_str().and_then(|text| Url::parse(text).ok()).ok_or(MetadataError::Missing { member })?;
    if is_acceptable(&url, allow_http) { Ok(Some(url)) } else { Err(MetadataError::Insecure { member }) }
}

/// Whether Relais may call this URL at all.
pub fn is_acceptable(url: &Url, allow_http: bool) -> bool {
    let scheme = match url.scheme() {
        "https" => true,
        "http" => allow_http && is_loopback(url),
        _ => false,
    };
    scheme
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Required by CIBA §4, but a provider that leaves it out may still have them all.
fn modes(members: &Object) -> Option<Vec<Delivery>> {
    let modes = members.get("backchannel_token_delivery_modes_supported")?.as_array()?;
    let known = |delivery: &Delivery| modes.iter().any(|mode| mode == delivery.as_str());
    Some(Delivery::ALL.into_iter().filter(known).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://op.example/auth/realms/x";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "jwks_uri": "https://op.example/certs",
            "token_endpoint": "https://op.example/token",
            "backchannel_authentication_endpoint": "https://op.example/ciba",
            "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        })
    }

    fn read(document: &Value) -> Result<Metadata, MetadataError> {
        Metadata::read(document.to_string().as_bytes(), ISSUER, false, &[Delivery::Poll])
    }

    #[test]
    fn rp_002_the_issuer_is_compared_byte_for_byte() {
        for wrong in
            [json!("https://op.example/auth/realms/x/"), json!("https://OP.example/auth/realms/x"), json!(1)]
        {
            let mut document = document();
            document["issuer"] = wrong;
            assert_eq!(read(&document), Err(MetadataError::IssuerMismatch));
        }
    }

    #[test]
    fn rp_003_a_ciba_only_document_with_unknown_members_is_accepted() {
        let mut document = document();
        document["acr_values_supported"] = json!(["0", "0"]);
        document["something"] = json!({"new": [1, 2]});
        let metadata = read(&document).expect("valid");
        assert_eq!(metadata.endpoint(Endpoint::Userinfo, true), None);
    }

    #[test]
    fn rp_005_a_provider_without_poll_mode_is_not_usable() {
        let mut document = document();
        document["backchannel_token_delivery_modes_supported"] = json!(["push"]);
        assert_eq!(read(&document), Err(MetadataError::NoUsedMode));
    }

    #[test]
    fn rp_006_aliases_count_only_where_a_certificate_is_in_use() {
        let mut document = document();
        document["mtls_endpoint_aliases"] = json!({"token_endpoint": "https://mtls.op.example/token"});
        let metadata = read(&document).expect("valid");
        let at = |endpoint, mtls| metadata.endpoint(endpoint, mtls).map(Url::as_str);
        assert_eq!(at(Endpoint::Token, true), Some("https://mtls.op.example/token"));
        assert_eq!(at(Endpoint::Token, false), Some("https://op.example/token"));
        assert_eq!(at(Endpoint::Backchannel, true), Some("https://op.example/ciba"));
    }

    #[test]
    fn rp_007_http_user_information_and_odd_schemes_are_refused() {
        for bad in [
            "http://op.example/token",
            "https://a:b@op.example/token",
            "file:///token",
            "https://op.example/t#f",
        ] {
            let mut document = document();
            document["token_endpoint"] = json!(bad);
            assert_eq!(read(&document), Err(MetadataError::Insecure { member: "token_endpoint" }), "{bad}");
        }
        let mut loopback = document();
        loopback["token_endpoint"] = json!("http://127.0.0.1:1/token");
        assert!(read(&loopback).is_err());
        assert!(Metadata::read(loopback.to_string().as_bytes(), ISSUER, true, &[Delivery::Poll]).is_ok());
        loopback["token_endpoint"] = json!("http://op.example/token");
        assert!(Metadata::read(loopback.to_string().as_bytes(), ISSUER, true, &[Delivery::Poll]).is_err());
    }

    #[test]
    fn an_address_of_the_way_out_that_cannot_be_used_is_none_and_harms_nothing_else() {
        let mut document = document();
        document["revocation_endpoint"] = json!("https://op.example/revoke");
        document["end_session_endpoint"] = json!("http://op.example/logout");
        document["mtls_endpoint_aliases"] = json!({"revocation_endpoint": "https://mtls.op.example/revoke"});
        let metadata = read(&document).expect("valid");
        let at = |endpoint, mtls| metadata.endpoint(endpoint, mtls).map(Url::as_str);
        assert_eq!(at(Endpoint::Revocation, false), Some("https://op.example/revoke"));
        assert_eq!(at(Endpoint::Revocation, true), Some("https://mtls.op.example/revoke"));
        assert_eq!(at(Endpoint::EndSession, true), None);
        document["revocation_endpoint"] = json!(7);
        assert_eq!(read(&document).expect("valid").endpoint(Endpoint::Revocation, false), None);
    }

    #[test]
    fn rp_026_what_the_document_does_not_name_is_not_offered() {
        let es256 = Some(SigningAlg::Es256);
        let not_offered = |document: &Value, method, alg, signs| {
            read(document).expect("valid").not_offered(method, alg, signs).map(|refusal| refusal.member)
        };
        let mut document = document();
        assert_eq!(not_offered(&document, "private_key_jwt", es256, false), None, "no list says nothing");
        assert_eq!(not_offered(&document, "client_secret_post", None, false), None);
        assert_eq!(not_offered(&document, "private_key_jwt", es256, true), Some(REQUEST_ALGS));
        document[REQUEST_ALGS] = json!(["PS256", "none"]);
        assert_eq!(not_offered(&document, "client_secret_basic", es256, true), Some(REQUEST_ALGS));
        document[REQUEST_ALGS] = json!(["PS256", "ES256"]);
        assert_eq!(not_offered(&document, "client_secret_basic", es256, true), None);
        document[AUTH_METHODS] = json!(["client_secret_basic", "private_key_jwt"]);
        assert_eq!(not_offered(&document, "tls_client_auth", None, false), Some(AUTH_METHODS));
        document[AUTH_ALGS] = json!(["RS256"]);
        assert_eq!(not_offered(&document, "private_key_jwt", es256, false), Some(AUTH_ALGS));
        assert_eq!(not_offered(&document, "client_secret_basic", es256, true), None, "no assertion is made");
        // What is malformed names nothing, and is in the way of nobody else.
        for malformed in [json!("ES256"), json!(["ES256", 1]), json!({"ES256": true})] {
            document[AUTH_ALGS] = malformed;
            assert_eq!(not_offered(&document, "private_key_jwt", es256, false), Some(AUTH_ALGS));
            assert_eq!(not_offered(&document, "client_secret_basic", es256, true), None);
        }
    }

    #[test]
    fn a_member_that_stands_there_twice_is_refused() {
        let twice = format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}"}}"#);
        assert_eq!(
            Metadata::read(twice.as_bytes(), ISSUER, false, &[Delivery::Poll]),
            Err(MetadataError::Malformed)
        );
    }
}
