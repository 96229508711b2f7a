//! Distinguished names as text (RFC 4514).
//!
//! A certificate's subject is rendered in one canonical way, and a configured name is brought into the same one, so
//! that the two are compared as texts. Values are compared exactly: case and inner spaces count.

use x509_parser::asn1_rs::{Any, FromDer, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Attribute types with a name: RFC 4514 §3, then what else certificates use, spelled as
/// OpenSSL prints it.
const TYPES: [(&str, &str); 15] = [
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
    ("organizationIdentifier", "2.5.4.97"),
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
    // The end is not cut off: a space there may be escaped.
    let mut rest = text.trim_start();
    let (mut rdns, mut rdn) = (Vec::new(), Vec::new());
    loop {
        let (name, after) = rest.split_once('=').ok_or(DnError::Malformed)?;
        let (part, separator, after) = read_part(name.trim(), after.trim_start_matches(' '))?;
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
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_value_survives_rendering_and_reading(value in any::<String>(), other in ".{0,4}[ #=+,;\\\\\"<>]") {
            let name = format!("CN={}+OU={},C=FR", escape(&value), escape(&other));
            prop_assert_eq!(normalise(&name), Ok(name));
        }

        #[test]
        fn a_normalised_name_is_its_own_normal_form(text in "[ ]?(CN|ou|2\\.5\\.4\\.3) ?= ?[ -~]{0,12}(, ?O=[ -~]{0,8})?") {
            if let Ok(once) = normalise(&text) {
                prop_assert_eq!(normalise(&once), Ok(once));
            }
        }
    }

    fn same(written: &str, canonical: &str) {
        assert_eq!(normalise(written).as_deref(), Ok(canonical), "{written}");
    }

    #[test]
    fn spellings_of_one_name_come_out_alike() {
        for written in [
            "CN=relais,O=Exemple,C=FR",
            " cn = relais , o=Exemple,  2.5.4.6=FR ",
            "CN=relais, 2.5.4.10=#0c074578656d706c65,C=\\46\\52",
            "2.5.4.3=#130672656C616973,O=\\45xemple,C=FR",
        ] {
            same(written, "CN=relais,O=Exemple,C=FR");
        }
        same("CN=relais+OU=b,C=FR", "CN=relais+OU=b,C=FR");
        same("OU=b + CN=relais,C=FR", "CN=relais+OU=b,C=FR");
        same("E=a@example.fr,surname=B,GN=C", "emailAddress=a@example.fr,SN=B,givenName=C");
    }

    #[test]
    fn the_order_of_rdns_and_the_case_of_values_count() {
        assert_ne!(normalise("CN=a,O=b"), normalise("O=b,CN=a"));
        assert_ne!(normalise("CN=a"), normalise("CN=A"));
    }

    /// The examples of RFC 4514 §4.
    #[test]
    fn the_examples_of_the_rfc() {
        same("UID=jsmith,DC=example,DC=net", "UID=jsmith,DC=example,DC=net");
        same("OU=Sales+CN=J.  Smith,DC=example,DC=net", "CN=J.  Smith+OU=Sales,DC=example,DC=net");
        same(
            r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
            r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
        );
        same(r"CN=Before\0dAfter,DC=example,DC=net", "CN=Before\rAfter,DC=example,DC=net");
        same("1.3.6.1.4.1.1466.0=#04024869", "1.3.6.1.4.1.1466.0=#04024869");
        same(r"CN=Lu\C4\8Di\C4\87", "CN=Lučić");
    }

    #[test]
    fn escapes_survive_where_they_are_needed() {
        same(r"CN=\ a\ ", r"CN=\ a\ ");
        same(r"CN=\20a\20 ", r"CN=\ a\ ");
        same(r"CN=\#a#", r"CN=\#a#");
        same(r"CN=a\=b=c", "CN=a=b=c");
        same(r"CN=a\+b\;\<\>\\", r"CN=a\+b\;\<\>\\");
        same(r"CN=a\00b", r"CN=a\00b");
        same("CN=", "CN=");
        same("CN=\\ ", "CN=\\ ");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "CN",
            "=a",
            "CN=a,",
            "CN=a,,O=b",
            "CN=a\\",
            "CN=a\\zz",
            "CN=\"a\"",
            "CN=a;O=b",
            "CN=a\\ff",
            "CN=#",
            "CN=#0",
            "CN=#0c0261",
        ] {
            assert_eq!(normalise(bad), Err(DnError::Malformed), "{bad}");
        }
        for unknown in ["foo=a", "1.2.3=a"] {
            let name = unknown.split('=').next().unwrap_or_default().to_owned();
            assert_eq!(normalise(unknown), Err(DnError::UnknownType { name }));
        }
    }
}
