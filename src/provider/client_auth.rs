//! How a registration proves who it is (RFC 6749 §2.3.1, RFC 8705 §2, RFC 7523 §2.2), and the form that carries it.
//!
//! Every call proves anew: an assertion is made for one request, so that a provider may take each `jti` once. Where
//! nothing can be signed nothing is sent; no method falls back to another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::crypto::signer::SigningFailed;
use crate::domain::random::{Random, uuid_v4};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

use super::settings::{AssertionAudience, Credential};
use super::signing_keys::SigningKeys;

/// How long what was signed counts, in seconds (RFC 10070; FAPI 2.0 §5.3.3).
const LIFE: i64 = 60;
/// How far `nbf` lies back: a provider whose clock is late must not find it in the future.
const EARLIER: i64 = 30;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whoever proves who it is, and with what.
pub struct Identity<'a> {
    /// Its `client_id`.
    pub client_id: &'a str,
    /// How it authenticates.
    pub credential: &'a Credential,
    /// What it signs with, where it signs.
    pub keys: Option<&'a SigningKeys>,
    /// The provider's issuer, byte for byte.
    pub issuer: &'a str,
    /// Where the names of JWTs come from.
    pub random: &'a dyn Random,
    /// When the call is made.
    pub now: Timestamp,
}

impl Identity<'_> {
    /// A form of this client, authenticated for one call. `token_endpoint` is the provider's, where it is known.
    pub fn form(&self, token_endpoint: Option<&Url>) -> Result<Form, SigningFailed> {
        let mut form = Form::default();
        match self.credential {
            Credential::TlsClientAuth | Credential::SelfSignedTlsClientAuth => {
                form.add("client_id", self.client_id);
            }
            Credential::ClientSecretBasic { secret } => {
                form.headers.insert(header::AUTHORIZATION, basic(self.client_id, secret.expose()));
            }
            Credential::ClientSecretPost { secret } => {
                form.add("client_id", self.client_id);
                form.add("client_secret", secret.expose());
            }
            Credential::PrivateKeyJwt { audience, typ } => {
                let assertion = self.assertion(audience, typ.as_deref(), token_endpoint)?;
                // RFC 7523 §2.2: `client_id` is not needed, and where it is there it must be the same.
                form.add("client_id", self.client_id);
                form.add("client_assertion_type", ASSERTION_TYPE);
                form.add("client_assertion", assertion.expose());
            }
        }
        Ok(form)
    }

    fn assertion(
        &self,
        audience: &AssertionAudience,
        typ: Option<&str>,
        token_endpoint: Option<&Url>,
    ) -> Result<Secret, SigningFailed> {
        let audience = match audience {
            AssertionAudience::Issuer => self.issuer,
            AssertionAudience::TokenEndpoint => token_endpoint.ok_or(SigningFailed)?.as_str(),
            AssertionAudience::Text(text) => text,
        };
        self.about_itself(Some(audience), typ, Map::new())
    }

    /// A JWT about this client, made for one request, that says `more` besides. With an audience it proves there who its
    /// bearer is (RFC 7523 §3); without one it is no assertion for anybody.
    pub fn about_itself(
        &self,
        audience: Option<&str>,
        typ: Option<&str>,
        more: Map<String, Value>,
    ) -> Result<Secret, SigningFailed> {
        let mut claims = self.claims(audience);
        claims.insert("sub".to_owned(), json!(self.client_id));
        claims.extend(more);
        self.keys.ok_or(SigningFailed)?.sign(typ, &claims)
    }

    /// A signed authentication request (CIBA §7.1.1): a JWS, never encrypted, with every parameter as a text. It has no
    /// `sub`, so that it can never pass for an assertion (RFC 9101 §10.8).
    pub fn signed_request(&self, parameters: &[(&str, String)]) -> Result<Secret, SigningFailed> {
        let mut claims = self.claims(Some(self.issuer));
        claims.insert("nbf".to_owned(), json!(self.now.as_secs() - EARLIER));
        for (name, value) in parameters {
            claims.insert((*name).to_owned(), json!(value));
        }
        self.keys.ok_or(SigningFailed)?.sign(Some("oauth-authz-req+jwt"), &claims)
    }

    /// What both have in common.
    fn claims(&self, audience: Option<&str>) -> Map<String, Value> {
        let now = self.now.as_secs();
        let claims = [
            ("iss", Some(json!(self.client_id))),
            ("aud", audience.map(|audience| json!(audience))),
            ("iat", Some(json!(now))),
            ("exp", Some(json!(now + LIFE))),
            ("jti", Some(json!(uuid_v4(self.random)))),
        ];
        claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// A form request under construction. Every value is percent-encoded, whatever it holds.
pub struct Form {
    body: Serializer<'static, String>,
    headers: HeaderMap,
}

impl Default for Form {
    /// One that wants JSON and says nothing yet.
    fn default() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Self { body: Serializer::new(String::new()), headers }
    }
}

impl Form {
    /// Adds a parameter.
    pub fn add(&mut self, name: &str, value: &str) {
        self.body.append_pair(name, value);
    }

    /// The headers and the body.
    pub fn finish(mut self) -> (HeaderMap, String) {
        (self.headers, self.body.finish())
    }
}

/// Both parts are form-encoded before they are joined: a colon or a letter outside ASCII would otherwise change
/// the meaning.
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let encoded = |part: &str| byte_serialize(part.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret)));
    // Base64 is always a valid header value.
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}"))
        .unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use crate::crypto::random::SystemRandom;
    use crate::domain::secret::Secret;

    use super::*;

    fn form(client_id: &str, credential: &Credential) -> (HeaderMap, String) {
        let identity = Identity {
            client_id,
            credential,
            keys: None,
            issuer: "https://op.example",
            random: &SystemRandom,
            now: Timestamp::from_secs(1_800_000_000),
        };
        identity.form(None).expect("nothing to sign").finish()
    }

    #[test]
    fn rp_022_id_and_secret_are_form_encoded_before_base64_and_not_in_the_body() {
        let credential = Credential::ClientSecretBasic { secret: Secret::new("p:ä s%+") };
        let (headers, body) = form("my client:1", &credential);
        let value = headers[header::AUTHORIZATION].to_str().expect("text");
        let decoded = STANDARD.decode(value.strip_prefix("Basic ").expect("Basic")).expect("base64");
        assert_eq!(decoded, b"my+client%3A1:p%3A%C3%A4+s%25%2B");
        assert_eq!(body, "");
    }

    #[test]
    fn a_secret_that_is_posted_is_in_the_body_only() {
        let credential = Credential::ClientSecretPost { secret: Secret::new("p:ä s%+&") };
        let (headers, body) = form("my client", &credential);
        assert!(!headers.contains_key(header::AUTHORIZATION));
        assert_eq!(body, "client_id=my+client&client_secret=p%3A%C3%A4+s%25%2B%26");
    }

    #[test]
    fn rp_024_with_a_certificate_client_id_is_in_the_body_and_nothing_in_the_header() {
        for credential in [Credential::TlsClientAuth, Credential::SelfSignedTlsClientAuth] {
            let (headers, body) = form("relais demo", &credential);
            assert!(!headers.contains_key(header::AUTHORIZATION));
            assert_eq!(body, "client_id=relais+demo");
        }
    }
}
