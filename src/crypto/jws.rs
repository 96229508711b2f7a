//! A compact JWS in its parts, before anything in it is believed (RFC 7515, RFC 7519).
//!
//! The header decides which key and algorithm are tried, so parameters that would let the sender choose the key or
//! change how the signature is read are refused here, whoever signed (R-C-03). Which algorithms and types count is
//! the caller's to say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use thiserror::Error;

use super::strict_json::{self, Object};

/// Header parameters that bring a key, change the encoding, or must be understood (RFC 7515 §4.1, RFC 7797).
pub const FORBIDDEN: [&str; 6] = ["jku", "x5u", "jwk", "crit", "b64", "zip"];

/// Why a text is no acceptable JWS. Says nothing of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CompactError {
    /// Longer than the caller looks at.
    #[error("longer than a token is")]
    Size,
    /// Not three parts of base64url, header and payload JSON objects without duplicate members.
    #[error("not a compact JWS")]
    Form,
    /// A header parameter that is forbidden, or of the wrong kind.
    #[error("a header parameter that is not acceptable")]
    Header,
}

/// The parts. Nothing of them is to be believed yet.
pub struct Compact<'a> {
    /// The header.
    pub header: Object,
    /// The payload.
    pub payload: Object,
    /// The payload as it was sent.
    pub payload_bytes: Vec<u8>,
    /// What is signed.
    pub message: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token of at most `max` bytes apart.
    pub fn read(text: &'a str, max: usize) -> Result<Self, CompactError> {
        if text.len() > max {
            return Err(CompactError::Size);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CompactError::Form);
        };
        let header = object(&decode(header)?)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err(CompactError::Header);
        }
        let payload_bytes = decode(payload)?;
        let (message, _) = text.rsplit_once('.').ok_or(CompactError::Form)?;
        let payload = object(&payload_bytes)?;
        Ok(Self { header, payload, payload_bytes, message, signature: decode(signature)? })
    }

    /// A header parameter that is a text, where it is there at all.
    pub fn header_text(&self, name: &str) -> Result<Option<&str>, CompactError> {
        self.header.get(name).map(|value| value.as_str().ok_or(CompactError::Header)).transpose()
    }

    /// Whether `typ` is absent or one of these (lower case, without `application/`; RFC 7515 §4.1.9).
    pub fn is_of_type(&self, types: &[&str]) -> Result<bool, CompactError> {
        let Some(typ) = self.header_text("typ")? else { return Ok(true) };
        let typ = typ.to_ascii_lowercase();
        Ok(types.contains(&typ.strip_prefix("application/").unwrap_or(&typ)))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, CompactError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| CompactError::Form)
}

fn object(bytes: &[u8]) -> Result<Object, CompactError> {
    strict_json::object(bytes).map_err(|_| CompactError::Form)
}

/// A claim as a point in time: a finite number of seconds between 1970 and the year 9999 (RFC 7519 §2). Strings
/// are refused: reading them as absent has been a hole elsewhere (CVE-2026-25537).
pub fn numeric_date(claim: &Value) -> Option<i64> {
    const YEAR_9999: i64 = 253_402_300_799;
    let seconds = match claim.as_i64() {
        Some(seconds) => seconds,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is too large saturates, outside the bounds below"
        )]
        None => claim.as_f64()?.floor() as i64,
    };
    (0..=YEAR_9999).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn r_c_02_only_sane_numbers_are_dates() {
        assert_eq!(numeric_date(&json!(1_795_312_800)), Some(1_795_312_800));
        assert_eq!(numeric_date(&json!(1_795_312_800.7)), Some(1_795_312_800));
        assert_eq!(numeric_date(&json!(0)), Some(0));
        assert_eq!(numeric_date(&json!(253_402_300_799.9)), Some(253_402_300_799));
        for bad in [
            json!("1795312800"),
            json!(-1),
            json!(-0.5),
            json!(253_402_300_800_i64),
            json!(253_402_300_800.0),
            json!(9_223_372_036_854_775_808_u64),
            json!(1e300),
            json!(-1e300),
            json!(null),
        ] {
            assert_eq!(numeric_date(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_may_be_as_long_as_the_caller_looks_at() {
        let text = "e30.e30.eA";
        assert!(Compact::read(text, text.len()).is_ok());
        assert_eq!(Compact::read(text, text.len() - 1).err(), Some(CompactError::Size));
    }
}
