//! Login hints: what a person is asked for by.
//!
//! A hint is normalised before anything else looks at it, so that one person has one person slot and one
//! pseudonym however the identifier was typed. It is personal data: it lives in a [`Secret`].

use thiserror::Error;

use super::profile::HintRule;
use super::secret::Secret;

/// Why a hint is refused. No variant repeats the hint.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HintError {
    /// Empty after trimming, longer than 128 characters, or with control characters.
    #[error("1 to 128 characters, none of them a control character")]
    Length,
    /// An `810…` identifier whose last digit does not fit (a typing error: nobody's phone may ring).
    #[error("the last digit does not fit the others")]
    CheckDigit,
}

impl HintError {
    /// The rule's name in a problem's `errors[].rule`.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::CheckDigit => "check_digit",
        }
    }
}

/// Normalises and checks `typed` by a profile's rule.
///
/// [`HintRule::FrenchNationalId`]: spaces, dots and dashes between digits are dropped; 11 digits (a bare RPPS)
/// get the prefix 8; `810` and nine digits must satisfy Luhn over the last 11. Anything else (structure ids with
/// a slash, `ANS…`, `8997…` test ids, UUIDs) passes as it was typed, trimmed.
///
/// # Errors
/// [`HintError`]
pub fn normalise(rule: HintRule, typed: &str) -> Result<Secret, HintError> {
    let trimmed = typed.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 128 || trimmed.chars().any(char::is_control) {
        return Err(HintError::Length);
    }
    match rule {
        HintRule::Verbatim => Ok(Secret::new(trimmed)),
        HintRule::FrenchNationalId => french_national_id(trimmed),
    }
}

fn french_national_id(trimmed: &str) -> Result<Secret, HintError> {
    let starts_and_ends_with_digits =
        trimmed.starts_with(|c: char| c.is_ascii_digit()) && trimmed.ends_with(|c: char| c.is_ascii_digit());
    let only_digits_and_separators =
        trimmed.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '.' | '-' | '\u{a0}' | '\u{202f}'));
    if !(starts_and_ends_with_digits && only_digits_and_separators) {
        return Ok(Secret::new(trimmed));
    }
    let mut digits: String = trimmed.chars().filter(char::is_ascii_digit).collect();
    if digits.len() == 11 {
        digits.insert(0, '8');
    }
    if digits.len() == 12 && digits.starts_with("810") && !luhn(&digits[1..]) {
        return Err(HintError::CheckDigit);
    }
    Ok(Secret::new(digits))
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            if place % 2 == 0 {
                digit
            } else {
                let doubled = digit * 2;
                if doubled > 9 { doubled - 9 } else { doubled }
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psc(typed: &str) -> Result<String, HintError> {
        normalise(HintRule::FrenchNationalId, typed).map(|hint| hint.expose().to_owned())
    }

    #[test]
    fn however_it_is_typed_a_person_has_one_hint() {
        for typed in ["810000000009", " 810 000 000 009 ", "8100.0000.0009", "10000000009", "10-00-00-00-009"]
        {
            assert_eq!(psc(typed).as_deref(), Ok("810000000009"), "{typed}");
        }
    }

    #[test]
    fn a_wrong_check_digit_is_refused_before_a_phone_rings() {
        assert_eq!(psc("810000000008"), Err(HintError::CheckDigit));
        assert_eq!(psc("10000000008"), Err(HintError::CheckDigit));
    }

    #[test]
    fn anything_else_passes_untouched() {
        for typed in [
            "500000001815646/CPAT00045",
            "ANS20230101",
            "899700000001",
            "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        ] {
            assert_eq!(psc(typed).as_deref(), Ok(typed));
        }
    }

    #[test]
    fn length_and_control_characters() {
        assert_eq!(psc("  "), Err(HintError::Length));
        assert_eq!(psc(&"x".repeat(129)), Err(HintError::Length));
        assert_eq!(psc("a\u{7}b"), Err(HintError::Length));
        assert!(psc(&"é".repeat(128)).is_ok());
    }
}
