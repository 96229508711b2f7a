//! The OAuth error of an answer (RFC 6749 §5.2, CIBA §11, §13).
//!
//! The JSON `error` decides, not the status: providers answer `authorization_pending` with 400, 401 or 403. The
//! description is compared with the profile's known texts and goes nowhere else, because it may echo the hint.

use super::strict_json;

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
        let members = strict_json::object(body).ok()?;
        let code = strict_json::text(&members, "error")?.to_owned();
        let description = strict_json::text(&members, "error_description").map(str::to_owned);
        Some(Self { code, description })
    }

    /// Whether the description is one of `known`.
    pub fn is_described_as(&self, known: &[&str]) -> bool {
        self.description.as_deref().is_some_and(|text| known.contains(&text.trim()))
    }

    /// The code, fit for a log: every registered one is made of letters and underscores. Anything else could be
    /// an echo of what was sent and is not shown.
    pub fn loggable_code(&self) -> &str {
        let is_word = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        if self.code.len() <= 64 && self.code.bytes().all(is_word) { &self.code } else { "unprintable" }
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
    fn a_code_that_could_carry_anything_is_not_logged() {
        let error =
            OAuthError::read(br#"{"error":"810000000009 \n x"}"#).map(|e| e.loggable_code().to_owned());
        assert_eq!(error.as_deref(), Some("unprintable"));
    }
}
