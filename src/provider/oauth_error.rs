//! The OAuth error of an answer (RFC 6749 §5.2, CIBA §11, §13).
//!
//! The JSON `error` decides, not the status: providers answer `authorization_pending` with 400, 401 or 403. The
//! description is compared with the profile's known texts and goes nowhere else, because it may echo the hint.

use super::strict_json;

/// Codes by which a server that has understood a request says that it did not accept it: RFC 6749 §4.1.2.1 and
/// §5.2, CIBA §13, RFC 8707 §2.
const REFUSALS: [&str; 15] = [
    "access_denied",
    "expired_login_hint_token",
    "invalid_binding_message",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_user_code",
    "missing_user_code",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unknown_user_id",
    "unsupported_grant_type",
];
/// Codes about a request that was accepted (CIBA §11, §12).
const PROGRESS: [&str; 4] = ["authorization_pending", "expired_token", "slow_down", "transaction_failed"];

/// An error code with its description.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// `error`.
    pub code: String,
    description: Option<String>,
}

impl OAuthError {
    /// Reads the body of an answer that is no success. `None` where it carries no OAuth error.
    pub fn read(body: &[u8]) -> Option<Self> {
        // A push that is no error comes here too, with its tokens.
        let members = strict_json::secret_object(body).ok()?;
        let code = strict_json::text(&members, "error")?.to_owned();
        let description = strict_json::text(&members, "error_description").map(str::to_owned);
        Some(Self { code, description })
    }

    /// Whether the description is one of `known`.
    pub fn is_described_as(&self, known: &[&str]) -> bool {
        self.description.as_deref().is_some_and(|text| known.contains(&text.trim()))
    }

    /// Whether the description has this word, in small letters, in it. `None` where there is no description.
    pub fn mentions(&self, word: &str) -> Option<bool> {
        self.description.as_deref().map(|text| text.to_ascii_lowercase().contains(word))
    }

    /// Whether the code is a registered one that says that the request was not accepted. Gateways answer with a
    /// text `error` of their own, such as `Internal Server Error`, which says nothing of what stands behind them.
    pub fn is_refusal(&self) -> bool {
        REFUSALS.contains(&self.code.as_str())
    }

    /// The code, fit for a log: a registered one, or `other`. Anything else could be an echo of what was sent.
    pub fn loggable_code(&self) -> &'static str {
        let known = REFUSALS.iter().chain(&PROGRESS).find(|known| **known == self.code);
        known.copied().unwrap_or("other")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_is_an_error_code() {
        assert!(OAuthError::read(br#"{"error":"slow_down"}"#).is_some());
        for body in [&b""[..], b"{}", br#"{"error":1}"#, br#"{"error":""}"#, b"<html>", b"null"] {
            assert!(OAuthError::read(body).is_none());
        }
    }

    #[test]
    fn only_registered_codes_are_logged() {
        let logged = |code: &str| {
            OAuthError::read(format!(r#"{{"error":"{code}"}}"#).as_bytes()).map(|e| e.loggable_code())
        };
        assert_eq!(logged("slow_down"), Some("slow_down"));
        assert_eq!(logged("invalid_grant"), Some("invalid_grant"));
        for echo in ["810000000009 x", "MARTIN", "Internal Server Error"] {
            assert_eq!(logged(echo), Some("other"));
        }
    }
}
