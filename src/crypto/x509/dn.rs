//! Distinguished names as text (RFC 4514).
//!
//! A certificate's subject is rendered in one canonical way, and a configured name is brought into the same one, so
//! that the two are compared as texts. Values are compared exactly: case and inner spaces count.

use x509_parser::asn1_rs::{Any, FromDer, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Attribute types with a name: RFC 4514 §3, then those of the LDAP registry that certificates use.
const TYPES: [(&str, &str); 14] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("serialNumber", "2.5.4.5"),
    ("SN", "2.5.4.4"),
    ("givenName", "2.5.4.42"),
    ("title", "2.5.4.12"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

/// Why a text is no distinguished name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DnError {
    /// Not `type=value`, joined by `,` or `+`, escaped as RFC 4514 wants it.
    #[error("not a distinguished name as RFC 4514 writes it, such as `CN=example,O=Example\\, Inc.,C=FR`")]
    Malformed,
    /// A type that has no name here.
    #[error(
        "the attribute type {name:?} is not known: write its OID, and its value as `#` and the DER in hexadecimal"
    )]
    UnknownType {
        /// As it was written.
        name: String,
    },
}

/// A name in the canonical way: RDNs last first, the parts of one RDN sorted.
pub(super) fn render(name: &X509Name<'_>) -> String {
    let mut rdns: Vec<String> =
        name.iter_rdn().map(|rdn| join_rdn(rdn.iter().map(render_part).collect())).collect();
    rdns.reverse();
    rdns.join(",")
}

/// The text of a value; `None` where it is not a text.
pub(super) fn text_of(part: &AttributeTypeAndValue<'_>) -> Option<String> {
    text_of_value(part.attr_value())
}

/// Brings a name written by a human into the way of [`super::Certificate::subject_dn`]: spellings of types, spaces
/// around separators, kinds of escape.
pub fn normalise(text: &str) -> Result<String, DnError> {
    let mut rest = text.trim();
    let (mut rdns, mut rdn) = (Vec::new(), Vec::new());
    loop {
        let (name, after) = rest.split_once('=').ok_or(DnError::Malformed)?;
        let (part, separator, after) = read_part(name.trim(), after.trim_start())?;
        rdn.push(part);
        rest = after;
        match separator {
            Some('+') => {}
            Some(_) => rdns.push(join_rdn(std::mem::take(&mut rdn))),
            None => {
                rdns.push(join_rdn(rdn));
                return Ok(rdns.join(","));
            }
        }
    }
}

fn join_rdn(mut parts: Vec<String>) -> String {
    parts.sort();
    parts.join("+")
}

fn render_part(part: &AttributeTypeAndValue<'_>) -> String {
    let oid = part.attr_type().to_id_string();
    let value = part.attr_value();
    match (name_of_oid(&oid), text_of_value(value)) {
        (Some(name), Some(text)) => format!("{name}={}", escape(&text)),
        _ => format!("{oid}=#{}", hex(&value.to_der_vec().unwrap_or_default())),
    }
}

fn name_of_oid(oid: &str) -> Option<&'static str> {
    TYPES.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name)
}

fn text_of_value(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        Tag::BmpString => {
            let (pairs, []) = value.data.as_chunks::<2>() else { return None };
            String::from_utf16(&pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

/// RFC 4514 §2.4.
fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        match c {
            '\0' => escaped.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', c]),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            '#' if index == 0 => escaped.push_str("\\#"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// One `type=value` in the canonical way, the separator behind it and what follows that.
fn read_part<'a>(name: &str, text: &'a str) -> Result<(String, Option<char>, &'a str), DnError> {
    let end = end_of_value(text);
    let (value, rest) = text.split_at(end);
    let mut after = rest.chars();
    let separator = after.next();
    let oid = oid_of(name)?;
    let known = name_of_oid(&oid);
    let part = match (value.trim_end().strip_prefix('#'), known) {
        (Some(digits), _) => {
            let der = unhex(digits).ok_or(DnError::Malformed)?;
            let (left, any) = Any::from_der(&der).map_err(|_| DnError::Malformed)?;
            match (known, text_of_value(&any)) {
                _ if !left.is_empty() => return Err(DnError::Malformed),
                (Some(known), Some(text)) => format!("{known}={}", escape(&text)),
                _ => format!("{oid}=#{}", hex(&der)),
            }
        }
        (None, Some(known)) => format!("{known}={}", escape(&unescape(value)?)),
        (None, None) => return Err(DnError::UnknownType { name: name.to_owned() }),
    };
    Ok((part, separator, after.as_str()))
}

/// Where the first separator stands that is not escaped.
fn end_of_value(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' | '+' => return index,
            _ => {}
        }
    }
    text.len()
}

fn oid_of(name: &str) -> Result<String, DnError> {
    if name.is_empty() {
        return Err(DnError::Malformed);
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Ok(name.to_owned());
    }
    let canonical = match name {
        _ if name.eq_ignore_ascii_case("surname") => "SN",
        _ if name.eq_ignore_ascii_case("email") || name.eq_ignore_ascii_case("E") => "emailAddress",
        _ if name.eq_ignore_ascii_case("GN") => "givenName",
        _ => name,
    };
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(canonical))
        .map(|(_, oid)| (*oid).to_owned())
        .ok_or_else(|| DnError::UnknownType { name: name.to_owned() })
}

fn unescape(text: &str) -> Result<String, DnError> {
    let mut bytes = Vec::with_capacity(text.len());
    // How much stays when spaces are cut off at the end: an escaped one stays.
    let mut kept = 0;
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (
                b'\\',
                [c @ (b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b' ' | b'#' | b'='), after @ ..],
            ) => {
                bytes.push(*c);
                rest = after;
                kept = bytes.len();
            }
            (b'\\', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).map_err(|_| DnError::Malformed)?;
                bytes.extend(unhex(digits).ok_or(DnError::Malformed)?);
                rest = after;
                kept = bytes.len();
            }
            (b'\\' | b'"' | b';' | b'<' | b'>' | b'\0', _) => return Err(DnError::Malformed),
            (c, _) => {
                bytes.push(*c);
                if *c != b' ' {
                    kept = bytes.len();
                }
            }
        }
    }
    bytes.truncate(kept);
    String::from_utf8(bytes).map_err(|_| DnError::Malformed)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
