//! How an application proves who it is (design §4.1), and that no two prove it alike.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};

use crate::config::Mode;
use crate::config::reader::Reader;
use crate::config::secrets;
use crate::crypto::jwks::{self, JwksFileError};
use crate::crypto::ring::KeyRing;
use crate::crypto::x509::dn;
use crate::domain::application::{Application, ApplicationCredential};

/// What a credential needs of the rest of the configuration.
pub(super) struct Surroundings<'a> {
    pub(super) ring: Option<&'a KeyRing>,
    pub(super) has_tls: bool,
    pub(super) has_client_ca: bool,
}

/// 256 bits in base64url: a plain hash of anything shorter could be searched.
const SECRET_LENGTH: usize = 43;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Secret,
    SelfSigned,
    Tls,
    Jwt,
}

/// The names of RFC 8414.
const AUTHS: &[(&str, Auth)] = &[
    ("client_secret_basic", Auth::Secret),
    ("self_signed_tls_client_auth", Auth::SelfSigned),
    ("tls_client_auth", Auth::Tls),
    ("private_key_jwt", Auth::Jwt),
];

/// Which keys go with which method.
const KEYS: &[(Auth, &[&str])] = &[
    (Auth::Secret, &["secret", "secret_file"]),
    (Auth::SelfSigned, &["certificate_sha256"]),
    (Auth::Tls, &["tls_client_auth_subject_dn", "tls_client_auth_san_dns"]),
    (Auth::Jwt, &["jwks_file"]),
];

pub(super) fn read(reader: &Reader<'_>, surroundings: &Surroundings<'_>) -> Option<ApplicationCredential> {
    let auth = reader.required_word("auth", AUTHS)?;
    for (_, keys) in KEYS.iter().filter(|(owner, _)| *owner != auth) {
        reader.refuse(keys, &format!("auth = {:?}", reader.text("auth").unwrap_or_default()));
    }
    if matches!(auth, Auth::SelfSigned | Auth::Tls) && !surroundings.has_tls {
        reader.problem(
            "auth",
            "asks for a client certificate, but listeners.clients has no TLS",
            "write listeners.clients.tls",
        );
    }
    match auth {
        Auth::Secret => read_secret(reader, surroundings.ring),
        Auth::SelfSigned => read_thumbprints(reader),
        Auth::Tls => read_subject(reader, surroundings.has_client_ca),
        Auth::Jwt => read_keys(reader),
    }
}

fn read_secret(reader: &Reader<'_>, ring: Option<&KeyRing>) -> Option<ApplicationCredential> {
    let secret = secrets::read(reader, "secret", ring)?;
    if reader.context.mode == Mode::Production && secret.expose().len() < SECRET_LENGTH {
        let key = if reader.has("secret") { "secret" } else { "secret_file" };
        reader.problem(
            key,
            "is shorter than 43 characters (256 bits)",
            "generate it, for example with `relais keys generate`",
        );
        return None;
    }
    Some(ApplicationCredential::SecretSha256(sha256(secret.expose().as_bytes())))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn read_keys(reader: &Reader<'_>) -> Option<ApplicationCredential> {
    reader.required("jwks_file", "name a file with its public keys, as a JSON Web Key Set")?;
    let file = reader.file("jwks_file")?;
    match jwks::load(&file) {
        Ok(keys) => Some(ApplicationCredential::AssertionKeys { keys, file }),
        Err(JwksFileError::Unreadable { source, .. }) => {
            let what = format!("{} cannot be read ({})", file.display(), source.kind());
            reader.problem("jwks_file", what, "name an existing file that Relais may read");
            None
        }
        Err(error @ JwksFileError::Writable { .. }) => {
            // It says itself what to do.
            reader.problem("jwks_file", error.to_string(), "");
            None
        }
        Err(JwksFileError::Unusable { source, .. }) => {
            let fix = "write the public keys of the application into it";
            reader.problem("jwks_file", format!("{} {source}", file.display()), fix);
            None
        }
    }
}

fn read_thumbprints(reader: &Reader<'_>) -> Option<ApplicationCredential> {
    let key = "certificate_sha256";
    let texts = reader.texts(key);
    if !reader.has(key) || reader.is_empty_list(key) {
        let fix = "write the SHA-256 of its certificate: openssl x509 -in FILE -noout -fingerprint -sha256";
        reader.problem(key, "names no certificate", fix);
    }
    let thumbprints: Vec<_> = texts
        .iter()
        .filter_map(|text| {
            let parsed = parse_thumbprint(text);
            if parsed.is_none() {
                let fix = "write the 64 hexadecimal digits, with or without colons";
                reader.problem(key, format!("{text:?} is no SHA-256"), fix);
            }
            parsed
        })
        .collect();
    (!thumbprints.is_empty()).then_some(ApplicationCredential::CertificateSha256(thumbprints))
}

/// Hexadecimal, as `openssl x509 -fingerprint` prints it or without its colons.
fn parse_thumbprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).ok()?;
    }
    Some(bytes)
}

fn read_subject(reader: &Reader<'_>, has_client_ca: bool) -> Option<ApplicationCredential> {
    const DN: &str = "tls_client_auth_subject_dn";
    const DNS: &str = "tls_client_auth_san_dns";
    if !has_client_ca {
        reader.problem(
            "auth",
            "asks for a certificate that chains to listeners.clients.client_ca, which is missing",
            "name the roots there, or use self_signed_tls_client_auth",
        );
    }
    match (reader.has(DN), reader.has(DNS)) {
        (true, true) => {
            reader.problem(DN, format!("stands beside {DNS}"), "remove one of the two");
            None
        }
        (false, false) => {
            reader.problem(DN, "is missing", format!("write {DN} = \"CN=…,O=…\" (RFC 4514) or {DNS}"));
            None
        }
        (true, false) => {
            let normalised = dn::normalise(reader.text(DN)?);
            // The error says what to write instead.
            normalised
                .map_err(|error| reader.problem(DN, error.to_string(), ""))
                .ok()
                .map(ApplicationCredential::SubjectDn)
        }
        (false, true) => {
            let name = reader.text(DNS)?.to_ascii_lowercase();
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            if !name.bytes().all(allowed) || name.starts_with('.') || name.ends_with('.') {
                reader.problem(
                    DNS,
                    "is no DNS name",
                    "write it without wildcard, such as \"app.example.fr\"",
                );
                return None;
            }
            Some(ApplicationCredential::SanDns(name))
        }
    }
}

/// A certificate belongs to exactly one application. A key may be that of several: an assertion names one.
pub(super) fn refuse_shared(root: &Reader<'_>, applications: &[Application]) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for application in applications {
        let (key, marks) = match &application.credential {
            ApplicationCredential::SecretSha256(_) | ApplicationCredential::AssertionKeys { .. } => continue,
            ApplicationCredential::CertificateSha256(thumbprints) => (
                "certificate_sha256",
                thumbprints.iter().map(|bytes| format!("sha256 {bytes:02x?}")).collect(),
            ),
            ApplicationCredential::SubjectDn(dn) => {
                ("tls_client_auth_subject_dn", vec![format!("dn {}", dn.to_lowercase())])
            }
            ApplicationCredential::SanDns(name) => ("tls_client_auth_san_dns", vec![format!("dns {name}")]),
        };
        let mark: Vec<String> = marks;
        for mark in mark {
            let name = application.name.as_str();
            if let Some(owner) = owners.insert(mark, name).filter(|owner| *owner != name) {
                root.section("applications").section(name).problem(
                    key,
                    format!("stands in the application {owner} too; a certificate belongs to exactly one application"),
                    "remove it from one of them",
                );
            }
        }
    }
}
