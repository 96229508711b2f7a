//! How a registration proves who it is (RFC 6749 §2.3.1, RFC 8705 §2), and the form that carries it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::settings::Credential;

/// A form request under construction. Every value is percent-encoded, whatever it holds.
pub struct Form {
    body: Serializer<'static, String>,
    headers: HeaderMap,
}

impl Form {
    /// A form of this client, authenticated: by certificate with `client_id` in the body and no `Authorization`,
    /// or by secret in the header and nothing in the body.
    pub fn authenticated(client_id: &str, credential: &Credential) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = Self { body: Serializer::new(String::new()), headers };
        match credential {
            Credential::TlsClientAuth => form.add("client_id", client_id),
            Credential::ClientSecretBasic { secret } => {
                form.headers.insert(header::AUTHORIZATION, basic(client_id, secret.expose()));
            }
        }
        form
    }

    /// Adds a parameter.
    pub fn add(&mut self, name: &str, value: &str) {
        self.body.append_pair(name, value);
    }

    /// Adds a parameter where there is a value.
    pub fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
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
    use crate::domain::secret::Secret;

    use super::*;

    #[test]
    fn rp_022_id_and_secret_are_form_encoded_before_base64_and_not_in_the_body() {
        let credential = Credential::ClientSecretBasic { secret: Secret::new("p:ä s%+") };
        let (headers, body) = Form::authenticated("my client:1", &credential).finish();
        let value = headers[header::AUTHORIZATION].to_str().expect("text");
        let decoded = STANDARD.decode(value.strip_prefix("Basic ").expect("Basic")).expect("base64");
        assert_eq!(decoded, b"my+client%3A1:p%3A%C3%A4+s%25%2B");
        assert_eq!(body, "");
    }

    #[test]
    fn rp_024_with_a_certificate_client_id_is_in_the_body_and_nothing_in_the_header() {
        let (headers, body) = Form::authenticated("relais demo", &Credential::TlsClientAuth).finish();
        assert!(!headers.contains_key(header::AUTHORIZATION));
        assert_eq!(body, "client_id=relais+demo");
    }
}
